"""The check of values that people write by hand: settings, and what a fault is told."""

from __future__ import annotations

from dataclasses import fields
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin, get_type_hints

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def check_types(instance: DataclassInstance) -> None:
    """Raise ValueError with a sentence if a field's value is not what its annotation says."""
    hints = _hints(type(instance))
    for field in fields(instance):
        _check(field.name, getattr(instance, field.name), hints[field.name])


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _check(name: str, value: object, hint: Any) -> None:
    if hint is Any:
        return
    if get_origin(hint) is Literal:
        if value not in get_args(hint):
            raise ValueError(f"{name}={value!r}: use one of {', '.join(map(repr, get_args(hint)))}")
        return
    # True is an int to Python, but latency=True is a slip of the pen.
    slip = isinstance(value, bool) and hint is not bool
    if slip or not isinstance(value, (int, float) if hint is float else hint):
        raise ValueError(f"{name}={value!r}: use a value of type {getattr(hint, '__name__', hint)}")
