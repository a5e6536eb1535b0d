"""The work queue: what is asked for comes once, in time, and to one worker."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, TypeVar

import pytest

from amove_operator.engine.slices import SLICE
from amove_operator.engine.workqueue import QueueClosed, WorkQueue
from amove_operator.fairness import Urgency
from tests.unit.virtual_time import VirtualTimeLoop, new_queue, take

T = TypeVar("T")


@pytest.fixture
def loop() -> Iterator[VirtualTimeLoop]:
    loop = VirtualTimeLoop()
    yield loop
    loop.close()


async def nothing_for(queue: WorkQueue[Any], seconds: float) -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(queue.get(), seconds)


# What a sequence of calls comes to: (sentence, calls before any worker, [(time, item) taken]).
Calls = Callable[[WorkQueue[Any]], object]
ORDERS: list[tuple[str, list[Calls], list[tuple[float, str]]]] = [
    ("an added item is taken at once", [lambda q: q.add("a")], [(0, "a")]),
    (
        "an item added three times is taken once",
        [lambda q: q.add("a"), lambda q: q.add("a"), lambda q: q.add("a")],
        [(0, "a")],
    ),
    (
        "items are taken in the order in which they came",
        [lambda q: q.add("b"), lambda q: q.add("a"), lambda q: q.add("b"), lambda q: q.add("c")],
        [(0, "b"), (0, "a"), (0, "c")],
    ),
    ("a delayed item comes when it is due", [lambda q: q.add_after("a", 5)], [(5, "a")]),
    (
        "delayed items come in the order of their times",
        [lambda q: q.add_after("a", 9), lambda q: q.add_after("b", 3)],
        [(3, "b"), (9, "a")],
    ),
    (
        "of several delays the earliest wins when it is asked for last",
        [lambda q: q.add_after("a", 9), lambda q: q.add_after("a", 4)],
        [(4, "a")],
    ),
    (
        "of several delays the earliest wins when it is asked for first",
        [lambda q: q.add_after("a", 4), lambda q: q.add_after("a", 9)],
        [(4, "a")],
    ),
    (
        "an add pulls a delayed item forward",
        [lambda q: q.add_after("a", 9), lambda q: q.add("a")],
        [(0, "a")],
    ),
    (
        "a delay leaves a queued item queued",
        [lambda q: q.add("a"), lambda q: q.add_after("a", 9)],
        [(0, "a")],
    ),
    ("a delay of nothing means now", [lambda q: q.add_after("a", 0)], [(0, "a")]),
    ("a negative delay means now", [lambda q: q.add_after("a", -3)], [(0, "a")]),
    ("a delay that is no number means now", [lambda q: q.add_after("a", float("nan"))], [(0, "a")]),
    ("a failed item comes after its back-off", [lambda q: q.fail("a")], [(1, "a")]),
    (
        "an add pulls an item out of its back-off",
        [lambda q: q.fail("a", at_least=300), lambda q: q.add("a")],
        [(0, "a")],
    ),
]


@pytest.mark.parametrize(
    ("calls", "taken"), [row[1:] for row in ORDERS], ids=[row[0] for row in ORDERS]
)
def test_what_is_asked_for_comes_once_and_in_time(
    loop: VirtualTimeLoop, calls: list[Calls], taken: list[tuple[float, str]]
) -> None:
    async def scenario() -> None:
        queue = new_queue(loop)
        for call in calls:
            call(queue)
        for expected in taken:
            when, item = await take(queue)
            assert (when, item) == expected
            queue.done(item)
        assert len(queue) == 0
        await nothing_for(queue, 1000)

    loop.run(scenario())


def test_a_waiting_worker_is_woken_by_an_add(loop: VirtualTimeLoop) -> None:
    async def scenario() -> None:
        queue = new_queue(loop)
        loop.call_later(7, queue.add, "a")
        assert await take(queue) == (7, "a")

    loop.run(scenario())


def test_a_waiting_worker_is_woken_by_a_delay_shorter_than_the_first(
    loop: VirtualTimeLoop,
) -> None:
    async def scenario() -> None:
        queue = new_queue(loop)
        queue.add_after("slow", 100)
        loop.call_later(1, queue.add_after, "fast", 2)
        assert await take(queue) == (3, "fast")
        assert await take(queue) == (100, "slow")

    loop.run(scenario())


def test_an_item_added_while_processed_is_taken_again_only_after_it_is_done(
    loop: VirtualTimeLoop,
) -> None:
    async def scenario() -> None:
        queue = new_queue(loop)
        queue.add("a")
        await queue.get()
        queue.add("a")
        queue.add("a")
        assert (queue.depth, len(queue)) == (0, 1)
        await nothing_for(queue, 50)
        queue.done("a")
        assert await take(queue) == (50, "a")
        queue.done("a")
        assert len(queue) == 0

    loop.run(scenario())


def test_a_delay_that_ends_while_the_item_is_processed_is_served_after_it(
    loop: VirtualTimeLoop,
) -> None:
    async def scenario() -> None:
        queue = new_queue(loop)
        queue.add("a")
        await queue.get()
        queue.add_after("a", 5)
        await nothing_for(queue, 20)
        queue.done("a")
        assert await take(queue) == (20, "a")

    loop.run(scenario())


def test_an_add_during_a_run_leaves_one_further_run_not_a_delayed_one_as_well(
    loop: VirtualTimeLoop,
) -> None:
    async def scenario() -> None:
        queue = new_queue(loop)
        queue.add("a")
        await queue.get()
        queue.add_after("a", 30)
        queue.add("a")
        queue.add_after("a", 30)
        queue.done("a")
        assert await take(queue) == (0, "a")
        queue.done("a")
        await nothing_for(queue, 100)

    loop.run(scenario())


def test_a_cancelled_waiter_takes_no_item_with_it(loop: VirtualTimeLoop) -> None:
    async def scenario() -> None:
        queue = new_queue(loop)
        leaving = asyncio.create_task(queue.get())
        staying = asyncio.create_task(queue.get())
        await asyncio.sleep(0)
        queue.add("a")
        leaving.cancel()  # after the wake-up, before it ran
        with suppress(asyncio.CancelledError):
            queue.done(await leaving)
            queue.add("a")
        assert await asyncio.wait_for(staying, 1) == "a"

    loop.run(scenario())


def test_ending_a_run_that_never_began_is_an_error(loop: VirtualTimeLoop) -> None:
    with pytest.raises(KeyError):
        new_queue(loop).done("a")


def test_an_empty_queue_is_still_true(loop: VirtualTimeLoop) -> None:
    assert new_queue(loop)


# --- size


def test_twenty_thousand_delayed_items_share_one_timer_and_all_come(
    loop: VirtualTimeLoop,
) -> None:
    async def scenario() -> None:
        queue = new_queue(loop)
        before = len(loop.timers)
        for number in range(20_000):
            queue.add_after(number, 10 + number % 100)
        assert len(loop.timers) - before == 1
        times = []
        for _ in range(20_000):
            when, item = await take(queue)
            times.append(when)
            assert when == 10 + item % 100
            queue.done(item)
        assert times == sorted(times)
        assert len(loop.timers) - before == 100  # one for each moment at which something was due

    loop.run(scenario())


def test_those_that_fall_due_at_one_moment_are_queued_in_slices(loop: VirtualTimeLoop) -> None:
    queue, grown = new_queue(loop), []

    async def scenario() -> None:
        for number in range(5 * SLICE):
            queue.add_after(number, 5.0)
        while (before := queue.depth) < 5 * SLICE:
            await asyncio.sleep(5.0 if not before else 0.0)
            grown.append(queue.depth - before)

    loop.run(scenario())
    assert max(grown) <= SLICE
    assert loop.now == 1005.0, "all in their time"


def test_an_earlier_delay_replaces_the_timer_and_leaves_no_second_one(
    loop: VirtualTimeLoop,
) -> None:
    async def scenario() -> None:
        queue = new_queue(loop)
        for number in range(50):
            queue.add_after(number, 100 - number)
        assert loop.timers_ahead == [loop.now + 51]
        queue.shutdown()
        assert loop.timers_ahead == []

    loop.run(scenario())


class Weighty:
    """An item whose being kept in memory can be seen."""


@pytest.mark.parametrize("way", ["added", "delayed", "failed", "pulled forward"])
def test_an_item_that_is_done_and_forgotten_leaves_nothing_behind(
    loop: VirtualTimeLoop, way: str
) -> None:
    async def one_run(queue: WorkQueue[Any]) -> weakref.ref[Weighty]:
        item = Weighty()
        match way:
            case "added":
                queue.add(item)
            case "delayed":
                queue.add_after(item, 10)
            case "failed":
                queue.fail(item)
            case _:
                queue.add_after(item, 1_000_000)
                queue.add(item)
        assert await queue.get() is item
        queue.done(item)
        queue.forget(item)
        return weakref.ref(item)

    async def scenario() -> None:
        queue = new_queue(loop)
        left = [await one_run(queue) for _ in range(1000)]
        gc.collect()
        # Outdated entries of the timetable may wait for their clearing, but never pile up.
        most = 70 if way == "pulled forward" else 0
        assert sum(item() is not None for item in left) <= most

    loop.run(scenario())


def test_items_pulled_forward_all_at_once_leave_nothing_behind(loop: VirtualTimeLoop) -> None:
    async def scenario() -> None:
        queue = new_queue(loop)
        items = [Weighty() for _ in range(1000)]
        left = [weakref.ref(item) for item in items]
        for item in items:
            queue.add_after(item, 1_000_000)
        for item in items:
            queue.add(item)
        items.clear()
        del item
        for _ in left:
            queue.done(await queue.get())
        gc.collect()
        assert sum(item() is not None for item in left) <= 70

    loop.run(scenario())


class Equal(Weighty):
    """Any two are the same item, and yet two objects."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Equal)

    def __hash__(self) -> int:
        return 1


