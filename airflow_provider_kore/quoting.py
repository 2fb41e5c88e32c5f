"""Text that others chose (the server, a bucket, a file), made fit for an error, a log line, an event or XCom."""

from __future__ import annotations

from typing import Final

MOST_SHOWN: Final = 80
"""Characters of a quoted text at the most: enough for any id or instant."""

_READ_AT_MOST: Final = 10_000
"""Characters that are looked at: a server's string may have millions."""


def quoted(value: object, most: int = MOST_SHOWN) -> str:
    r"""Return the text of a value on one line of printable characters, shortened to ``most`` of them.

    Control characters, line breaks, terminal sequences, marks that turn the direction of writing, invisible ones
    and lone surrogates become escapes such as ``\n``, ``\x1b``, ``\u202e``, and a backslash becomes two: what is shown
    can be told from what was sent. It puts no quotation marks around it. Never raises: a value whose ``str`` fails is
    shown by the name of its type.
    """
    pieces = [_printable(character) for character in _text_of(value)[: most + 1]]
    if sum(map(len, pieces)) <= most:
        return "".join(pieces)
    while pieces and sum(map(len, pieces)) >= most:
        pieces.pop()
    return "".join(pieces) + "…"


def number_of(value: object) -> float:
    """Return a number, also one that is written as text; not-a-number for anything else."""
    try:
        return float("nan") if isinstance(value, bool) else float(str(value))
    except (ValueError, OverflowError):
        return float("nan")


def count(number: int, one: str, several: str | None = None) -> str:
    """Return a number with its noun: ``1 retry``, ``2,000 retries``.

    :param several: the noun's plural; None: it ends in s.
    """
    return f"{number:,} {one if number == 1 else several or f'{one}s'}"


def _text_of(value: object) -> str:
    if isinstance(value, str):
        return str.__str__(value[:_READ_AT_MOST])
    if isinstance(value, (bytes, bytearray)):
        return bytes(value[:_READ_AT_MOST]).decode("utf-8", "backslashreplace")
    try:
        return str(value)[:_READ_AT_MOST]
    except Exception:  # noqa: BLE001 - integers of 5,000 digits, foreign objects: an error message must not fail
        return f"<{type(value).__name__}>"


def _printable(character: str) -> str:
    if character == "\\":
        return "\\\\"
    # Not printable are controls, format characters (bidi, zero width), surrogates, private use and odd spaces.
    return character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
