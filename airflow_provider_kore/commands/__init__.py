"""What the package offers in a terminal: one module per command.

Each has ``add_parser(commands)``, which declares its options, and ``run(options)``, which returns the exit status:
0 everything is as it should be, 1 something is not, 2 a mistake on the command line, or what was asked cannot be said.
Where it raises, the exit status is its default ``failed``.

Connections are looked up as Airflow does. Credentials and endpoint of a bucket are found as boto3 finds them
(``AWS_PROFILE``, ``AWS_ENDPOINT_URL``, …), so that nothing of Airflow has to be set up; or in an Airflow connection, if
one is named.
"""

from __future__ import annotations

import argparse
import re
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from airflow_provider_kore.hooks.campaign import KoreCampaignHook
    from airflow_provider_kore.store.shared import SwapStore

    Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - argparse has no other name for it

STATUS: Final = {"fine": 0, "wrong": 1, "unseen": 2}
"""Exit statuses of what looks at a bucket."""

_address = re.compile(r"s3://([^/]+)(?:/(.*))?", re.DOTALL).fullmatch


def say(line: str) -> None:
    """Write a line on standard error: how far it is, and why there is no answer."""
    sys.stderr.write(f"{line}\n")


def connection_options() -> argparse.ArgumentParser:
    """Return the options that name the Kore.ai connection that a command is about, as a parent of its parser."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--conn-id", default="kore_default", help="Airflow connection (default: %(default)s)")
    return parser


def find_hook(options: argparse.Namespace) -> KoreCampaignHook:
    """Return the hook of that connection; it is looked up when it is first used."""
    from airflow_provider_kore.hooks.airflow_versions import search_metadata_database
    from airflow_provider_kore.hooks.campaign import KoreCampaignHook

    search_metadata_database()
    return KoreCampaignHook(options.conn_id)


def bucket_options() -> argparse.ArgumentParser:
    """Return the options that name the place in a bucket that a command is about, as a parent of its parser."""
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
