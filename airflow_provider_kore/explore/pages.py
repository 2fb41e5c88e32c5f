"""What pages of contacts tell: one function per fact, each with the settings of the simulator that say so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from airflow_provider_kore.api.answers import as_count
from airflow_provider_kore.explore.refusals import refusal_in_words
from airflow_provider_kore.explore.seen import LARGEST, LIMITS, NO_REQUEST, NotLearnedError, told

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_kore.explore.seen import PageLook, Seen, Told

_ENOUGH: Final = 8
"""Contacts from which on their order is no accident."""


def default_limit(seen: Seen) -> Told:
    """Read the page size without a ``limit``."""
    first = seen.need_first()
    echo = first.count("limit")
    if seen.known_length > first.rows or echo == first.rows:
        return told(f"{first.rows:,} contacts", default_limit=first.rows)
    if echo is not None and echo > first.rows:
        return told(f"{echo:,}, as its echo says; the list is shorter", default_limit=echo)
    raise NotLearnedError(f"the list may end on the first page: {first.rows:,} or more")


def largest_limit(seen: Seen) -> Told:
    """Read the largest ``limit`` that is served, and what happens beyond it."""
    first = seen.need_first()
    by_limit = {page.limit: page for page in seen.pages if page.limit is not None}
    big, small = by_limit.get(LARGEST), by_limit.get(1)
    if big is None or (small is None and not big.served):
        raise NotLearnedError(NO_REQUEST)
    if big.served:
        return _served_limit(seen, first, big, small)
    return _refused_limit(by_limit, big, small)


def _served_limit(seen: Seen, first: PageLook, big: PageLook, small: PageLook | None) -> Told:
    if small is not None and small.served and max(small.rows, small.count("limit") or 0) > 1:
        if small.rows == big.rows == first.rows:
            return told("limit is ignored: each page has the server's own length", limit_handling="ignore")
        raise NotLearnedError("limit=1 brings more than one contact, and limit=1000 another number than none")
    if big.rows >= LARGEST:
        return told(f"{LARGEST:,} are served; more was not asked for", limit_handling="honour")
    echo = big.count("limit")
    if seen.known_length > big.rows or echo == big.rows:
        return told(
            f"{big.rows:,}: a larger one is cut to it (limit={LARGEST})", limit_handling="clamp", max_limit=big.rows
        )
    if echo is not None and big.rows < echo < LARGEST:
        return told(
            f"{echo:,}, as the echo of limit={LARGEST} says; the list is shorter",
            limit_handling="clamp",
            max_limit=echo,
        )
    if echo == LARGEST:
        return told(f"{LARGEST:,}, as its echo says; the list is shorter", limit_handling="honour")
    raise NotLearnedError(f"the list is too short: it may be {big.rows:,} or more")


def _refused_limit(by_limit: Mapping[int, PageLook], big: PageLook, small: PageLook | None) -> Told:
    how = refusal_in_words(big.reply)
    status = big.reply.status
    if small is None or not small.served:
        if status == 400:  # noqa: PLR2004
            return told(f"any limit is refused: {how}", limit_handling="reject_any")
        return told(f"any limit is refused: {how}, for which the simulator has no setting")
    best = max(limit for limit, page in by_limit.items() if page.served)
    refused = min(limit for limit, page in by_limit.items() if not page.served)
    words = f"{best:,} is served, {refused:,} is refused: {how}"
    ladder = (1, *LIMITS, LARGEST)
    found: dict[str, object] = {}
    if ladder.index(refused) == ladder.index(best) + 1:
        found["max_limit"] = best
    else:
        words += f"; {NO_REQUEST} to look between them"
    if status in (400, 412):
        return told(words, limit_handling=f"reject_{status}", **found)
    return told(f"{words}; the simulator has no setting for this refusal", **found)


def skip_handling(seen: Seen) -> Told:
    """Read whether ``skip`` is honoured, and what an ignored one is echoed as."""
    seen.need_first()
    second = next((page for page in seen.pages if page.limit is None and page.skip), None)
    if second is None:
        raise NotLearnedError(NO_REQUEST)
    if not second.served:
        raise NotLearnedError(f"a page with skip is refused: {refusal_in_words(second.reply)}")
    honoured = seen.skip_honoured
    if honoured is None:
        raise NotLearnedError("the page with skip holds neither the contacts it should, nor the first ones")
    if honoured:
        return told("honoured: it counts contacts", skip_handling="honour")
    echo = second.count("skip")
    if echo == second.skip:
        return told("ignored, and echoed as asked", skip_handling="ignore", ignored_skip_echo="asked")
    if echo == 0:
        return told("ignored, and echoed as 0", skip_handling="ignore", ignored_skip_echo="served")
    return told("ignored", skip_handling="ignore")


def envelope(seen: Seen) -> Told:
    """Read where paging fields are."""
    pages = seen.need_served()
    nested, top = any(page.nested for page in pages), any(page.top for page in pages)
    if nested and top:
        return told("in data and beside it", envelope="both")
    if nested or top:
        return told("in data" if nested else "beside data", envelope="nested" if nested else "top")
    raise NotLearnedError("no page has a paging field")


def echo(seen: Seen) -> Told:
    """Read whether ``skip`` and ``limit`` are echoed."""
    pages = seen.need_served()
    echoed = {name for page in pages for name in ("skip", "limit") if page.said(name) is not None}
    if len(echoed) == 1:
        return told(f"only {echoed.pop()}")
    return told("skip and limit" if echoed else "neither skip nor limit", echo=bool(echoed))


def total(seen: Seen) -> Told:
    """Read what ``totalResults`` counts."""
    seen.need_first()
    pages = seen.served
    said = [page.said("totalResults") for page in pages]
    if all(each is None for each in said):
        return told("missing", total="missing")
    value = pages[0].count("totalResults")
    if value is None:
        return told("sometimes there, or no number")
    if isinstance(said[0], str):
        return told("a string", total="string")
    if seen.totals_count_pages:
        return told("the page", total="page")
    if all(page.rows == value for page in pages):
        raise NotLearnedError("all pages that were seen are as long as their total")
    return _total_and_length(seen, value)


def _total_and_length(seen: Seen, value: int) -> Told:
    contacts, least = seen.length, seen.at_least
    if contacts == value:
        return told("the list", total="list")
    if value < least and value and value % 1000 == 0:
        return told(f"the list, but never more than {value:,}", total="capped", total_cap=value)
    if contacts is not None:
        error = value - contacts
        return told(f"a wrong number: {error:+,}", total="wrong", total_error=error)
    if value < least:
        raise NotLearnedError("a wrong number: there are more contacts than it says, the end was not seen")
    entry = seen.entry or {}
    if seen.skip_honoured is not True and value == as_count(entry.get("totalRecordCount")):
        return told("the list, as totalRecordCount agrees; its end was not seen", total="list")
    raise NotLearnedError("the end of the list was not seen, or not where the total says")


def has_more(seen: Seen) -> Told:
    """Read whether ``hasMore`` is there, and right."""
    seen.need_first()
    pages = seen.served
    said = [page.said("hasMore") for page in pages]
    if all(each is None for each in said):
        return told("missing", has_more="missing")
    if all(isinstance(each, str) for each in said):
        return told("a string", has_more="string")
    if not all(isinstance(each, bool) for each in said):
        return told("sometimes there, or of another type")
    return _flags(seen, pages)


def _flags(seen: Seen, pages: list[PageLook]) -> Told:
    """Compare ``hasMore`` with what is known of the list: before its end, and at it."""
    contacts, least, factor = seen.length, seen.at_least, seen.moves
    ends = [(page.skip * factor + page.rows, page.said("hasMore")) for page in pages if page.rows]
    middle = {flag for end, flag in ends if end < least}
    last = {flag for end, flag in ends if end == contacts}
    if middle == {False} and last <= {False}:
        return told("false in the middle of the list", has_more="always_false")
    if middle <= {True} and last == {True}:
        return told("true at the end", has_more="always_true")
    if middle == {True} and last == {False}:
        return told("right, also at the end", has_more="right")
    if middle == {True} and not last:
        raise NotLearnedError("true where there is more; the end of the list was not seen")
    if not middle and last <= {False}:
        raise NotLearnedError("only the end of the list was seen")
    return told("sometimes wrong")


def order(seen: Seen) -> Told:
    """Read the order of the contacts, and how ids are made."""
    seen.need_first()
    pairs = seen.contacts
    if len(pairs) < _ENOUGH or len({created for created, _ in pairs}) < _ENOUGH:
        raise NotLearnedError(f"fewer than {_ENOUGH} contacts with different createdAt were seen")
    created, ids = [each for each, _ in pairs], [each for _, each in pairs]
    by_creation = [each for _, each in sorted(pairs)]
    made = {"ids": "ascending" if by_creation == sorted(by_creation) else "random"}
    suffix = "; ids rise with it" if made["ids"] == "ascending" else "; ids do not rise with it"
    if created == sorted(created):
        return told(f"createdAt, the oldest first{suffix}", sort="insertion", **made)
    if created == sorted(created, reverse=True):
        return told(f"createdAt, the newest first{suffix}", sort="newest_first", **made)
    if ids == sorted(ids):
        return told("by id, not by createdAt", sort="id", **made)
    return told("neither createdAt nor id", **made)
