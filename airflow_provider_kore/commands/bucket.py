"""The place in a bucket that a command is about.

Credentials and endpoint are found as boto3 finds them (``AWS_PROFILE``, ``AWS_ENDPOINT_URL``, …), so that nothing of
Airflow has to be set up; or in an Airflow connection, if one is named.
"""

from __future__ import annotations

import argparse
import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from airflow_provider_kore.store.shared import SwapStore

_address = re.compile(r"s3://([^/]+)(?:/(.*))?", re.DOTALL).fullmatch


class Place(NamedTuple):
    """A prefix of a bucket."""

    store: SwapStore
    prefix: str
    """Empty for all of the bucket; else it ends with a slash."""


def options() -> argparse.ArgumentParser:
    """Return the options that name it, as a parent of a command's parser."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("address", type=_address_of, metavar="s3://BUCKET/PREFIX/", help="where the snapshots are")
    parser.add_argument("--aws-conn-id", help="Airflow connection to S3 (default: what boto3 finds by itself)")
    return parser


def open_place(options: argparse.Namespace) -> Place:
    """Make a client for the bucket; sends nothing to it.

    Raises ParameterError, ConnectionNotFoundError, ConfigError, CredentialsError, TlsError, StoreUnavailableError.
    """
    from airflow_provider_kore.hooks.airflow_versions import search_metadata_database
    from airflow_provider_kore.hooks.s3 import open_bucket

    bucket, prefix = options.address
    if options.aws_conn_id is not None:
        search_metadata_database()
    return Place(store=open_bucket(bucket, options.aws_conn_id).store, prefix=prefix)


def _address_of(text: str) -> tuple[str, str]:
    found = _address(text)
    if found is None:
        raise argparse.ArgumentTypeError("use s3://BUCKET/PREFIX/")
    bucket, prefix = found.groups(default="")
    return bucket, prefix if not prefix or prefix.endswith("/") else f"{prefix}/"
