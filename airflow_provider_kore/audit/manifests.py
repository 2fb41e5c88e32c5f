"""One manifest, doubted: its JSON Schema, each of its bytes, and whether it is about the place where it lies."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from airflow_provider_kore.audit.findings import Finding
from airflow_provider_kore.exceptions import CorruptSnapshotError
from airflow_provider_kore.quoting import quoted
from airflow_provider_kore.snapshot.manifest import MOST_BYTES, Manifest
from airflow_provider_kore.snapshot.manifest_checks import COUNTS
from airflow_provider_kore.store.store import read_at_most

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_provider_kore.audit.partitions import Partition
    from airflow_provider_kore.store.store import ObjectStore


@dataclass(frozen=True, slots=True)
class Read:
    """A manifest's bytes, and what they say."""

    partition: Partition
    sha256: str
    manifest: Manifest | None
    """None: they are none that can be read."""
    findings: tuple[Finding, ...]
    digested: bool = True
    """Whether it holds a digest of itself, as far as it can be read."""

    @property
    def fits_schema(self) -> bool:
        """Whether its members are of the form that the JSON Schema says."""
        return self.manifest is not None and all(one.kind != "manifest_schema" for one in self.findings)

    @property
    def kind(self) -> str:
        """What its rows are."""
        return _kind_of(self.manifest.content if self.manifest else {})


def read(store: ObjectStore, partition: Partition) -> Read | None:
    """Fetch a manifest, no more of it than one may have, and check it; None if there is none."""
    opened = store.get(partition.manifest)
    if opened is None:
        return None
    with opened as stream:
        body = read_at_most(stream, MOST_BYTES)
    where = store.uri(quoted(partition.manifest, 300))
    sha256 = hashlib.sha256(body).hexdigest()
    try:
        manifest = Manifest.from_bytes(body, where)
    except CorruptSnapshotError as err:
        said = str(err).partition(": it ")[2].partition(". Move it away")[0]
        return Read(partition, sha256, None, (Finding("manifest_unreadable", where, f"It {said}."),))
    written = manifest.is_written_as(body)
    found = tuple(_check(manifest, partition, where, changed=written is False))
    return Read(partition, sha256, manifest, found, digested=written is not None)


def _check(manifest: Manifest, partition: Partition, where: str, *, changed: bool) -> Iterable[Finding]:
    problem = against_schema(manifest.content)
    if problem is not None:
        yield Finding("manifest_schema", where, f"It is not as its JSON Schema says: {problem}.")
    if changed:
        yield Finding("manifest_changed", where, "Its bytes are not those that were written: its own digest says so.")
    kind = _kind_of(manifest.content)
    foreign = manifest.problem(partition.prefix, kind)
    if foreign is not None:
        yield Finding("manifest_foreign", where, f"It {foreign}.")
    if not manifest.consistent:
        yield Finding("inconsistent", where, "The list changed while it was read, and on_drift was accept.")
    if kind == "changes" and problem is None and not _add_up(manifest.content):
        yield Finding("counts_differ", where, "The numbers of added, changed, gone and unchanged don't add up.")


def _kind_of(content: dict[str, Any]) -> str:
    """Return what a manifest calls its rows, and what its files' names begin with."""
    return next((name for name in COUNTS if name in content), COUNTS[0])


def _add_up(content: dict[str, Any]) -> bool:
    """Say whether the numbers of a table of changes agree with each other; after an erasure, not with the sides'."""
    added, changed, gone, same = (content[name] for name in ("added", "changed", "gone", "unchanged"))
    sides = gone + changed + same, added + changed + same
    told = tuple(content[side]["contacts"] for side in ("older", "newer"))
    return added + changed + gone == content["changes"] and (bool(content.get("erased")) or sides == told)


def against_schema(content: object) -> str | None:
    """Say where the JSON Schema of the manifest refuses one, without a value of it; None: it does not."""
    error = next(_validator().iter_errors(content), None)
    if error is None:
        return None
    place = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in error.absolute_path)
    what = f"the rule '{error.validator}'"
    if error.validator == "required":
        what = f"{quoted(next(name for name in error.validator_value if name not in error.instance))} is missing"
    _part(error)
    return f"{quoted(place.removeprefix('.')) or 'the whole'}: {what}"


def _part(error: Any) -> None:
    """Let errors no longer refer to each other in a circle, which would hold a manifest of any size for long."""
    for inner in error.context:
        inner.parent = None
        _part(inner)


@cache
def _validator() -> Any:
    from jsonschema import Draft202012Validator

    schema = json.loads((files("airflow_provider_kore.snapshot") / "manifest.schema.json").read_bytes())
    return Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)
