"""dlt: its REST API source with offset paging, and its filesystem destination on S3, writing gzipped JSON Lines.

Out of the box dlt sends a refused request five times within some fifteen seconds, which a spent minute outlasts. A
patient one is told to try more often.
"""

from __future__ import annotations

import os
import tempfile

import dlt
from contender import Job, compete
from dlt.destinations import filesystem
from dlt.sources.rest_api import rest_api_source

os.environ |= {
    "RUNTIME__DLTHUB_TELEMETRY": "false",
    "RUNTIME__LOG_LEVEL": "ERROR",
    "NORMALIZE__DATA_WRITER__DISABLE_COMPRESSION": "false",
}


def land(job: Job) -> None:
    """Run a pipeline of one resource."""
    if job.patient:
        os.environ["RUNTIME__REQUEST_MAX_ATTEMPTS"] = "10"
    headers = job.headers
    source = rest_api_source(
        {
            "client": {
                "base_url": job.url,
                "headers": {name: value for name, value in headers.items() if name != "auth"},
                "auth": {"type": "api_key", "name": "auth", "api_key": headers["auth"], "location": "header"},
                "paginator": {
                    "type": "offset",
                    "limit": job.page,
                    "offset_param": "skip",
                    "limit_param": "limit",
                    "total_path": "data.totalResults",
                },
            },
            "resources": [
                {
                    "name": "contacts",
                    "endpoint": {
                        "path": job.path,
                        "params": {"accountId": job.account_id},
                        "data_selector": "data.results",
                    },
                    "write_disposition": "replace",
                }
            ],
        }
    )
    bucket = filesystem(
        bucket_url=f"s3://{job.bucket}/{job.prefix}",
        credentials={
            "aws_access_key_id": "key",
            "aws_secret_access_key": "secret",
            "endpoint_url": job.s3,
            "region_name": "us-east-1",
        },
    )
    with tempfile.TemporaryDirectory() as folder:
        pipeline = dlt.pipeline("bench", pipelines_dir=folder, destination=bucket, dataset_name="kore")
        pipeline.run(source, loader_file_format="jsonl")


if __name__ == "__main__":
    compete(land)
