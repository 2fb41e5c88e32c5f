"""A history as a picture: an SVG of lines and bars that reads on light and on dark ground."""

from __future__ import annotations

from datetime import date
from html import escape
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_kore.audit.history import Day, History

_LEFT, _RIGHT = 84, 836
_MOST_DOTS: Final = 120
_MOST_LABELS: Final = 6
_HEAD: Final = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 860 470" width="860" height="470" role="img">
<style>
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
</style>
<rect class="added" x="70" y="301" width="10" height="10"/><text x="84" y="310">added</text>
<rect class="gone" x="146" y="301" width="10" height="10"/><text x="160" y="310">gone</text>"""


class _Panel(NamedTuple):
    """Numbers from bottom to top."""

    top: int
    bottom: int
    least: int
    most: int

    def y(self, number: int) -> float:
        return self.bottom - (self.bottom - self.top) * (number - self.least) / ((self.most - self.least) or 1)

    def grid(self) -> Iterator[str]:
        """Draw lines with numbers."""
        for number in dict.fromkeys((self.most, (self.most + self.least) // 2, self.least)):
            y = self.y(number)
            yield f'<line class="grid" x1="{_LEFT}" y1="{y:.1f}" x2="{_RIGHT}" y2="{y:.1f}"/>'
            yield _text(_LEFT - 8, y + 4, f"{abs(number):,}", anchor="end")


def svg(history: History) -> str:
    """Return the picture: rows by day above, who came and went below; a hollow dot is no consistent snapshot."""
    return "\n".join(_drawn(history)) + "\n"


def _drawn(history: History) -> Iterator[str]:
    words = history.kind.replace("_", " ")
    days = [day for day in history.days if day.rows is not None]
    upper = _Panel(70, 280, 0, _nice(max((day.rows or 0 for day in days), default=0)))
    moved = _nice(max((max(day.added or 0, day.gone or 0) for day in days), default=0))
    lower = _Panel(322, 432, -moved, moved)
    yield _HEAD
    yield f"<title>{escape(words)} of {escape(history.address)}</title>"
    yield _text(16, 26, f"{words.capitalize()} by day", kind="title")
    yield _text(16, 46, history.address)
    yield from (*upper.grid(), *lower.grid())
    numbers = [date.fromisoformat(day.date).toordinal() for day in days]
    step = (_RIGHT - _LEFT - 40) / max(1, numbers[-1] - numbers[0]) if days else 0.0
    places = [(_LEFT + 20 + (number - numbers[0]) * step, day) for number, day in zip(numbers, days, strict=True)]
    for x, day in places:
        yield from _bars(day, x, max(1.0, min(18.0, step * 0.6)), lower)
    path = " ".join(f"{x:.1f},{upper.y(day.rows or 0):.1f}" for x, day in places)
    yield f'<polyline class="rows" points="{path}"/>'
    for x, day in places:
        if len(places) <= _MOST_DOTS or not day.consistent:
            hollow, doubt = ("", "") if day.consistent else (" open", ", not proven consistent")
            yield (
                f'<circle class="dot{hollow}" cx="{x:.1f}" cy="{upper.y(day.rows or 0):.1f}" r="3">'
                f"<title>{day.date}: {day.rows:,} {escape(words)}{doubt}</title></circle>"
            )
    if not all(day.consistent for day in days):
        yield _text(_RIGHT, 46, "hollow: not proven consistent", anchor="end")
    for x, day in places[:: max(1, -(-len(places) // _MOST_LABELS))]:
        yield _text(x, lower.bottom + 22, day.date, anchor="middle")
    yield "</svg>"


def _bars(day: Day, x: float, width: float, panel: _Panel) -> Iterator[str]:
    for kind, number in (("added", day.added or 0), ("gone", -(day.gone or 0))):
        top, bottom = sorted((panel.y(0), panel.y(number)))
        if number:
            yield (
                f'<rect class="{kind}" x="{x - width / 2:.1f}" y="{top:.1f}" width="{width:.1f}" '
                f'height="{max(1.0, bottom - top):.1f}"><title>{day.date}: {abs(number):,} {kind}</title></rect>'
            )


def _nice(most: int) -> int:
    """Return the next number that is 1, 2 or 5 and zeros."""
    power = int("1" + "0" * (len(str(most)) - 1))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= most)


def _text(x: float, y: float, said: str, *, anchor: str = "start", kind: str = "") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(said)}</text>'
