"""What pages of contacts tell: one function per fact, each with the settings of the simulator that say so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from airflow_provider_kore.explore.refusals import refusal_in_words
from airflow_provider_kore.explore.seen import LARGEST, LIMITS, NO_REQUEST, NotLearnedError, only, told

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_kore.explore.seen import PageLook, Seen, Told

_ENOUGH: Final = 8
"""Contacts from which on their order is no accident."""


def default_limit(seen: Seen) -> Told:
    """Read the page size without a ``limit``."""
    first = seen.first
    echo = first.count("limit") or 0
    if seen.at_least > first.rows or echo == first.rows:
        return told(f"{first.rows:,} contacts", default_limit=first.rows)
    if echo > first.rows:
        return told(f"{echo:,}, as its echo says; the list is shorter", default_limit=echo)
    raise NotLearnedError(f"the list may end on the first page: {first.rows:,} or more")


def largest_limit(seen: Seen) -> Told:
    """Read the largest ``limit`` that is served, and what happens beyond it."""
    first = seen.first
    by_limit = {page.limit: page for page in seen.pages if page.limit is not None}
    big, small = by_limit.get(LARGEST), by_limit.get(1)
    if big is None or (small is None and not big.served):
        raise NotLearnedError(NO_REQUEST)
    if not big.served:
        return _refused_limit(by_limit, big, small)
    if small is not None and small.served and max(small.rows, small.count("limit") or 0) > 1:
        if small.rows == big.rows == first.rows:
            return told("limit is ignored: each page has the server's own length", limit_handling="ignore")
        raise NotLearnedError("limit=1 brings more than one contact, and limit=1000 another number than none")
    return _served_limit(seen, big)


def _served_limit(seen: Seen, big: PageLook) -> Told:
    echo = big.count("limit") or 0
    size, how = big.rows, f" (limit={LARGEST})"
    if seen.at_least == size < LARGEST and echo != size:
        size, how = echo, f", as the echo of limit={LARGEST} says; the list is shorter"
    if size >= LARGEST:
        return told(f"{LARGEST:,} are served{how}; more was not asked for", limit_handling="honour")
    if size >= max(1, big.rows):
        return told(f"{size:,}: a larger one is cut to it{how}", limit_handling="clamp", max_limit=size)
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
    honoured = seen.skip_honoured
    second = next((page for page in seen.pages if page.limit is None and page.skip), None)
    if second is None:
        raise NotLearnedError(NO_REQUEST)
    if not second.served:
        raise NotLearnedError(f"a page with skip is refused: {refusal_in_words(second.reply)}")
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
    nested, top = any(page.nested for page in seen.served), any(page.top for page in seen.served)
    if nested and top:
        return told("in data and beside it", envelope="both")
    if nested or top:
        return told("in data" if nested else "beside data", envelope="nested" if nested else "top")
    raise NotLearnedError("no page has a paging field")


def echo(seen: Seen) -> Told:
    """Read whether ``skip`` and ``limit`` are echoed."""
    echoed = {name for page in seen.served for name in ("skip", "limit") if page.said(name) is not None}
    if len(echoed) == 1:
        return told(f"only {echoed.pop()}")
    return told("skip and limit" if echoed else "neither skip nor limit", echo=bool(echoed))


def total(seen: Seen) -> Told:
    """Read what ``totalResults`` counts."""
    said = [page.said("totalResults") for page in seen.served]
    value, length, least = seen.total, seen.length, seen.at_least
    if value is None or isinstance(said[0], str):
        return only(
            (all(each is None for each in said), told("missing", total="missing")),
            (value is not None, told("a string", total="string")),
        )
    same = all(page.count("totalResults") == value for page in seen.served)
    capped = same and 0 < value < least and value % 1000 == 0
    wrong = same and not capped and value != length
    error = {} if length is None else {"total": "wrong", "total_error": value - length}
    return only(
        (all(page.rows == page.count("totalResults") for page in seen.served), told("the page", total="page")),
        (same and value >= least and length in {value, None}, told("the list", total="list")),
        (capped, told(f"the list, but never more than {value:,}", total="capped", total_cap=value)),
        (wrong, told(f"a wrong number{'' if length is None else f': {value - length:+,}'}", **error)),
    )


def has_more(seen: Seen) -> Told:
    """Read whether ``hasMore`` is there, and right: before the end of the list, and at it."""
    said = [page.said("hasMore") for page in seen.served]
    pages = [page for page in seen.served if page.rows]
    before = [page.said("hasMore") for page in pages if seen.end(page) < seen.at_least]
    last = [page.said("hasMore") for page in pages if seen.end(page) == seen.length]
    flags = all(isinstance(each, bool) for each in said)
    return only(
        (all(each is None for each in said), told("missing", has_more="missing")),
        (all(isinstance(each, str) for each in said), told("a string", has_more="string")),
        (flags and all(before) and not any(last), told("right, also at the end", has_more="right")),
        (flags and all(before) and all(last), told("true at the end", has_more="always_true")),
        (flags and not any(before) and not any(last), told("false in the middle", has_more="always_false")),
    )


def order(seen: Seen) -> Told:
    """Read the order of the contacts, and how ids are made."""
    pairs = seen.contacts
    if len(pairs) < _ENOUGH or len({created for created, _ in pairs}) < _ENOUGH:
        raise NotLearnedError(f"fewer than {_ENOUGH} contacts with different createdAt were seen")
    created, ids = [each for each, _ in pairs], [each for _, each in pairs]
    by_creation = [each for _, each in sorted(pairs)]
    rising = by_creation == sorted(by_creation)
    made = {"ids": "ascending" if rising else "random"}
    suffix = "; ids rise with it" if rising else "; ids do not rise with it"
    if created == sorted(created):
        return told(f"createdAt, the oldest first{suffix}", sort="insertion", **made)
    if created == sorted(created, reverse=True):
        return told(f"createdAt, the newest first{suffix}", sort="newest_first", **made)
    if ids == sorted(ids):
        return told("by id, not by createdAt", sort="id", **made)
    return told("neither createdAt nor id", **made)
