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
MEASURES = {"wall": "wall time", "cpu": "CPU", "peak_mb": "peak memory", "requests": "requests"}
SAME = 1.02
"""Below this ratio two numbers count as equal."""


def blocks(found: dict[str, Any]) -> dict[str, str]:
    """Return every generated part of the page, by name."""
    return {
        "machine": machine(found["machine"]),
        "losses": losses(found),
        "no-limits": ratios(found["scenarios"]["no limits"]),
        "latency": ratios(found["scenarios"]["50 ms latency"]),
        "window": ratios(found["scenarios"]["60 requests a minute"]),
        "memory": memory(found["memory"]),
        "start": start(found["scenarios"]["no limits"]["results"]),
        "misfortunes": misfortunes(found["misfortunes"]),
        "sizing": sizing(found["sizing"]),
    }


def machine(about: dict[str, Any]) -> str:
    """Return the sentence that absolute numbers need beside them."""
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    return f"Measured {about['measured']} on {about['cpus']} cores: Python {about['python']}, {versions}."


def ratios(scenario: dict[str, Any]) -> str:
    """Return one scenario: ratios to ours first, then the numbers they are made of."""
    ours = scenario["results"][OURS]
    rows = []
    for name, result in scenario["results"].items():
        if result["failed"]:
            read = (result["pages"] - result["rate_limited"]) * scenario["page"]
            rows.append([name, f"fails after {read:,} contacts", "", "", f"{result['requests']:,}", "", "", ""])
            continue
        shown = [times(result[measure] / ours[measure]) for measure in ("wall", "cpu", "peak_mb")]
        requests = f"{result['requests']:,}"
        if result["rate_limited"]:
            requests += f", {result['rate_limited']:,} refused"
        rows.append(
            [name, *shown, requests, f"{result['wall']:.1f} s", f"{result['cpu']:.2f} s", f"{result['peak_mb']:.0f} MB"]
        )
    return table(["", "wall", "CPU", "memory", "requests", "wall", "CPU", "memory"], rows)


def memory(found: dict[str, Any]) -> str:
    """Return peaks by size of the list, and how they grow."""
    sizes = sorted(found[OURS], key=int)
    rows = []
    for name, by_size in found.items():
        peaks = [by_size[size]["peak_mb"] for size in sizes]
        shown = [f"{peak:,.0f} MB" for peak in peaks]
        last = times(peaks[-1] / found[OURS][sizes[-1]]["peak_mb"])
        rows.append([name, *shown, f"+ {peaks[-1] - peaks[0]:,.0f} MB", last])
    return table(["peak at … contacts", *(f"{int(size):,}" for size in sizes), "growth", "ratio at the end"], rows)


def start(results: dict[str, Any]) -> str:
    """Return what a process has cost before it lands the first contact of the measured list."""
    ours = results[OURS]
    rows = [
        [
            name,
            times(result["start_cpu"] / ours["start_cpu"]),
            times(result["base_mb"] / ours["base_mb"]),
            f"{result['start_cpu']:.1f} s",
            f"{result['base_mb']:.0f} MB",
        ]
        for name, result in results.items()
    ]
    return table(["", "CPU", "memory", "CPU", "memory"], rows)


def losses(found: dict[str, Any]) -> str:
    """Return, for everything that was measured, who is better than ours and by how much."""
    rows = []
    for title, scenario in found["scenarios"].items():
        rows += [
            [title, words, better(scenario["results"], measure)]
            for measure, words in MEASURES.items()
            if better(scenario["results"], measure)
        ]
    for size in sorted(found["memory"][OURS], key=int):
        results = {name: by_size[size] for name, by_size in found["memory"].items()}
        if better(results, "peak_mb"):
            rows.append([f"{int(size):,} contacts", MEASURES["peak_mb"], better(results, "peak_mb")])
    return table(["", "", "takes less than ours (ours = 1)"], rows, left=3)


def better(results: dict[str, Any], measure: str) -> str:
    """Return who takes less of something than ours, as text."""
    ours = results[OURS][measure]
    found = [
        (result[measure] / ours, name)
        for name, result in results.items()
        if not result["failed"] and name != OURS and result[measure] * SAME < ours
    ]
    return ", ".join(f"{name} {times(ratio)}" for ratio, name in sorted(found))


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


def sizing(rows: list[dict[str, Any]]) -> str:
    """Return what the formula says beside what was measured."""
    shown = []
    for row in rows:
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
                "skipped" if row["skipped"] else "real",
            ]
        )
    return table(["contacts", "limits", "requests", "formula", "measured", "waiting"], shown)


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
    """Return the page with every generated part replaced. Raises SystemExit if one has no place, or is unknown."""
    places = re.findall(r"<!-- begin (\S+) -->", page)
    if sorted(places) != sorted(generated):
        raise SystemExit(f"the page has places for {sorted(places)}; there are {sorted(generated)}")
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
