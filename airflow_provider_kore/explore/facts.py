"""What an exploration found: one function per fact, each with the settings of the simulator that say so."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from statistics import median
from typing import TYPE_CHECKING, Final

from airflow_provider_kore.api.answers import as_count
from airflow_provider_kore.explore.refusals import refusal_in_words
from airflow_provider_kore.explore.seen import LARGEST, LIMITS, NO_REQUEST, NotLearnedError, Told, only, told
from airflow_provider_kore.quoting import quoted

if TYPE_CHECKING:
    from airflow_provider_kore.explore.seen import PageLook, Seen

TOLERANCE: Final = 60.0
"""Seconds by which ``updatedAt`` may miss the ``createdAt`` of a contact and still be its doing."""

_ENOUGH: Final = 8
"""Contacts from which on their order is no accident."""

_API_SOURCES: Final = {"apiIntegration", "passiveApi", "passiveApiIntegration"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One thing the vendor's pages leave open."""

    name: str
    seen: str
    """In words; where it was not learned, why."""
    how: str
    learned: bool
    settings: Mapping[str, object]


def facts_of(seen: Seen) -> tuple[Fact, ...]:
    """Return every fact, in the order of :data:`QUESTIONS`."""
    return tuple(_fact(seen, *question) for question in QUESTIONS)


def _fact(seen: Seen, name: str, how: str, read: Callable[[Seen], Told]) -> Fact:
    try:
        found = read(seen)
    except NotLearnedError as err:
        return Fact(name=name, seen=str(err), how=how, learned=False, settings={})
    return Fact(name=name, seen=found.seen, how=how, learned=True, settings=found.settings)


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


def _details(seen: Seen) -> Mapping[str, object]:
    """Return what the list tells of itself. Raises NotLearnedError where that is not known."""
    if seen.details is None and seen.served:
        raise NotLearnedError(NO_REQUEST if seen.out_of_requests else "the list's own details are refused")
    return seen.details or {}


def _entry(seen: Seen) -> Mapping[str, object]:
    """Return what the catalogue tells of the list. Raises NotLearnedError where it does not have it."""
    if not seen.entry:
        raise NotLearnedError("the catalogue does not have this list")
    return seen.entry


def catalogue_updated_at(seen: Seen) -> Told:
    """Compare the catalogue's ``updatedAt`` with the list's own."""
    details = _details(seen)
    listed, own, made = _entry(seen).get("updatedAt"), details.get("updatedAt"), details.get("createdAt")
    if listed is None:
        return told("missing in the catalogue", catalogue_updated_at="missing")
    if own is None:
        raise NotLearnedError("missing in the list's own details")
    return only(
        (listed == own, told("the list's", catalogue_updated_at="list")),
        (listed == made, told("the list's createdAt", catalogue_updated_at="stale")),
    )


def updated_at_moves(seen: Seen) -> Told:
    """Compare the list's ``updatedAt`` with its ``createdAt`` and with its contacts'."""
    details = _details(seen)
    made, moved = _instant(details.get("createdAt")), _instant(details.get("updatedAt"))
    newest = max(filter(None, (_instant(created) for created, _ in seen.contacts)), default=None)
    if moved is None or newest is None:
        raise NotLearnedError("updatedAt of the list, or createdAt of its contacts, is missing")
    if newest > moved + TOLERANCE:
        return told("no: contacts were added after it", updated_at_moves=False)
    if made is not None and newest > made + TOLERANCE and moved > made + TOLERANCE:
        return told("yes: it is not older than the newest contact that was seen", updated_at_moves=True)
    raise NotLearnedError("no contact was seen that is newer than the list itself")


def record_count(seen: Seen) -> Told:
    """Compare ``totalRecordCount`` with the list, and lists that are fed over an API with those of files."""
    count, length = seen.record_count, seen.length
    if "totalRecordCount" not in _entry(seen):
        return told("missing", record_count="missing")
    if count and length is None:
        raise NotLearnedError("the end of the list was not seen")
    if count is None or count not in (0, length):
        return told("wrong for this list, for which the simulator has no setting")
    counts: dict[bool, set[bool]] = {True: set(), False: set()}
    for each in seen.catalogue:
        counts[_is_fed(each)].add(bool(as_count(each.get("totalRecordCount"))))
    fed, filed = counts[True], counts[False]
    if count and True in fed:
        return told("right, also for lists that are fed over an API", record_count="right")
    if not count and not _is_fed(seen.entry):
        return told("0, although the list comes from a file", record_count="zero")
    if False in fed and True in filed:
        return told("right, but 0 for lists that are fed over an API", record_count="by_source")
    return told("right for this list" if count else "0 for this list")


