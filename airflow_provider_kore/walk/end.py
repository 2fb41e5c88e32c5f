"""Where a list ends: what its pages say of that, and what of it can be believed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from airflow_provider_kore.walk.ids import IdSet
    from airflow_provider_kore.walk.page import PageAnswer, Progress

ASK_AGAIN: Final = 2
"""How often a page that cannot be right is asked for again before that is an error."""


class End:
    """The end of one walk.

    :param proven: what proved it to another process; None: nothing did.
    """

    def __init__(self, proven: str | None) -> None:
        self.proven = proven
        """What proved it, as evidence names it; None: it is not proven yet."""
        self.is_overlapping = False
        """Whether the last contact is asked for again, which an empty page after it left as the only evidence."""
        self._overlaps = 0
        self._promised = False
        self._largest_full = 0
        self._longest_page = 0
        self._last_page_short = False
        self._last_short_tells = False
        self._last_id: str | None = None

    def reopen(self) -> None:
        """Take back that it is proven: there is more after all."""
        self.proven, self._overlaps, self.is_overlapping = None, 0, False

    def note_page(self, answer: PageAnswer) -> None:
        """Learn whether this server's ``hasMore`` and limits tell anything."""
        self._promised = self._promised or answer.has_more is True
        if len(answer.records) == answer.limit:
            self._largest_full = max(self._largest_full, answer.limit)
        self._last_page_short = is_short(answer)
        self._last_short_tells = self._is_tellingly_short(answer)
        self._longest_page = max(self._longest_page, len(answer.records))
        self._last_id = answer.records.ids[-1]
        self._overlaps = 0

    def note_empty(self, before: Progress) -> None:
        """Find out whether an empty page has to be doubted.

        :param before: that page.
        """
        self.is_overlapping = before.offset > 0 and not self._is_expected(before)

    def accept_overlap(self, answer: PageAnswer, ids: IdSet) -> bool:
        """Judge the page that begins with the last contact; return False if the end stays unclear.

        At the end of the list it holds that contact alone. Anything new means that the page was empty by mistake.

        :param ids: all that were read; another process may have read the last one.
        """
        self.is_overlapping = False
        self._overlaps += 1
        last = ids if self._last_id is None else (self._last_id,)
        if len(answer.records) == 1 and answer.records.ids[0] in last:
            # A page of one holds no more anyway; then the empty page has to be empty twice.
            if self._longest_page > 1 or (answer.limit or 1) > 1 or self._overlaps > 1:
                self.proven = "empty_page"
            return True
        return self._overlaps <= ASK_AGAIN

    def decide(self, answer: PageAnswer, progress: Progress) -> None:
        """End the walk if anything says so and nothing that can be believed says that there is more.

        A total proves the end together with ``hasMore`` or a short page; else the page after the last decides.

        :param progress: after that answer.
        """
        after = progress.offset
        if answer.whole and answer.records:
            self.proven = "one_answer"
            return
        if not answer.records:
            self.proven = None if self.is_overlapping else "empty_page"
            return
        if says_more(answer, progress, after) or progress.total != after:
            return
        short, denied = is_short(answer), answer.has_more is False and not progress.has_more_wrong
        # A single page that is as long as its total proves little: that total may count the page.
        confirmed = denied or self._is_tellingly_short(answer)
        if (short and denied) or (confirmed and not progress.totals_like_pages):
            self.proven = "short_page" if short else "full_page"

    def _is_tellingly_short(self, answer: PageAnswer) -> bool:
        """Say whether a page is shorter than pages can be: one of its limit, or of a larger one, was full.

        Else the limit may be the one that was asked for, and not the one that is served.
        """
        return is_short(answer) and (answer.limit or 0) <= self._largest_full

    def _is_expected(self, progress: Progress) -> bool:
        """Say whether other evidence expects nothing after the last page, of a kind that has been right before."""
        if progress.last_has_more or self._overlaps:
            return False
        if progress.total == progress.offset and not progress.totals_like_pages:
            return True
        denied = progress.last_has_more is False and not progress.has_more_wrong
        return (denied and (self._promised or self._last_page_short)) or self._last_short_tells


def is_short(answer: PageAnswer) -> bool:
    """Say whether a page holds fewer than the limit that it names."""
    return answer.limit is not None and len(answer.records) < answer.limit


def says_more(answer: PageAnswer, progress: Progress, after: int) -> bool:
    """Say whether an answer promises anything after an offset."""
    total = None if progress.totals_count_pages else answer.total
    return bool(answer.has_more) or (total is not None and total > after)
