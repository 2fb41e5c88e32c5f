"""What the answers of an exploration tell: one function per fact, each with the settings of the simulator that say so."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from statistics import median
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from airflow_provider_kore.api.explore import LARGEST, LIMITS, as_count
from airflow_provider_kore.quoting import quoted

if TYPE_CHECKING:
    from airflow_provider_kore.api.explore import PageLook, Reply, Seen

TOLERANCE: Final = 60.0
"""Seconds by which ``updatedAt`` may miss the ``createdAt`` of a contact and still be its doing."""

_ENOUGH: Final = 8
"""Contacts from which on their order is no accident."""

_API_SOURCES: Final = {"apiIntegration", "passiveApi", "passiveApiIntegration"}

_KNOWN_KEYS: Final = frozenset(
    "code codes data description detail details error errors message messages msg name path reason requestId results"
    " statusCode status success timestamp title trace type".split()
)
_KNOWN_TEXTS: Final = frozenset(
    text.lower()
    for text in (
        "success",
        "error",
        "failure",
        "Validation errors/ Invalid arguments",
        "Method Not Allowed",
        "Not Found",
        "Bad Request",
        "Invalid StreamId",
        "Invalid SDK credentials",
        "Invalid JWT token",
        "Permission denied. Scope is incorrect!",
        "jwt expired",
    )
)
"""Texts that are shown: the vendor's documented ones, and those of HTTP. Any other may repeat what was sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One thing the vendor's pages leave open."""

    name: str
    seen: str
    """In words; where it was not learned, why."""
    how: str
    learned: bool = True
    settings: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class _Told:
    """What a function of a fact returns: words, and settings; None for the settings: not learned."""

    seen: str
    settings: Mapping[str, object] | None


def _open(why: str) -> _Told:
    return _Told(why, None)


def _told(seen: str, **settings: object) -> _Told:
    return _Told(seen, settings)


def facts_of(seen: Seen) -> tuple[Fact, ...]:
    """Return every fact, in the order of :data:`QUESTIONS`."""
    found = []
    for name, how, read in QUESTIONS:
        told = read(seen)
        learned = told.settings is not None
        found.append(Fact(name=name, seen=told.seen, how=how, learned=learned, settings=told.settings or {}))
    return tuple(found)


# --- What several facts stand on --------------------------------------------------------------------------------------


def skip_honoured(seen: Seen) -> bool | None:
    """Return whether the second look began where it was asked to; None if that cannot be told."""
    first = _first(seen)
    second = next((page for page in seen.pages if page.limit is None and page.skip and page.served), None)
    if first is None or second is None:
        return None
    shared = first.ids[second.skip :][: second.rows]
    if second.ids and second.ids[0] == first.ids[0] and (not shared or shared[0] != first.ids[0]):
        return False
    if shared:
        return True if second.ids[: len(shared)] == shared else None
    return None if first.ids[second.skip :] else True


def at_least(seen: Seen) -> int:
    """Return how many contacts the list has at the least, by what its pages held."""
    return max((page.skip * _moves(seen) + page.rows for page in _pages(seen) if page.rows), default=0)


def length(seen: Seen) -> int | None:
    """Return how many contacts the list has, if a page was seen that was not full; None otherwise."""
    least = at_least(seen)
    for page in _pages(seen):
        end = page.skip * _moves(seen) + page.rows
        if page.rows and page.rows < _size(seen, page) and end >= least:
            return end
    return None


def claimed_length(seen: Seen) -> int | None:
    """Return how many contacts the list says it has: its total, or else the catalogue's count; None if neither."""
    pages = _pages(seen)
    totals = [page.count("totalResults") for page in pages]
    if totals and totals[0] and not _counts_pages(pages):
        return totals[0]
    return as_count((seen.entry or {}).get("totalRecordCount")) or None


def _longest(seen: Seen) -> int:
    """Return how many contacts there are at the least, by the pages, or by total and catalogue where these agree."""
    total = seen.pages[0].count("totalResults")
    agree = total is not None and total == as_count((seen.entry or {}).get("totalRecordCount"))
    return max(at_least(seen), (total or 0) if agree else 0)


def _first(seen: Seen) -> PageLook | None:
    return seen.pages[0] if seen.pages and seen.pages[0].rows else None


def _pages(seen: Seen) -> list[PageLook]:
    return [page for page in seen.pages if page.served]


def _moves(seen: Seen) -> int:
    return 1 if skip_honoured(seen) else 0


