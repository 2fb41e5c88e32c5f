"""From a request for a page to the page's JSON, along the settings that fill the vendor's silence."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_kore.simulator.answers import INVALID_ARGUMENTS, RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_provider_kore.simulator.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A page before it is printed. Faults change it with ``dataclasses.replace``.

    :param message: of the envelope.
    :param items: JSON texts.
    :param cut: the items at ``(skip, limit)`` of the same list, for faults that serve other items than asked.
    :param total: number of items in the list.
    :param skip: offset of the items.
    :param numbered: it tells its number instead of its offset, and no ``hasMore``, and always in ``data``.
    """

    message: str
    items: tuple[str, ...]
    cut: Callable[[int, int], tuple[str, ...]]
    total: int
    skip: int
    limit: int
    has_more: bool
    echo_skip: int
    total_error: int = 0
    numbered: bool = False


def cut_page(
    message: str, items: Callable[[int, int], list[str]], total: int, asked: Mapping[str, Any], settings: Settings
) -> Page:
    """Cut the page that a request means under these settings.

    :param asked: ``skip`` and ``limit``, or ``page`` from 1 in the place of ``skip``.
    :param items: JSON texts from one offset to another.
    Raises RefusedError for numbers that are none, are negative, or that the settings reject.
    """
    asked_limit = whole_number(asked.get("limit"), least=1)
    limit = _limit(asked_limit, settings)
    skip = whole_number(asked.get("skip"), least=0)
    page_number = whole_number(asked.get("page"), least=1)
    if skip is None:
        skip = 0 if page_number is None else (page_number - 1) * limit
    asked_skip = skip
    if settings.skip_handling == "ignore":
        skip = 0
    if settings.changed_limit and skip >= settings.changed_limit_from:
        limit = min(limit, settings.changed_limit)

    def cut(start: int, length: int) -> tuple[str, ...]:
        return tuple(items(max(0, start), max(0, start + length)))

    return Page(
        message=message,
        items=cut(skip, limit),
        cut=cut,
        total=total,
        skip=skip,
        limit=limit,
        has_more=skip + limit < total,
        echo_skip=asked_skip if settings.ignored_skip_echo == "asked" else skip,
    )


def _limit(asked: int | None, settings: Settings) -> int:
    if asked is None or settings.limit_handling == "ignore":
        return settings.default_limit
    if settings.limit_handling == "reject_any":
        raise RefusedError(400, INVALID_ARGUMENTS, "limit named")
    if asked <= settings.max_limit or settings.limit_handling == "honour":
        return asked
    if settings.limit_handling == "clamp":
        return settings.max_limit
    raise RefusedError(400 if settings.limit_handling == "reject_400" else 412, INVALID_ARGUMENTS, "limit too large")


def whole_number(value: object, *, least: int) -> int | None:
    """Read a paging number from a query or a body; None if it is not there.

    Raises RefusedError (412) if it is no whole number, or below ``least``. An empty text is none.
    """
    if value is None or value == "":
        return None
    try:
        number = int(value) if isinstance(value, (int, str)) and not isinstance(value, bool) else None
    except ValueError:
        number = None
    if number is None or number < least:
        raise RefusedError(412, INVALID_ARGUMENTS, "paging number")
    return number


def print_page(page: Page, settings: Settings) -> bytes:
    """Print the page's JSON."""
    facts: dict[str, object] = {}
    if settings.echo and page.numbered:
        whole, rest = divmod(page.echo_skip, page.limit)
        facts["page"] = whole + 1 + rest  # there is a rest only if a fault moved the echo
    elif settings.echo:
        facts["skip"] = page.echo_skip
    if settings.echo:
        facts["limit"] = page.limit
    if settings.has_more != "missing" and not page.numbered:
        facts["hasMore"] = {
            "right": page.has_more,
            "always_true": True,
            "always_false": False,
            "string": "true" if page.has_more else "false",
        }[settings.has_more]
    facts |= _totals(page, settings)
    envelope = "nested" if page.numbered else settings.envelope
    inside = facts if envelope != "top" else {}
    beside = facts if envelope != "nested" else {}
    told = json.dumps({"status": "success", "message": page.message, "data": {"results": [], **inside}, **beside})
    # A contact given as text may hold a lone surrogate that is not escaped.
    return told.replace("[]", f"[{','.join(page.items)}]", 1).encode(errors="surrogatepass")


def _totals(page: Page, settings: Settings) -> dict[str, object]:
    if settings.total == "missing":
        return {}
    total = page.total
    if settings.total == "page":
        total = len(page.items)
    elif settings.total == "wrong":
        total += settings.total_error
    elif settings.total == "capped":
        total = min(total, settings.total_cap)
    total = max(0, total + page.total_error)
    counted = page.total if settings.total == "page" and not page.numbered else total
    totals = {"totalPages": -(-counted // page.limit), "totalResults": total}
    return {name: str(count) if settings.total == "string" else count for name, count in totals.items()}