def test_ever_earlier_delays_of_one_item_do_not_pile_up(loop: VirtualTimeLoop) -> None:
    async def scenario() -> None:
        queue = new_queue(loop)
        left = []
        for number in range(1000):
            item = Equal()
            left.append(weakref.ref(item))
            queue.add_after(item, 5000 - number)
        gc.collect()
        assert sum(item() is not None for item in left) <= 70

    loop.run(scenario())


def test_depth_and_age_speak_of_what_waits_for_a_worker(loop: VirtualTimeLoop) -> None:
    async def scenario() -> None:
        queue = new_queue(loop)
        assert (queue.depth, queue.longest_wait(Urgency.CHANGE), len(queue)) == (0, 0.0, 0)
        queue.add_after("later", 1000)
        queue.add("a")
        await asyncio.sleep(4)
        queue.add("b")
        queue.add("a")
        queue.add("swept", Urgency.SWEEP)
        assert (queue.depth, queue.longest_wait(Urgency.CHANGE), len(queue)) == (3, 4.0, 4)
        assert [queue.waiting(urgency) for urgency in Urgency] == [0, 2, 1]
        assert (await queue.get(), queue.busy) == ("a", 1)
        assert (queue.depth, queue.longest_wait(Urgency.CHANGE), len(queue)) == (2, 0.0, 3)

    loop.run(scenario())