def _size(seen: Seen, page: PageLook) -> int:
    """Return how long a full page of this request is: by its echo, or by the longest page that was asked for so."""
    longest = max(each.rows for each in _pages(seen) if each.limit == page.limit)
    if page.limit is not None and page.limit <= max(each.rows for each in _pages(seen) if each.limit is not None):
        return page.limit  # a larger one was served
    echo = page.count("limit") or 0
    return max(longest, echo) if page.limit is None or echo <= page.limit else longest


def _counts_pages(pages: list[PageLook]) -> bool:
    told = [(page.rows, page.count("totalResults")) for page in pages]
    return len({rows for rows, _ in told}) > 1 and all(rows == total for rows, total in told)


def _missing(seen: Seen) -> _Told:
    """Say why nothing about pages is known."""
    if seen.chosen is None:
        return _open("the application has no contact list" if not seen.out_of_requests else _NO_REQUEST)
    return _open("the list is empty" if seen.pages else _NO_REQUEST)


_NO_REQUEST: Final = "no request was left"


# --- Pages ------------------------------------------------------------------------------------------------------------


def default_limit(seen: Seen) -> _Told:
    """Read the page size without a ``limit``."""
    first = _first(seen)
    if first is None:
        return _missing(seen)
    echo = first.count("limit")
    if _longest(seen) > first.rows or echo == first.rows:
        return _told(f"{first.rows:,} contacts", default_limit=first.rows)
    if echo is not None and echo > first.rows:
        return _told(f"{echo:,}, as its echo says; the list is shorter", default_limit=echo)
    return _open(f"the list may end on the first page: {first.rows:,} or more")


def largest_limit(seen: Seen) -> _Told:
    """Read the largest ``limit`` that is served, and what happens beyond it."""
    first = _first(seen)
    if first is None:
        return _missing(seen)
    by_limit = {page.limit: page for page in seen.pages if page.limit is not None}
    big, small = by_limit.get(LARGEST), by_limit.get(1)
    if big is None or (small is None and not big.served):
        return _open(_NO_REQUEST)
    if big.served:
        return _served_limit(seen, first, big, small)
    return _refused_limit(by_limit, big, small)


def _served_limit(seen: Seen, first: PageLook, big: PageLook, small: PageLook | None) -> _Told:
    if small is not None and small.served and small.rows > 1:
        if small.rows == big.rows or big.rows == first.rows:
            return _told("limit is ignored: each page has the server's own length", limit_handling="ignore")
        return _open("limit=1 brings more than one contact, and limit=1000 another number than none")
    if big.rows >= LARGEST:
        return _told(f"{LARGEST:,} are served; more was not asked for", limit_handling="honour")
    echo = big.count("limit")
    if _longest(seen) > big.rows or echo == big.rows:
        return _told(
            f"{big.rows:,}: a larger one is cut to it (limit={LARGEST})", limit_handling="clamp", max_limit=big.rows
        )
    if echo is not None and big.rows < echo < LARGEST:
        return _told(
            f"{echo:,}, as the echo of limit={LARGEST} says; the list is shorter", limit_handling="clamp", max_limit=echo
        )
    if echo == LARGEST:
        return _told(f"{LARGEST:,}, as its echo says; the list is shorter", limit_handling="honour")
    return _open(f"the list is too short: it may be {big.rows:,} or more")


def _refused_limit(by_limit: Mapping[int, PageLook], big: PageLook, small: PageLook | None) -> _Told:
    how = _refusal_in_words(big.reply)
    status = big.reply.status
    if small is None or not small.served:
        if status == 400:  # noqa: PLR2004
            return _told(f"any limit is refused: {how}", limit_handling="reject_any")
        return _told(f"any limit is refused: {how}, for which the simulator has no setting")
    best = max(limit for limit, page in by_limit.items() if page.served)
    refused = min(limit for limit, page in by_limit.items() if not page.served)
    words = f"{best:,} is served, {refused:,} is refused: {how}"
    ladder = (1, *LIMITS, LARGEST)
    found: dict[str, object] = {}
    if ladder.index(refused) == ladder.index(best) + 1:
        found["max_limit"] = best
    else:
        words += f"; {_NO_REQUEST} to look between them"
    if status in (400, 412):
        return _told(words, limit_handling=f"reject_{status}", **found)
    return _told(f"{words}; the simulator has no setting for this refusal", **found)


