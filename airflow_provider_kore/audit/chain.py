"""The snapshots of one table as a chain: each names the one before it, and the digest of that one's manifest."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from airflow_provider_kore.audit.findings import Finding
from airflow_provider_kore.quoting import count, quoted
from airflow_provider_kore.snapshot.manifest_checks import MOST_REPLACED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from airflow_provider_kore.audit.manifests import Read

    _Find = Callable[[str, Callable[["Link"], bool]], "Link | None"]

_DAYS_SHOWN: Final = 5

_MOST_ERASURES: Final = 1_000
"""Of one snapshot of which the digests are kept, the oldest ones, which later snapshots are most likely to name."""


class Told(NamedTuple):
    """What a manifest says of another snapshot; no more of it is held."""

    snapshot_date: str
    snapshot_id: str
    manifest: str
    """Its key; empty if that is not said."""
    sha256: bytes
    """Of its manifest, likewise."""


@dataclass(frozen=True, slots=True)
class Link:
    """What a snapshot's manifest contributes to the chain; of one that its schema refuses, its digest alone."""

    date: str
    where: str
    """The manifest's address, made fit to be shown."""
    key: str
    sha256: bytes
    snapshot_id: str
    earlier: frozenset[bytes]
    """Digests of the manifests that stood here before: replaced, or rewritten when contacts were erased."""
    previous: Told | None
    based_on: Told | None
    chained: bool
    """Whether it was written by a version that chains, as far as it can be read."""
    digested: bool
    """And by one that adds a digest."""

    @classmethod
    def of(cls, read: Read, where: str) -> Link:
        """Read it; members are of the form that the JSON Schema says."""
        content: Mapping[str, Any] = read.manifest.content if read.manifest and read.fits_schema else {}
        erasures = [one["manifest_sha256"] for one in content.get("erasures", ())[:_MOST_ERASURES]]
        return cls(
            date=read.partition.date,
            where=where,
            key=read.partition.manifest,
            sha256=bytes.fromhex(read.sha256),
            snapshot_id=content.get("snapshot_id", ""),
            earlier=frozenset(map(bytes.fromhex, [*content.get("replaces", ()), *erasures])),
            previous=_told(content.get("previous"), linked=True),
            based_on=_told(content.get("incremental", {}).get("based_on"), linked=False),
            chained=not content or "previous" in content,
            digested=read.digested,
        )

    def has_been(self, sha256: bytes) -> bool:
        """Say whether a digest is that of its manifest, or of one that stood here before."""
        return sha256 == self.sha256 or sha256 in self.earlier


def check_chain(
    links: Mapping[str, Link], fetch: Callable[[str], Link | None], oldest: Callable[[], str]
) -> Iterator[Finding]:
    """Yield where the snapshots of one table contradict each other.

    :param links: of those that were looked at, by date.
    :param fetch: looks at that of a date now; None: it has no snapshot. Another run may have replaced it since it was
        looked at, or land one that was not there.
    :param oldest: returns the date of the oldest snapshot that the table still has.
    """

    def find(day: str, fits: Callable[[Link], bool]) -> Link | None:
        known = links.get(day)
        return known if known is not None and fits(known) else fetch(day)

    for link in links.values():
        if link.previous is not None:
            yield from _check_previous(link, link.previous, find, oldest)
        if link.based_on is not None and (link.previous is None or link.based_on[:2] != link.previous[:2]):
            yield from _check_basis(link, link.based_on, find, oldest)
    table = next(iter(links.values())).where.rpartition("snapshot_date=")[0] if links else ""
    for kind, dates, said in (
        ("no_digest", [link.date for link in links.values() if not link.digested], "a digest of its own"),
        ("not_chained", [link.date for link in links.values() if not link.chained], "a link to the one before"),
    ):
        if dates:
            what = f"{count(len(dates), 'manifest')} ({_dates(dates)}) of an earlier version"
            yield Finding(kind, table, f"{what}, without {said}.")


def _check_previous(link: Link, told: Told, find: _Find, oldest: Callable[[], str]) -> Iterator[Finding]:
    day, sha256 = told.snapshot_date, told.sha256
    if told.manifest != link.key.replace(f"snapshot_date={link.date}/", f"snapshot_date={day}/"):
        yield Finding("link_broken", link.where, "It names a predecessor that is not of this table.")
        return
    before = find(day, lambda each: each.has_been(sha256))
    if before is None:
        yield from _missing(link, day, oldest, "It follows")
    elif not before.has_been(sha256) and len(before.earlier) >= MOST_REPLACED:
        yield Finding(
            "replaced_since", link.where, f"The snapshot of {day} that it follows was replaced too often to be told."
        )
    elif not before.has_been(sha256):
        yield Finding(
            "link_broken",
            before.where,
            f"The snapshot of {link.date} follows another manifest of {day} than this one, and than those that this "
            "one says it has replaced: it was changed, or exchanged.",
        )


def _check_basis(link: Link, told: Told, find: _Find, oldest: Callable[[], str]) -> Iterator[Finding]:
    day, identifier = told.snapshot_date, told.snapshot_id
    basis = link if day == link.date else find(day, lambda each: each.snapshot_id == identifier)
    if basis is None:
        yield from _missing(link, day, oldest, "It is built on")
    elif basis.snapshot_id == identifier and basis is not link:
        return
    elif basis.earlier:
        yield Finding(
            "replaced_since",
            link.where,
            f"It is built on snapshot {quoted(identifier)} of {day}, which another one of that day has replaced since.",
        )
    else:
        yield Finding(
            "basis_differs", link.where, f"It is built on another snapshot of {day} than the one that is there."
        )


def _missing(link: Link, day: str, oldest: Callable[[], str], how: str) -> Iterator[Finding]:
    if oldest() < day:
        yield Finding(
            "link_missing", link.where, f"{how} the snapshot of {day}, which is no longer there, and older ones are."
        )
    else:
        yield Finding(
            "chain_begins", link.where, f"{how} the snapshot of {day}; neither that one nor an older one is there."
        )


def gaps(dates: Sequence[str], where: str) -> Iterator[Finding]:
    """Tell of days without a snapshot between the first and the last."""
    days, one = sorted(map(date.fromisoformat, dates)), timedelta(days=1)
    found = [(before + one, after - one) for before, after in pairwise(days) if after - before > one]
    if found:
        number = sum((last - first).days + 1 for first, last in found)
        spans = [str(first) if first == last else f"{first} to {last}" for first, last in found]
        yield Finding("days_missing", where, f"No snapshot on {count(number, 'day')}: {_dates(spans)}.")


def _dates(dates: Sequence[str]) -> str:
    more = len(dates) - _DAYS_SHOWN
    return ", ".join(dates[:_DAYS_SHOWN]) + (f" and {more:,} more" if more > 0 else "")


def _told(of: Mapping[str, Any] | None, *, linked: bool) -> Told | None:
    if not of:
        return None
    link = (of["manifest"], bytes.fromhex(of["manifest_sha256"])) if linked else ("", b"")
    return Told(of["snapshot_date"], of["snapshot_id"], *link)
