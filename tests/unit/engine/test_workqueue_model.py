"""The work queue under whatever hypothesis thinks of: with workers, and beside a model."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from amove_operator.engine.workers import run_workers
from amove_operator.engine.workqueue import WorkQueue
from tests.unit.virtual_time import VirtualTimeLoop, new_queue, with_loop

T = TypeVar("T")


OPERATIONS = st.tuples(
    st.sampled_from(["add", "add_after", "fail"]),
    st.integers(0, 3),  # item
    st.integers(0, 8),  # delay
    st.integers(0, 5),  # seconds until the next operation
)


@settings(max_examples=150)
@given(
    operations=st.lists(OPERATIONS, max_size=30),
    takes=st.lists(st.integers(0, 6), min_size=1, max_size=5),
    count=st.integers(1, 4),
)
def test_no_item_is_in_two_hands_and_every_wish_is_served_by_a_later_run(
    operations: list[tuple[str, int, int, int]], takes: list[int], count: int
) -> None:
    async def scenario(loop: VirtualTimeLoop) -> None:
        queue = new_queue(loop)
        begun: dict[int, list[float]] = {item: [] for item in range(4)}
        wishes: list[tuple[int, float]] = []
        running: set[int] = set()
        runs = 0

        async def handle(item: int) -> None:
            nonlocal runs
            assert item not in running
            running.add(item)
            begun[item].append(loop.time())
            runs += 1
            await asyncio.sleep(takes[runs % len(takes)])
            running.remove(item)

        working = asyncio.create_task(run_workers(queue, handle, count))
        for call, item, delay, pause in operations:
            wishes.append((item, loop.time()))
            match call:
                case "add":
                    queue.add(item)
                case "add_after":
                    queue.add_after(item, delay)
                case _:
                    queue.fail(item, cap=8)
            await asyncio.sleep(pause)
        await asyncio.sleep(1000)
        assert (len(queue), running) == (0, set())
        for item, wished in wishes:
            assert any(start >= wished for start in begun[item])
        assert runs <= len(wishes)
        queue.shutdown()
        await working

    with_loop(scenario)


class QueueMachine(RuleBasedStateMachine):
    """The queue beside a model that says in sets what it must hold."""

    items = st.sampled_from("abcd")

    def __init__(self) -> None:
        super().__init__()
        self.loop = VirtualTimeLoop()
        self.queue: WorkQueue[str] = new_queue(self.loop, backoff_cap=16.0)
        self.queued: list[str] = []
        self.dirty: set[str] = set()
        self.processing: set[str] = set()
        self.delayed: dict[str, tuple[float, int]] = {}  # due, and in which order asked for
        self.order = itertools.count()
        self.failures: dict[str, int] = {}

    def teardown(self) -> None:
        self.loop.close()

    def inside(self, call: Callable[[], T]) -> T:
        async def within() -> T:
            return call()

        return self.loop.run(within())

    def now(self, item: str) -> None:
        self.delayed.pop(item, None)
        if item in self.processing:
            self.dirty.add(item)
        elif item not in self.queued:
            self.queued.append(item)

    def later(self, item: str, seconds: float) -> None:
        if item not in self.queued and item not in self.dirty:
            due = self.loop.time() + seconds
            if item not in self.delayed or due < self.delayed[item][0]:
                self.delayed[item] = (due, next(self.order))

    @rule(item=items)
    def add(self, item: str) -> None:
        self.now(item)
        self.inside(lambda: self.queue.add(item))

    @rule(item=items, seconds=st.integers(1, 20))
    def add_after(self, item: str, seconds: int) -> None:
        self.later(item, seconds)
        self.inside(lambda: self.queue.add_after(item, seconds))

    @rule(item=items, at_least=st.sampled_from([0, 3, 40]))
    def fail(self, item: str, at_least: int) -> None:
        count = self.failures[item] = self.failures.get(item, 0) + 1
        expected = max(at_least, min(16.0, 2.0 ** (count - 1)))
        self.later(item, expected)
        assert self.inside(lambda: self.queue.fail(item, at_least=at_least)) == expected

    @rule(item=items)
    def forget(self, item: str) -> None:
        self.failures.pop(item, None)
        self.queue.forget(item)

    @rule(item=items)
    def discard(self, item: str) -> None:
        self.failures.pop(item, None)
        self.delayed.pop(item, None)
        self.dirty.discard(item)
        if item in self.queued:
            self.queued.remove(item)
        self.queue.discard(item)

    @precondition(lambda self: self.queued)
    @rule()
    def get(self) -> None:
        # In which order: see the tests of the line that they wait in.
        item = self.loop.run(asyncio.wait_for(self.queue.get(), 0.001))
        self.queued.remove(item)
        self.processing.add(item)

    @precondition(lambda self: not self.queued)
    @rule()
    def get_nothing(self) -> None:
        async def waits() -> bool:
            waiter = asyncio.create_task(self.queue.get())
            for _ in range(3):
                await asyncio.sleep(0)
            waiting = not waiter.done()
            waiter.cancel()
            with suppress(asyncio.CancelledError):
                await waiter
            return waiting

        assert self.loop.run(waits())

    @precondition(lambda self: self.processing)
    @rule(pick=st.integers(0, 3))
    def done(self, pick: int) -> None:
        item = sorted(self.processing)[pick % len(self.processing)]
        self.processing.remove(item)
        if item in self.dirty:
            self.dirty.remove(item)
            self.queued.append(item)
        self.inside(lambda: self.queue.done(item))

    @rule(seconds=st.integers(1, 12))
    def let_time_pass(self, seconds: int) -> None:
        until = self.loop.time() + seconds
        self.loop.run(asyncio.sleep(seconds))
        for item, (due, _) in sorted(self.delayed.items(), key=lambda entry: entry[1]):
            if due <= until:
                self.now(item)

    @invariant()
    def holds_what_the_model_holds(self) -> None:
        assert self.queue.depth == len(self.queued)
        assert len(self.queue) == len(self.queued) + len(self.delayed) + len(self.dirty)
        assert all(self.queue.run(item).failures == self.failures.get(item, 0) for item in "abcd")


TestQueueMachine = QueueMachine.TestCase
TestQueueMachine.settings = settings(max_examples=100, stateful_step_count=40)
