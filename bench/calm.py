"""At rest: what the operator uses while nothing happens, and how soon an edit is Ready."""

from __future__ import annotations

import asyncio
import time

from bench import objects
from bench.bare import Bare, Body
from bench.figures import percentile, table
from bench.objects import BUCKETS, is_ready, path
from bench.run import Outcome, Run
from bench.settled import settle, wait_compared
from bench.stage import Stage, spent_between

_IDLE_SECONDS = 60.0
_EDITS = 200
_PAUSE = 0.4
"""Seconds between edits: three calls each, below the default rate limit."""
_PATIENCE = 60.0


def calm(run: Run) -> Outcome:
    """With the default rate limit and resync, on a stage where all is settled."""
    with run.stage() as here:
        settle(run, here)
        operator = here.operator("calm", listing_settle="5s")
        operator.wait_ready()
        wait_compared(run, here, operator)
        run.tell(f"idle for {_IDLE_SECONDS:.0f} s")
        cpu, before, calls = operator.cpu_seconds, here.others_spent(), here.calls().total()
        time.sleep(_IDLE_SECONDS)
        share = (operator.cpu_seconds - cpu) / _IDLE_SECONDS * 100
        others = spent_between(before, here.others_spent())
        called = here.calls().total() - calls
        took = _edited(run, here)
    rows = [
        ("operator", f"{share:.2f} % of a core, {called} calls"),
        *((name, f"{used / _IDLE_SECONDS:.2%} of a core") for name, used in others.items()),
        (f"{len(took)} edits, median", f"{percentile(took, 0.5) * 1000:.0f} ms"),
        ("p99", f"{percentile(took, 0.99) * 1000:.0f} ms"),
        ("longest", f"{max(took) * 1000:.0f} ms"),
    ]
    figures = {"calm idle": share, "calm edit": percentile(took, 0.99)}
    return Outcome(figures, table((f"{2 * run.count} objects at rest", "measured"), rows))


def _edited(run: Run, here: Stage) -> list[float]:
    """Seconds that each edit took, from its answer to a status that says Ready of it."""
    run.tell(f"{_EDITS} edits, one at a time")

    async def edit_all(kube: Bare) -> list[float]:
        took = []
        for number in range(_EDITS):
            name = objects.bucket(number % run.count)["metadata"]["name"]
            on = number // run.count % 2 == 0
            took.append(await asyncio.wait_for(_edit(kube, name, on=on), _PATIENCE))
            await asyncio.sleep(_PAUSE)
        return took

    return here.in_cluster(edit_all)


async def _edit(kube: Bare, name: str, *, on: bool) -> float:
    edited = await kube.patch(path(BUCKETS, name), {"spec": {"versioningEnabled": on}})
    began, meta = time.monotonic(), edited["metadata"]
    watch = f"?watch=1&fieldSelector=metadata.name={name}&resourceVersion={meta['resourceVersion']}"
    async for event in kube.lines(path(BUCKETS) + watch):
        if _tells(event["object"], meta["generation"], on=on):
            return time.monotonic() - began
    raise TimeoutError(f"the watch of {name} ended")


def _tells(item: Body, generation: int, *, on: bool) -> bool:
    """Whether its status says that the edit is done."""
    status = item["status"]
    moved = status.get("observed", {}).get("versioningEnabled") is on
    return moved and status["observedGeneration"] >= generation and is_ready(item)
