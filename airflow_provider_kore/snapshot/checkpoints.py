"""What a checkpoint is: rows under a line of state, whose name says which offsets it holds and what it continues.

Its seal proves that this run has written it, so what is sealed is believed as it stands.
"""

from __future__ import annotations

import gzip
import json
import logging
import re
import zlib
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from airflow_provider_kore import json_text
from airflow_provider_kore.exceptions import CheckpointLostError
from airflow_provider_kore.formats import ColumnSet
from airflow_provider_kore.snapshot.fields import FieldCounts
from airflow_provider_kore.snapshot.layout import CHUNK
from airflow_provider_kore.snapshot.seal import FIRST
from airflow_provider_kore.walk.cost import Spent, Usage
from airflow_provider_kore.walk.page import Progress
from airflow_provider_kore.walk.page_size import Learned
from airflow_provider_kore.walk.state import Continued, WalkState

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from airflow_provider_kore.snapshot.chunks import ChunkStore
    from airflow_provider_kore.snapshot.seal import Seal

log = logging.getLogger(__name__)

_NAME = re.compile(CHUNK)
_SCHEMA_VERSION: Final = 1
_LINES_AT_ONCE: Final = 500
_GZIP: Final = 31
"""What zlib calls a gzip file with the largest window."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """What the try that wrote a checkpoint tells the next one."""

    spent: Spent = field(default_factory=Spent)
    """By all tries together."""
    usage: tuple[Usage, ...] = ()
    """What it had spent of the allowance: it may still fill the window when the next one starts."""
    try_number: int | None = None
    """Which try it was, as Airflow counts."""
    written: float = 0.0
    """When, in seconds since the epoch."""
    ended: str | None = None
    """What ended that try, by the name of the exception's type; None: it went on, or died without a word."""


class Head(NamedTuple):
    """A chunk's first line: what the newest one of a walk tells the try that continues it."""

    state: WalkState
    note: Note
    columns: ColumnSet
    fields: FieldCounts

    @classmethod
    def from_json(cls, head: Mapping[str, Any]) -> Self:
        """Read what :meth:`to_json` returned. Raises AttributeError, KeyError, TypeError, ValueError."""
        state, note = dict(head["state"]), dict(head["note"])
        progress = dict(state["progress"])
        progress["totals"] = tuple(progress["totals"])
        progress["learned"] = Learned(**progress["learned"])
        continued = state.get("continued")
        if continued is not None:
            continued = Continued(**continued | {"probes": tuple(continued["probes"])})
        state |= {"progress": Progress(**progress), "drift": tuple(state["drift"]), "continued": continued}
        note |= {"spent": Spent(**note["spent"]), "usage": tuple(Usage(*each) for each in note["usage"])}
        return cls(
            WalkState(**state), Note(**note), ColumnSet.from_json(head["columns"]), FieldCounts(**head["fields"])
        )

    def to_json(self) -> dict[str, object]:
        """Return what :meth:`from_json` reads."""
        return {
            "schema_version": _SCHEMA_VERSION,
            "state": asdict(self.state),
            "note": asdict(self.note),
            "columns": self.columns.to_json(),
            "fields": asdict(self.fields),
        }


class Chunk(NamedTuple):
    """The name of a checkpoint."""

    walk: str
    start: int
    end: int
    before: str
    """The seal of the chunk that this one continues."""
    seal: str

    @property
    def about(self) -> str:
        """What its seal is about, beside its bytes."""
        return f"{self.walk}/{self.start:012d}-{self.end:012d}-{self.before}"

    @property
    def name(self) -> str:
        """How it is stored."""
        return f"{self.about}-{self.seal}.jsonl.gz"


