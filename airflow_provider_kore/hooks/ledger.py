"""Where the tasks of this Airflow that use one account keep its allowance: a small object in a bucket."""

from __future__ import annotations

import hashlib
import logging
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from airflow_provider_kore.exceptions import KoreError
from airflow_provider_kore.unexpected import guarded

if TYPE_CHECKING:
    from airflow.providers.amazon.aws.hooks.s3 import S3Hook

    from airflow_provider_kore.api.config import ApiConfig
    from airflow_provider_kore.store.shared import SharedObject, SwapStore

log = logging.getLogger(__name__)

CONNECT, READ = 3.0, 5.0
"""Seconds that the ledger's store may take to be reached, and to go on with an answer, unless its connection says."""

_DIGEST: Final = 16
"""Bytes."""

_warned: set[str] = set()


def look_up_ledger(config: ApiConfig) -> S3Hook | None:
    """Look up the connection to the ledger's bucket; None if there is none, or if it can't be used, which is logged."""
    from airflow_provider_kore.hooks.s3 import look_up

    if config.allowance_ledger is None:
        return None
    conn_id = config.allowance_ledger_conn_id
    try:
        return guarded("Looking up the ledger's connection", lambda: look_up(conn_id, timeouts=(CONNECT, READ)))
    except KoreError as err:
        if conn_id not in _warned:
            _warned.add(conn_id)
            log.warning(
                "The allowance ledger %s can't be used: %s This task keeps to the limit by itself and learns of "
                "others on the account by being refused.",
                config.allowance_ledger,
                err,
            )
        return None


def ledger_of(config: ApiConfig, connection: S3Hook) -> SharedObject:
    """Return the ledger of the connection's account; sends nothing yet."""
    from airflow_provider_kore.api.ledger import LARGEST
    from airflow_provider_kore.clock import SystemClock
    from airflow_provider_kore.hooks.s3 import open_bucket
    from airflow_provider_kore.store.shared import SharedObject

    place = f"{config.allowance_ledger}/{ledger_name(config)}"
    parts = urlsplit(place)
    bucket, key = parts.netloc, parts.path.removeprefix("/")

    def connect() -> SwapStore:
        return open_bucket(bucket, connection).store

    return SharedObject(connect, key, place, SystemClock(), LARGEST)


def ledger_name(config: ApiConfig) -> str:
    """Return what the ledger of an account is called: its environment's host and its id, which the name hides."""
    host = (urlsplit(config.base_url).netloc or config.base_url).lower()
    account = hashlib.sha256(f"{host}\n{config.account_id}".encode()).digest()[:_DIGEST]
    return f"kore-allowance-{account.hex()}.json"
