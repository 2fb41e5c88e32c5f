"""One walk over a list, from its beginning or from a checkpoint; :mod:`~airflow_provider_kore.walk.proof` judges it."""

from __future__ import annotations

import logging
import secrets
from collections import deque
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

from airflow_provider_kore.exceptions import DriftError, OversizedError, PaginationError
from airflow_provider_kore.walk.continuation import Known, doubt, ids_at
from airflow_provider_kore.walk.ids import IdSet
from airflow_provider_kore.walk.page import Page, PageAnswer, PageRequest, Progress
from airflow_provider_kore.walk.page_size import NOTHING, Learned
from airflow_provider_kore.walk.proof import Walked, is_provable, judge
from airflow_provider_kore.walk.source import with_id
from airflow_provider_kore.walk.state import Continued, WalkState

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from airflow_provider_kore.clock import Clock
    from airflow_provider_kore.stop import Stop
    from airflow_provider_kore.walk.cost import Usage
    from airflow_provider_kore.walk.pagination import Tolerance
    from airflow_provider_kore.walk.reader import Reader
    from airflow_provider_kore.walk.source import Source, SourceState

log = logging.getLogger(__name__)

LOOK_EVERY: Final = 500
"""Pages between two looks at the list's ``updatedAt`` in a long walk: 0.2 % of its requests."""

LONG: Final = 100
"""Pages from which on a walk looks after its first page whether the list changed meanwhile.

It costs a request, and spares a long walk that would find out at its end.
"""

BEGINNINGS: Final = 5
"""How often a walk begins anew, for a request or two, because the list changed during its first page."""

ENDS: Final = 20
"""How often the end of a list that keeps growing is looked for before that counts as drift."""