def skip_handling(seen: Seen) -> _Told:
    """Read whether ``skip`` is honoured, and what an ignored one is echoed as."""
    if _first(seen) is None:
        return _missing(seen)
    second = next((page for page in seen.pages if page.limit is None and page.skip), None)
    if second is None:
        return _open(_NO_REQUEST)
    if not second.served:
        return _open(f"a page with skip is refused: {_refusal_in_words(second.reply)}")
    honoured = skip_honoured(seen)
    if honoured is None:
        return _open("the page with skip holds neither the contacts it should, nor the first ones")
    if honoured:
        return _told("honoured: it counts contacts", skip_handling="honour")
    echo = second.count("skip")
    if echo == second.skip:
        return _told("ignored, and echoed as asked", skip_handling="ignore", ignored_skip_echo="asked")
    if echo == 0:
        return _told("ignored, and echoed as 0", skip_handling="ignore", ignored_skip_echo="served")
    return _told("ignored", skip_handling="ignore")


def envelope(seen: Seen) -> _Told:
    """Read where paging fields are."""
    pages = _pages(seen)
    if not pages:
        return _missing(seen)
    nested, top = any(page.nested for page in pages), any(page.top for page in pages)
    if nested and top:
        return _told("in data and beside it", envelope="both")
    if nested or top:
        return _told("in data" if nested else "beside data", envelope="nested" if nested else "top")
    return _open("no page has a paging field")


def echo(seen: Seen) -> _Told:
    """Read whether ``skip`` and ``limit`` are echoed."""
    pages = _pages(seen)
    if not pages:
        return _missing(seen)
    told = {name for page in pages for name in ("skip", "limit") if page.said(name) is not None}
    if len(told) == 1:
        return _told(f"only {told.pop()}")
    return _told("skip and limit" if told else "neither skip nor limit", echo=bool(told))


def total(seen: Seen) -> _Told:
    """Read what ``totalResults`` counts."""
    pages = _pages(seen)
    if _first(seen) is None:
        return _missing(seen)
    said = [page.said("totalResults") for page in pages]
    if all(each is None for each in said):
        return _told("missing", total="missing")
    value = pages[0].count("totalResults")
    if value is None:
        return _told("sometimes there, or no number")
    if isinstance(said[0], str):
        return _told("a string", total="string")
    if _counts_pages(pages):
        return _told("the page", total="page")
    return _total_and_length(seen, value)


def _total_and_length(seen: Seen, value: int) -> _Told:
    contacts, least = length(seen), at_least(seen)
    if contacts == value:
        return _told("the list", total="list")
    if value < least and value and value % 1000 == 0:
        return _told(f"the list, but never more than {value:,}", total="capped", total_cap=value)
    if contacts is not None:
        error = value - contacts
        return _told(f"a wrong number: {error:+,}", total="wrong", total_error=error)
    if value < least:
        return _open("a wrong number: there are more contacts than it says, the end was not seen")
    entry = seen.entry or {}
    if skip_honoured(seen) is not True and value == as_count(entry.get("totalRecordCount")):
        return _told("the list, as totalRecordCount agrees; its end was not seen", total="list")
    return _open("the end of the list was not seen, or not where the total says")


def has_more(seen: Seen) -> _Told:
    """Read whether ``hasMore`` is there, and right."""
    pages = _pages(seen)
    if _first(seen) is None:
        return _missing(seen)
    said = [page.said("hasMore") for page in pages]
    if all(each is None for each in said):
        return _told("missing", has_more="missing")
    if all(isinstance(each, str) for each in said):
        return _told("a string", has_more="string")
    if not all(isinstance(each, bool) for each in said):
        return _told("sometimes there, or of another type")
    contacts, least, moves = length(seen), at_least(seen), _moves(seen)
    middle = {page.said("hasMore") for page in pages if page.rows and page.skip * moves + page.rows < least}
    end = {page.said("hasMore") for page in pages if page.rows and page.skip * moves + page.rows == contacts}
    if middle == {False} and end <= {False}:
        return _told("false in the middle of the list", has_more="always_false")
    if middle <= {True} and end == {True}:
        return _told("true at the end", has_more="always_true")
    if middle == {True} and end == {False}:
        return _told("right, also at the end", has_more="right")
    if middle == {True} and not end:
        return _open("true where there is more; the end of the list was not seen")
    if not middle and end <= {False}:
        return _open("only the end of the list was seen")
    return _told("sometimes wrong")


