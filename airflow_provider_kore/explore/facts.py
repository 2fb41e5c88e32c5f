"""What an exploration found: every fact, and those that are not about pages."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from statistics import median
from typing import TYPE_CHECKING, Final

from airflow_provider_kore.api.answers import as_count
from airflow_provider_kore.explore import pages
from airflow_provider_kore.explore.refusals import refusal_in_words
from airflow_provider_kore.explore.seen import LARGEST, NO_REQUEST, NotLearnedError, Told, only, told
from airflow_provider_kore.quoting import quoted

if TYPE_CHECKING:
    from airflow_provider_kore.explore.seen import Seen

TOLERANCE: Final = 60.0
"""Seconds by which ``updatedAt`` may miss the ``createdAt`` of a contact and still be its doing."""

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
    ("page size without limit", "first page", pages.default_limit),
    ("largest limit", f"limit={LARGEST}, limit=1; where refused, by halves", pages.largest_limit),
    ("skip", "a page from the middle of the first", pages.skip_handling),
    ("paging fields", "all pages", pages.envelope),
    ("echo", "all pages", pages.echo),
    ("totalResults counts", "all pages, one at the end", pages.total),
    ("hasMore", "all pages, one at the end", pages.has_more),
    ("order", "createdAt and _id on all pages", pages.order),
    ("catalogue's updatedAt", "beside the list's own", catalogue_updated_at),
    ("updatedAt moves", "beside createdAt of list and contacts", updated_at_moves),
    ("totalRecordCount", "beside the end of the list, and other lists", record_count),
    ("unknown id", "details of a list that does not exist", unknown_id),
    ("text of a refusal", "every refusal that was met", error_key),
    ("limit headers", "all answers", limit_headers),
    ("time of a page", "all pages", latency),
)
"""Name, how it is found out, and the function that reads it."""
