"""The figures of a run: medians, ratios, the goals, and the tables they are shown in. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from statistics import median

BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"


@dataclass(frozen=True)
class Usage:
    """What one program took for some buckets and as many keys, from its start to its last write.

    ``others``: CPU seconds of the processes on the same machine, by name. ``requests``: those to
    Kubernetes by sort: writes, dry runs, Events, reads.
    """

    wall: float
    cpu: float
    peak_mib: float
    calls: int
    requests: Mapping[str, int]
    others: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Goal:
    """A row of the table of goals. ``was``: before this was worked on; ``None``: no goal."""

    figure: str
    title: str
    was: str
    must: float
    reach: float | None = None
    at_least: bool = False
    form: str = ".2f"
    unit: str = ""

    @property
    def command(self) -> str:
        """What measures it: the first word of its figure names the scenario."""
        return f"python -m bench {self.figure.split()[0]}"

    def met(self, value: float, limit: float) -> bool:
        """Whether the value keeps within the limit."""
        return value >= limit if self.at_least else value <= limit

    def shown(self, value: float) -> str:
        """The value with its unit."""
        return f"{value:{self.form}}{self.unit}"

    def verdict(self, value: float) -> str:
        """``missed``, ``met``, or ``reached`` what was to be reached for."""
        if not self.met(value, self.must):
            return "missed"
        return "reached" if self.reach is not None and self.met(value, self.reach) else "met"


GOALS = (
    Goal("cold wall / floor", "1,000 pairs, cold start: wall / floor", "2.6", 1.6, 1.3),
    Goal("cold cpu / floor", "the same, CPU / floor", "7.2", 3.5, 2.5),
    Goal("cold plain / wall", "the same, plain way / ours: wall", "0.86", 1.4, 1.7, at_least=True),
    Goal("cold plain / cpu", "the same, plain way / ours: CPU", "0.99", 2.0, 2.8, at_least=True),
    Goal(
        "cold plain / memory", "the same, plain way / ours: memory", "2.7", 3.0, 3.5, at_least=True
    ),
    Goal("cold requests", "requests to Kubernetes a new pair, Leases aside", "12", 9.0),
    Goal("large wall / floor", "10,000 pairs: wall / floor", "-", 1.8),
    Goal("large peak", "10,000 pairs: peak RSS", "602 MiB", 350.0, form=".0f", unit=" MiB"),
    Goal("large rest", "10,000 pairs: at rest", "-", 250.0, 200.0, form=".0f", unit=" MiB"),
    Goal("restart writes", "restart with 20,000 settled: Kubernetes writes", "0", 0, form=".0f"),
    Goal("restart mutating", "the same, mutating calls", "0", 0, form=".0f"),
    Goal("restart cpu", "the same, CPU", "-", 20.0, form=".1f", unit=" s"),
    Goal(
        "callbacks longest", "longest callback at 20,000 objects, CPU", "900 ms", 50.0,
        form=".0f", unit=" ms",
    ),
    Goal("fairness bucket", "turns until another's bucket is Ready", "1,740", 30, form=".0f"),
    Goal("fairness leak", "turns until another's leaked key is revoked", "2,340", 20, form=".0f"),
    Goal("calm edit", "edit → Ready, p99 at 1,000 objects, idle", "-", 1.0, unit=" s"),
    Goal("calm idle", "idle CPU at 1,000 objects, of one core", "1 %", 0.5, unit=" %"),
)  # fmt: skip


def middle(rounds: Sequence[Usage]) -> Usage:
    """The median of each figure; what is counted by name is taken from the first."""
    first = rounds[0]
    numbers = {
        each.name: median(getattr(one, each.name) for one in rounds)
        for each in fields(Usage)
        if not isinstance(getattr(first, each.name), Mapping)
    }
    return Usage(**numbers, requests=first.requests, others=first.others)


def ratios(name: str, ways: Mapping[str, Usage], count: int) -> dict[str, float]:
    """The operator's figures beside the floor's and, where it was measured, the plain way's.

    ``name``: of the scenario. ``count``: buckets, and as many keys.
    """
    ours, floor = ways["operator"], ways["floor"]
    found = {
        f"{name} wall / floor": ours.wall / floor.wall,
        f"{name} cpu / floor": ours.cpu / floor.cpu,
        f"{name} requests": sum(ours.requests.values()) / count,
    }
    if plain := ways.get("plain"):
        found |= {
            f"{name} plain / wall": plain.wall / ours.wall,
            f"{name} plain / cpu": plain.cpu / ours.cpu,
            f"{name} plain / memory": plain.peak_mib / ours.peak_mib,
        }
    return found


def shortest_seconds(
    calls: int, *, rate: float, burst: float, concurrency: int, latency: float
) -> float:
    """The least time that so many calls can take within the limits.

    ``burst`` calls are free, the others come at ``rate`` a second; ``concurrency`` at a time take
    ``latency`` seconds each.
    """
    return max((calls - burst) / rate, calls * latency / concurrency, 0.0)


def percentile(values: Iterable[float], share: float) -> float:
    """The least of the values that at least this share (0 to 1) of them do not exceed."""
    ordered = sorted(values)
    below = -(-len(ordered) * share // 1)  # rounded up
    return ordered[max(int(below), 1) - 1]


def goals_table(figures: Mapping[str, float]) -> str:
    """Each goal that was measured, beside what was found, as Markdown."""
    rows = []
    for goal in GOALS:
        if goal.figure not in figures:
            continue
        value = figures[goal.figure]
        sign = "≥" if goal.at_least else "≤"
        must = f"{sign} {goal.must:g}{goal.unit}"
        reach = "-" if goal.reach is None else f"{goal.reach:g}{goal.unit}"
        row = (goal.title, goal.was, must, reach, goal.shown(value), goal.verdict(value))
        rows.append((*row, f"`{goal.command}`"))
    head = ("figure", "before", "must", "reach for", "measured", "verdict", "command")
    return table(head, rows)


def usage_table(ways: Mapping[str, Usage], count: int) -> str:
    """What each way took, as Markdown; ``count``: buckets, and as many keys."""
    rows = []
    for name, used in ways.items():
        sorts = Counter(used.requests)
        rows.append(
            (
                f"`{name}`",
                f"{used.wall:.1f}",
                f"{used.cpu:.1f}",
                f"{used.peak_mib:.0f}",
                f"{used.calls:.0f}",
                *(f"{sorts[sort]}" for sort in ("writes", "dry runs", "Events", "reads")),
                f"{sorts.total() / count:.2f}",
                ", ".join(f"{other} {spent:.1f}" for other, spent in used.others.items()) or "-",
            )
        )
    head = (
        "way", "wall s", "CPU s", "peak RSS MiB", "API calls",
        "K8s writes", "dry runs", "Events", "reads", "requests a pair", "CPU s of the others",
    )  # fmt: skip
    return table(head, rows)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Markdown."""
    lines = [_line(head), _line(["---"] * len(head)), *map(_line, rows)]
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
