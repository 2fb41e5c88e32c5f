"""The place in a bucket that a command is about.

Credentials and endpoint are found as boto3 finds them (``AWS_PROFILE``, ``AWS_ENDPOINT_URL``, …), so that nothing of
Airflow has to be set up; or in an Airflow connection, if one is named.
"""

from __future__ import annotations

import argparse
import re
import sys
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_kore.store.shared import SwapStore

STATUS: Final = {"fine": 0, "wrong": 1, "unseen": 2}
"""Exit statuses."""

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


def answer(options: argparse.Namespace, look: Callable[[Place], int]) -> int:
    """Open the place, and return the exit status of who looks at it; 2 and one line where that could not be done."""
    from airflow_provider_kore.exceptions import KoreError, ParameterError

    try:
        return look(_open(options))
    except ParameterError as err:
        parameter, problem, advice = err.args
        say(f"{parameter}: {problem}; {advice}.")
    except KoreError as err:
        say(" ".join(str(err).split()))
    except Exception as err:  # noqa: BLE001 - whose text may hold a contact
        say(f"An error that was not foreseen ended this: {type(err).__name__}.")
    return STATUS["unseen"]


def say(line: str) -> None:
    """Write a line on standard error: how far it is, and why there is no answer."""
    sys.stderr.write(f"{line}\n")


def _open(options: argparse.Namespace) -> Place:
    """Make a client for the bucket; sends nothing to it."""
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
