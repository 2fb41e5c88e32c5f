"""The order of the system tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes minutes, so that parallel processes do all the rest meanwhile."""
    items.sort(key=lambda item: item.get_closest_marker("once") is None)
