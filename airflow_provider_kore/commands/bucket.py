"""The place in a bucket that a command is about.

Credentials and endpoint are found as boto3 finds them (``AWS_PROFILE``, ``AWS_ENDPOINT_URL``, …), so that nothing of
Airflow has to be set up; or in an Airflow connection, if one is named.
"""

from __future__ import annotations

import argparse
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from airflow_provider_kore.store.shared import SwapStore

STATUS: Final = {"fine": 0, "wrong": 1, "unseen": 2}
"""Exit statuses."""

_address = re.compile(r"s3://([^/]+)(?:/(.*))?", re.DOTALL).fullmatch


def options() -> argparse.ArgumentParser:
    """Return the options that name it, as a parent of a command's parser."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("address", type=_address_of, metavar="s3://BUCKET/PREFIX/", help="where the snapshots are")
    parser.add_argument("--aws-conn-id", help="Airflow connection to S3 (default: what boto3 finds by itself)")
    return parser


def open_place(options: argparse.Namespace) -> tuple[SwapStore, str]:
    """Return the bucket, to which nothing is sent yet, and the prefix: empty, or ending with a slash."""
    from airflow_provider_kore.hooks.airflow_versions import search_metadata_database
    from airflow_provider_kore.hooks.s3 import open_bucket

    bucket, prefix = options.address
    if options.aws_conn_id is not None:
        search_metadata_database()
    return open_bucket(bucket, options.aws_conn_id).store, prefix


def _address_of(text: str) -> tuple[str, str]:
    found = _address(text)
    if found is None:
        raise argparse.ArgumentTypeError("use s3://BUCKET/PREFIX/")
    bucket, prefix = found.groups(default="")
    return bucket, prefix if not prefix or prefix.endswith("/") else f"{prefix}/"
