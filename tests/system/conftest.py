"""The stack and the S3 server, found from here however pytest was started."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

SYSTEM = Path(__file__).parent
for folder in (SYSTEM.parent, SYSTEM):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

from s3_servers import moto_server  # noqa: E402, F401


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes minutes, so that parallel processes do all the rest meanwhile."""
    items.sort(key=lambda item: item.get_closest_marker("once") is None)
