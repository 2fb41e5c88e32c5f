"""Draw the package's rooms from its imports into ``docs/images/architecture.svg``: ``python tools/architecture.py``.

A room is a folder of the package, or a module beside the folders. Modules that stand on no folder are drawn as one
room, the ground, which all others use, without arrows. A room stands above all that it imports, and arrows that follow
from others are left out. Imports for annotations only don't count.
"""

from __future__ import annotations

import argparse
import ast
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from html import escape
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs" / "images" / "architecture.svg"
GROUND = "the ground"
WIDTH, HEIGHT, GAP_X, GAP_Y, MARGIN = 150, 52, 24, 44, 20
BEND = 12
"""Width of the place where an arrow passes a row."""
SHOWN: Final = 3
"""Libraries named in a room at the most."""


@dataclass
class Room:
    """What a folder imports, and which modules it has."""

    imports: set[str] = field(default_factory=set)
    """Other rooms."""
    libraries: set[str] = field(default_factory=set)
    """What is neither ours nor Python's."""
    modules: list[str] = field(default_factory=list)


def imported(tree: ast.AST) -> Iterator[str]:
    """Yield the full names that a module imports when it runs."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for other in node.orelse:
                yield from imported(other)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        else:
            yield from imported(node)


def rooms(package: Path) -> dict[str, Room]:
    """Return the rooms of a package, by name."""
    found: dict[str, Room] = defaultdict(Room)
    for file in sorted(package.rglob("*.py")):
        parts = file.relative_to(package).with_suffix("").parts
        if parts == ("__init__",):
            continue
        room = found[parts[0]]
        room.modules.append(".".join(parts))
        for name in imported(ast.parse(file.read_text(encoding="utf-8"))):
            first, *rest = name.split(".")
            if first == package.name and rest and rest[0] != parts[0]:
                room.imports.add(rest[0])
            elif first != package.name and first not in sys.stdlib_module_names:
                room.libraries.add(first)
    names = set(found)
    for room in found.values():
        room.imports &= names  # ``from package import __version__`` names no room
    return with_ground(package, found)


def with_ground(package: Path, found: dict[str, Room]) -> dict[str, Room]:
    """Return the same with one room for all modules that stand on no folder."""
    ground: set[str] = set()
    while more := {
        name
        for name, room in found.items()
        if name not in ground and not (package / name).is_dir() and room.imports <= ground
    }:
        ground |= more
    together = Room(set(), set().union(*(found[name].libraries for name in ground)), sorted(ground))
    for room in found.values():
        room.imports -= ground
    return {GROUND: together} | {name: room for name, room in found.items() if name not in ground}


def levels(found: dict[str, Room]) -> dict[str, int]:
    """Return how high each room stands: above all that it imports; below what imports it, if it imports nothing.

    Raises SystemExit if rooms import each other.
    """
    known = {GROUND: 0}
    while left := [name for name in found if name not in known]:
        ready = [name for name in left if found[name].imports <= known.keys()]
        if not ready:
            raise SystemExit(f"These rooms import each other: {', '.join(sorted(left))}.")
        known |= {name: 1 + max((known[other] for other in found[name].imports), default=0) for name in ready}
    for name in sorted(known, key=lambda each: -known[each]):
        above = [known[other] for other, room in found.items() if name in room.imports]
        if above and name != GROUND and not found[name].imports:
            known[name] = min(above) - 1
    return known


def needed(found: dict[str, Room]) -> Iterator[tuple[str, str]]:
    """Yield the imports between rooms that don't follow from others."""

    def below(names: Iterable[str]) -> set[str]:
        return {lower for name in names for lower in found[name].imports | below(found[name].imports)}

    for name, room in found.items():
        yield from ((name, other) for other in sorted(room.imports - below(room.imports)))


def paths(found: dict[str, Room], height: dict[str, int]) -> list[list[str]]:
    """Return each arrow as the places it passes, from row to row."""
    return [
        [upper, *(f"{upper}>{lower}@{level}" for level in range(height[upper] - 1, height[lower], -1)), lower]
        for upper, lower in needed(found)
    ]


