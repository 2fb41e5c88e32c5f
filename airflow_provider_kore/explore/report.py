"""What was explored, for a person who pastes it into an issue, and for a program."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_kore.explore.run import Findings


def as_text(findings: Findings) -> str:
    """Return a table in Markdown, and the command that starts a simulator which behaves like that."""
    rows = [("fact", "what was seen", "how")]
    rows += [
        (fact.name, fact.seen if fact.learned else f"not learned: {fact.seen}", fact.how) for fact in findings.facts
    ]
    cells = [tuple(cell.replace("|", "\\|") for cell in row) for row in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(3)]
    lines = [f"| {' | '.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))} |" for row in cells]
    lines.insert(1, f"|{'|'.join('-' * (width + 2) for width in widths)}|")
    return "\n".join([_heading(findings), "", *lines, "", "```shell", command(findings), "```", ""])


def as_json(findings: Findings) -> str:
    """Return the same as one JSON object; ``settings`` are those of the simulator's ``Settings``."""
    facts = [
        {"fact": fact.name, "learned": fact.learned, "seen": fact.seen, "how": fact.how, "settings": {**fact.settings}}
        for fact in findings.facts
    ]
    told = {"api_version": findings.api_version, "requests": findings.requests, "facts": facts}
    return json.dumps(told | {"settings": findings.settings}, ensure_ascii=False, indent=2) + "\n"


def command(findings: Findings) -> str:
    """Return the command line of a simulator with these settings."""
    flags = [
        f"--set {name}={value if isinstance(value, str) else json.dumps(value)}"
        for name, value in findings.settings.items()
    ]
    return " \\\n  ".join(["python -m airflow_provider_kore.simulator", *flags])


def _heading(findings: Findings) -> str:
    where = "no list" if findings.place is None else f"list {findings.place} of {findings.lists} in the catalogue"
    return f"Campaign API {findings.api_version}, {where}, {findings.requests} requests."