def _is_fed(entry: Mapping[str, object]) -> bool:
    return str(entry.get("source")) in _API_SOURCES


def unknown_id(seen: Seen) -> Told:
    """Read the answer to an id that no list has."""
    reply = seen.unknown
    if reply is None:
        raise NotLearnedError(NO_REQUEST)
    words = refusal_in_words(reply)
    payload = reply.payload or {}
    status = payload.get("status")
    if reply.error is None and payload.get("data") not in (None, {}, []):
        return told(f"{words}, with data for a list that is none")
    if reply.error is None:
        return told(words, unknown_id="empty_200")
    if reply.status in (400, 404):
        return told(words, unknown_id=str(reply.status))
    if reply.status == 200:  # noqa: PLR2004
        named = {"failure_status": status} if status in ("error", "failure", "Error") else {}
        return told(words, unknown_id="error_200", **named)
    return told(f"{words}, for which the simulator has no setting")


def error_key(seen: Seen) -> Told:
    """Read how a refusal's text is named."""
    for reply in (seen.unknown, *(page.reply for page in seen.pages)):
        errors = (reply.payload or {}).get("errors") if reply and reply.error else None
        for each in errors if isinstance(errors, list) else [errors]:
            for key in ("msg", "message"):
                if isinstance(each, Mapping) and isinstance(each.get(key), str):
                    return told(f"{key}, in errors", error_key=key)
    raise NotLearnedError("no refusal with errors was met")


def limit_headers(seen: Seen) -> Told:
    """Read the names and values of headers about limits."""
    if not seen.limit_headers:
        return told("none", limit_headers="none")
    shown = ", ".join(f"{quoted(name, 40)}: {_number(value)}" for name, value in sorted(seen.limit_headers.items()))
    known = {"X-RateLimit", "RateLimit"}
    families = {name[: -len("-Limit")] for name in seen.limit_headers if name.endswith("-Limit")} & known
    return told(shown, **({"limit_headers": families.pop()} if len(families) == 1 else {}))


def latency(seen: Seen) -> Told:
    """Read the median time of a page."""
    seconds = median(page.reply.seconds for page in seen.served)
    return told(f"{1000 * seconds:,.0f} ms, the median of {len(seen.served)}", latency=round(seconds, 3))


def _number(value: str) -> str:
    """Return a header's value if it is made of numbers and their marks."""
    return quoted(value, 40) if re.fullmatch(r"[0-9][0-9 ,;.=wqrt\"]{0,39}", value) else "(not shown)"


def _instant(value: object) -> float | None:
    try:
        return datetime.fromisoformat(value).timestamp() if isinstance(value, str) else None
    except (ValueError, OverflowError):
        return None


Question = tuple[str, str, Callable[["Seen"], Told]]

QUESTIONS: Final[tuple[Question, ...]] = (
    ("page size without limit", "first page", default_limit),
    ("largest limit", f"limit={LARGEST}, limit=1; where refused, by halves", largest_limit),
    ("skip", "a page from the middle of the first", skip_handling),
    ("paging fields", "all pages", envelope),
    ("echo", "all pages", echo),
    ("totalResults counts", "all pages, one at the end", total),
    ("hasMore", "all pages, one at the end", has_more),
    ("order", "createdAt and _id on all pages", order),
    ("catalogue's updatedAt", "beside the list's own", catalogue_updated_at),
    ("updatedAt moves", "beside createdAt of list and contacts", updated_at_moves),
    ("totalRecordCount", "beside the end of the list, and other lists", record_count),
    ("unknown id", "details of a list that does not exist", unknown_id),
    ("text of a refusal", "every refusal that was met", error_key),
    ("limit headers", "all answers", limit_headers),
    ("time of a page", "all pages", latency),
)
"""Name, how it is found out, and the function that reads it."""
