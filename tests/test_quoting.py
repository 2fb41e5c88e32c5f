"""Text that others chose reaches errors and logs on one line, printable and short."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from airflow_provider_kore.quoting import MOST_SHOWN, quoted


@given(st.text() | st.text(st.characters(codec=None)) | st.binary() | st.integers() | st.none(), st.integers(1, 200))
@example("\ud800", 80)
@example("a" * 79 + "\n", 80)
@example("\x1b[2J\u202e\u2066\u200b\x00\x7f\x85\u2028", 200)
def test_whatever_it_is_it_becomes_one_short_printable_line(value: object, most: int) -> None:
    shown = quoted(value, most)
    assert len(shown) <= most
    assert shown.isprintable()
    assert len(shown.splitlines()) <= 1
    shown.encode()  # no lone surrogate: it can be written to any log


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126, exclude_characters="\\"), max_size=MOST_SHOWN))
def test_an_ordinary_text_is_shown_as_it_is(text: str) -> None:
    assert quoted(text) == text


@given(st.text(max_size=20), st.text(max_size=20))
def test_two_texts_that_differ_are_shown_differently(one: str, other: str) -> None:
    assert (quoted(one, 1_000) == quoted(other, 1_000)) == (one == other)


class Silent:
    def __str__(self) -> str:
        raise ValueError


@pytest.mark.parametrize("value", [10**5_000, Silent()], ids=["digits", "object"])
def test_a_value_that_has_no_text_is_named_by_its_type(value: object) -> None:
    assert quoted(value) == f"<{type(value).__name__}>"


def test_a_text_of_millions_is_not_read_to_its_end() -> None:
    assert quoted("\u202e" * 50_000_000) == "\\u202e" * 13 + "…"