def order(seen: Seen) -> _Told:
    """Read the order of the contacts, and how ids are made."""
    pairs = _pairs(seen)
    if _first(seen) is None:
        return _missing(seen)
    if len(pairs) < _ENOUGH or len({created for created, _ in pairs}) < _ENOUGH:
        return _open(f"fewer than {_ENOUGH} contacts with different createdAt were seen")
    created, ids = [each for each, _ in pairs], [each for _, each in pairs]
    by_creation = [each for _, each in sorted(pairs)]
    made = {"ids": "ascending" if by_creation == sorted(by_creation) else "random"}
    suffix = "; ids rise with it" if made["ids"] == "ascending" else "; ids do not rise with it"
    if created == sorted(created):
        return _told(f"createdAt, the oldest first{suffix}", sort="insertion", **made)
    if created == sorted(created, reverse=True):
        return _told(f"createdAt, the newest first{suffix}", sort="newest_first", **made)
    if ids == sorted(ids):
        return _told("by id, not by createdAt", sort="id", **made)
    return _told("neither createdAt nor id", **made)


def _pairs(seen: Seen) -> list[tuple[str, str]]:
    """Return ``createdAt`` and id of the contacts seen, in the list's order."""
    found: dict[int, tuple[str, str]] = {}
    for page in _pages(seen):
        for number, (created, identifier) in enumerate(zip(page.created, page.ids, strict=False)):
            found.setdefault(page.skip * _moves(seen) + number, (created, str(identifier)))
    return [found[place] for place in sorted(found)]


# --- The catalogue ----------------------------------------------------------------------------------------------------


def catalogue_updated_at(seen: Seen) -> _Told:
    """Compare the catalogue's ``updatedAt`` with the list's own."""
    if seen.chosen is None:
        return _missing(seen)
    if seen.entry is None:
        return _open("the catalogue does not have this list")
    if seen.details is None:
        return _open(_NO_REQUEST if seen.out_of_requests else "the list's own details are refused")
    told, own = seen.entry.get("updatedAt"), seen.details.get("updatedAt")
    if told is None:
        return _told("missing in the catalogue", catalogue_updated_at="missing")
    if own is None:
        return _open("missing in the list's own details")
    if told == own == seen.details.get("createdAt"):
        return _open("the list has not changed since it was made")
    if told == own:
        return _told("the list's", catalogue_updated_at="list")
    if told == seen.details.get("createdAt"):
        return _told("the list's createdAt, not its updatedAt", catalogue_updated_at="stale")
    return _told("another than the list's, for which the simulator has no setting")


def updated_at_moves(seen: Seen) -> _Told:
    """Compare the list's ``updatedAt`` with its ``createdAt`` and with its contacts'."""
    if seen.chosen is None:
        return _missing(seen)
    if seen.details is None:
        return _open(_NO_REQUEST if seen.out_of_requests else "the list's own details are refused")
    made, moved = _instant(seen.details.get("createdAt")), _instant(seen.details.get("updatedAt"))
    newest = max(filter(None, (_instant(created) for created, _ in _pairs(seen))), default=None)
    if moved is None or newest is None:
        return _open("updatedAt of the list, or createdAt of its contacts, is missing")
    if newest > moved + TOLERANCE:
        return _told("no: contacts were added after it", updated_at_moves=False)
    if made is not None and newest > made + TOLERANCE and moved > made + TOLERANCE:
        return _told("yes: it is not older than the newest contact that was seen", updated_at_moves=True)
    return _open("no contact was seen that is newer than the list itself")


def record_count(seen: Seen) -> _Told:
    """Compare ``totalRecordCount`` with the list, and across the catalogue."""
    if seen.chosen is None or _first(seen) is None:
        return _missing(seen)
    if seen.entry is None:
        return _open("the catalogue does not have this list")
    if "totalRecordCount" not in seen.entry:
        return _told("missing", record_count="missing")
    count = as_count(seen.entry["totalRecordCount"])
    if count != 0:
        contacts = length(seen)
        if contacts is None and not skip_honoured(seen) and count == seen.pages[0].count("totalResults"):
            contacts = count
        if contacts is None:
            return _open("the end of the list was not seen")
        if count != contacts:
            return _told("wrong for this list, for which the simulator has no setting")
    return _by_source(seen, right=count != 0)


def _by_source(seen: Seen, *, right: bool) -> _Told:
    """Say what lists of both kinds tell: those that are fed over an API, and those that come from files."""
    counts: dict[bool, set[bool]] = {True: set(), False: set()}
    for each in seen.catalogue:
        counts[each.get("source") in _API_SOURCES].add(bool(as_count(each.get("totalRecordCount"))))
    fed, filed = counts[True], counts[False]
    if (seen.entry or {}).get("source") in _API_SOURCES:
        if right:
            return _told("right, although the list is fed over an API", record_count="right")
        if True in filed:
            return _told("0 for lists that are fed over an API", record_count="by_source")
    else:
        if not right:
            return _told("0, although the list comes from a file", record_count="zero")
        if True in fed:
            return _told("right, also for lists that are fed over an API", record_count="right")
        if fed:
            return _told("right, but 0 for lists that are fed over an API", record_count="by_source")
    return _told("right for this list" if right else "0 for this list")


