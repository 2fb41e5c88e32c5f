"""The last search: every byte that lies there, read again to its end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airflow_provider_kore.erasure.others import form_in_any
from airflow_provider_kore.erasure.plan import whole
from airflow_provider_kore.snapshot.layout import MANIFEST_NAME
from airflow_provider_kore.snapshot.manifest import MOST_BYTES, Manifest
from airflow_provider_kore.snapshot.reading import is_erased_from
from airflow_provider_kore.store.store import read_at_most

if TYPE_CHECKING:
    from collections.abc import Container

    from airflow_provider_kore.erasure.others import Others
    from airflow_provider_kore.erasure.search import Found, Searcher
    from airflow_provider_kore.erasure.spec import ErasureSpec
    from airflow_provider_kore.snapshot.phases import Teller
    from airflow_provider_kore.stop import Stop
    from airflow_provider_kore.store.store import ObjectStore


@dataclass(slots=True, kw_only=True)
class Searched:
    """What it has come to."""

    objects: int = 0
    size: int = 0
    rows: dict[str, int] = field(default_factory=dict)
    """Rows of persons that are still there, by key."""
    untrue: list[str] = field(default_factory=list)
    """Keys of files that are others than their manifest describes: another erasure was cut off, or goes on."""
    mentions: list[str] = field(default_factory=list)
    """Keys of published files in which one of them stands outside of a row of theirs."""
    strangers: list[str] = field(default_factory=list)
    """Keys of objects of others that hold a trace of one."""
    digests: dict[str, str] = field(default_factory=dict)
    """By the key of each object that was rewritten."""

    @property
    def is_clean(self) -> bool:
        """Whether nothing of ours is left to be done."""
        return not self.rows and not self.untrue


class LastSearch:
    """Looks through the tables, the staging prefixes and the receipts."""

    def __init__(
        self, spec: ErasureSpec, store: ObjectStore, searcher: Searcher, others: Others, *, stop: Stop, teller: Teller
    ) -> None:
        self._spec = spec
        self._store = store
        self._searcher = searcher
        self._others = others
        self._stop = stop
        self._teller = teller

    def search(self, rewritten: Container[str], *, sources: bool) -> Searched:
        """Search everything.

        :param rewritten: keys whose digests are wanted.
        :param sources: also the changes that tell who is to be erased, which come last.
        """
        found = Searched()
        doomed = dict(self._others.checkpoints())
        found.rows |= dict.fromkeys(doomed, 1)
        told: dict[str, str] = {}  # by one manifest, which comes before its files
        with self._teller.phase("searching everything again", "objects") as phase:
            for number, (key, _) in enumerate(whole(self._store, self._spec)):
                self._stop.check()
                phase.reached(number)
                if not sources and self._tells(key):
                    continue
                if key.endswith(f"/{MANIFEST_NAME}"):
                    told = self._told_by(key)
                opened = self._store.get(key)
                if opened is None:
                    continue
                form = form_in_any(self._spec, key)
                what = self._searcher.look(opened, form)
                if told.get(key, what.sha256) != what.sha256 and self._is_untrue(key, told[key]):
                    found.untrue.append(key)
                if key in rewritten:
                    found.digests[key] = what.sha256
                if key not in doomed:
                    _note(found, key, what, ours=form is not None or key.endswith(f"/{MANIFEST_NAME}"))
                found.objects += 1
                found.size += what.size
        return found

    def _is_untrue(self, key: str, told: str) -> bool:
        there = self._store.head(key)
        return there is not None and is_erased_from(there, told)

    def _told_by(self, key: str) -> dict[str, str]:
        """Return the digests that a manifest says, by the keys of its files."""
        opened = self._store.get(key)
        if opened is None:
            return {}
        with opened as stream:
            manifest = Manifest.from_bytes(read_at_most(stream, MOST_BYTES), self._store.uri(key))
        return {file["key"]: file["sha256"] for file in manifest.files if file.get("sha256")}

    def _tells(self, key: str) -> bool:
        """Say whether a key lies in a partition that tells who is to be erased."""
        table = self._spec.tables[-1]
        start = f"{table.prefix}/" if table.prefix else ""
        return key.startswith(start) and f"/snapshot_date={self._spec.gone_on}/" in key


def _note(found: Searched, key: str, what: Found, *, ours: bool) -> None:
    if what.rows:
        found.rows[key] = what.rows
    elif what.traces:
        (found.mentions if ours else found.strangers).append(key)