def ordered(height: dict[str, int], arrows: list[list[str]]) -> list[list[str]]:
    """Return the rows from the top, each so that arrows cross seldom: everything near what it is tied to."""
    level = dict(height)
    ties: dict[str, set[str]] = defaultdict(set)
    for arrow in arrows:
        for step, (one, other) in enumerate(pairwise(arrow)):
            level[other] = height[arrow[0]] - step - 1
            ties[one].add(other)
            ties[other].add(one)
    rows = [sorted(name for name in level if level[name] == each) for each in range(max(level.values()), -1, -1)]
    for _ in range(20):
        spot = {name: (position + 0.5) / len(row) for row in rows for position, name in enumerate(row)}
        for row in rows:
            row.sort(key=lambda name: (sum(spot[tie] for tie in ties[name]) / (len(ties[name]) or 1) or 1.0, name))
            spot |= {name: (position + 0.5) / len(row) for position, name in enumerate(row)}
    return rows


def drawn(found: dict[str, Room]) -> str:
    """Return the picture."""
    height = levels(found)
    arrows = paths(found, height)
    rows = ordered(height, arrows)
    wide: dict[str, float] = {name: WIDTH if name in found else BEND for row in rows for name in row}
    lengths: list[float] = [sum(wide[name] + GAP_X for name in row) - GAP_X for row in rows]
    width, total = max(lengths) + 2 * MARGIN, len(rows) * (HEIGHT + GAP_Y) - GAP_Y + 2 * MARGIN
    wide[GROUND] = lengths[-1] = width - 2 * MARGIN
    middle: dict[str, float] = {}
    top: dict[str, float] = {}
    for number, (row, length) in enumerate(zip(rows, lengths, strict=True)):
        left = (width - length) / 2
        for name in row:
            middle[name], top[name] = left + wide[name] / 2, MARGIN + number * (HEIGHT + GAP_Y)
            left += wide[name] + GAP_X
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {total}" width="{width}" height="{total}" '
        'font-family="sans-serif" font-size="13" text-anchor="middle">',
        '<defs><marker id="arrow" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0L8 4L0 8z" fill="#888"/></marker></defs>',
        f'<rect width="{width}" height="{total}" fill="#fff"/>',
    ]
    for arrow in arrows:
        points = [(middle[arrow[0]], top[arrow[0]] + HEIGHT)]
        for bend in arrow[1:-1]:
            points += [(middle[bend], top[bend]), (middle[bend], top[bend] + HEIGHT)]
        points.append((middle[arrow[-1]], top[arrow[-1]]))
        line = " ".join(f"{x:.0f},{y:.0f}" for x, y in points)
        parts.append(f'<polyline points="{line}" fill="none" stroke="#888" marker-end="url(#arrow)"/>')
    for name, room in found.items():
        parts += box(name, room, middle[name], top[name], wide[name])
    return "\n".join([*parts, "</svg>", ""])


def box(name: str, room: Room, middle: float, top: float, wide: float) -> Iterator[str]:
    """Yield a room: its name, and below it its libraries; of the ground its modules."""
    libraries = sorted(room.libraries)
    small = ", ".join(libraries[:SHOWN]) + (", …" if len(libraries) > SHOWN else "")
    small = ", ".join(room.modules) if name == GROUND else small
    place = f'x="{middle - wide / 2:.0f}" y="{top:.0f}" width="{wide:.0f}" height="{HEIGHT}"'
    yield f'<rect {place} rx="6" fill="#eef4ee" stroke="#5a7"/>'
    yield f'<text x="{middle:.0f}" y="{top + (22 if small else 31):.0f}">{escape(name)}</text>'
    if small:
        yield f'<text x="{middle:.0f}" y="{top + 40:.0f}" font-size="10" fill="#666">{escape(small)}</text>'


def main(arguments: list[str]) -> None:
    """Draw."""
    parser = argparse.ArgumentParser(description="Draw the rooms of the package from its imports.")
    parser.add_argument("--package", type=Path, default=ROOT / "airflow_provider_kore", help="folder of the package")
    parser.add_argument("--output", type=Path, default=PICTURE)
    chosen = parser.parse_args(arguments)
    chosen.output.write_text(drawn(rooms(chosen.package.resolve())), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
