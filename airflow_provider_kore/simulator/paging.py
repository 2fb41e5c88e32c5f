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

    :param items: JSON texts.
    :param cut: the items at ``(skip, limit)`` of the same list, for faults that serve other items than asked.
    :param total: number of items in the list.
    :param asked_skip: offset that the request named.
    :param skip: offset of the items.
    """

    items: tuple[str, ...]
    cut: Callable[[int, int], tuple[str, ...]]
    total: int
    asked_skip: int
    skip: int
    limit: int
    has_more: bool
    echo_skip: int
    total_error: int = 0


def cut_page(items: Callable[[int, int], list[str]], total: int, asked: Mapping[str, Any], settings: Settings) -> Page:
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
        items=cut(skip, limit),
        cut=cut,
        total=total,
        asked_skip=asked_skip,
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


def print_page(page: Page, message: str, settings: Settings) -> bytes:
    """Print the page's JSON."""
    facts: dict[str, object] = {}
    if settings.echo:
        facts.update(skip=page.echo_skip, limit=page.limit)
    if settings.has_more != "missing":
        facts["hasMore"] = {
            "right": page.has_more,
            "always_true": True,
            "always_false": False,
            "string": "true" if page.has_more else "false",
        }[settings.has_more]
    counted = page.total if settings.total == "page" else _total(page, settings)
    facts |= _totals(page, counted, settings)
    inside = facts if settings.envelope != "top" else {}
    return _printed(page, message, inside, facts if settings.envelope != "nested" else {})


def print_numbered_page(page: Page, message: str, settings: Settings) -> bytes:
    """Print the JSON of a page that has a number instead of an offset, and no ``hasMore``; always in ``data``."""
    facts: dict[str, object] = {}
    if settings.echo:
        whole, rest = divmod(page.echo_skip, page.limit)
        facts.update(page=whole + 1 + rest, limit=page.limit)  # there is a rest only if a fault moved the echo
    return _printed(page, message, facts | _totals(page, _total(page, settings), settings), {})


def _printed(page: Page, message: str, inside: Mapping[str, object], outside: Mapping[str, object]) -> bytes:
    """Print a page with its paging fields, inside of ``data`` and beside it."""
    told = json.dumps({"status": "success", "message": message, "data": {"results": [], **inside}, **outside})
    # A contact given as text may hold a lone surrogate that is not escaped.
    return told.replace("[]", f"[{','.join(page.items)}]", 1).encode(errors="surrogatepass")


def _totals(page: Page, counted: int, settings: Settings) -> dict[str, object]:
    if settings.total == "missing":
        return {}
    totals = {"totalPages": -(-counted // page.limit), "totalResults": _total(page, settings)}
    return {name: str(count) if settings.total == "string" else count for name, count in totals.items()}


def _total(page: Page, settings: Settings) -> int:
    total = page.total
    if settings.total == "page":
        total = len(page.items)
    elif settings.total == "wrong":
        total += settings.total_error
    elif settings.total == "capped":
        total = min(total, settings.total_cap)
    return max(0, total + page.total_error)
