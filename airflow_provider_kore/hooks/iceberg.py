"""The Iceberg catalog that an Airflow connection leads to, read as Airflow's own provider for Iceberg reads it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_kore.exceptions import ConfigError, ParameterError
from airflow_provider_kore.hooks.airflow_versions import mask_secret
from airflow_provider_kore.hooks.connections import find_connection
from airflow_provider_kore.iceberg.errors import iceberg_errors

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airflow.sdk import Connection
    from pyiceberg.catalog import Catalog

_SECRET: Final = re.compile("secret|token|password|credential|access-key|authorization", re.IGNORECASE)
_URI_PASSWORD: Final = re.compile(r"^[^/]+//[^/@:]*:(?P<password>[^@]+)@")


def open_catalog(iceberg_conn_id: str, table: str) -> Catalog:
    """Return the catalog that a connection leads to.

    The connection is one of apache-airflow-providers-apache-iceberg (2.1): its extra holds pyiceberg's properties,
    ``type`` is ``rest`` unless it says otherwise, host is the ``uri``, and for ``rest`` login and password are the
    ``credential``.

    :param table: for messages.

    Raises ParameterError, ConnectionNotFoundError, ConfigError, CredentialsError, CatalogUnavailableError.
    """
    try:
        import pyarrow as pa  # noqa: F401 - loads on workers only
        import pyiceberg  # noqa: F401
    except ImportError:
        raise ParameterError(
            "table",
            "an Iceberg table needs pyiceberg and pyarrow, which are not installed here",
            "install airflow-provider-kore[iceberg]",
        ) from None
    properties = catalog_properties(find_connection(iceberg_conn_id))
    for secret in filter(None, _secrets(properties)):
        mask_secret(secret)
    from pyiceberg.catalog import load_catalog

    with iceberg_errors("opening its catalog", table):
        try:
            return load_catalog(iceberg_conn_id, **properties)
        except (ValueError, TypeError, AttributeError, KeyError):  # its text may hold a property
            pass
    raise ConfigError(
        "extra",
        "holds properties of which pyiceberg can make no catalog",
        "check type (rest, glue, sql, hive, dynamodb), uri and warehouse",
        connection=f"The Iceberg connection {iceberg_conn_id!r}",
    )


def catalog_properties(connection: Connection) -> dict[str, Any]:
    """Return what pyiceberg is told of a catalog: text, but for numbers, which some catalogs want as such."""
    extra: dict[str, Any] = connection.extra_dejson or {}
    found = {name: _spelt(value) for name, value in extra.items() if value is not None}
    if connection.host:
        found["uri"] = connection.host.rstrip("/")
    found.setdefault("type", "rest")
    if found["type"] == "rest" and connection.login and connection.password:
        found["credential"] = f"{connection.login}:{connection.password}"
    return found


def _secrets(properties: Mapping[str, Any]) -> Iterator[str]:
    """Yield what must not stand in a log."""
    for name, value in properties.items():
        if isinstance(value, dict):  # as of ``auth``
            yield from _secrets(value)
        elif _SECRET.search(name):
            yield str(value)
        elif inside := _URI_PASSWORD.match(str(value)):
            yield inside["password"]


def _spelt(value: object) -> object:
    return str(value).lower() if isinstance(value, bool) else value
