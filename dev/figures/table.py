"""The figures of one tree or several, side by side, as a table in Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median, quantiles

from figures.counts import Counts
from figures.walk import Trip

BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"
Column = tuple[str, Counts, Mapping[str, Trip]]


def table(columns: Sequence[Column]) -> str:
    """One row a figure, one column a tree."""
    cells = [("figure", *(title for title, _, _ in columns)), ("---", *["---:"] * len(columns))]
    each = [_cells(counts, trips) for _, counts, trips in columns]
    cells += [(name, *(column[name] for column in each)) for name in each[0]]
    return "".join(f"| {' | '.join(row)} |\n" for row in cells)


def recorded(page: str, text: str) -> str:
    """A page with a table between its marks in place of the former one."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"the page lacks the marks {BEGIN} and {END}")
    return f"{before}{BEGIN}\n{text}{END}{after}"


def _cells(counts: Counts, trips: Mapping[str, Trip]) -> dict[str, str]:
    bodies = counts.bodies
    ninth = quantiles(bodies, n=10)[-1] if len(bodies) > 1 else bodies[0]
    rows = {
        "files": f"{counts.files:,}",
        "lines": f"{counts.lines:,}",
        "code lines": f"{counts.code:,}",
        "docstring lines": _share(counts.docstrings, counts.lines),
        "comment lines": _share(counts.comments, counts.lines),
        "import lines": _share(counts.imports, counts.lines),
        "functions": f"{len(bodies):,}",
        "body lines: median / 90 % / longest": f"{median(bodies):g} / {ninth:g} / {bodies[-1]}",
        "functions with a one-word name": _share(counts.one_word, counts.named),
        "private functions": _share(counts.private, counts.named),
        "… used at one place": f"{counts.used_once:,}",
        "… of those, at most three lines": f"{counts.tiny:,}",
        "files over 300 lines": _named(counts.long_files),
        "bodies over 40 lines": _named(counts.long_bodies),
        "holders of state, and their fields": ", ".join(
            f"{name} {fields}" for name, fields in counts.holders.items()
        ),
        "… all their fields": f"{sum(counts.holders.values()):,}",
    }
    for kind, trip in trips.items():
        figures = f"{trip.stays} / {trip.returns} / {trip.climbs} / {trip.files}"
        rows[f"walk of a {kind}: stays / returns / climbs / files"] = figures
    return rows


def _share(part: int, whole: int) -> str:
    return f"{part:,} ({part / whole:.1%})"


def _named(found: Mapping[str, int]) -> str:
    names = ", ".join(f"{name.split('.', 1)[-1]} {size}" for name, size in found.items())
    return f"{len(found)}: {names}" if found else "0"
