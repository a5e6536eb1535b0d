"""Workers that serve a work queue, and end with what they have in hand."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Hashable
from typing import TypeVar

from amove_operator.engine.workqueue import QueueClosed, WorkQueue

_log = logging.getLogger(__name__)

Item = TypeVar("Item", bound=Hashable)

FINISH_SECONDS = 75.0
"""So long runs may go on after a shutdown: a call of the service, and what is written after it.

The chart's ``terminationGracePeriodSeconds`` is longer: a process that is killed in the middle of a
call leaves a key that nobody holds until the next start.
"""


async def run_workers(
    queue: WorkQueue[Item], handle: Callable[[Item], Awaitable[None]], count: int = 16
) -> None:
    """Handle the queue's items with ``count`` workers until :meth:`WorkQueue.shutdown`.

    ``handle`` says itself how the item goes on (``fail``, ``forget``, ``add_after``). What it
    raises is a fault of ours: logged with its traceback, and the item backed off. After the
    shutdown running handles have ``FINISH_SECONDS``, then they are cancelled. Cancelling this
    coroutine cancels them at once.
    """
    workers = [asyncio.create_task(_work(queue, handle), name=f"worker-{n}") for n in range(count)]
    try:
        await queue.wait_closed()
        _, late = await asyncio.wait(workers, timeout=FINISH_SECONDS)
        if late:
            _log.warning("%d runs were cut off %.1f s after the stop", len(late), FINISH_SECONDS)
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)


async def _work(queue: WorkQueue[Item], handle: Callable[[Item], Awaitable[None]]) -> None:
    while True:
        try:
            item = await queue.get()
        except QueueClosed:
            return
        try:
            await _handle_one(queue, handle, item)
        finally:
            queue.done(item)
        # Runs that await nothing would keep probes and the Lease from being served.
        await asyncio.sleep(0)


async def _handle_one(
    queue: WorkQueue[Item], handle: Callable[[Item], Awaitable[None]], item: Item
) -> None:
    try:
        await handle(item)
    except asyncio.CancelledError:
        if (worker := asyncio.current_task()) is not None and worker.cancelling():
            raise
        # Not meant for this worker: the handle awaited something that was cancelled elsewhere.
        _log.exception("%s: cancelled from within; next try in %.1f s", item, queue.fail(item))
    except Exception:
        _log.exception("%s: unexpected error; next try in %.1f s", item, queue.fail(item))