class Checkpoints:
    """The checkpoints of one run."""

    def __init__(self, chunks: ChunkStore, seal: Seal) -> None:
        self.chunks = chunks
        self._seal = seal

    def __iter__(self) -> Iterator[Chunk]:
        """Yield those that are there, as their names tell; what has any other name is not ours."""
        for name in self.chunks.names():
            if found := _NAME.fullmatch(name):
                yield Chunk(found["walk"], int(found["start"]), int(found["end"]), found["before"], found["tag"])

    def write(self, chunk: Chunk, head: str, rows: list[str]) -> Chunk:
        """Write a chunk; return it with its seal."""
        body = _packed([head, *rows])
        sealed = chunk._replace(seal=self._seal.of(chunk.about, body))
        self.chunks.write(sealed.name, body)
        return sealed

    def head(self, chunk: Chunk) -> Head:
        """Return what a chunk tells of its walk. Raises CheckpointLostError."""
        head, *_ = self._read(chunk)
        try:
            told = json.loads(head)
            if told["schema_version"] == _SCHEMA_VERSION:
                return Head.from_json(told)
        except (AttributeError, KeyError, TypeError, ValueError):  # another version of this package wrote it
            pass
        raise _damaged(chunk)

    def rows(self, chunk: Chunk) -> Iterator[str]:
        """Return the rows of a chunk. Raises CheckpointLostError if this run didn't write it so."""
        return iter(self._read(chunk)[1:])

    def longest(
        self, chunks: Iterable[Chunk], foundations: Collection[tuple[int, str]], *, oldest: float, youngest: float
    ) -> list[Chunk]:
        """Return the beginning of a walk that reaches furthest; empty if there is none.

        :param foundations: where one may begin; see :func:`furthest`.
        :param oldest: seconds since the epoch; a walk that started before is no beginning, nor one that started after
            ``youngest``.
        """
        walks: dict[str, list[Chunk]] = {}
        for chunk in chunks:
            walks.setdefault(chunk.walk, []).append(chunk)
        chains = [self._whole(furthest(each, foundations), oldest, youngest) for each in walks.values()]
        return max(chains, key=lambda chain: chain[-1].end if chain else -1, default=[])  # an empty list ends at 0

    def _whole(self, chain: list[Chunk], oldest: float, youngest: float) -> list[Chunk]:
        """Return the chain up to its newest chunk that is whole; an empty one if the walk is too old."""
        while chain:
            try:
                state = self.head(chain[-1]).state
            except CheckpointLostError as err:
                log.warning("%s It is passed over.", err)
                chain = chain[:-1]
                continue
            return chain if oldest <= state.started <= youngest else []
        return []

    def _read(self, chunk: Chunk) -> list[str]:
        body = self.chunks.read(chunk.name)
        if not self._seal.holds(chunk.about, body, chunk.seal):
            raise _damaged(chunk)
        return gzip.decompress(body).decode("utf-8").removesuffix("\n").split("\n")


def furthest(chunks: list[Chunk], foundations: Collection[tuple[int, str]] = ((0, FIRST),)) -> list[Chunk]:
    """Return the chunks that continue each other from where a walk may begin, and reach furthest.

    :param foundations: offsets at which one may begin, with the seal that its first chunk continues.

    An orphan and its retry may both have read the same offsets, of a list that changed in between: what one of them
    knows of the walk is true of its own chunks and of those that it has continued, never of the other's. A chunk
    without rows says how a try ended that had nothing left to write.
    """
    written = {(chunk.end, chunk.seal): chunk for chunk in chunks}
    for last in sorted(chunks, key=lambda chunk: (chunk.end, chunk.name), reverse=True):
        chain: list[Chunk] = []
        link: Chunk | None = last
        while link is not None and link.start <= link.end and len(chain) < len(chunks):  # forged names may form a ring
            chain.append(link)
            if (link.start, link.before) in foundations:
                return chain[::-1]
            if link.start == 0:
                break
            link = written.get((link.start, link.before))
    return []


def _damaged(chunk: Chunk) -> CheckpointLostError:
    return CheckpointLostError(
        f"The checkpoint {chunk.name} is not one that this run wrote with this connection's secret. The next try walks "
        "anew; if the secret has not been changed, check what else writes below the staging prefix."
    )


def _packed(lines: list[str]) -> bytes:
    """Compress lines in small blocks: as one text, a chunk would be in memory three times over."""
    # Level 1: a chunk lives for hours, and the walk waits for it.
    compressor = zlib.compressobj(1, wbits=_GZIP)
    packed = [
        compressor.compress(json_text.encode("\n".join([*lines[start : start + _LINES_AT_ONCE], ""])))
        for start in range(0, len(lines), _LINES_AT_ONCE)
    ]
    return b"".join([*packed, compressor.flush()])
