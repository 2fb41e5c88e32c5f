"""What operators and sensors take, declared once; and values as an author wrote them, or as a template rendered them.

Each ``check_…`` returns what is meant, the same for both, and raises ParameterError with the parameter's name, what was
given, and what to pass instead.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import date, timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_kore.exceptions import ParameterError
from airflow_provider_kore.quoting import number_of, quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

REQUIRED: Final = object()
"""In place of a default: the parameter has to be given."""

LONGEST_DURATION: Final = 31_622_400.0
"""Seconds (366 days) of any wait, interval or deadline: more is no number that dates and clocks can count."""

_DECLARED: Final = "parameter"
_LONGEST_TEXT: Final = 100_000
"""Characters of a rendered list or dictionary that is read."""

_DEEPEST: Final = 8
LONGEST_PREFIX: Final = 512
"""Bytes; keys end at 1,024, and partitions, names and ids want their share."""

_BUCKET = re.compile(
    r"[a-zA-Z0-9._-]{1,255}"
    r"|arn:aws[a-z-]*:(?:s3|s3-object-lambda):[a-z0-9-]*:[0-9]{12}:accesspoint[/:][a-zA-Z0-9.-]{1,63}"
    r"|arn:aws[a-z-]*:s3-outposts:[a-z0-9-]+:[0-9]{12}:outpost[/:][a-zA-Z0-9-]{1,63}[/:]accesspoint[/:][a-zA-Z0-9-]{1,63}"
)
"""What boto3 takes: names as AWS gives them today (directory buckets and access point aliases among them), older ones
and those of other stores (capitals, underscores), and the ARNs of access points. Source: botocore, ``handlers.py``."""

_template = re.compile(r"\{\{|\{%")


def as_given(_: str, value: Any) -> Any:
    """Check nothing: what takes the value does."""
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One parameter of an operator or a sensor; the other place where it stands is the signature, with its default."""

    doc: str
    default: Any = REQUIRED
    """Of a dataclass that knows no signature, as a DAG's author would write it."""
    check: Callable[[str, Any], Any] = as_given
    """Takes the name and what was given; returns what is meant, or raises ParameterError."""
    templated: bool = False
    is_json: bool = False
    """Whether Airflow's UI shows what was rendered as JSON."""


def operator_parameter(check: Callable[[str, Any], Any] = as_given, **said: Any) -> Any:
    """Declare an attribute of an operator or a sensor as a parameter of it; its annotation is its type once it is set.

    :param said: doc, templated, is_json of :class:`Parameter`.
    """
    return Parameter(check=check, **said)


def parameter(
    check: Callable[[str, Any], Any], default: Any = REQUIRED, *, name: str | None = None, **said: Any
) -> Any:
    """Declare an attribute of a dataclass as what it makes of an operator's parameter.

    :param name: of the parameter; None: that of the attribute.
    :param said: doc, templated, is_json of :class:`Parameter`.
    """
    return field(metadata={_DECLARED: (name, Parameter(check=check, default=default, **said))})


def parameters_of(kind: type) -> dict[str, Any]:
    """Return the parameters that a dataclass declares, by name: for an operator to take over as its own."""
    return {name: declared for name, (_, declared) in _declared(kind).items()}


def optional(one: Parameter) -> Any:
    """Return a parameter as another one declares it that has to be given, to leave out: then it is None."""
    return replace(one, default=None, check=unless_missing(one.check))


def checked(
    kind: type, given: Mapping[str, object], called: Mapping[str, str] = MappingProxyType({})
) -> dict[str, Any]:
    """Return the attributes of a dataclass for what was given for its parameters, or else for their defaults.

    :param called: what messages call a parameter, where that is not its name.

    Raises ParameterError, and TypeError for a parameter that it does not declare or that is missing.
    """
    declared = _declared(kind)
    unknown = [name for name in given if name not in declared]
    missing = [name for name, (_, one) in declared.items() if one.default is REQUIRED and name not in given]
    if unknown or missing:
        raise TypeError(f"{kind.__name__} has no parameter {unknown}" if unknown else f"{missing} must be given")
    return {
        attribute: one.check(called.get(name, name), given.get(name, one.default))
        for name, (attribute, one) in declared.items()
    }


def _declared(kind: Any) -> dict[str, tuple[str, Parameter]]:
    """Return by the parameter's name the attribute's, and the declaration."""
    found = {each.name: each.metadata.get(_DECLARED) for each in fields(kind)}
    return {one[0] or attribute: (attribute, one[1]) for attribute, one in found.items() if one is not None}


def shown(value: object) -> str:
    """Return a value as a message shows it, on one short line; a string in quotes."""
    return f"'{quoted(value)}'" if isinstance(value, str) else quoted(value)


def is_missing(value: object) -> bool:
    """Say whether nothing was given: None, no text, or what a template makes of None."""
    return value is None or (isinstance(value, str) and value.strip() in {"", "None", "null"})


def unless_missing(check: Callable[[str, Any], Any]) -> Callable[[str, Any], Any]:
    """Return a check that makes None of what is missing."""
    return lambda name, value: None if is_missing(value) else check(name, value)


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
    number = number_of(value)
    if not least <= number <= most or number == float("inf") or (whole and not number.is_integer()):
        kind = "a whole number" if whole else "a number"
        bounds = f"{least:g} or more" if most == float("inf") else f"from {least:g} to {most:g}"
        raise ParameterError(parameter, f"is {shown(value)}", f"pass {kind}, {bounds}")
    return number


def check_seconds(parameter: str, value: object, *, least: float = 0.0) -> float:
    """Return a duration in seconds, also one that was given as a timedelta."""
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    return check_number(parameter, seconds, least=least, most=LONGEST_DURATION)


def check_count(parameter: str, value: object, *, least: int, default: int) -> int:
    """Return a whole number; the default for what is missing."""
    return default if is_missing(value) else int(check_number(parameter, value, least=least, most=10**15, whole=True))


def check_text(parameter: str, value: object, example: str) -> str:
    """Return a name, such as that of a connection."""
    if not isinstance(value, str) or is_missing(value):
        raise ParameterError(parameter, f"is {shown(value)}", f"pass a name such as {example!r}")
    return value.strip()


def check_bucket(value: object) -> str:
    """Return a bucket's name. Raises ParameterError."""
    if not isinstance(value, str) or not _BUCKET.fullmatch(value):
        raise ParameterError(
            "s3_bucket",
            f"{value!r} is no name of a bucket",
            "pass the bare name or the ARN of an access point, without s3:// and without a path",
        )
    return value


def check_prefix(parameter: str, value: object) -> str:
    """Return a key prefix without a slash at its end. Raises ParameterError."""
    if not isinstance(value, str):
        raise ParameterError(parameter, f"is {shown(value)}", "pass a string such as 'kore/contact_lists'")
    advice = "pass a path such as 'kore/contact_lists'"
    if value.startswith("/"):
        problem = f"{shown(value)} begins with a slash, which S3 takes for an empty folder"
        raise ParameterError(parameter, problem, advice)
    parts = value.rstrip("/").split("/") if value else []
    if any(part in {"", ".", ".."} for part in parts):
        raise ParameterError(
            parameter, f"{shown(value)} has an empty, '.' or '..' part, which many readers resolve or refuse", advice
        )
    if not value.isprintable():
        raise ParameterError(parameter, "holds a control character", advice)
    if len(value.encode()) > LONGEST_PREFIX:
        raise ParameterError(
            parameter, f"is longer than {LONGEST_PREFIX} bytes", "S3 keys end at 1,024; choose a shorter prefix"
        )
    return "/".join(parts)