# --- Refusals, limits, time -------------------------------------------------------------------------------------------


def unknown_id(seen: Seen) -> _Told:
    """Read the answer to an id that no list has."""
    reply = seen.unknown
    if reply is None:
        return _open(_NO_REQUEST)
    words = _refusal_in_words(reply)
    payload = reply.payload or {}
    status = payload.get("status")
    if reply.error is None:
        empty = payload.get("data") in (None, {}, [])
        if not empty:
            return _told(f"{words}, with data for a list that is none")
        return _told(words, unknown_id="empty_200")
    if reply.status in (400, 404):
        return _told(words, unknown_id=str(reply.status))
    if reply.status == 200:  # noqa: PLR2004
        named = {"failure_status": status} if status in ("error", "failure", "Error") else {}
        return _told(words, unknown_id="error_200", **named)
    return _told(f"{words}, for which the simulator has no setting")


def error_key(seen: Seen) -> _Told:
    """Read how a refusal's text is named."""
    refused = [page.reply for page in seen.pages if not page.served]
    replies = [reply for reply in (seen.unknown, *refused) if reply is not None and reply.error is not None]
    for reply in replies:
        errors = (reply.payload or {}).get("errors")
        for each in errors if isinstance(errors, list) else [errors]:
            for key in ("msg", "message"):
                if isinstance(each, Mapping) and isinstance(each.get(key), str):
                    return _told(f"{key}, in errors", error_key=key)
    return _open("no refusal with errors was met")


def limit_headers(seen: Seen) -> _Told:
    """Read the names and values of headers about limits."""
    if not seen.limit_headers:
        return _told("none", limit_headers="none")
    shown = ", ".join(f"{quoted(name, 40)}: {_number(value)}" for name, value in sorted(seen.limit_headers.items()))
    known = {"X-RateLimit", "RateLimit"}
    families = {name[: -len("-Limit")] for name in seen.limit_headers if name.endswith("-Limit")} & known
    return _told(shown, **({"limit_headers": families.pop()} if len(families) == 1 else {}))


def latency(seen: Seen) -> _Told:
    """Read the median time of a page."""
    pages = _pages(seen)
    if not pages:
        return _missing(seen)
    seconds = median(page.reply.seconds for page in pages)
    return _told(f"{1000 * seconds:,.0f} ms, the median of {len(pages)}", latency=round(seconds, 3))


def other_version(seen: Seen) -> _Told:
    """Read whether the other version of the API answers, too."""
    reply = seen.other_version
    name = "v1" if seen.api_version == "v2" else "v2"
    if reply is None:
        return _open(_NO_REQUEST)
    return _told(f"{name} answers" if reply.error is None else f"{name}: {_refusal_in_words(reply)}")


Question = tuple[str, str, Callable[["Seen"], _Told]]

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
    ("other version", "its catalogue", other_version),
)
"""Name, how it is found out, and the function that reads it."""


def _refusal_in_words(reply: Reply) -> str:
    return f"HTTP {reply.status}, {_shape(reply.payload) if reply.payload is not None else 'no JSON object'}"


def _shape(value: object, depth: int = 0) -> str:
    """Return the shape of a JSON value: documented keys, types, and no text but documented phrases."""
    if isinstance(value, Mapping) and depth < 4:  # noqa: PLR2004
        known = [f"{key}: {_shape(each, depth + 1)}" for key, each in value.items() if key in _KNOWN_KEYS]
        others = ["…"] if len(known) < len(value) else []
        return "{" + ", ".join(known + others) + "}"
    if isinstance(value, list) and depth < 4:  # noqa: PLR2004
        return f"[{_shape(value[0], depth + 1)}{', …' if len(value) > 1 else ''}]" if value else "[]"
    if isinstance(value, str):
        return f'"{quoted(value)}"' if value.lower() in _KNOWN_TEXTS else "text"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int) and 0 <= value < 10_000:  # noqa: PLR2004 - a status or a code
        return str(value)
    return "number" if isinstance(value, (int, float)) else "…"


def _number(value: str) -> str:
    """Return a header's value if it is made of numbers and their marks."""
    return quoted(value, 40) if re.fullmatch(r"[0-9][0-9 ,;.=wqrt\"]{0,39}", value) else "(not shown)"


def _instant(value: object) -> float | None:
    try:
        return datetime.fromisoformat(value).timestamp() if isinstance(value, str) else None
    except (ValueError, OverflowError):
        return None
