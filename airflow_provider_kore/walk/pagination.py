"""Which page to ask for next, and whether to believe the answer. Sends nothing itself.

The vendor documents neither the request side of paging nor its order, so nothing is taken on trust: what the server
echoes, ``hasMore``, the totals, the ids and the page after the last are evidence, and a walk ends when those that
are there agree. An offset never moves by more than the contacts that arrived, so a page that lost some shows up as
contacts that repeat.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal

from airflow_provider_kore.exceptions import DriftError, KoreError, PaginationError
from airflow_provider_kore.walk.end import ASK_AGAIN, End, is_short, says_more
from airflow_provider_kore.walk.ids import IdSet
from airflow_provider_kore.walk.page import Evidence, Page, PageAnswer, PageRequest, Progress, Records
from airflow_provider_kore.walk.page_size import FIRST, Learned, PageSizes

if TYPE_CHECKING:
    from collections.abc import Sequence

AHEAD: Final = 16
"""At most a sixteenth of a list's pages is asked for ahead: with what is not yet in a checkpoint, that is less than the
third of a walk that may be read twice after a death."""

AHEAD_EVENLY: Final = 6
"""A sixth where requests are spread evenly: those ahead keep the pace, and checkpoints have time to follow."""

Tolerance = Literal["nothing", "growth", "everything"]
"""What a walk leaves to its caller instead of raising DriftError: a total that grows, or every change."""


@dataclass(frozen=True, slots=True)
class _Doubt:
    """Why an answer may be wrong."""

    error: KoreError | None
    """Raised if it stays so; None: then it is to be believed."""


class OffsetPagination:
    """Walks a list by ``skip`` and ``limit``.

    :param page_size: contacts to ask for in a page; 0: send no limit; None: as many as the server serves well.
    :param progress: where another process left off.
    :param ids: what it had found.
    :param tolerate: which changes to leave to the caller.
    :param newer_than: an instant as the vendor writes it; contacts created after it are counted.
    :param rows: what the list holds, in messages.
    :param id_name: what tells one from another, in messages.
    :param vendor_name: what the vendor calls the endpoint, in messages.
    :param aligned: whether pages have numbers, so that all of them must be as long as the server lets them be.
    :param end: :attr:`end` of another process that has read all of it.
    :param ahead: at most such a part of the list is planned ahead: an eighth for 8; None: :data:`AHEAD`.
    :param sizes: finds the size where none is named and pages are not aligned; None: one that knows nothing.
    """

    def __init__(
        self,
        *,
        page_size: int | None = None,
        progress: Progress | None = None,
        ids: IdSet | None = None,
        tolerate: Tolerance = "nothing",
        newer_than: str | None = None,
        rows: str = "contacts",
        id_name: str = "_id",
        vendor_name: str = "getAllContacts",
        aligned: bool = False,
        end: str | None = None,
        ahead: int | None = None,
        sizes: PageSizes | None = None,
    ) -> None:
        self.progress = progress or Progress()
        self.ids = IdSet() if ids is None else ids
        self.limit: int | None = FIRST if page_size is None else page_size or None
        """The page size that is asked for, and that the next page may try to exceed; None: the server's own."""
        self._sizes: PageSizes | None = None
        if self.progress.limit_refused:
            self.limit = None
        elif page_size is None and not aligned:
            self._sizes = sizes or PageSizes(self.progress.learned)
            self.limit = self._sizes.size
            if 0 < self._sizes.refused <= FIRST:
                self._sizes, self.limit = None, None
        self._tolerate = tolerate
        self._newer_than = newer_than or ""
        self._rows = rows
        self._id_name = id_name
        self._ask_support = f"Ask Kore.ai support how {vendor_name} pages in this environment."
        self._aligned = aligned
        self._ahead = ahead
        read = self.progress.offset - self.progress.last_page
        if aligned and self.limit and read:
            self.limit = min(self.limit, read)  # what the server may have made of the limit
        self._doubts = 0
        self._short_pages_confirmed = False
        self._end = End(end)
        self._last_limit: int | None = self.limit
        self._refuses_all = False

    @property
    def end(self) -> str | None:
        """What proved the end, as evidence names it; None: it is not proven yet."""
        return self._end.proven

    @property
    def trial(self) -> int | None:
        """The page size that :attr:`next` tries, if it is larger than any before; None: nothing is tried."""
        return self._sizes.trial if self._sizes else None

    @property
    def has_grown(self) -> bool:
        """Whether pages are asked for that are larger than the first."""
        return self._sizes is not None and (self.limit or 0) > FIRST

    def served(self, known: Learned) -> Learned:
        """Return what is known of the server's pages after this walk, whatever its list.

        :param known: before it.
        """
        if self._refuses_all and self.progress.offset:
            return Learned(0, FIRST)
        if self._sizes is None:
            return known
        refused, size = self._sizes.refused, max(known.size, self.progress.learned.size)
        return Learned(self.progress.learned.size if refused and size >= refused else size, refused)

    @property
    def next(self) -> PageRequest | None:
        """The page to ask for now; None when the end is proven."""
        if self.end is not None:
            return None
        return PageRequest(self.progress.offset - self._end.is_overlapping, self.trial or self.limit)

    @property
    def is_in_doubt(self) -> bool:
        """Whether :attr:`next` is asked for again, because an answer to it cannot be right."""
        return self._doubts > 0

    def planned(self, number: int) -> list[PageRequest]:
        """Return the requests that come next if the list goes on as its last page did; at most ``number``.

        None of them begins after the contacts that the first page told of: what is new there is proven by pages that
        are read one after the other.
        """
        progress, request = self.progress, self.next
        length = progress.offset - progress.last_page
        total = progress.first_total
        if request is None or self._end.is_overlapping or not length:
            return []
        if total is None or progress.total != total or self.trial or self._last_limit != self.limit:
            return []
        starts = range(request.skip, total, length)
        most = max(1, total // length // (self._ahead or AHEAD))
        return [PageRequest(start, self.limit) for start in starts[: min(number, most)]]

    def reopen(self) -> None:
        """Take back that the end is proven: there is more after all."""
        self._end.reopen()

    def shrink(self) -> bool:
        """Note that the body of a page is too large; return whether to ask for a smaller one."""
        shrunk = self._sizes is not None and self._sizes.shrink()
        self._take_size()
        return shrunk

    def refuse_limit(self, *, certain: bool = True) -> bool:
        """Note that the server refuses the limit; return whether asking for fewer, or without one, may help.

        :param certain: whether it is a refusal, and no failure that may be chance.
        """
        if self._sizes is not None and self._sizes.refuse(certain=certain):
            self._take_size()
            return True
        self._refuses_all = certain and self._sizes is not None
        self._sizes = None
        had_limit, self.limit = self.limit is not None, None
        self.progress = replace(self.progress, limit_refused=True)
        return had_limit

    def accept(self, answer: PageAnswer, seconds: float | None = None) -> Page | None:
        """Judge an answer to :attr:`next` and move on; None means: ask again.

        :param seconds: that it took; None: not measured.

        Raises PaginationError if the answer cannot be right, DriftError if the list changed (unless tolerated).
        """
        if self._end.is_overlapping:
            self._accept_overlap(answer)
            return None
        ids = answer.records.ids
        doubt = self._doubt(answer, ids)
        if doubt is not None:
            self._doubts += 1
            if self._doubts <= (ASK_AGAIN if doubt.error else 1):
                return None
            if doubt.error:
                raise doubt.error
            self._short_pages_confirmed = self._short_pages_confirmed or bool(answer.records)
        self._doubts = 0
        before, count = self.progress, len(answer.records)
        self._last_limit = self.trial or self.limit
        if count:
            self._end.note_page(answer)
            if self._aligned and self.limit and answer.limit and answer.limit < self.limit:
                self.limit = answer.limit
        else:
            self._end.note_empty(before)
        records = self._unique(answer, ids)
        self.progress = before.after(answer, records, self._newer_than)
        self._note_moved_total(before)
        if count and not answer.whole:
            self._check_total()
        self._end.decide(answer, self.progress)
        if count:
            self._note_size(answer, seconds)
        progress, grows = self.progress, self.trial is not None and self.end is None
        return Page(records=records, offset=before.offset, end=progress.offset, total=progress.total, grows=grows)

    @property
    def evidence(self) -> Evidence:
        """The evidence; complete when :attr:`next` is None."""
        progress = self.progress
        total = progress.total
        verdicts = {
            "echo": progress.echo_heard or None,
            "has_more": not progress.has_more_wrong if progress.has_more_heard else None,
            "total": None if total is None else total == progress.offset,
            self.end or "end": None if self.end in {None, "full_page"} else True,
            "unique_ids": progress.duplicates == 0,
        }
        return Evidence(
            contacts=progress.offset - progress.duplicates,
            total=total,
            agreed=tuple(name for name, verdict in verdicts.items() if verdict),
            disagreed=tuple(name for name, verdict in verdicts.items() if verdict is False),
            duplicates=progress.duplicates,
            totals=() if progress.totals_count_pages else progress.totals,
        )

    def _doubt(self, answer: PageAnswer, ids: Sequence[str]) -> _Doubt | None:
        offset, count = self.progress.offset, len(ids)
        if answer.skip is not None and answer.skip != offset:
            return self._wrong(
                f"Asked for the page at skip={offset}, the server answered with skip={answer.skip}: it ignores or "
                f"changes skip, so this list cannot be walked by offset."
            )
        if count == 0:
            return self._doubt_empty(answer)
        different = len(set(ids))
        if different < count and self._tolerate != "everything":
            return self._wrong(
                f"The page at offset {offset} holds {count} {self._rows}, but only {different} different "
                f"{self._id_name}s, each time it is asked for: the same {self._id_name} twice."
            )
        if offset and all(identifier in self.ids for identifier in ids):
            return self._wrong(
                f"All {count} {self._rows} of the page at offset {offset} had been read before: the server ignores "
                f"skip, or repeats its pages."
            )
        more = says_more(answer, self.progress, offset + count)
        if is_short(answer) and more and not self._short_pages_confirmed:
            return _Doubt(None)
        return None

    def _wrong(self, what: str) -> _Doubt:
        return _Doubt(PaginationError(f"{what} {self._ask_support}"))

    def _doubt_empty(self, answer: PageAnswer) -> _Doubt | None:
        offset, known = self.progress.offset, self.progress.total
        total = answer.total if answer.total and not self.progress.totals_count_pages else known
        if total is not None and total > offset:
            if answer.total is not None and known is not None and answer.total != known:
                return _Doubt(
                    DriftError(
                        f"The list changed while it was read: the page at offset {offset} is empty, and totalResults "
                        f"went from {known} to {answer.total}."
                    )
                )
            return self._wrong(
                f"The page at offset {offset} is empty, while totalResults says {total}: "
                f"{total - offset} {self._rows} are missing."
            )
        if answer.has_more and total is None:
            return self._wrong(f"The page at offset {offset} is empty, while hasMore says that there is more.")
        if offset == 0 and not (answer.total == 0 and answer.has_more is False):
            return _Doubt(None)  # an empty list is rare, and one bad answer must not make one
        return None

    def _accept_overlap(self, answer: PageAnswer) -> None:
        """Judge the page that begins with the last contact. Raises PaginationError if the end stays unclear."""
        if not self._end.accept_overlap(answer, self.ids):
            offset = self.progress.offset
            raise PaginationError(
                f"The page at offset {offset} is empty, but the one at offset {offset - 1} does not show that the list "
                f"ends there. {self._ask_support}"
            )

    def _note_size(self, answer: PageAnswer, seconds: float | None) -> None:
        sizes, progress = self._sizes, self.progress
        if sizes is None:
            return
        left = None if progress.total is None or progress.totals_like_pages else progress.total - progress.offset
        sizes.note(
            len(answer.records),
            sum(map(len, answer.records.texts)),
            answer.limit,
            left=0 if answer.has_more is False and left is None else left,
            seconds=seconds,
        )
        self._take_size()

    def _take_size(self) -> None:
        if self._sizes is None:
            return
        if self._last_limit != (self.trial or self._sizes.size):
            self._short_pages_confirmed = False  # that was about another size
        self.limit = self._sizes.size
        self.progress = replace(self.progress, learned=self._sizes.learned)

    def _unique(self, answer: PageAnswer, ids: Sequence[str]) -> Records:
        if not self.progress.offset and answer.total:
            self.ids.expect(answer.total)
        repeated = self.ids.add_all(ids)
        if not repeated:
            return answer.records
        if self._tolerate != "everything":
            raise DriftError(
                f"The list changed while it was read: {len(repeated)} of the {len(ids)} {self._rows} of the page at "
                f"offset {self.progress.offset} had been read before."
            )
        return Records.of(record for position, record in enumerate(answer.records) if position not in repeated)

    def _note_moved_total(self, before: Progress) -> None:
        was, now = before.total, self.progress.total
        if was is None or now is None or was == now or self._tolerate == "everything":
            return
        if self._tolerate == "nothing" or now < was:
            raise DriftError(f"The list changed while it was read: totalResults went from {was} to {now}.")

    def _check_total(self) -> None:
        after, total = self.progress.offset, self.progress.total
        if total is not None and total < after and self._tolerate != "everything":
            raise PaginationError(f"totalResults says {total}, but {after} {self._rows} were read. {self._ask_support}")