class Walk:
    """Reads one list, and proves that it held still.

    :param stop: winds the walk up: the pages that were asked for already are still read.
    :param page_size: rows to ask for in one request; None: as the connection says.
    :param remembered: what an earlier walk found out about the list's pages.
    :param most: rows; a longer list is an error.
    :param accept_drift: whether a change is told instead of raised.
    """

    def __init__(
        self,
        source: Source,
        client: Reader,
        clock: Clock,
        stop: Stop,
        *,
        page_size: int | None,
        remembered: Learned = NOTHING,
        most: int,
        accept_drift: bool,
    ) -> None:
        self._source = source
        self._dataset = source.dataset
        self._client = client
        self._paginate = partial(client.pagination, source.call, page_size=page_size, remembered=remembered)
        self._most = most
        self._clock = clock
        self._stop = stop
        self._tolerate: Tolerance = "everything" if accept_drift else "growth"
        self._last_ids: tuple[str, ...] = ()
        self._begun = 0
        self._ends = 0
        self._verdict: Walked | None = None
        self._since = "while it was read"
        self._forgetful = False
        """Whether the ids of the last snapshot are not held, without which nothing more can be read."""

    @property
    def state(self) -> WalkState:
        """What is known now."""
        return replace(self._state, progress=self._pagination.progress, end=self._pagination.end)

    def start(self) -> None:
        """Begin at offset 0."""
        self._begin(self._source.first_look(self._client).mark)

    def _begin(self, mark: str | None) -> None:
        self._state = WalkState(walk_id=secrets.token_hex(6), started=self._clock.time(), mark=mark)
        self._take_up(Progress(), IdSet())

    def build_on(self, known: Known, ids: Iterable[str]) -> None:
        """Begin where an earlier walk ended, if nothing says that the list has done anything but grow there since.

        :param ids: all that it had read, in order.

        Raises DriftError if anything does.
        """
        walk_id = secrets.token_hex(6)
        places = known.places(walk_id)
        seen, ids_there = ids_at(places, ids, known.rows)
        self._last_ids = ids_there[0][1]
        self._tolerate, self._since = "growth", "since the last snapshot"
        now = self._source.first_look(self._client)
        self._state = WalkState(
            walk_id=walk_id,
            started=self._clock.time(),
            mark=now.mark,
            told_total=True,
            continued=Continued(
                snapshot_id=known.snapshot_id,
                rows=known.rows,
                mark=known.mark,
                probes=tuple(start for start, _ in places[1:]),
            ),
        )
        progress = Progress(
            offset=known.rows, last_page=places[0][0], last_created=known.last_created, totals_like_pages=False
        )
        self._take_up(progress, seen)
        at_end = self._expect(progress.last_page, self._last_ids)
        if (at_end.total or 0) > known.rows and now.mark == known.mark:  # it may have grown since that look
            now = self._source.look(self._client)
            self._state = replace(self._state, mark=now.mark)
        total = self._check_grown(known, at_end, now)
        self._check_length(total)
        for start, there in ids_there[1:]:
            self._expect(start, there)
        progress = replace(
            progress,
            totals=(total,),
            echo_heard=at_end.skip is not None,
            has_more_heard=at_end.has_more is not None,
        )
        self._forgetful = total == known.rows  # many lists may wait for a look at the same time
        self._take_up(progress, IdSet() if self._forgetful else seen, end="known_end" if self._forgetful else None)
        self._since = "while it was read"

    def _check_grown(self, known: Known, at_end: PageAnswer, now: SourceState) -> int:
        """Return the total that the page at the old end tells. Raises DriftError if the list has not only grown."""
        dataset, total = self._dataset, at_end.total
        if total is None or now.mark is None:
            raise DriftError(f"The server tells no total, or no {dataset.mark_name}, which growth is proven by.")
        grown = f"totalResults went from {known.rows} to {total}"
        if total < known.rows:
            self._drifted(grown)
        if total > known.rows and now.mark == known.mark:
            self._drifted(f"{grown}, and {dataset.mark_name} has not moved")
        if total == known.rows and now.mark != known.mark:
            self._drifted(f"{dataset.moved(known.mark, now.mark)}, and the list has not grown")
        if total == known.rows and (at_end.has_more or len(at_end.records) > len(self._last_ids)):
            self._drifted(f"totalResults says {total}, and the server has more than that")
        return total

    def _take_up(self, progress: Progress, ids: IdSet, *, end: str | None = None) -> None:
        """Read on from a place.

        :param end: what has proven the end already; None: nothing has.
        """
        self._pagination = self._paginate(
            progress=progress, ids=ids, tolerate=self._tolerate, newer_than=self._state.mark, end=end
        )

    def resume(self, state: WalkState, found: Iterable[str], *, usage: Iterable[Usage] = ()) -> None:
        """Continue where another process left off.

        :param state: what it knew.
        :param found: the ids that it had read, in order.
        :param usage: what it had spent of the allowance.

        Raises DriftError if the list is not the one that was read so far.
        """
        self._client.allowance.remember(usage)
        progress = state.progress
        self._state = replace(state, resumed_from=progress.offset)
        ids = IdSet()
        tail: deque[str] = deque(maxlen=progress.offset - progress.last_page)
        for identifier in found:
            ids.add(identifier)
            tail.append(identifier)
        self._last_ids = tuple(tail)
        if state.continued is not None:
            self._tolerate = "growth"
        self._take_up(progress, ids, end=state.end)
        if state.end is not None:
            return  # what has happened since then shows at the look after it
        now = self._source.first_look(self._client)
        total = self._total_again()
        first_total, known = progress.first_total, progress.total
        if first_total is not None and total is not None and total > first_total and is_provable(self.state):
            return  # that it did nothing else shows at the end
        if now.mark != state.mark:
            self._drifted(f"{self._dataset.moved(state.mark, now.mark)} between two tries")
        if None not in (known, total) and total != known:
            self._drifted(f"totalResults went from {known} to {total} between two tries")

    def pages(self) -> Iterator[Page]:
        """Read on to the end of the list, and yield what is believed.

        Raises DriftError if the list changed in a way that matters (unless the author accepts that), and whatever the
        client raises. LookLater at the end, for which no page was asked: then this is called once more.
        """
        try:
            while self._verdict is None:
                before = self._pagination.progress
                for served in self._client.iter_pages(self._source.call, self._pagination, stop=self._stop):
                    page = self._checked(served)
                    if page.offset == 0 and self._changed_before(page):
                        log.info("The list changed at the very beginning of the walk, which begins anew.")
                        break
                    self._note(page, before)
                    before = self._pagination.progress
                    yield page
                    if self._state.pages % LOOK_EVERY == 0 and not self._stop.requested:
                        self._look_in_between()
                else:
                    self._stop.check()
                    self._look_behind_the_end()
        except PaginationError as err:
            self._blame_a_change(err)
            raise

    def verdict(self) -> Walked:
        """Return what a walk has proven whose :meth:`pages` have all been read."""
        if self._verdict is None:
            raise RuntimeError("the walk has not ended")
        return self._verdict

    def _checked(self, served: Page) -> Page:
        """Return a page that holds what was asked for, as it is stored."""
        self._source.check(served)
        self._check_length(max(served.end, served.total or 0))
        return with_id(served) if self._dataset.adds_id else served

    def _note(self, page: Page, before: Progress) -> None:
        self._watch_growth(page, before)
        state, continued = self._state, self._state.continued
        told_total = page.total is not None if page.offset == 0 else state.told_total
        if continued is not None and page.offset == continued.rows:
            continued = replace(continued, first_new=str(page.records.values[0].get("createdAt") or ""))
        self._last_ids = tuple(page.records.ids)
        self._state = replace(state, told_total=told_total, pages=state.pages + 1, continued=continued)

    def _look_behind_the_end(self) -> None:
        """Judge the walk, unless something was appended after its last page: then it reads on."""
        after = self._source.last_look(self._client, self.state)
        progress = self._pagination.progress
        changed = after.mark != self._state.mark or progress.total != progress.first_total
        if changed and is_provable(self.state):
            if self._forgetful:
                raise DriftError("The list changed while it was read: it grew after its end had been looked at.")
            if self._ends == ENDS:
                self._drifted(f"it still grew when its end had been read {ENDS} times")
            elif self._goes_on():
                self._ends += 1
                self._pagination.reopen()
                return
        if (reason := doubt(self.state, after, self._dataset)) is not None:
            raise DriftError(f"The list changed since the last snapshot: {reason}.")
        verdict = judge(self.state, self._pagination.evidence, after, self._dataset)
        if verdict.drift and self._tolerate != "everything":
            raise DriftError(f"The list changed while it was read: {'; '.join(verdict.drift)}.")
        self._verdict = verdict

    def _goes_on(self) -> bool:
        """Read the last page again, and say whether the list has more rows than were read by now."""
        total, progress = self._total_again(), self._pagination.progress
        if total is None or total < progress.offset:
            self._drifted(f"totalResults went from {progress.total} to {total} at the end of the walk")
            return False
        return total > progress.offset

    def _blame_a_change(self, err: PaginationError) -> None:
        """Raise DriftError if the list changed: pages contradict each other then, through no fault of the server."""
        now = self._source.look(self._client).mark
        if now != self._state.mark:
            moved = self._dataset.moved(self._state.mark, now)
            raise DriftError(f"The list changed while it was read: {moved}. {err}") from None

    def _check_length(self, rows: int) -> None:
        """End a walk over a list that is longer than its author expects: an endless one never ends by itself.

        Raises OversizedError, as soon as the server tells.
        """
        if rows > self._most:
            name = f"max_{self._dataset.file_name}"
            raise OversizedError(
                f"{self._dataset.headline} has {rows:,} {self._dataset.rows} or more, and {name} is {self._most:,}. "
                f"Nothing was published. Look at the list in Kore.ai; if that is right, raise {name}."
            )

    def _changed_before(self, first_page: Page) -> bool:
        """Begin anew if the list changed between the look at it and its first page, or just now; say whether it did.

        Growth is measured by what the first page held, and the contacts there must not pass for newer than the walk.
        """
        if self._begun == BEGINNINGS or first_page.total is None or first_page.total < LONG * first_page.end:
            return False
        self._begun += 1
        now = self._source.look(self._client).mark
        if now == self._state.mark:
            return False
        self._begin(now)
        return True

    def _look_in_between(self) -> None:
        """Find out now and not after hours that a list was edited in place; growth is watched page by page."""
        state, progress = self._state, self._pagination.progress
        if progress.total != progress.first_total:
            return
        now = self._source.look(self._client).mark
        # The total may be about to tell of growth; a page that was read again tells that it hasn't yet.
        if now != state.mark and self._total_again() == progress.total:
            self._drifted(self._dataset.moved(state.mark, now))

    def _watch_growth(self, page: Page, before: Progress) -> None:
        """Let a list grow at its end, as long as that can be proven to be all that happens."""
        first_total = before.first_total
        if first_total is None or page.total is None or page.total == first_total:
            return
        if page.total != before.total and not is_provable(self.state):
            grown = f"totalResults went from {first_total} to {page.total}"
            self._drifted(f"{grown}, and nothing proves that the new {self._dataset.rows} come last")
        if page.offset >= first_total:
            self._expect(before.last_page, self._last_ids)

    def _total_again(self) -> int | None:
        """Read the last page once more, and return the total that it tells, unless it counts the page."""
        progress = self._pagination.progress
        answer = self._expect(progress.last_page, self._last_ids)
        return None if progress.totals_count_pages else answer.total

    def _expect(self, offset: int, ids: tuple[str, ...]) -> PageAnswer:
        """Read again from an offset, where these very ids must be; return the last answer."""
        position = 0
        while True:
            answer = self._client.get_page(self._source.call, PageRequest(offset + position, self._pagination.limit))
            found = tuple(answer.records.ids[: len(ids) - position])
            if found != ids[position : position + len(found)] or (ids and not found):
                self._drifted(f"the page at offset {offset} holds other {self._dataset.rows} than before")
                break
            position += len(found)
            if position == len(ids):  # at once, unless the server has changed its limit
                break
        return answer

    def _drifted(self, what: str) -> None:
        if self._tolerate != "everything":
            raise DriftError(f"The list changed {self._since}: {what}.")
        if what not in self._state.drift:
            self._state = replace(self._state, drift=(*self._state.drift, what))
