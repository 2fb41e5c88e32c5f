"""The loop that everybody writes first: one page after the other, one file, one upload."""

from __future__ import annotations

import gzip
import json
import tempfile
import time
from http import HTTPStatus
from pathlib import Path

import requests
from contender import GZIP_LEVEL, Job, compete, upload

PAUSE_SECONDS = 60.0
"""After a refusal for the rate; the vendor sends no Retry-After."""


def land(job: Job) -> None:
    """Read until ``hasMore`` is false."""
    with tempfile.TemporaryDirectory() as folder, requests.Session() as session:
        path = Path(folder) / "contacts.jsonl.gz"
        session.headers.update(job.headers)
        with gzip.open(path, "wt", compresslevel=GZIP_LEVEL, encoding="utf-8") as out:
            skip, more = 0, True
            while more:
                query: dict[str, str | int] = {"accountId": job.account_id, "skip": skip, "limit": job.page}
                answer = session.get(job.url + job.path, params=query, timeout=30)
                if answer.status_code == HTTPStatus.TOO_MANY_REQUESTS:
                    time.sleep(PAUSE_SECONDS)
                    continue
                answer.raise_for_status()
                data = answer.json()["data"]
                for contact in data["results"]:
                    out.write(json.dumps(contact) + "\n")
                skip += len(data["results"])
                more = data["hasMore"]
        upload(job, path)


if __name__ == "__main__":
    compete(land)
