"""Nothing that the process keeps grows over weeks: each container follows from what exists."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from amove_operator.models import AmoveBucket
from amove_operator.models.refs import Kind
from tests.unit.leaks.bounds import BOUNDS, Existing
from tests.unit.leaks.containers import Walk, constants, held_by_modules
from tests.unit.leaks.month import Month, MonthLoop, Replica

# The same passes, day after day: to count their lines doubles the time.
pytestmark = pytest.mark.no_cover


@dataclass
class Observed:
    """Which containers there were, and what is wrong with the size of one."""

    names: set[str] = field(default_factory=set)
    faults: set[str] = field(default_factory=set)

    def note(self, roots: list[object]) -> Walk:
        walk = Walk([*roots, *held_by_modules()])
        self.names |= walk.sizes.keys()
        return walk

    def judge(self, when: str, replica: Replica, existing: Existing, *, leads: bool) -> None:
        for name, size in self.note(replica.roots).sizes.items():
            bound = BOUNDS.get(name)
            if bound is None or (bound.exact and not leads):
                continue
            if (fault := bound.fault(size, existing)) is not None:
                self.faults.add(f"{name}, {when}: {fault}")


def existing(month: Month) -> Existing:
    """What there is, with the AmoveBuckets that vanished and wait until a key is gone."""
    refs = [ref for kind in Kind for ref in month.api.refs(kind)]
    vanished = month.leader.operator.d.store.vanished.values()
    waiting = [one for one in vanished if isinstance(one, AmoveBucket)]
    return Existing(
        buckets=sum(ref.kind is Kind.BUCKET for ref in refs) + len(waiting),
        keys=sum(ref.kind is Kind.KEY for ref in refs),
        secrets=len(month.api.secrets()),
        live=len(month.amove.keys),
    )


async def lived(month: Month, days: int, observed: Observed) -> None:
    """The month, and its end: what exists, and then nothing."""
    replicas = (month.leader, month.standby)
    running = [asyncio.create_task(replica.run()) for replica in replicas]
    try:
        for _ in range(days):
            await month.live(days=1)
            observed.note(month.leader.roots)
        await month.calm_down()
        assert existing(month).keys > 2, "a month in which there is nothing in the end"
        for replica in replicas:
            observed.judge("in the end", replica, existing(month), leads=replica is month.leader)
        await month.end()
        assert existing(month) == Existing(0, 0, 0, 0)
        for replica in replicas:
            observed.judge("with nothing left", replica, existing(month), leads=True)
        assert not any(task.done() for task in running)
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


@pytest.fixture(autouse=True)
def _quietly() -> Iterator[None]:
    """Each month is the same one, and thousands of its log lines are not kept."""
    state = random.getstate()
    random.seed(3)
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)
    random.setstate(state)


@pytest.mark.parametrize(
    ("days", "watched"), [(30, False), (10, True)], ids=["all namespaces", "some namespaces"]
)
def test_after_thirty_days_the_process_holds_no_more_than_follows_from_what_exists(
    days: int, watched: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop, observed = MonthLoop(), Observed()
    try:
        month = Month(loop, monkeypatch, tmp_path / "token", watched=watched)
        before = constants()
        loop.run(lived(month, days, observed))
        grown = {name for name, size in constants().items() if size != before.get(name, size)}
    finally:
        loop.close()
    assert sorted(grown) == [], "containers of modules and classes, which change at run time"
    assert sorted(observed.faults) == []
    assert sorted(observed.names - BOUNDS.keys()) == [], (
        "containers without a bound: say in BOUNDS (tests/unit/leaks/bounds.py) what keeps each "
        "from growing over weeks. What is of one object must go with it: Dependencies.forget"
    )
