"""Hours against dollars as a picture: SVG, written by hand."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT, MARGIN = 760, 480, 70
TICKS = 5


@dataclass(frozen=True, slots=True)
class Point:
    """One choice."""

    name: str
    hours: float
    dollars: float


def front(points: Sequence[Point]) -> list[Point]:
    """The points than which none is both faster and cheaper, the fastest first."""
    found: list[Point] = []
    for point in sorted(points, key=lambda p: (p.hours, p.dollars)):
        if not found or point.dollars < found[-1].dollars:
            found.append(point)
    return found


def svg(title: str, points: Sequence[Point]) -> str:
    """A picture with the choices worth a thought joined and named; the others have their names on hovering."""
    most_hours = max(p.hours for p in points) * 1.05
    most_dollars = max(p.dollars for p in points) * 1.05 or 1.0

    def x(hours: float) -> float:
        return round(MARGIN + hours / most_hours * (WIDTH - 2 * MARGIN), 1)

    def y(dollars: float) -> float:
        return round(HEIGHT - MARGIN - dollars / most_dollars * (HEIGHT - 2 * MARGIN), 1)

    best = front(points)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">',
        f"<title>{escape(title)}</title>",
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="{MARGIN}" y="30" font-size="14">{escape(title)}</text>',
    ]
    for tick in range(TICKS + 1):
        hours, dollars = most_hours * tick / TICKS, most_dollars * tick / TICKS
        parts += [
            f'<line x1="{MARGIN}" x2="{WIDTH - MARGIN}" y1="{y(dollars)}" y2="{y(dollars)}" stroke="#ddd"/>',
            f'<text x="{MARGIN - 8}" y="{y(dollars) + 4}" text-anchor="end">${dollars:,.4g}</text>',
            f'<text x="{x(hours)}" y="{HEIGHT - MARGIN + 20}" text-anchor="middle">{hours:,.3g}</text>',
        ]
    parts.append(f'<text x="{WIDTH / 2}" y="{HEIGHT - 20}" text-anchor="middle">hours</text>')
    path = " ".join(f"{x(p.hours)},{y(p.dollars)}" for p in best)
    parts.append(f'<polyline points="{path}" fill="none" stroke="#c33"/>')
    for point in points:
        colour = "#c33" if point in best else "#69c"
        words = escape(f"{point.name}: {point.hours:.1f} h, ${point.dollars:,.2f}")
        parts.append(
            f'<circle cx="{x(point.hours)}" cy="{y(point.dollars)}" r="4" fill="{colour}"><title>{words}</title></circle>'
        )
    parts += [f'<text x="{x(p.hours) + 7}" y="{y(p.dollars) - 5}">{escape(p.name)}</text>' for p in best]
    return "\n".join([*parts, "</svg>"]) + "\n"
