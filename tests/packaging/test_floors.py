"""What pyproject.toml allows is what is tested."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_lowest_lock_holds_the_floor_of_urllib3() -> None:
    floor = re.search(r'"urllib3>=([0-9.]+)"', (ROOT / "pyproject.toml").read_text())
    locked = re.search(r"^urllib3==([0-9.]+)", (ROOT / "requirements" / "lowest.txt").read_text(), re.MULTILINE)
    assert floor
    assert locked
    assert floor[1] == locked[1]
