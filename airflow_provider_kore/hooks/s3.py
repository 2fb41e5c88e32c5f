"""An Airflow connection to S3, turned into a bucket; what AWS's libraries refuse while that is set up, in our words."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_kore.exceptions import (
    ConfigError,
    FatalError,
    KoreError,
    StoreUnavailableError,
    TlsError,
)
from airflow_provider_kore.hooks.connections import find_connection
from airflow_provider_kore.parameters import check_bucket
from airflow_provider_kore.quoting import quoted
from airflow_provider_kore.unexpected import explain, guarded

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import TypeVar

    from airflow.providers.amazon.aws.hooks.s3 import S3Hook

    from airflow_provider_kore.hooks.s3_console import S3Console
    from airflow_provider_kore.store.shared import SwapStore
    from airflow_provider_kore.store.store import ObjectStore
    from airflow_provider_kore.store.versions import VersionedStore

    T = TypeVar("T")

DEFAULT_CONN_ID = "aws_default"
"""Without a connection of this id, boto3 looks for credentials by itself, as Airflow's own operators let it."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """One bucket, as results are written to it and as checkpoints are, and the console that shows it."""

    store: SwapStore
    staging: ObjectStore
    console: S3Console


def look_up(aws_conn_id: str | None, *, timeouts: tuple[float, float] = (10, 20)) -> S3Hook:
    """Look up a connection, completely: what is opened with it later looks up nothing any more. Sends nothing to S3.

    :param timeouts: seconds to connect and to read, unless the connection names others.

    One of another id than the default must exist: without it another identity would be used, unasked.

    Raises ConnectionNotFoundError, ConfigError, FatalError.
    """
    from airflow.providers.amazon.aws.hooks.s3 import S3Hook

    from airflow_provider_kore.store.s3.settings import patient_config

    def hook() -> S3Hook:
        said = S3Hook(aws_conn_id=aws_conn_id).conn_config
        config = patient_config(said.botocore_config, said.extra_config.get("config_kwargs") or {}, timeouts)
        found = S3Hook(aws_conn_id=aws_conn_id, config=config)
        _check_bundle(found.verify, aws_conn_id)  # which has the hook keep what it has looked up
        return found

    if aws_conn_id is not None and aws_conn_id != DEFAULT_CONN_ID:
        find_connection(aws_conn_id)
    return _in_our_words(hook, aws_conn_id)


def open_bucket(
    s3_bucket: object, connection: S3Hook | str | None, s3_settings: Mapping[str, Any] | str | None = None
) -> Bucket:
    """Make a client for one bucket; sends nothing to it.

    :param connection: its id, or what :func:`look_up` has returned.

    Raises ParameterError, ConnectionNotFoundError, ConfigError, CredentialsError, TlsError, StoreUnavailableError.
    """
    from airflow_provider_kore.hooks.s3_console import S3Console
    from airflow_provider_kore.store.s3 import S3Store
    from airflow_provider_kore.store.s3.settings import parse_settings

    bucket = check_bucket(s3_bucket)
    settings = parse_settings(s3_settings)
    hook = look_up(connection) if connection is None or isinstance(connection, str) else connection
    client = _in_our_words(hook.get_conn, hook.aws_conn_id)
    return Bucket(
        store=S3Store(client, bucket, settings),
        staging=S3Store(client, bucket, settings.for_staging()),
        console=S3Console.of(client, hook.conn_config.extra_config),
    )


def open_with_versions(
    s3_bucket: object, aws_conn_id: str | None, s3_settings: Mapping[str, Any] | str | None = None
) -> VersionedStore:
    """Make a client for one bucket and all that it keeps; sends nothing to it. Raises as :func:`open_bucket` does."""
    from airflow_provider_kore.store.s3.settings import parse_settings
    from airflow_provider_kore.store.s3.versions import S3VersionedStore

    bucket, settings = check_bucket(s3_bucket), parse_settings(s3_settings)
    hook = look_up(aws_conn_id)
    return S3VersionedStore(_in_our_words(hook.get_conn, hook.aws_conn_id), bucket, settings)


def _in_our_words(work: Callable[[], T], conn_id: str | None) -> T:
    """Call what uses AWS's libraries, whose texts hold account ids, roles and URLs; raise nothing but a KoreError."""
    name = conn_id or "boto3's own"
    return guarded(f"The AWS connection {name!r}", work, _explain)


def _check_bundle(verify: object, conn_id: str | None) -> None:
    """Refuse a CA bundle that is not there: botocore finds out at the first request, and calls it a network error."""
    for field, path in (("verify", verify), ("AWS_CA_BUNDLE", os.environ.get("AWS_CA_BUNDLE"))):
        if isinstance(path, str) and path and not Path(path).exists():
            raise ConfigError(
                field,
                f"names the CA bundle {quoted(path)}, which does not exist here",
                "use a path that exists on every worker",
                connection=f"The AWS connection {conn_id!r}",
            )


def _explain(where: str, err: Exception) -> KoreError:
    """Say which setting is wrong."""
    from botocore import exceptions as boto

    from airflow_provider_kore.store.s3.errors import refused_identity

    if isinstance(err, boto.ClientError):
        return refused_identity(err, where)
    for kinds, field, problem, advice in _SETTINGS:
        if isinstance(err, tuple(getattr(boto, kind) for kind in kinds if hasattr(boto, kind))):
            return ConfigError(field, problem, advice, connection=where)
    if isinstance(err, boto.SSLError):
        return TlsError(
            f"{where}: the certificate of AWS's token service or endpoint cannot be verified. Check verify."
        )
    if isinstance(err, (boto.ConnectionError, boto.HTTPClientError)):
        return StoreUnavailableError(
            f"{where}: AWS's token service does not answer ({type(err).__name__}). Check endpoint_url, region_name and "
            "the network, then try again."
        )
    if isinstance(err, (ValueError, TypeError, AttributeError, KeyError, NotImplementedError)):
        return FatalError(
            f"{where} cannot be used ({type(err).__name__}). Check its extra: endpoint_url (https://host:port, or left "
            "out on AWS), region_name, role_arn, assume_role_method, profile_name, verify, config_kwargs and "
            "service_config."
        )
    return explain(where, err)


_SETTINGS = (
    (("ProfileNotFound",), "profile_name", "names a profile that this worker does not have", "add it, or leave it out"),
    (
        ("NoRegionError", "InvalidRegionError", "UnknownRegionError"),
        "region_name",
        "is missing, or no region",
        "use one such as eu-central-1",
    ),
    (
        ("InvalidEndpointConfigurationError", "UnknownEndpointError", "EndpointVariantError"),
        "endpoint_url",
        "is impossible",
        "use https://host:port, or leave it out on AWS",
    ),
    (
        ("ConfigNotFound", "ConfigParseError", "InvalidConfigError"),
        "profile_name",
        "leads to an AWS configuration file that cannot be read",
        "correct that file",
    ),
    (
        ("ProxyConnectionError", "InvalidProxiesConfigError"),
        "proxies",
        "leads to a proxy that does not work",
        "check config_kwargs and the proxy variables of the worker",
    ),
    (
        (
            "UnknownSignatureVersionError",
            "UnsupportedSignatureVersionError",
            "InvalidS3AddressingStyleError",
            "InvalidMaxRetryAttemptsError",
            "InvalidRetryModeError",
            "InvalidRetryConfigurationError",
        ),
        "config_kwargs",
        "has a value that botocore refuses",
        "see botocore's Config",
    ),
)
"""Which setting of the connection is wrong, by botocore's exceptions."""
