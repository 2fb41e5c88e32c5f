"""The page on trouble quotes what the code says."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
QUOTES = re.findall(r"^\| `([^`]+)` \|", PAGE, re.MULTILINE)


def texts() -> Iterator[str]:
    """Yield every text of the package, with … where a value stands."""
    for file in (ROOT / "airflow_provider_kore").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                yield "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield re.sub(r"%[.\d]*[a-z]|\{\w[^}]*\}", "…", node.value)


TEXTS = [text.strip() for text in texts()]


def is_said(quote: str) -> bool:
    """Say whether one text holds the quote's words in their order."""
    parts = [part for part in quote.split("…") if part]
    return any(has_in_order(text, parts) for text in TEXTS)


def has_in_order(text: str, parts: list[str]) -> bool:
    end = 0
    for part in parts:
        start = text.find(part, end)
        if start < 0:
            return False
        end = start + len(part)
    return True


@pytest.mark.parametrize("quote", QUOTES)
def test_the_code_says_what_the_page_quotes(quote: str) -> None:
    assert is_said(quote)


def test_the_page_quotes_enough_for_this_to_mean_something() -> None:
    assert len(QUOTES) > 15
    assert all(len(re.sub(r"\W", "", quote)) > 8 for quote in QUOTES)
    assert not is_said("The list of … is made of cheese")
