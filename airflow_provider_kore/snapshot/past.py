"""The snapshots that stand already: found once in a run, for whatever builds on them, compares with them or goes on."""

from __future__ import annotations

import heapq
import logging
import re
from bisect import insort
from operator import itemgetter
from typing import TYPE_CHECKING, Final

from airflow_provider_kore.exceptions import CorruptSnapshotError, RequestRefusedError, StorePermissionError
from airflow_provider_kore.snapshot.layout import MANIFEST_NAME
from airflow_provider_kore.snapshot.manifest import Manifest, Published, read_manifest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_kore.snapshot.work import Work
    from airflow_provider_kore.store.store import ObjectStore
    from airflow_provider_kore.walk.source import Source, SourceState

log = logging.getLogger(__name__)

LOOKED_AT: Final = 10
"""How many manifests are read at the most in search of a good one."""


class Past:
    """The newest snapshots of one source, of any date; each manifest is read once, and only if it is asked for.

    Passed over is what is damaged, tells of another source, or names files that are not of its own folder. No more than
    twice :data:`LOOKED_AT` manifests are read. They are as new as the bucket says, but for those that an erasure has
    written since: these are as new as the snapshot, and not to miss what is newer, the latest dates are looked at, too.

    :param prefix: below which all its snapshots are: ``Layout.list_prefix``.

    Raises what the store raises, here and when a manifest is read.
    """

    def __init__(self, store: ObjectStore, prefix: str, source: Source) -> None:
        named = re.compile(rf"{re.escape(prefix)}snapshot_date=\d{{4}}-\d\d-\d\d/{MANIFEST_NAME}", re.ASCII).fullmatch
        found = (each for each in store.list(prefix) if named(each.key))
        written = [(each.modified.timestamp() if each.modified else 0.0, each.key) for each in found]
        looked_at = {*heapq.nlargest(LOOKED_AT, written), *heapq.nlargest(LOOKED_AT, written, key=itemgetter(1))}
        self.found = len(looked_at)
        """How many manifests there are to look at."""
        self._store = store
        self._source = source
        self._left: list[tuple[float, str, Published | None]] = [(*each, None) for each in sorted(looked_at)]
        """When each was written, in order; those that were read already because an erasure has written them."""
        self._read: list[Published] = []

    def __iter__(self) -> Iterator[Published]:
        """Yield what was published, newest first."""
        yield from self._read
        while self._left:
            _, key, read = self._left[-1]
            found = read or self._believed(key)
            self._left.pop()
            if found is None:
                continue
            if read is None and found.manifest.erased:
                insort(self._left, (found.manifest.started, key, found), key=itemgetter(0, 1))
                continue
            self._read.append(found)
            yield found

    @property
    def last(self) -> Published | None:
        """The newest, consistent or not; None if there is none."""
        return next(iter(self), None)

    def before(self, manifest_key: str) -> Published | None:
        """Return the newest of all partitions but the one that has this manifest."""
        return next((each for each in self if each.key != manifest_key), None)

    def good(self, state: SourceState | None = None) -> Manifest | None:
        """Return the newest consistent one, None if there is none.

        :param state: of the source; then only what it may be compared with in this state is good.
        """
        for each in self:
            content = each.manifest.content
            if each.manifest.consistent and (
                self._source.dataset.is_same(content) if state is None else self._source.is_comparable(content, state)
            ):
                return each.manifest
        return None

    def _believed(self, key: str) -> Published | None:
        try:
            found = read_manifest(self._store, key)
        except CorruptSnapshotError as err:
            log.info("Passed over: %s", err)  # a sensor looks every minute
            return None
        problem = (
            found.manifest.problem(key.removesuffix(MANIFEST_NAME), self._source.dataset.file_name) if found else None
        )
        if problem is not None:
            log.info("%s is passed over: it %s.", self._store.uri(key), problem)
            return None
        return found


def find_past(work: Work) -> Past | None:
    """Find what stands already, to go on from, to learn from or to build on; None where that can't be read.

    Raises RequestRefusedError, StorePermissionError if a guard needs it, and StoreUnavailableError.
    """
    spec, layout, store = work.spec, work.layout, work.store
    try:
        with work.teller.phase("looking at the last good snapshot"):
            past = Past(store, layout.list_prefix, spec.source)
            past.before(layout.manifest)
            past.good()
    except (RequestRefusedError, StorePermissionError) as err:
        if spec.max_shrink < 1:
            raise
        log.warning("The snapshots that stand already can't be read, and nothing is taken over from them: %s", err)
        return None
    if past.found and past.last is None:
        log.warning("No manifest in %s can be used: columns and types begin anew.", store.uri(layout.list_prefix))
    return past
