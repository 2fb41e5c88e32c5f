"""Which snapshots are to be committed: what tasks that landed them have returned, or addresses of their partitions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from airflow_provider_kore.exceptions import ParameterError
from airflow_provider_kore.parameters import check_date, is_missing, shown, structure
from airflow_provider_kore.snapshot.layout import MANIFEST_NAME

if TYPE_CHECKING:
    from collections.abc import Iterator

EACH: Final = "*"
"""In place of a list's id, or of a date: all that have landed."""

_ADDRESS: Final = re.compile(
    r"s3://(?P<bucket>[^/*]+)/(?P<prefix>(?:[^*]*/)?)contact_list_id=(?P<contact_list_id>[^/]+)"
    r"/snapshot_date=(?P<snapshot_date>[^/]+)(?:/(?:_manifest\.json)?)?"
)
_IDENTIFIER: Final = re.compile(r"[^\s.]+(?:\.[^\s.]+)+")
_ADVICE: Final = (
    "pass what a task that landed snapshots returned (land.output), or addresses of partitions such as "
    "'s3://lake/kore/contact_lists/contact_list_id=*/snapshot_date=2026-11-26/'"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Where snapshots lie that are to be committed."""

    bucket: str
    key: str
    """Of the manifest, with :data:`EACH` in place of what stands for all."""
    least: int = 1
    """How many there have to be."""

    @property
    def address(self) -> str:
        """What messages call it."""
        return f"s3://{self.bucket}/{self.key.removesuffix(MANIFEST_NAME)}"


def parse_snapshots(name: str, value: object) -> tuple[Wanted, ...]:
    """Return what is wanted, without repetitions.

    :param value: an address, an XCom of a transfer, or a list of them, also as JSON text. None in a list is passed
        over: a task that was skipped has returned it.

    Raises ParameterError.
    """
    found = dict.fromkeys(_each(name, structure(name, value)))
    if not found:
        raise ParameterError(name, "names no snapshot", _ADVICE)
    return tuple(found)


def parse_table(name: str, value: object) -> str:
    """Return a table's name with its namespace. Raises ParameterError."""
    if not isinstance(value, str) or not _IDENTIFIER.fullmatch(value.strip()):
        raise ParameterError(name, f"is {shown(value)}", "pass namespace and name, such as 'crm.contacts'")
    return value.strip()


def _each(name: str, value: object) -> Iterator[Wanted]:
    if is_missing(value):
        return
    if isinstance(value, str):
        yield _of_address(name, value)
    elif isinstance(value, Mapping):
        yield from _of_xcom(name, value)
    elif isinstance(value, Iterable):
        for each in value:
            yield from _each(name, structure(name, each))
    else:
        raise ParameterError(name, f"is {shown(value)}", _ADVICE)


def _of_address(name: str, value: str, least: int = 1) -> Wanted:
    found = _ADDRESS.fullmatch(value.strip())
    if found is None:
        raise ParameterError(name, f"{shown(value)} is no address of a partition", _ADVICE)
    parts = found.groupdict()
    if parts["snapshot_date"] != EACH:
        parts["snapshot_date"] = check_date(name, parts["snapshot_date"])
    if EACH in parts["contact_list_id"] and parts["contact_list_id"] != EACH:
        raise ParameterError(name, f"{shown(value)} has a * beside other characters", "write one id, or * alone")
    where = "{prefix}contact_list_id={contact_list_id}/snapshot_date={snapshot_date}/".format_map(parts)
    return Wanted(bucket=parts["bucket"], key=f"{where}{MANIFEST_NAME}", least=least)


def _of_xcom(name: str, value: Mapping[str, object]) -> Iterator[Wanted]:
    """Read what the transfers return: for one list its manifest's key, for many a form of them and some lists' ids."""
    bucket, key, keys = (value.get(each) for each in ("bucket", "manifest_key", "manifest_keys"))
    if isinstance(bucket, str) and isinstance(key, str):
        yield _of_address(name, f"s3://{bucket}/{key}")
        return
    ids, number = value.get("contact_list_ids"), value.get("contact_lists")
    if not (isinstance(bucket, str) and isinstance(keys, str) and isinstance(ids, list) and isinstance(number, int)):
        raise ParameterError(name, f"holds a dictionary that no transfer returns, {shown(dict(value))}", _ADVICE)
    named, least = (ids, 1) if len(ids) == number else ([EACH], number)
    for each in named:
        yield _of_address(name, f"s3://{bucket}/{keys.replace('{contact_list_id}', str(each))}", least)
