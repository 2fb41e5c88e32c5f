"""Values as the author of a DAG wrote them, or as a template rendered them: the same is meant by both.

Each function returns a checked value, and raises ParameterError with the parameter's name, what was given, and what to
pass instead.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING, Final

from airflow_provider_kore.exceptions import ParameterError
from airflow_provider_kore.quoting import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

_LONGEST_TEXT: Final = 100_000
"""Characters of a rendered list or dictionary that is read."""

_DEEPEST: Final = 8
_template = re.compile(r"\{\{|\{%")


def shown(value: object) -> str:
    """Return a value as a message shows it, shortened; a string in quotes."""
    try:
        return quoted(repr(value))
    except ValueError:  # an integer of more than 4,300 digits
        return f"a {type(value).__name__}"


def is_missing(value: object) -> bool:
    """Say whether nothing was given: None, no text, or what a template makes of None."""
    return value is None or (isinstance(value, str) and value.strip() in {"", "None", "null"})


def refuse_templates(values: Mapping[str, object]) -> None:
    """Refuse values in which a template was left: it would pass for a name.

    :param values: by parameter.
    """
    for parameter, value in values.items():
        if any(_template.search(text) for text in _texts(value)):
            raise ParameterError(
                parameter,
                f"still holds a template, {shown(value)}",
                "check its braces, and that nothing passes a template on inside another one's value",
            )


def _texts(value: object, depth: int = 0) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif depth < _DEEPEST and isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _texts(name, depth + 1)
            yield from _texts(inner, depth + 1)
    elif depth < _DEEPEST and isinstance(value, (list, tuple, set, frozenset)):
        for inner in value:
            yield from _texts(inner, depth + 1)


def structure(parameter: str, value: object) -> object:
    """Return a list or a dictionary, also one that a template rendered to text: as JSON, or as Python writes it.

    Anything else is returned as it is, and None for what is missing.
    """
    if is_missing(value):
        return None
    if not isinstance(value, str) or value.strip()[:1] not in {"[", "{", "("}:
        return value
    text = value.strip()
    if len(text) > _LONGEST_TEXT:
        raise ParameterError(parameter, f"is a text of {len(text):,} characters", f"pass at most {_LONGEST_TEXT:,}")
    for read in (json.loads, ast.literal_eval):
        try:
            found: object = read(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
            continue
        return found
    raise ParameterError(parameter, f"is {shown(value)}", "pass a list or a dictionary, or one of them as JSON")


def check_date(parameter: str, value: object) -> str:
    """Return a date as YYYY-MM-DD."""
    text = str(value).strip()
    try:
        # fromisoformat alone would take 20260102 and 2026-W01-5 as well
        day = date.fromisoformat(text) if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text, re.ASCII) else None
    except ValueError:
        day = None
    if day is None:
        raise ParameterError(
            parameter, f"is {shown(value)}", "pass a date as YYYY-MM-DD, or leave it out for the run's own"
        )
    return day.isoformat()


def check_boolean(parameter: str, value: object) -> bool:
    """Return a boolean, also one that a template rendered to text."""
    if isinstance(value, bool):
        return value
    found = {"true": True, "false": False}.get(str(value).strip().lower()) if isinstance(value, str) else None
    if found is None:
        raise ParameterError(parameter, f"is {shown(value)}", "pass True or False")
    return found


def check_choice(parameter: str, value: object, choices: tuple[str, ...]) -> str:
    """Return one of the choices."""
    text = value.strip() if isinstance(value, str) else value
    if not isinstance(text, str) or text not in choices:
        raise ParameterError(parameter, f"is {shown(value)}", f"pass one of {', '.join(choices)}")
    return text


def check_number(
    parameter: str, value: object, *, least: float, most: float = float("inf"), whole: bool = False
) -> float:
    """Return a number within bounds."""
    try:
        number = float("nan") if isinstance(value, bool) else float(str(value))
    except (ValueError, OverflowError):
        number = float("nan")
    if not least <= number <= most or number == float("inf") or (whole and not number.is_integer()):
        kind = "a whole number" if whole else "a number"
        bounds = f"{least:g} or more" if most == float("inf") else f"from {least:g} to {most:g}"
        raise ParameterError(parameter, f"is {shown(value)}", f"pass {kind}, {bounds}")
    return number


def check_count(parameter: str, value: object, *, least: int, default: int) -> int:
    """Return a whole number; the default for what is missing."""
    return default if is_missing(value) else int(check_number(parameter, value, least=least, most=10**15, whole=True))


def check_text(parameter: str, value: object, example: str) -> str:
    """Return a name, such as that of a connection."""
    if not isinstance(value, str) or is_missing(value):
        raise ParameterError(parameter, f"is {shown(value)}", f"pass a name such as {example!r}")
    return value.strip()
