"""Write the tables in ``docs/errors.md`` from the docstrings of ``exceptions.py``: ``python tools/doc_errors.py``.

They stand between two comments. A docstring's text is the meaning, its paragraph ``What to do:`` the
advice; ``docs/x.md`` in it becomes a link.
"""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path

from airflow_provider_kore import exceptions
from airflow_provider_kore.exceptions import FatalError, KoreError, RetryableError

PAGE = Path(__file__).resolve().parents[1] / "docs" / "errors.md"
BEGIN, END = "<!-- generated: errors -->", "<!-- end generated: errors -->"
ADVICE = "What to do: "


def errors(branch: type[KoreError]) -> list[type[KoreError]]:
    """Return every error of a branch, in the order in which the module defines them."""
    kinds = [kind for kind in vars(exceptions).values() if inspect.isclass(kind) and issubclass(kind, branch)]
    return [kind for kind in kinds if kind is not branch]


def markdown(text: str) -> str:
    """Return a docstring's text as it stands in a cell."""
    text = " ".join(text.split()).removesuffix(".").replace("``", "`").replace("|", "\\|")
    return re.sub(r"docs/([a-z0-9-]+)\.md", r"[\1](\1.md)", text)


def row(kind: type[KoreError]) -> str:
    """Return an error's row. Raises ValueError if its docstring gives no advice."""
    paragraphs = inspect.cleandoc(kind.__doc__ or "").split("\n\n")
    advice = [each.removeprefix(ADVICE) for each in paragraphs if each.startswith(ADVICE)]
    meaning = [each for each in paragraphs if not each.startswith((ADVICE, ":param"))]
    if len(advice) != 1:
        raise ValueError(f"The docstring of {kind.__name__} has no paragraph that begins with {ADVICE!r}.")
    return f"| `{kind.__name__}` | {markdown(' '.join(meaning))} | {markdown(advice[0])} |"


def filled(page: str) -> str:
    """Return a page with today's tables between the comments: one for each branch."""
    lines = [BEGIN]
    for title, branch in (("Retryable", RetryableError), ("Fatal", FatalError)):
        lines += ["", f"## {title}", "", "| Error | What it means | What to do |", "|---|---|---|"]
        lines += map(row, errors(branch))
    before, _, rest = page.partition(BEGIN)
    return before + "\n".join([*lines, "", END]) + rest.partition(END)[2]


if __name__ == "__main__":
    if BEGIN not in PAGE.read_text(encoding="utf-8"):
        sys.exit(f"{PAGE.name} has no line {BEGIN}")
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
