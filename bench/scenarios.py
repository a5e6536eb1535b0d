"""What is measured, in the order in which one stage can show it."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.figures import Figures, shortest_seconds
from bench.processes import Operator, wait_for
from bench.stage import CONCURRENCY, LATENCY, Stage, spent_between, stage

LOW_RATE, HIGH_RATE = 50.0, 10_000.0
_BURST = 2.0
"""Seconds' worth of calls that the operator lets through at once (docs/settings.md, "Pace")."""
_IDLE_SECONDS = 20.0
_SWEEP_SECONDS = 20.0
_REST_SECONDS = 120.0
TITLES = {
    "rate": f"cold start, {LOW_RATE:.0f} calls/s permitted",
    "concurrency": f"cold start, {CONCURRENCY} calls of {LATENCY * 1000:.0f} ms at a time",
    "restart": "restart, all Ready: until the caches are filled",
    "settling": "restart, all Ready: until at rest",
    "idle": f"at rest for {_IDLE_SECONDS:.0f} s, resync of 10 min going on",
    "resync": f"one settled sweep, asked for every {_SWEEP_SECONDS:.0f} s",
    "stop": "SIGTERM until the process has ended",
}


@dataclass(frozen=True)
class Run:
    """How many buckets, and as many keys; how to tell of progress; where profiles go, if at all."""

    count: int
    tell: Callable[[str], None]
    profiles: Path | None = None

    @property
    def patience(self) -> float:
        """Seconds after which a cold start has failed."""
        return 60.0 + self.count / 4


def measure(run: Run, wanted: Collection[str]) -> Iterator[Figures]:
    """The figures of the scenarios wanted, as they come.

    Each cold start has a fresh stage; the rest share that of the last.
    """
    if "rate" in wanted:
        with _prepared(run) as here:
            yield _cold_start(run, here, "rate", LOW_RATE)[1]
    if set(wanted) - {"rate"}:
        with _prepared(run) as here:
            rows = _on_one_stage(run, here, set(wanted))
            yield from (row for row in rows if row.scenario in wanted)


def _on_one_stage(run: Run, here: Stage, wanted: set[str]) -> Iterator[Figures]:
    operator, figures = _cold_start(run, here, "concurrency", HIGH_RATE)
    yield figures
    operator.stop()
    if wanted & {"restart", "settling", "idle", "stop"}:
        operator, seen, settled = _restart(run, here)
        yield seen
        yield settled
        if "idle" in wanted:
            yield _idle(run, here, operator)
        yield Figures("stop", operator.stop())
    if "resync" in wanted:
        yield _resync(run, here)


@contextmanager
def _prepared(run: Run) -> Iterator[Stage]:
    run.tell("starting a control plane and an emulator")
    with stage(run.profiles) as here:
        run.tell(f"creating {run.count} buckets and {run.count} keys")
        here.create_objects(run.count)
        yield here


def _cold_start(run: Run, here: Stage, name: str, rate: float) -> tuple[Operator, Figures]:
    """From the start of the process to the last status written; the objects are there before."""
    run.tell(TITLES[name])
    before = here.others_spent()
    operator = here.operator(name, rate_limit=f"{rate:g}")
    here.wait_all_ready(run.count, operator, run.patience)
    cpu, peak, after = operator.cpu_seconds, operator.peak_mib, here.others_spent()
    # The audit log tells the moment, without looking so often that it would disturb.
    writes = here.writes()
    last = max(write.received.timestamp() for write in writes)
    calls, spell = here.calls().total(), here.calling_seconds()
    least = shortest_seconds(
        calls, rate=rate, burst=_BURST * rate, concurrency=CONCURRENCY, latency=LATENCY
    )
    return operator, Figures(
        name,
        last - operator.started_wall,
        cpu=cpu,
        peak_mib=peak,
        calls=calls,
        writes=len(writes),
        objects=2 * run.count,
        calls_a_second=calls / spell,
        permitted=least / spell,
        others=spent_between(before, after),
    )


def _restart(run: Run, here: Stage) -> tuple[Operator, Figures, Figures]:
    """The same objects again, all Ready: what a new process needs to know them."""
    run.tell(TITLES["restart"])
    here.control.clear_journal()
    written = len(here.writes())
    before = here.others_spent()
    operator = here.operator("restart", rate_limit=f"{HIGH_RATE:g}", listing_settle="5s")
    seconds = operator.wait_ready()
    seen = Figures("restart", seconds, cpu=operator.cpu_seconds, peak_mib=operator.peak_mib)
    run.tell(TITLES["settling"])
    wait_for("the key listing", lambda: here.calls()["get_storage_key"] > 0, _REST_SECONDS)
    operator.wait_quiet(_REST_SECONDS)
    settled = Figures(
        "settling",
        operator.age,
        cpu=operator.cpu_seconds,
        peak_mib=operator.peak_mib,
        calls=here.calls().total(),
        writes=len(here.writes()) - written,
        others=spent_between(before, here.others_spent()),
    )
    return operator, seen, settled


def _idle(run: Run, here: Stage, operator: Operator) -> Figures:
    run.tell(TITLES["idle"])
    calls, cpu, before = here.calls().total(), operator.cpu_seconds, here.others_spent()
    time.sleep(_IDLE_SECONDS)
    used, after = operator.cpu_seconds - cpu, here.others_spent()
    return Figures(
        "idle",
        _IDLE_SECONDS,
        cpu=used,
        peak_mib=operator.peak_mib,
        calls=here.calls().total() - calls,
        others=spent_between(before, after),
    )


def _resync(run: Run, here: Stage) -> Figures:
    """The second sweep of a process, from the last look of the first to the last of its own."""
    run.tell(TITLES["resync"])
    operator = here.operator(
        "resync",
        rate_limit=f"{HIGH_RATE:g}",
        listing_settle="1s",
        resync_interval=f"{_SWEEP_SECONDS:g}s",
    )
    here.control.clear_journal()
    patience = 3 * _SWEEP_SECONDS + _REST_SECONDS
    wait_for("the first sweep", lambda: here.calls()["bucket_status"] >= run.count, patience)
    calls, cpu, before = here.calls().total(), operator.cpu_seconds, here.others_spent()
    written, began = len(here.writes()), time.monotonic()
    wait_for("the second", lambda: here.calls()["bucket_status"] >= 2 * run.count, patience)
    figures = Figures(
        "resync",
        time.monotonic() - began,
        cpu=operator.cpu_seconds - cpu,
        peak_mib=operator.peak_mib,
        calls=here.calls().total() - calls,
        writes=len(here.writes()) - written,
        others=spent_between(before, here.others_spent()),
    )
    operator.stop()
    return figures
