"""One partition: its files rewritten without some rows, and a manifest that says what lies there afterwards.

The files come first, then the manifest. A file that was rewritten names, in its metadata, the digest of the file that
the manifest described: so a reader can tell an erasure that is under way from damage, and whichever try comes next
finishes the manifest.
"""

from __future__ import annotations

import logging
import secrets
from collections import Counter
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from airflow_provider_kore.erasure.partition import contents_of
from airflow_provider_kore.erasure.work import Moved, temporary
from airflow_provider_kore.exceptions import CorruptSnapshotError, RequestRefusedError
from airflow_provider_kore.snapshot.manifest import Manifest
from airflow_provider_kore.snapshot.manifest_checks import COUNTS, MOST_REPLACED
from airflow_provider_kore.snapshot.reading import ERASED_FROM
from airflow_provider_kore.snapshot.rivals import instant
from airflow_provider_kore.store.store import Condition, ConditionFailed, ConditionUnsupported, check_metadata
from airflow_provider_kore.store.upload import upload_file

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_kore.erasure.partition import Contents, File, Partition
    from airflow_provider_kore.erasure.persons import Sifted
    from airflow_provider_kore.erasure.work import Known, Work
    from airflow_provider_kore.snapshot.manifest import Published
    from airflow_provider_kore.store.versions import Traits

log = logging.getLogger(__name__)

MOST_ERASURES: Final = 1_000
"""That a manifest tells of: the newest."""

_KINDS: Final = ("added", "changed", "gone")
_ATTEMPT: Final = "kore-attempt"
_LONGEST_CHAIN: Final = 8
"""Digests of files that a manifest may still describe, because that many erasures went on at once, or were cut off."""


def rewrite(work: Work, partition: Partition, known: Mapping[str, Known]) -> Counter[str]:
    """Rewrite the files that hold a person's row, then the manifest; return how many rows went, by key.

    What was replaced since it was counted stays, with all that comes after it, for the next survey.

    :param known: the partition's files, as they were counted.

    Raises CorruptSnapshotError, RequestRefusedError.
    """
    erased: Counter[str] = Counter()
    try:
        _rewrite(work, contents_of(work.store, partition, work.store.list(partition.prefix)), known, erased)
    except (Moved, ConditionFailed):
        log.info("Something else writes to %s: it is looked at again.", work.store.uri(partition.prefix))
    except ConditionUnsupported:
        raise RequestRefusedError(
            f"{work.store.uri(partition.prefix)}: the store refuses conditional writes, without which an erasure could "
            "overwrite a snapshot that lands meanwhile. Erase while nothing lands, with other tools, or on a store "
            "that has them: docs/s3.md."
        ) from None
    return erased


def _rewrite(work: Work, contents: Contents, known: Mapping[str, Known], erased: Counter[str]) -> None:
    entries: dict[str, dict[str, Any]] = {}
    kinds: Counter[str] = Counter()
    for file in contents.files:
        work.stop.check()
        there = known.get(file.key)
        if there is None or there.etag != file.etag:
            raise Moved
        if not (there.erased or file.is_behind or contents.partition.table.file_name == "changes"):
            continue  # the kinds of changes are counted in all of them
        entry, sifted = _rewrite_file(work, contents, file, there.sha256)
        erased[file.key] += sifted.erased
        kinds += sifted.changes
        if entry is not None and file.is_described(there.sha256):
            entries[file.key] = {**file.entry, **entry}
    if entries and contents.published is not None:
        _write_manifest(work, contents.published, entries, kinds)


