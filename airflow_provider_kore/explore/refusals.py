"""The shape of a refusal in words: nothing that a server may repeat of what it was sent, or of whom it holds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from airflow_provider_kore.quoting import quoted

if TYPE_CHECKING:
    from airflow_provider_kore.explore.seen import Reply

_KNOWN_KEYS: Final = {
    *("code", "data", "description", "detail", "details", "error", "errors", "message", "msg", "name", "reason"),
    *("requestId", "results", "status", "statusCode", "success", "title", "type"),
}
"""Names that are shown; any other may say more."""

_DEEPEST: Final = 4

_KNOWN_TEXTS: Final = {
    *("success", "error", "failure", "bad request", "not found", "method not allowed", "jwt expired"),
    *("validation errors/ invalid arguments", "invalid streamid", "invalid sdk credentials", "invalid jwt token"),
    "permission denied. scope is incorrect!",
}
"""Texts that are shown: the vendor's documented ones, and those of HTTP. Any other may repeat what was sent."""


def refusal_in_words(reply: Reply) -> str:
    """Return status and shape of an answer."""
    return f"HTTP {reply.status}, {_shape(reply.payload) if reply.payload is not None else 'no JSON object'}"


def _shape(value: object, depth: int = 0) -> str:
    """Return the shape of a JSON value: documented keys, types, and no text but documented phrases."""
    if depth == _DEEPEST:
        return "…"
    if isinstance(value, Mapping):
        known = [f"{key}: {_shape(each, depth + 1)}" for key, each in value.items() if key in _KNOWN_KEYS]
        others = ["…"] if len(known) < len(value) else []
        return "{" + ", ".join(known + others) + "}"
    if isinstance(value, list):
        return f"[{_shape(value[0], depth + 1)}{', …' if len(value) > 1 else ''}]" if value else "[]"
    if isinstance(value, str):
        return f'"{quoted(value)}"' if value.lower() in _KNOWN_TEXTS else "text"
    is_code = isinstance(value, int) and 0 <= value < 10_000  # noqa: PLR2004
    return json.dumps(value) if value is None or is_code else "number"
