"""The workers of the queue: they share its items, and outlive what goes wrong with them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from amove_operator.engine.workers import FINISH_SECONDS, run_workers
from amove_operator.engine.workqueue import WorkQueue
from tests.unit.virtual_time import VirtualTimeLoop, new_queue


@pytest.fixture
def loop() -> Iterator[VirtualTimeLoop]:
    loop = VirtualTimeLoop()
    yield loop
    loop.close()


async def _run(
    queue: WorkQueue[Any], handle: Callable[[Any], Awaitable[None]], seconds: float, **options: Any
) -> None:
    """Work for so many seconds, then shut down and wait for the workers' end."""
    running = asyncio.create_task(run_workers(queue, handle, **options))
    await asyncio.sleep(seconds)
    queue.shutdown()
    await running


def test_as_many_items_are_handled_at_once_as_there_are_workers(loop: VirtualTimeLoop) -> None:
    async def scenario() -> None:
        queue = new_queue(loop)
        now: set[int] = set()
        most = 0

        async def handle(item: int) -> None:
            nonlocal most
            now.add(item)
            most = max(most, len(now))
            await asyncio.sleep(1)
            now.remove(item)

        for item in range(40):
            queue.add(item)
        await _run(queue, handle, 100, count=16)
        assert (most, len(queue)) == (16, 0)

    loop.run(scenario())


def test_an_unexpected_error_is_logged_backs_the_item_off_and_spares_the_worker(
    loop: VirtualTimeLoop, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        queue = new_queue(loop)
        runs: list[tuple[float, str]] = []

        async def handle(item: str) -> None:
            runs.append((loop.time() - 1000.0, item))
            if item == "bad" and len(runs) < 4:
                raise RuntimeError("a fault of ours")

        queue.add("bad")
        queue.add("good")
        await _run(queue, handle, 100, count=1)
        assert runs == [(0, "bad"), (0, "good"), (1, "bad"), (3, "bad")]
        assert queue.run("bad").failures == 2

    loop.run(scenario())
    logged = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert [record.getMessage() for record in logged] == [
        "bad: unexpected error; next try in 1.0 s",
        "bad: unexpected error; next try in 2.0 s",
    ]
    assert all("a fault of ours" in str(record.exc_text) for record in logged)


def test_a_cancellation_from_within_a_run_does_not_end_the_worker(loop: VirtualTimeLoop) -> None:
    async def scenario() -> None:
        queue = new_queue(loop)
        runs: list[str] = []

        async def handle(item: str) -> None:
            runs.append(item)
            if runs == ["bad"]:
                other = asyncio.create_task(asyncio.sleep(10))
                other.cancel()
                await other

        queue.add("bad")
        queue.add("good")
        await _run(queue, handle, 10, count=1)
        assert runs == ["bad", "good", "bad"]

    loop.run(scenario())


@pytest.mark.parametrize(
    ("needs", "finished"),
    [
        pytest.param(4, True, id="a run that ends within the deadline is finished"),
        pytest.param(2 * FINISH_SECONDS, False, id="a run that takes longer is cut off"),
    ],
)
def test_after_the_shutdown_running_work_has_a_deadline(
    loop: VirtualTimeLoop, needs: float, finished: bool
) -> None:
    async def scenario() -> None:
        queue = new_queue(loop)
        ended: list[bool] = []

        async def handle(_item: str) -> None:
            try:
                await asyncio.sleep(1 + needs)
            except asyncio.CancelledError:
                ended.append(False)
                raise
            ended.append(True)

        queue.add("a")
        await _run(queue, handle, 1, count=3)
        assert ended == [finished]
        assert loop.time() - 1000.0 == 1 + (needs if finished else FINISH_SECONDS)

    loop.run(scenario())


def test_cancelling_the_workers_cancels_what_runs(loop: VirtualTimeLoop) -> None:
    async def scenario() -> None:
        queue = new_queue(loop)
        cancelled: list[str] = []

        async def handle(item: str) -> None:
            try:
                await asyncio.sleep(1000)
            except asyncio.CancelledError:
                cancelled.append(item)
                raise

        queue.add("a")
        running = asyncio.create_task(run_workers(queue, handle, 2))
        await asyncio.sleep(1)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert cancelled == ["a"]

    loop.run(scenario())


def test_runs_that_await_nothing_leave_the_event_loop_to_others(loop: VirtualTimeLoop) -> None:
    async def scenario() -> None:
        queue = new_queue(loop)
        for item in range(1000):
            queue.add(item)
        seen_by_others: list[int] = []

        async def others() -> None:
            while queue.depth:
                seen_by_others.append(queue.depth)
                await asyncio.sleep(0)

        async def handle(_item: int) -> None:
            return

        watching = asyncio.create_task(others())
        await _run(queue, handle, 1, count=16)
        await watching
        assert len(seen_by_others) > 50

    loop.run(scenario())
