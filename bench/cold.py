"""Cold starts: buckets and keys are there, and a program makes them all Ready."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from statistics import median

from bench import objects
from bench.figures import (
    Usage,
    middle,
    ratios,
    shortest_seconds,
    table,
    usage_table,
)
from bench.processes import Operator, Process
from bench.run import FAST, Outcome, Run
from bench.stage import CONCURRENCY, LATENCY, Stage, sort_of, spent_between

Program = Callable[[Stage], Process]
PROGRAMS: dict[str, Program] = {
    "floor": lambda here: here.way("floor"),
    "plain": lambda here: here.way("plain"),
    "operator": lambda here: here.operator("cold", rate_limit=FAST),
}
_LOW_RATE = 50.0
_BURST = 2.0
"""Seconds' worth of calls that the operator lets through at once (docs/settings.md, "Pace")."""
_REST_SECONDS = 30.0


def cold(run: Run) -> Outcome:
    """Floor, plain way and operator in turn, each on a stage of its own."""
    return _compared(run, "cold", tuple(PROGRAMS))


def large(run: Run) -> Outcome:
    """Floor and operator, and the operator's memory some time later."""
    return _compared(run, "large", ("floor", "operator"))


def rate(run: Run) -> Outcome:
    """The operator under a low rate limit: how much of it does it use?"""
    with run.stage() as here:
        _, used = _one(run, here, lambda at: at.operator("rate", rate_limit=f"{_LOW_RATE:g}"))
        spell = here.calling_seconds()
    least = shortest_seconds(
        used.calls,
        rate=_LOW_RATE,
        burst=_BURST * _LOW_RATE,
        concurrency=CONCURRENCY,
        latency=LATENCY,
    )
    head = ("rate limit", "wall s", "calls", "calls/s", "of the permitted")
    row = (f"{_LOW_RATE:g}/s", f"{used.wall:.1f}", f"{used.calls}")
    return Outcome({}, table(head, [(*row, f"{used.calls / spell:.0f}", f"{least / spell:.0%}")]))


def _compared(run: Run, name: str, programs: Sequence[str]) -> Outcome:
    rounds: dict[str, list[Usage]] = {program: [] for program in programs}
    peaks, resting = [], []
    for number in range(run.rounds):
        for program, found in rounds.items():
            with run.stage() as here:
                run.tell(f"round {number + 1} of {run.rounds}: {program}")
                process, used = _one(run, here, PROGRAMS[program])
                found.append(used)
                if isinstance(process, Operator):
                    time.sleep(_REST_SECONDS)
                    peaks.append(process.peak_mib)
                    resting.append(process.resident_mib)
                    process.stop()
    ways = {program: middle(found) for program, found in rounds.items()}
    memory = {f"{name} peak": median(peaks), f"{name} rest": median(resting)}
    later = f"{median(resting):.0f} MiB, at its peak {median(peaks):.0f} MiB"
    details = usage_table(ways, run.count)
    details += f"\nThe operator's memory {_REST_SECONDS:.0f} s later: {later}.\n"
    return Outcome(ratios(name, ways, run.count) | memory, details)


def _one(run: Run, here: Stage, program: Program) -> tuple[Process, Usage]:
    """From the start of the process to the last thing that it writes."""
    run.tell(f"creating {run.count} buckets and {run.count} keys")
    here.create(objects.pairs(range(run.count)))
    before = here.others_spent()
    process = program(here)
    here.wait_all_ready(run.count, process, run.patience)
    cpu, peak, after = process.cpu_seconds, process.peak_mib, here.others_spent()
    requests = here.requests()
    counted = Counter(map(sort_of, requests))
    # The audit log tells the moment, without looking so often that it would disturb.
    last = max(one.received.timestamp() for one in requests if sort_of(one) == "writes")
    calls, others = here.calls().total(), spent_between(before, after)
    return process, Usage(last - process.started_wall, cpu, peak, calls, counted, others)
