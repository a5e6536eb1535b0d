"""A de-duplicating work queue: many wake-ups of one item become one run of it.

The heart of level-triggered reconciling (docs/architecture.md): an event says only *which* item to
look at. An item is never in two workers' hands, no wake-up is lost, and it has at most one
pending entry: now, or at the earliest moment asked for. Everything is O(log n) or better, one
timer of the event loop serves all delayed items, and an item that is neither pending, nor
processed, nor failing costs nothing.

Not thread-safe: use it from the event loop's own thread.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import logging
import random
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from amove_operator.clock import backoff
from amove_operator.errors import OperatorError

_log = logging.getLogger(__name__)

Item = TypeVar("Item", bound=Hashable)

FINISH_SECONDS = 75.0
"""So long runs may go on after a shutdown: a call of the service, and what is written after it.

The chart's ``terminationGracePeriodSeconds`` is longer: a process that is killed in the middle of a
call leaves a key that nobody holds until the next start.
"""


class QueueClosed(OperatorError):
    """The queue was shut down: there is nothing more to get."""


def spread(delay: float) -> float:
    """The default jitter: 75 to 100 % of ``delay``, so doubling still grows every time."""
    return delay * random.uniform(0.75, 1.0)  # noqa: S311 - spreads load, guards no secret


class WorkQueue(Generic[Item]):
    """Items to handle, each by one worker at a time.

    ``clock`` gives monotonic seconds and must run at the speed of the event loop's clock.
    ``backoff_base`` and ``backoff_cap`` are seconds; ``jitter`` maps a delay to the one used.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        backoff_base: float = 1.0,
        backoff_cap: float = 600.0,
        jitter: Callable[[float], float] = spread,
    ) -> None:
        self._clock = clock
        self._backoff_base = backoff_base
        self._backoff_cap = backoff_cap
        self._jitter = jitter
        self._ready: OrderedDict[Item, float] = OrderedDict()  # item → since when it waits
        self._processing: set[Item] = set()
        self._dirty: set[Item] = set()  # processed now, and wanted again right after
        self._delayed: dict[Item, float] = {}  # item → when it falls due
        self._schedule: list[tuple[float, int, Item]] = []  # heap; may hold outdated entries
        self._sequence = itertools.count()  # items themselves need not be comparable
        self._timer: asyncio.TimerHandle | None = None
        self._failures: dict[Item, int] = {}
        self._available = asyncio.Semaphore(0)  # at least one per ready item; one when closed
        self._closed = asyncio.Event()

    def add(self, item: Item) -> None:
        """Have ``item`` handled now, whatever delay or back-off it waits for.

        While it is being handled it is handled once more afterwards. Ignored after a shutdown.
        """
        if self._closed.is_set():
            return
        if self._delayed.pop(item, None) is not None:
            self._drop_outdated()
        if item in self._processing:
            self._dirty.add(item)
        elif item not in self._ready:
            self._ready[item] = self._clock()
            self._available.release()

    def add_after(self, item: Item, seconds: float) -> None:
        """Have ``item`` handled in ``seconds``; the earliest of several wishes wins.

        An item that is already queued, or wanted again after its present run, stays so.
        """
        if not seconds > 0:  # also takes a NaN, which would upset the heap's order
            self.add(item)
            return
        due = self._clock() + seconds
        if self._closed.is_set() or item in self._ready or item in self._dirty:
            return
        if due >= self._delayed.get(item, float("inf")):
            return
        self._delayed[item] = due
        heapq.heappush(self._schedule, (due, next(self._sequence), item))
        self._drop_outdated()
        self._set_timer()

    def fail(self, item: Item, *, cap: float | None = None, at_least: float = 0.0) -> float:
        """Back ``item`` off after a failed run; returns the delay chosen, in seconds.

        It doubles with every failure in a row, up to ``cap`` (the queue's own, if None).
        ``at_least`` (a server's Retry-After) wins over the cap. An :meth:`add` pulls the item
        forward all the same: a changed spec must be served at once.
        """
        failures = self._failures.get(item, 0)
        self._failures[item] = failures + 1
        limit = self._backoff_cap if cap is None else cap
        delay = max(at_least, self._jitter(backoff(self._backoff_base, limit, failures)))
        self.add_after(item, delay)
        return delay

    def forget(self, item: Item) -> None:
        """Reset the back-off of ``item``: its last run went well."""
        self._failures.pop(item, None)

    def discard(self, item: Item) -> None:
        """``item`` is gone: no wish for it is left, however far ahead; a present run goes on."""
        self._failures.pop(item, None)
        self._dirty.discard(item)
        self._ready.pop(item, None)  # its permit stays, and :meth:`get` passes it over
        if self._delayed.pop(item, None) is not None:
            self._drop_outdated()

    def failures(self, item: Item) -> int:
        """Failed runs in a row."""
        return self._failures.get(item, 0)

    async def get(self) -> Item:
        """Wait for an item and take it; follow with :meth:`done`. Raises QueueClosed."""
        await self._available.acquire()
        while not self._ready:
            if self._closed.is_set():
                self._available.release()  # the shutdown's permit: the next waiter must see it too
                raise QueueClosed("the work queue is shut down")
            await self._available.acquire()
        item, _ = self._ready.popitem(last=False)
        self._processing.add(item)
        return item

    def done(self, item: Item) -> None:
        """End the run begun by :meth:`get`. Raises KeyError if there was none."""
        self._processing.remove(item)
        if item in self._dirty:
            self._dirty.remove(item)
            self._ready[item] = self._clock()
            self._available.release()

    def shutdown(self, *, drain: bool = False) -> None:
        """Take nothing more. ``drain``: hand out first what is queued, but nothing delayed."""
        if not drain:
            self._ready.clear()
            self._dirty.clear()
        self._delayed.clear()
        self._schedule.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._closed.is_set():
            self._closed.set()
            self._available.release()

    @property
    def is_shut_down(self) -> bool:
        """Whether :meth:`shutdown` was called: what runs now only ends what it has begun."""
        return self._closed.is_set()

    async def wait_closed(self) -> None:
        """Return once :meth:`shutdown` was called."""
        await self._closed.wait()

    def __len__(self) -> int:
        """Runs still to come: queued, delayed, or wanted again after the present run."""
        return len(self._ready) + len(self._delayed) + len(self._dirty)

    def __bool__(self) -> bool:
        """Always true: an empty queue is still a queue."""
        return True

    @property
    def depth(self) -> int:
        """How many items wait for a worker."""
        return len(self._ready)

    @property
    def oldest_seconds(self) -> float:
        """How long the next item has waited for a worker; 0 when none waits."""
        for since in self._ready.values():
            return max(0.0, self._clock() - since)
        return 0.0

    def _set_timer(self) -> None:
        """Make the one timer fire no later than the first item falls due."""
        if not self._schedule:
            return
        loop = asyncio.get_running_loop()
        fire = loop.time() + max(0.0, self._schedule[0][0] - self._clock())
        if self._timer is not None:
            if self._timer.when() <= fire:
                return
            self._timer.cancel()
        self._timer = loop.call_at(fire, self._fall_due)

    def _fall_due(self) -> None:
        self._timer = None
        now = self._clock()
        while self._schedule and self._schedule[0][0] <= now:
            due, _, item = heapq.heappop(self._schedule)
            if self._delayed.get(item) == due:
                self.add(item)
        self._set_timer()

    def _drop_outdated(self) -> None:
        """Rebuild the heap when most of it is outdated: its size stays that of what is delayed."""
        if len(self._schedule) <= 2 * len(self._delayed) + 64:
            return
        self._schedule = [one for one in self._schedule if self._delayed.get(one[2]) == one[0]]
        heapq.heapify(self._schedule)


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
