"""Draw ``results.json`` into ``docs/images``: ``.cache/bench/bin/python benchmarks/plots.py``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")
import matplotlib.pyplot as plt

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results.json"
IMAGES = ROOT / "docs" / "images"
COLOURS = {
    "ours": "#1b6ca8",
    "our core": "#7fb2d6",
    "requests loop": "#9aa0a6",
    "HttpOperator": "#d98e04",
    "dlt": "#6a994e",
    "floor": "#c9c9c9",
}


def main() -> int:
    """Draw everything."""
    mpl.rcParams.update({"svg.hashsalt": "kore", "svg.fonttype": "none", "font.size": 9, "font.family": "sans-serif"})
    found = json.loads(RESULTS.read_text(encoding="utf-8"))
    IMAGES.mkdir(exist_ok=True)
    bars(found["scenarios"], "wall", "Wall time", IMAGES / "benchmark-wall.svg")
    bars(found["scenarios"], "cpu", "CPU time", IMAGES / "benchmark-cpu.svg")
    lines(found["memory"], IMAGES / "benchmark-memory.svg")
    return 0


def bars(scenarios: dict[str, Any], measure: str, title: str, path: Path) -> None:
    """Draw one panel for each scenario, as ratios to ours."""
    figure, panels = plt.subplots(1, len(scenarios), figsize=(9, 2.6), sharey=True, layout="constrained")
    for panel, (name, scenario) in zip(panels, scenarios.items(), strict=True):
        results = scenario["results"]
        names = [contender for contender in COLOURS if contender in results]
        values = [results[contender][measure] / results["ours"][measure] for contender in names]
        drawn = panel.barh(names, values, color=[COLOURS[contender] for contender in names], height=0.7)
        panel.bar_label(drawn, fmt="%.2f", padding=3)
        panel.axvline(1, color="#444444", linewidth=0.8, linestyle=":")
        panel.set_xlim(0, max(values) * 1.25)
        panel.set_title(f"{name}, {scenario['contacts']:,} contacts", fontsize=9)
        tidy(panel)
    panels[0].invert_yaxis()
    figure.suptitle(f"{title} (ours = 1; shorter is better)", fontsize=10)
    save(figure, path)


def lines(memory: dict[str, Any], path: Path) -> None:
    """Draw peak memory by size of the list."""
    figure, panel = plt.subplots(figsize=(7, 3.4), layout="constrained")
    for name, colour in COLOURS.items():
        sizes = sorted(memory[name], key=int)
        peaks = [memory[name][size]["peak_mb"] for size in sizes]
        panel.plot(list(map(int, sizes)), peaks, marker="o", markersize=4, color=colour, label=name)
    panel.set(xscale="log", yscale="log", xlabel="contacts in the list", ylabel="peak memory, MB")
    ticks = list(map(int, sorted(memory["ours"], key=int)))
    panel.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    panel.set_yticks([50, 100, 200, 500, 1000, 2000], ["50", "100", "200", "500", "1,000", "2,000"])
    panel.minorticks_off()
    panel.grid(axis="y", color="#eeeeee")
    panel.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    tidy(panel)
    save(figure, path)


def tidy(panel: Any) -> None:
    """Leave out what says nothing."""
    panel.spines[["top", "right"]].set_visible(False)
    panel.set_axisbelow(True)


def save(figure: Any, path: Path) -> None:
    """Write the same bytes for the same numbers."""
    figure.savefig(path, metadata={"Date": None}, facecolor="white")
    plt.close(figure)


if __name__ == "__main__":
    sys.exit(main())