# --- what is gone


def test_of_an_item_that_is_gone_no_wish_and_no_back_off_is_left(loop: VirtualTimeLoop) -> None:
    async def scenario() -> None:
        queue = new_queue(loop)
        queue.add("running")
        await queue.get()
        queue.add("running")
        queue.fail("running")
        queue.add("queued")
        queue.add_after("in thirty days", 30 * 86_400)
        for item in ("running", "queued", "in thirty days", "never heard of"):
            queue.discard(item)
        assert (len(queue), queue.run("running").failures) == (0, 0)
        queue.done("running")
        await nothing_for(queue, 31 * 86_400)

    loop.run(scenario())


def test_a_worker_that_waits_passes_over_what_is_gone(loop: VirtualTimeLoop) -> None:
    async def scenario() -> None:
        queue = new_queue(loop)
        waiting = asyncio.create_task(take(queue))
        await asyncio.sleep(1)
        queue.add("gone")
        queue.discard("gone")
        await asyncio.sleep(1)
        queue.add("there")
        assert await waiting == (2, "there")
        queue.discard("there")
        queue.shutdown()
        assert await _closed(queue)

    loop.run(scenario())


# --- shutdown


async def _closed(queue: WorkQueue[Any]) -> bool:
    try:
        await asyncio.wait_for(queue.get(), 1)
    except QueueClosed:
        return True
    return False


def test_a_shutdown_ends_every_waiting_worker(loop: VirtualTimeLoop) -> None:
    async def scenario() -> None:
        queue = new_queue(loop)
        waiting = [asyncio.create_task(_closed(queue)) for _ in range(5)]
        await asyncio.sleep(0)
        queue.shutdown()
        queue.shutdown()
        assert await asyncio.gather(*waiting) == [True] * 5
        assert await _closed(queue)

    loop.run(scenario())


def test_a_shutdown_drops_what_is_queued_delayed_and_wanted_again(loop: VirtualTimeLoop) -> None:
    async def scenario() -> None:
        queue = new_queue(loop)
        queue.add("running")
        await queue.get()
        queue.add("running")
        queue.add("queued")
        queue.add_after("delayed", 5)
        queue.shutdown()
        queue.done("running")
        assert len(queue) == 0
        await asyncio.sleep(10)
        assert await _closed(queue)

    loop.run(scenario())


def test_a_draining_shutdown_hands_out_what_is_queued_but_nothing_later(
    loop: VirtualTimeLoop,
) -> None:
    async def scenario() -> None:
        queue = new_queue(loop)
        for item in ("running", "queued"):
            queue.add(item)
        await queue.get()
        queue.add("running")
        queue.add_after("delayed", 5)
        queue.shutdown(drain=True)
        queue.add("too late")
        queue.add_after("too late", 1)
        queue.fail("too late")
        assert await queue.get() == "queued"
        queue.done("running")
        assert await queue.get() == "running"
        await asyncio.sleep(10)
        assert await _closed(queue)

    loop.run(scenario())
