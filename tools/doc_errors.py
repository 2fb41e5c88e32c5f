"""Write the table in ``docs/errors.md`` from the docstrings of ``exceptions.py``: ``python tools/doc_errors.py``.

The table stands between two comments that name it. A docstring's text is the meaning, its paragraph ``What to do:`` the
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


def errors() -> list[type[KoreError]]:
    """Return every error, in the order in which the module defines them."""
    return [kind for kind in vars(exceptions).values() if inspect.isclass(kind) and issubclass(kind, KoreError)]


def branch(kind: type[KoreError]) -> str:
    """Return whether Airflow tries a task again after this error."""
    if issubclass(kind, FatalError):
        return "fatal"
    return "retryable" if issubclass(kind, RetryableError) else "either"


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
    return f"| `{kind.__name__}` | {markdown(' '.join(meaning))} | {branch(kind)} | {markdown(advice[0])} |"


def filled(page: str) -> str:
    """Return a page with today's table between the comments."""
    head = ["| Error | What it means | Branch | What to do |", "|---|---|---|---|"]
    table = "\n".join([*head, *map(row, errors())])
    before, _, rest = page.partition(BEGIN)
    return f"{before}{BEGIN}\n{table}\n{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    if BEGIN not in PAGE.read_text(encoding="utf-8"):
        sys.exit(f"{PAGE.name} has no line {BEGIN}")
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
