"""Texts that the server chose, fit for where they are shown."""

from __future__ import annotations

from airflow_provider_kore.quoting import quoted


def mark_of(value: object) -> str | None:
    """Return an instant or a status that the server chose, fit for errors, logs and XCom; None if it is no text."""
    return quoted(value) if isinstance(value, str) and value else None


def name_of(value: object) -> str | None:
    """Return a name that the server chose, for the manifest alone: as it is, but not of any length."""
    return value[:1_000] if isinstance(value, str) and value else None
