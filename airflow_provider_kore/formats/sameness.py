"""Whether two values say the same, whatever type a format gave them."""

from __future__ import annotations

import re
from decimal import Decimal

from airflow_provider_kore.formats.columns import instant

_number = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?", re.ASCII).fullmatch


def loosely(value: object) -> object:
    """Return the same for a string and for the number, time or boolean that it spells."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, (str, tuple)):
        return value
    text = str(value[0]) if isinstance(value, tuple) else value
    at = instant(text)
    if at is not None:
        return ("at", at)
    if not _number(text):
        return text
    try:
        return Decimal(text)
    except ArithmeticError:  # an exponent of more than 18 digits
        return text
