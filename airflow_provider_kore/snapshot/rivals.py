"""Who wrote an object, and which of two writers of the same partition wins: the one whose walk began later."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Self

from airflow_provider_kore.exceptions import SnapshotExistsError, SupersededError

if TYPE_CHECKING:
    from airflow_provider_kore.snapshot.manifest import Manifest
    from airflow_provider_kore.store.store import StoredObject

TOLERATED_FUTURE: Final = 86_400.0
"""Seconds by which another machine's clock may be ahead. A walk that claims to have begun later than that is no rival:
its snapshot would keep every other out for ever."""

_SNAPSHOT: Final = "kore-snapshot-id"
_RUN: Final = "kore-run"
_TRY: Final = "kore-try"
_ATTEMPT: Final = "kore-attempt"
_STARTED: Final = "kore-walk-started"

_is_instant = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", re.ASCII).fullmatch
_is_number = re.compile(r"[0-9]{1,9}").fullmatch


def instant(seconds: float) -> str:
    """Return seconds since the epoch as manifests spell an instant; of two, the later compares as greater."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Writer:
    """Who wrote an object; a field is empty where that is not known."""

    snapshot: str = ""
    run: str = ""
    """The run's digest."""
    try_number: int = 0
    started: str = ""
    """When the walk began, as it was written."""
    attempt: str = ""
    """Random, of one attempt to publish. Manifests do not say it."""

    @classmethod
    def of_object(cls, found: StoredObject) -> Self:
        """Read it from an object's metadata."""
        told = found.metadata
        number = told.get(_TRY, "")
        return cls(
            snapshot=told.get(_SNAPSHOT, ""),
            run=told.get(_RUN, ""),
            try_number=int(number) if _is_number(number) else 0,
            started=told.get(_STARTED, ""),
            attempt=told.get(_ATTEMPT, ""),
        )

    @classmethod
    def of_manifest(cls, manifest: Manifest) -> Self:
        """Read it from a manifest."""
        return cls(
            snapshot=manifest.snapshot_id,
            run=manifest.run_digest,
            try_number=manifest.try_number,
            started=manifest.started_at,
        )

    @classmethod
    def of(cls, found: StoredObject, manifest: Manifest | None) -> Self:
        """Read it from an object's metadata; where the store keeps none, from the manifest that names this object."""
        writer = cls.of_object(found)
        if writer.run:
            return writer
        files = manifest.files if manifest is not None else []
        if manifest is None or not any(each["key"] == found.key and each.get("etag") == found.etag for each in files):
            return cls()
        return cls.of_manifest(manifest)

    def metadata(self) -> dict[str, str]:
        """Return what :meth:`of_object` reads."""
        told = {_SNAPSHOT: self.snapshot, _RUN: self.run, _TRY: str(self.try_number), _STARTED: self.started}
        return told | ({_ATTEMPT: self.attempt} if self.attempt else {})

    @property
    def comparable_start(self) -> str:
        """When the walk began, as text that compares; empty, and so before all others, if it is not spelt that way."""
        return self.started if _is_instant(self.started) else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rivals:
    """Compares this writer with others.

    :param replace: whether another run's snapshot may be replaced.
    :param now: seconds since the epoch.
    """

    me: Writer
    replace: bool
    now: float

    def check(self, theirs: Writer, where: str, *, appeared: bool) -> None:
        """Give way to another run's snapshot if it is newer, and to a later try of this run.

        :param appeared: whether it was published since this try began. What was there before may be replaced by any
            try of the same run: a run that is deleted and created anew counts its tries from 1 again.

        Raises SupersededError, SnapshotExistsError.
        """
        if theirs.run == self.me.run:
            if appeared and theirs.try_number > self.me.try_number:
                raise SupersededError(
                    f"A later try of this run has published {where} meanwhile. Its snapshot stays; there is nothing to "
                    "do here."
                )
            return
        if not self.replace:
            raise SnapshotExistsError(
                f"Another run published {where} meanwhile, and replace is False. Its snapshot stays."
            )
        if self.me.started < theirs.comparable_start <= self._latest:
            raise SupersededError(
                f"Another run began to read the list after this one ({theirs.started}) and has published {where} "
                "already. Its newer snapshot stays; there is nothing to do here."
            )

    def fulfils(self, theirs: Writer) -> bool:
        """Say whether what another writer published is what this task is there for, or newer."""
        return theirs.run == self.me.run or self.me.started <= theirs.comparable_start <= self._latest

    def beats(self, theirs: Writer) -> bool:
        """Say whether another writer, if it still lives, gives way to this one."""
        if not theirs.run:
            return False
        if theirs.run == self.me.run:
            return theirs.try_number <= self.me.try_number
        return "" < theirs.comparable_start < self.me.started

    @property
    def _latest(self) -> str:
        return instant(self.now + TOLERATED_FUTURE)
