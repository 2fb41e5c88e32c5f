"""Print ``results.json`` into the tables of ``docs/benchmarks.md``: ``python benchmarks/report.py``.

Each table stands between two comments that name it; everything else in the page is written by hand.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results.json"
PAGE = ROOT / "docs" / "benchmarks.md"
OURS = "ours"
MEASURES = {"wall": "wall time", "cpu": "CPU"}
SAME = 1.02
"""Below this ratio two numbers count as equal."""


def blocks(found: dict[str, Any]) -> dict[str, str]:
    """Return every generated part of the page, by name."""
    return {
        "machine": machine(found["machine"]),
        "ratios": ratios(found),
        "misfortunes": misfortunes(found["misfortunes"]),
        "pages": pages(found["pages"]),
        "sizing": sizing(found["sizing"]),
    }


def machine(about: dict[str, Any]) -> str:
    """Return the sentence that absolute numbers need beside them."""
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    return f"Measured {about['measured']} on {about['cpus']} cores: Python {about['python']}, {versions}."


def ratios(found: dict[str, Any]) -> str:
    """Return what each contender takes as a ratio to ours; where it takes less, the ratio is bold."""
    columns = {
        f"{title}: {words}": {name: each[measure] for name, each in scenario["results"].items() if not each["failed"]}
        for measure, words in MEASURES.items()
        for title, scenario in found["scenarios"].items()
    }
    for size in sorted(found["memory"][OURS], key=int):
        by_name = {name: by_size[size]["peak_mb"] for name, by_size in found["memory"].items()}
        columns[f"{int(size):,} contacts: peak memory"] = by_name
    rows = [
        [title, *(ratio(values[name], values[OURS]) for name in found["memory"] if name != OURS)]
        for title, values in columns.items()
    ]
    return table(["ours = 1", *(name for name in found["memory"] if name != OURS)], rows)


def ratio(other: float, ours: float) -> str:
    """Return how much of ours another takes; bold if it takes less."""
    return f"**{times(other / ours)}**" if other * SAME < ours else times(other / ours)


def misfortunes(found: dict[str, Any]) -> str:
    """Return what landed after each misfortune; what is wrong and was called a success stands out."""
    quiet = {"right", "error"}
    rows = [
        [
            f"`{fault}`",
            *(outcome if outcome in quiet else f"**{outcome}**" for outcome in (of[fault] for of in found.values())),
        ]
        for fault in found[OURS]
    ]
    return table(["", *found], rows, left=1 + len(found))


def pages(rows: list[dict[str, Any]]) -> str:
    """Return how many requests ours takes by the largest page of a server that clamps, and how many the others take."""
    heads = ["largest page", "ours, first day", "ours, next day", "at 60 a minute", "the others"]
    shown = []
    for row in (each for each in rows if each["handling"] == "clamps"):
        first, second = row["ours"]
        others = ", ".join(f"{requests:,}" for requests in sorted(set(row["others"].values())))
        counts = [f"{first['requests']:,}", f"{second['requests']:,}", span(second["wall"])]
        shown.append([f"{row['served']:,}", *counts, others])
    return table(heads, shown)


def sizing(rows: list[dict[str, Any]]) -> str:
    """Return what the formula says beside what was measured."""
    shown = []
    for row in (each for each in rows if each["expected_wall"] >= 180):  # noqa: PLR2004 - shorter ones show no more
        limits = f"{row['per_minute']} / min" + (f", {row['per_hour']:,} / h" if row["per_hour"] else "")
        count = f"{row['requests']:,}"
        if row["requests"] != row["expected_requests"]:
            count += f" (formula: {row['expected_requests']:,})"
        shown.append(
            [
                f"{row['contacts']:,}",
                limits,
                count,
                span(row["expected_wall"]),
                span(row["wall"]),
            ]
        )
    return table(["contacts", "limits", "requests", "formula", "measured"], shown)


def span(seconds: float) -> str:
    """Return a length of time as a person writes it."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02} min {rest:02} s"
    return f"{minutes} min {rest:02} s" if minutes else f"{seconds:.1f} s"


def times(ratio: float) -> str:
    """Return a ratio with two digits that say something."""
    return f"{ratio:.0f}" if ratio >= 10 else f"{ratio:.1f}" if ratio >= 2 else f"{ratio:.2f}"  # noqa: PLR2004


def table(heads: list[str], rows: list[list[str]], left: int = 1) -> str:
    """Return Markdown."""
    rule = ["---"] * left + ["---:"] * (len(heads) - left)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (heads, rule, *rows))


def fill(page: str, generated: dict[str, str]) -> str:
    """Return the page with these parts replaced. Raises SystemExit if one has no place."""
    places = set(re.findall(r"<!-- begin (\S+) -->", page))
    if missing := set(generated) - places:
        raise SystemExit(f"the page has no places for {sorted(missing)}; it has {sorted(places)}")
    for name, text in generated.items():
        begin, end = f"<!-- begin {name} -->\n", f"<!-- end {name} -->"
        head, rest = page.split(begin)
        page = f"{head}{begin}{text}\n{end}{rest.partition(end)[2]}"
    return page


def main() -> int:
    """Rewrite the page."""
    found = json.loads(RESULTS.read_text(encoding="utf-8"))
    PAGE.write_text(fill(PAGE.read_text(encoding="utf-8"), blocks(found)), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
