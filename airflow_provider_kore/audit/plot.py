"""A history as a picture: an SVG of lines and bars that reads on light and on dark ground."""

from __future__ import annotations

from datetime import date
from html import escape
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_kore.audit.history import Day, History

_WIDTH, _HEIGHT = 860, 470
_LEFT, _RIGHT = 84, 836
_ROWS: Final = (70, 280)
"""Top and bottom of the upper panel."""
_MOVED: Final = (322, 432)
"""And of the lower one."""
_STYLE: Final = """
  text { font: 12px system-ui, sans-serif; fill: #57606a; }
  .title { font-size: 15px; font-weight: 600; fill: #1f2328; }
  .grid { stroke: #8c959f; stroke-opacity: .35; }
  .rows { stroke: #0969da; fill: none; stroke-width: 2; }
  .dot { fill: #0969da; stroke: #0969da; stroke-width: 2; }
  .open { fill: #ffffff; }
  .added { fill: #2da44e; } .gone { fill: #cf5b0e; }
  @media (prefers-color-scheme: dark) {
    text { fill: #9198a1; } .title { fill: #e6edf3; }
    .rows { stroke: #58a6ff; } .dot { fill: #58a6ff; stroke: #58a6ff; } .open { fill: #0d1117; }
    .added { fill: #3fb950; } .gone { fill: #f0883e; }
  }
"""


def svg(history: History) -> str:
    """Return the picture: rows by day above, who came and went below; a hollow dot is no consistent snapshot."""
    return "\n".join(_drawn(history)) + "\n"


def _drawn(history: History) -> Iterator[str]:
    words = history.kind.replace("_", " ")
    days = [day for day in history.days if day.rows is not None]
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" '
        f'height="{_HEIGHT}" role="img">'
    )
    yield f"<title>{escape(words)} of {escape(history.address)}</title>"
    yield f"<style>{_STYLE}</style>"
    yield _text(16, 26, f"{words[:1].upper()}{words[1:]} by day", kind="title")
    yield _text(16, 46, history.address)
    where = _Across([date.fromisoformat(day.date) for day in days])
    most = max((day.rows or 0 for day in days), default=0)
    yield from _axis(_ROWS, most, 0)
    moved = max((max(day.added or 0, day.gone or 0) for day in days), default=0)
    yield from _axis(_MOVED, moved, moved)
    yield from _bars(days, where, moved)
    points = [(where.of(day), _y(_ROWS, day.rows or 0, _nice(most), 0), day) for day in days]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in points)
    yield f'<polyline class="rows" points="{path}"/>'
    for x, y, day in points:
        if len(points) <= where.MOST_DOTS or not day.consistent:
            hollow = "" if day.consistent else " open"
            told = f"{day.date}: {day.rows:,} {words}{'' if day.consistent else ', not proven consistent'}"
            yield f'<circle class="dot{hollow}" cx="{x:.1f}" cy="{y:.1f}" r="3"><title>{escape(told)}</title></circle>'
    if not all(day.consistent for day in days):
        yield _text(_RIGHT, 46, "hollow: not proven consistent", anchor="end")
    yield from where.labels()
    yield _text(_LEFT, _MOVED[0] - 12, "added")
    yield f'<rect class="added" x="{_LEFT - 14}" y="{_MOVED[0] - 21}" width="10" height="10"/>'
    yield _text(_LEFT + 76, _MOVED[0] - 12, "gone")
    yield f'<rect class="gone" x="{_LEFT + 62}" y="{_MOVED[0] - 21}" width="10" height="10"/>'
    yield "</svg>"


class _Across:
    """Where a day stands, from left to right; days without a snapshot leave a gap."""

    MOST_DOTS: Final = 120
    _MOST_LABELS: Final = 6

    def __init__(self, dates: list[date]) -> None:
        self._dates = dates
        self._first = min(dates, default=date.min)
        self._span = max(1, (max(dates, default=date.min) - self._first).days)

    def of(self, day: Day) -> float:
        return self._at(date.fromisoformat(day.date))

    @property
    def step(self) -> float:
        return (_RIGHT - _LEFT - 20) / self._span

    def labels(self) -> Iterator[str]:
        every = max(1, -(-len(self._dates) // self._MOST_LABELS))
        for one in self._dates[::every]:
            yield _text(self._at(one), _MOVED[1] + 22, one.isoformat(), anchor="middle")

    def _at(self, one: date) -> float:
        if len(self._dates) == 1:
            return (_LEFT + _RIGHT) / 2
        return _LEFT + 20 + (_RIGHT - _LEFT - 40) * (one - self._first).days / self._span


def _bars(days: list[Day], where: _Across, moved: int) -> Iterator[str]:
    most, width = _nice(moved), max(1.0, min(18.0, where.step * 0.6))
    zero = _y(_MOVED, 0, most, most)
    for day in days:
        for kind, number in (("added", day.added or 0), ("gone", -(day.gone or 0))):
            end = _y(_MOVED, number, most, most)
            if number:
                told = f"{day.date}: {abs(number):,} {kind}"
                yield (
                    f'<rect class="{kind}" x="{where.of(day) - width / 2:.1f}" y="{min(zero, end):.1f}" '
                    f'width="{width:.1f}" height="{max(1.0, abs(zero - end)):.1f}"><title>{told}</title></rect>'
                )


def _axis(panel: tuple[int, int], most: int, least: int) -> Iterator[str]:
    """Draw lines with numbers: from 0 to a round number, and as far down."""
    top = _nice(most)
    steps = [top, top // 2, 0] if not least else [top, 0, -top]
    for value in dict.fromkeys(steps):
        y = _y(panel, value, top, top if least else 0)
        yield f'<line class="grid" x1="{_LEFT}" y1="{y:.1f}" x2="{_RIGHT}" y2="{y:.1f}"/>'
        yield _text(_LEFT - 8, y + 4, f"{abs(value):,}", anchor="end")


def _y(panel: tuple[int, int], value: float, most: float, least: float) -> float:
    top, bottom = panel
    return bottom - (bottom - top) * (value + least) / ((most + least) or 1)


def _nice(most: int) -> int:
    """Return the next number that is 1, 2 or 5 and zeros."""
    power = int("1" + "0" * (len(str(most)) - 1))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= most)


def _text(x: float, y: float, said: str, *, anchor: str = "start", kind: str = "") -> str:
    of_kind = f' class="{kind}"' if kind else ""
    return f'<text{of_kind} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(said)}</text>'