def _rewrite_file(work: Work, contents: Contents, file: File, sha256: str) -> tuple[dict[str, Any] | None, Sifted]:
    """Return what a manifest has to say of a file from now on, None if it says so, and what is in it.

    :param sha256: the digest that it has to have.
    """
    traits = _traits(work, file.key, file.etag)
    stored, evidence = traits.stored, "read back"
    with work.fetched(work.store.get(file.key)) as local, temporary() as other:
        if local.sha256 != sha256:
            raise Moved
        sifted = work.persons.sift(local.file, other, file.form, work.stop)
        if sifted.erased:
            _verify(work, file, other, sifted)
            before = stored.metadata.get(ERASED_FROM, "").split(",") if file.is_behind else []
            chain = ",".join([sha256, *before][:_LONGEST_CHAIN])
            metadata = dict(stored.metadata) | {_ATTEMPT: secrets.token_hex(4), ERASED_FROM: chain}
            name = f"kore-{contents.partition.table.file_name}"
            if len(contents.files) == 1 and name in metadata:
                metadata[name] = str(sifted.rows)
            _check_metadata(work, file.key, metadata)
            uploaded = upload_file(
                work.store.like(traits),
                file.key,
                other,
                content_type=traits.content_type,
                metadata=metadata,
                condition=Condition(etag=stored.etag),
                stop=work.stop,
            )
            stored, sha256, evidence = uploaded.stored, uploaded.sha256, uploaded.evidence
        elif not file.is_behind:  # else it is what an earlier try has written
            return None, sifted
    entry = {"bytes": stored.size, "rows": sifted.rows, "etag": stored.etag, "checksum": stored.checksum}
    return {**entry, "sha256": sha256, "evidence": evidence}, sifted


def _traits(work: Work, key: str, etag: str) -> Traits:
    traits = work.store.traits(key)
    if traits is None or traits.stored.etag != etag:
        raise Moved
    return traits


def _verify(work: Work, file: File, other: BinaryIO, sifted: Sifted) -> None:
    other.seek(0)
    again = work.persons.sift(other, None, file.form, work.stop)
    if again.erased or again.rows != sifted.rows:
        raise CorruptSnapshotError(
            f"What was to be stored as {work.store.uri(file.key)} holds {again.rows:,} rows instead of "
            f"{sifted.rows:,}, or a row that was to be erased. It was not stored; report it at the project's issue "
            "tracker."
        )


def _check_metadata(work: Work, key: str, metadata: Mapping[str, str]) -> None:
    try:
        check_metadata(metadata)
    except ValueError as err:
        raise RequestRefusedError(
            f"{work.store.uri(key)} has metadata that cannot be written again: {err} Remove what others have "
            "added to it, and clear the task; this object was not changed."
        ) from None


def _write_manifest(work: Work, there: Published, entries: dict[str, dict[str, Any]], kinds: Counter[str]) -> None:
    traits = _traits(work, there.key, there.etag)
    content = _erased_content(there, entries, kinds, instant(work.clock.time()))
    work.store.like(traits).put(
        there.key,
        Manifest(content).to_bytes(),
        content_type=traits.content_type,
        metadata=dict(traits.stored.metadata),
        condition=Condition(etag=there.etag),
    )


def _erased_content(
    there: Published, entries: dict[str, dict[str, Any]], kinds: Counter[str], now: str
) -> dict[str, Any]:
    """Return a manifest that says what lies there after an erasure; without a seal, which only a landing can set.

    :param there: the one that stood there.
    :param entries: of the files that are other ones now, by key.
    :param kinds: of a table of changes, how many rows of each kind are left.
    :param now: ISO 8601.
    """
    manifest, digest = there.manifest, there.sha256
    content = {name: value for name, value in manifest.content.items() if name != "seal"}
    content["files"] = [entries.get(file["key"], file) for file in manifest.files]
    rows = sum(int(file["rows"]) for file in content["files"])
    erased = manifest.rows - rows
    content |= {name: rows for name in COUNTS if name in content}
    if "changes" in content:
        content |= {name: kinds[name] for name in _KINDS if name in content}
    before, told, replaces = (content.get(name) for name in ("erased", "erasures", "replaces"))
    # a later run of this day keeps what the manifest replaces, and not what it says of erasures
    content["replaces"] = [digest, *(replaces if isinstance(replaces, list) else [])][:MOST_REPLACED]
    content["erased"] = (before if isinstance(before, int) else 0) + erased
    content["erasures"] = [
        *(told if isinstance(told, list) else []),
        {"erased_at": now, "rows": erased, "manifest_sha256": digest},
    ][-MOST_ERASURES:]
    return content
