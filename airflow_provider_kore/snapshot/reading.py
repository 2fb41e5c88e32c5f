"""The files of a published snapshot, fetched and proven to be what their manifest describes."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from airflow_provider_kore.exceptions import CorruptSnapshotError, DriftError
from airflow_provider_kore.formats import parse_format
from airflow_provider_kore.quoting import quoted
from airflow_provider_kore.snapshot.chunks import temporary_file
from airflow_provider_kore.snapshot.layout import MANIFEST_NAME
from airflow_provider_kore.snapshot.manifest import Manifest, read_manifest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from airflow_provider_kore.stop import Stop
    from airflow_provider_kore.store.store import ObjectStore, StoredObject

ERASED_FROM: Final = "kore-erased-from"
"""Metadata of a file that an erasure has rewritten: the SHA-256 of the one before it, and of those before that which no
manifest may know to be replaced yet; newest first, with commas between them."""

MEMORY: Final = 1 << 20
"""Bytes of a temporary file that are held in memory, and of an object that are read at once."""


def read_rows(store: ObjectStore, manifest: Manifest, file: Mapping[str, Any], stop: Stop) -> Iterator[tuple[str, str]]:
    """Fetch a file, check that it is the one its manifest describes, and decode it."""
    chosen = parse_format(manifest.content["file_format"], manifest.content["compression"])
    chosen.format.require(chosen.compression)
    with fetched(store, manifest, file, stop) as local:
        yield from chosen.format.read_rows(local, compression=chosen.compression)


@contextmanager
def fetched(store: ObjectStore, manifest: Manifest, file: Mapping[str, Any], stop: Stop) -> Iterator[BinaryIO]:
    """Fetch a file into a temporary one, and check that it is the one its manifest describes.

    Raises CorruptSnapshotError, or DriftError if the snapshot was replaced meanwhile.
    """
    with temporary_file(MEMORY) as local:
        found = copied(store, file, local, stop.check)
        if found is None or found[0] != file.get("sha256"):
            _blame(store, manifest, file)
        local.seek(0)
        yield local


def copied(
    store: ObjectStore, file: Mapping[str, Any], local: BinaryIO, each: Callable[[], object]
) -> tuple[str, int] | None:
    """Fetch a file, no more of it than it should have; return its digest and its size, None if it is not there.

    :param each: is called for each block.
    """
    opened = store.get(file["key"])
    if opened is None:
        return None
    sha, size, most = hashlib.sha256(), 0, file.get("bytes")
    with opened as stream:
        while (most is None or size <= most) and (block := stream.read(MEMORY)):
            each()
            size += len(block)
            sha.update(block)
            local.write(block)
    return sha.hexdigest(), size


def is_erased_from(found: StoredObject, sha256: object) -> bool:
    """Say whether an object is the rest of the file with this digest, after contacts were erased."""
    return bool(sha256) and sha256 in found.metadata.get(ERASED_FROM, "").split(",")


def _blame(store: ObjectStore, manifest: Manifest, file: Mapping[str, Any]) -> None:
    """Say why a file is not what its manifest says. Raises DriftError, CorruptSnapshotError."""
    key = str(file["key"])
    partition = key.rpartition("/")[0]
    now = read_manifest(store, f"{partition}/{MANIFEST_NAME}")
    if now is None or now.manifest.content != manifest.content:
        raise DriftError(
            f"The snapshot in {store.uri(quoted(partition, 200))}/ was replaced while it was read. Try again."
        )
    there = store.head(key)
    if there is not None and is_erased_from(there, file.get("sha256")):
        raise DriftError(
            f"Contacts of the snapshot in {store.uri(quoted(partition, 200))}/ are being erased. Try again; if that "
            "stays so, an erasure was cut off, and has to be run again."
        )
    raise CorruptSnapshotError(
        f"{store.uri(quoted(key, 200))} is missing, or not the file that its manifest describes. Don't use "
        "it; take the snapshot again, and find out what else writes there."
    )
