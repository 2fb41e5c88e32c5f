"""The operator's ``s3_settings``, as an author writes them or a template renders them."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import fields
from typing import Any
from urllib.parse import parse_qsl

from airflow_provider_kore.exceptions import ParameterError
from airflow_provider_kore.parameters import check_boolean, is_missing, shown, structure
from airflow_provider_kore.store.s3_settings import S3Settings

_ACCOUNT_DIGITS = 12


def parse_settings(given: object) -> S3Settings:
    """Check ``s3_settings``: a dictionary, or one as JSON. Raises ParameterError."""
    value = structure("s3_settings", given)
    if value is None:
        return S3Settings()
    known = [each.name for each in fields(S3Settings)]
    if not isinstance(value, Mapping):
        raise ParameterError("s3_settings", f"is {shown(value)}", f"pass a dictionary of {', '.join(known)}")
    for name in value:
        if name not in known:
            near = difflib.get_close_matches(str(name), known, n=1)
            advice = f"did you mean {near[0]!r}?" if near else f"use {', '.join(known)}"
            raise ParameterError("s3_settings", f"has {shown(name)}, which is no setting", advice)
    said = {name: each for name, each in value.items() if name == _CHECKSUM or not is_missing(each)}
    return S3Settings(**{name: _CHECKS.get(name, _text)(name, each) for name, each in said.items()})


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise ParameterError(name, f"is {shown(value)}", "pass a string")
    return value.strip()


def _account(name: str, value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**_ACCOUNT_DIGITS:
        return f"{value:0{_ACCOUNT_DIGITS}d}"
    return _text(name, value)


def _tags(name: str, value: object) -> dict[str, str]:
    """Return tags: a dictionary, or a list or a string as boto3 takes them."""
    found = structure(name, value)
    if isinstance(found, str):
        found = dict(parse_qsl(found, keep_blank_values=True))
    if isinstance(found, list) and all(isinstance(each, Mapping) and set(each) == {"Key", "Value"} for each in found):
        found = {each["Key"]: each["Value"] for each in found}
    if not isinstance(found, Mapping) or not found:
        raise ParameterError(name, f"is {shown(value)}", 'pass a dictionary such as {"team": "contact center"}')
    for key, each in found.items():
        if not isinstance(key, str) or not isinstance(each, (str, int)) or isinstance(each, bool):
            raise ParameterError(name, f"has {shown(key)}: {shown(each)}", "pass strings")
    return {key: str(each) for key, each in found.items()}


def _checksum(name: str, value: object) -> str:
    """None says that there is to be none."""
    return "NONE" if value is None else _text(name, value)


_CHECKSUM = "checksum_algorithm"
_CHECKS: dict[str, Any] = {
    _CHECKSUM: _checksum,
    "expected_bucket_owner": _account,
    "tags": _tags,
    "bucket_key": check_boolean,
}
