"""Airflow connections by their id, and one clear error where there is none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_kore.exceptions import ConnectionNotFoundError
from airflow_provider_kore.hooks.airflow_versions import AirflowNotFoundException, BaseHook, mask_secret

if TYPE_CHECKING:
    from airflow.sdk import Connection


def find_connection(conn_id: str) -> Connection:
    """Return a connection from wherever Airflow keeps it: a secrets backend, the environment, its database.

    Raises ConnectionNotFoundError.
    """
    try:
        return BaseHook.get_connection(conn_id)
    except AirflowNotFoundException as err:
        raise ConnectionNotFoundError(
            f"{err}: define this connection where the task runs, or correct the id. Where it is written as JSON, check "
            "its outer keys and its extra: if Airflow cannot read one of them, it ignores the whole connection."
        ) from None


def hash_key(conn_id: str) -> tuple[bytes, str]:
    """Return the key for ``hash`` and its name: a connection's password, and its login or else its id.

    Raises ConnectionNotFoundError.
    """
    connection = find_connection(conn_id)
    key = connection.password or ""
    if key:
        mask_secret(key)
    return key.encode(), connection.login or conn_id
