"""Which campaigns are meant: their type, and filters on them. Checked before a request is spent."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from difflib import get_close_matches
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Self

from airflow_provider_kore.exceptions import ContractError, ParameterError
from airflow_provider_kore.quoting import quoted

if TYPE_CHECKING:
    from airflow_provider_kore.walk.page import Page

log = logging.getLogger(__name__)

CAMPAIGN_TYPES: Final = ("voice", "sms")
"""One of them has to be named (docs.kore.ai, get all campaign details)."""

STATUSES: Final = ("Active", "Completed", "Ready", "Paused", "Preparing", "Stopped", "Scheduled", "Rescheduled")
"""What the vendor documents as a campaign's ``status``. Its UI knows more (*Rerun*, *Run as emergency*)."""

_MISSPELT: Final = 0.85
"""How alike (0 to 1) a status that is not documented and one that is must be to count as a slip of the pen."""

_LISTS: Final = {"status": "status", "priority": "priority", "dialing_mode": "dialingMode"}
_DATES: Final = {"start_date": "startDate", "end_date": "endDate"}
FILTERS: Final = (*_LISTS, *_DATES)
"""Names of the filters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignQuery:
    """Some of an application's campaigns. Built by :meth:`parse`."""

    campaign_type: str
    filters: Mapping[str, tuple[str, ...] | str] = field(default_factory=lambda: MappingProxyType({}))
    """By the names in :data:`FILTERS`; those that are not there let everything pass."""

    @classmethod
    def parse(cls, campaign_type: object = "voice", filters: object = None) -> Self:
        """Check the parameters of these names.

        :param filters: ``status``, ``priority`` and ``dialing_mode`` with a value or a list of them, ``start_date``
            and ``end_date`` as YYYY-MM-DD or as an instant such as ``2026-01-02T03:04:05.678Z``.

        Raises ParameterError.
        """
        if campaign_type not in CAMPAIGN_TYPES:
            raise ParameterError("campaign_type", f"is {campaign_type!r}", f"pass one of {', '.join(CAMPAIGN_TYPES)}")
        if filters is None or filters == "":
            filters = {}
        if not isinstance(filters, Mapping):
            raise ParameterError("filters", "is not a dictionary", f"use the keys {', '.join(FILTERS)}")
        unknown = [repr(name) for name in filters if name not in FILTERS]
        if unknown:
            raise ParameterError("filters", f"has no key {', '.join(unknown)}", f"use {', '.join(FILTERS)}")
        checked: dict[str, tuple[str, ...] | str] = {}
        for name in FILTERS:
            if filters.get(name) is not None:
                checked[name] = _values(name, filters[name]) if name in _LISTS else _date(name, filters[name])
        start, end = checked.get("start_date"), checked.get("end_date")
        if start is not None and end is not None and _instant("start_date", start) > _instant("end_date", end):
            raise ParameterError("filters", f"begins on {start} and ends on {end}", "exchange the two dates")
        return cls(campaign_type=str(campaign_type), filters=MappingProxyType(checked))

    @property
    def body(self) -> dict[str, object]:
        """The query as the vendor spells it."""
        lists: dict[str, list[object]] = {
            _LISTS[name]: [*(map(int, value) if name == "priority" else value)]
            for name, value in self.filters.items()
            if name in _LISTS
        }
        dates = {_DATES[name]: _instant(name, value) for name, value in self.filters.items() if name in _DATES}
        return {"type": self.campaign_type, **dates, **({"filters": lists} if lists else {})}

    def describe(self) -> dict[str, object]:
        """Return the filters as JSON values, for manifests."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in self.filters.items()}

    def checked(self, page: Page) -> Page:
        """Return a page that holds no campaign that was not asked for, as far as it tells. Raises ContractError."""
        for record in page.records:
            for name, spelled in _LISTS.items():
                value = record.value.get(spelled)
                if name in self.filters and value is not None and str(value) not in self.filters[name]:
                    raise ContractError(
                        f"The server ignores the filter {name!r}: campaign {quoted(record.id)} does not pass it. Leave "
                        "the filter out, and ask Kore.ai support about it."
                    )
        return page


def _values(name: str, given: object) -> tuple[str, ...]:
    values = [given] if isinstance(given, (str, int)) else given
    advice = "pass a value or a list of them, or leave the filter out"
    if not isinstance(values, (list, tuple, set, frozenset)) or not values:
        raise ParameterError("filters", f"{name!r} is {given!r}", advice)
    texts = sorted(str(value) for value in values)
    if not all(isinstance(value, (str, int)) and not isinstance(value, bool) for value in values) or "" in texts:
        raise ParameterError("filters", f"{name!r} is {given!r}", advice)
    if name == "status":
        check_spelling("filters", texts, STATUSES)
    if name == "priority":
        if not all(re.fullmatch(r"-?[0-9]{1,9}", text) for text in texts):
            raise ParameterError("filters", f"{name!r} is {given!r}", "pass numbers such as 1, or leave the filter out")
        texts = sorted({str(int(text)) for text in texts})
    return tuple(texts)


def check_spelling(parameter: str, values: Sequence[str], documented: Sequence[str]) -> None:
    """Refuse a value that is a misspelt documented one; any other is taken as it is, with a warning.

    The vendor's UI knows statuses that no page lists, so one that is not documented may well exist.

    Raises ParameterError.
    """
    by_lower = {known.lower(): known for known in documented}
    for value in values:
        if value in documented:
            continue
        close = get_close_matches(value.strip().lower(), by_lower, n=1, cutoff=_MISSPELT)
        if close:
            raise ParameterError(
                parameter,
                f"there is no status {value!r}",
                f"use {', '.join(documented)}; did you mean {by_lower[close[0]]!r}",
            )
        log.warning(
            "The status %r of parameter %r is none of the documented ones (%s). It is taken as it is.",
            value,
            parameter,
            ", ".join(documented),
        )


def _instant(name: str, value: object) -> str:
    """Return a date of the filters as the vendor spells it: ``2025-12-01T00:00:00.000Z``. A last day is in."""
    text = str(value)
    if len(text) == _DAY:
        return f"{text}T{'23:59:59.999' if name == 'end_date' else '00:00:00.000'}Z"
    moment = datetime.fromisoformat(text).astimezone(UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


_DAY: Final = len("2025-12-01")


def _date(name: str, given: object) -> str:
    text = str(given).strip()
    try:
        good = bool(re.fullmatch(r"\d{4}-\d{2}-\d{2}(T[0-9:.]+(Z|[+-]\d{2}:\d{2}))?", text))
        datetime.fromisoformat(_instant(name, text))
    except (ValueError, OverflowError):
        good = False
    if not good:
        raise ParameterError(
            "filters", f"{name!r} is {given!r}", "pass YYYY-MM-DD, or an instant such as 2026-01-02T03:04:05.678Z"
        )
    return text
