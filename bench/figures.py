"""The figures of a run, what the limits permit, and the table they are shown in. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"
_HEAD = (
    "scenario", "seconds", "operator CPU s", "peak RSS MiB", "API calls", "calls/s",
    "of the permitted", "K8s writes", "CPU s of the others",
)  # fmt: skip


@dataclass(frozen=True)
class Figures:
    """One scenario. ``None``: not asked there.

    ``seconds``: as the scenario defines them. ``objects``: what calls and writes are counted per,
    0 for a total. ``permitted``: the share (0 to 1) of the pace that the limits allow. ``others``:
    CPU seconds of the processes on the same machine, by name.
    """

    scenario: str
    seconds: float
    cpu: float | None = None
    peak_mib: float | None = None
    calls: int | None = None
    writes: int | None = None
    objects: int = 0
    calls_a_second: float | None = None
    permitted: float | None = None
    others: Mapping[str, float] = field(default_factory=dict)


def shortest_seconds(
    calls: int, *, rate: float, burst: float, concurrency: int, latency: float
) -> float:
    """The least time that so many calls can take within the limits.

    ``burst`` calls are free, the others come at ``rate`` a second; ``concurrency`` at a time take
    ``latency`` seconds each.
    """
    return max((calls - burst) / rate, calls * latency / concurrency, 0.0)


def table(rows: Sequence[Figures], titles: Mapping[str, str]) -> str:
    """As Markdown; ``titles``: scenario → what to call it."""
    lines = [_line(_HEAD), _line(["---"] + ["---:"] * (len(_HEAD) - 2) + ["---"])]
    lines += [_line([f"`{row.scenario}`: {titles[row.scenario]}", *_cells(row)]) for row in rows]
    return "\n".join(lines) + "\n"


def recorded(text: str, content: str) -> str:
    """``text`` with what stands between the two marks replaced. Raises ValueError without them."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"the marks {BEGIN} and {END} are missing")
    return f"{before}{BEGIN}\n{content}{END}{after}"


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cells(row: Figures) -> list[str]:
    return [
        f"{row.seconds:.1f}",
        _number(row.cpu, ".2f"),
        _number(row.peak_mib, ".0f"),
        _counted(row.calls, row.objects),
        _number(row.calls_a_second, ".0f"),
        _number(row.permitted, ".0%"),
        _counted(row.writes, row.objects),
        ", ".join(f"{name} {used:.1f}" for name, used in row.others.items()) or "-",
    ]


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def _counted(count: int | None, objects: int) -> str:
    if count is None:
        return "-"
    return f"{count} ({count / objects:.2f} an object)" if objects else str(count)
