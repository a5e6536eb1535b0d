"""A de-duplicating work queue: many wake-ups of one item become one run of it.

The heart of level-triggered reconciling (docs/architecture.md): an event says only *which* item to
look at. An item is never in two workers' hands, no wake-up is lost, and it has at most one
pending entry: now, or at the earliest moment asked for. Who waits for a worker is served by
urgency, and namespaces in turn; none has more than its share of the workers. Everything is O(log n)
or better, one timer of the event loop serves all delayed items, and an item that is neither
pending, nor processed, nor failing costs nothing. Not thread-safe: for the event loop's own thread.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import random
import time
from collections import Counter, deque
from collections.abc import Callable, Hashable
from typing import Generic, NamedTuple, TypeVar

from amove_operator.clock import backoff
from amove_operator.engine.slices import SLICE
from amove_operator.errors import OperatorError
from amove_operator.fairness import FairLine, Urgency

Item = TypeVar("Item", bound=Hashable)


class QueueClosed(OperatorError):
    """The queue was shut down: there is nothing more to get."""


class Run(NamedTuple):
    """What the queue knows of a run: how urgent it is, and how many before it failed in a row."""

    urgency: Urgency
    failures: int


class _Delayed(NamedTuple):
    """When an item falls due, and how urgent it is then."""

    due: float
    urgency: Urgency


def _alone(item: Hashable) -> Hashable:
    return item


def spread(delay: float) -> float:
    """The default jitter: 75 to 100 % of ``delay``, so doubling still grows every time."""
    return delay * random.uniform(0.75, 1.0)  # noqa: S311 - spreads load, guards no secret


class WorkQueue(Generic[Item]):
    """Items to handle, each by one worker at a time.

    ``group_of``: the namespace of an item; ``share``: so many items of one namespace are handled at
    a time. ``clock`` gives monotonic seconds and must run at the speed of the event loop's clock.
    ``backoff_base`` and ``backoff_cap`` are seconds; ``jitter`` maps a delay to the one used.
    ``begun``: if False, nothing is queued before :meth:`begin`.
    """

    def __init__(
        self,
        *,
        group_of: Callable[[Item], Hashable] = _alone,
        share: int | None = None,
        clock: Callable[[], float] = time.monotonic,
        backoff_base: float = 1.0,
        backoff_cap: float = 600.0,
        jitter: Callable[[float], float] = spread,
        begun: bool = True,
    ) -> None:
        self._clock = clock
        self._begun = begun
        self._backoff_base = backoff_base
        self._backoff_cap = backoff_cap
        self._jitter = jitter
        self._group_of = group_of
        self._share = share
        self._ready: FairLine[Item] = FairLine(group_of)
        self._processing: dict[Item, Urgency] = {}
        self._at_work: Counter[Hashable] = Counter()  # group → how many of it are processed
        self._dirty: dict[Item, Urgency] = {}  # processed now, and wanted again right after
        self._delayed: dict[Item, _Delayed] = {}
        self._schedule: list[tuple[float, int, Item]] = []  # heap; may hold outdated entries
        self._sequence = itertools.count()  # items themselves need not be comparable
        self._timer: asyncio.TimerHandle | None = None
        self._failures: dict[Item, int] = {}
        self._idle: deque[asyncio.Future[None]] = deque()  # workers that wait for an item
        self._closed = asyncio.Event()

    def begin(self) -> None:
        """What is added from now on counts: a standby need not collect all objects there are."""
        self._begun = True

    def add(self, item: Item, urgency: Urgency = Urgency.CHANGE) -> None:
        """Have ``item`` handled now, whatever delay or back-off it waits for.

        While it is being handled it is handled once more afterwards. The most urgent of several
        wishes counts. Ignored before the beginning and after a shutdown.
        """
        if not self._begun or self._closed.is_set():
            return
        if self._delayed.pop(item, None) is not None:
            self._drop_outdated()
        if item in self._processing:
            self._dirty[item] = min(urgency, self._dirty.get(item, urgency))
        else:
            self._ready.put(item, urgency, self._clock())
            self._wake_one()

    def add_after(self, item: Item, seconds: float, urgency: Urgency = Urgency.CHANGE) -> None:
        """Have ``item`` handled in ``seconds``; the earliest of several wishes wins.

        An item that is already queued, or wanted again after its present run, stays so.
        """
        if not seconds > 0:  # also takes a NaN, which would upset the heap's order
            self.add(item, urgency)
            return
        due = self._clock() + seconds  # nobody asks for that before the beginning
        if self._closed.is_set() or item in self._ready or item in self._dirty:
            return
        if item in self._delayed and due >= self._delayed[item].due:
            return
        self._delayed[item] = _Delayed(due, urgency)
        heapq.heappush(self._schedule, (due, next(self._sequence), item))
        self._drop_outdated()
        self._set_timer()

    def fail(self, item: Item, *, cap: float | None = None, at_least: float = 0.0) -> float:
        """Back ``item`` off after a failed run; returns the delay chosen, in seconds.

        What failed is in no hurry, and comes as a sweep does. The delay doubles with every failure
        in a row, up to ``cap`` (the queue's own, if None). ``at_least`` (a server's Retry-After)
        wins over the cap, and an :meth:`add` over both: a changed spec must be served at once.
        """
        failures = self._failures.get(item, 0)
        self._failures[item] = failures + 1
        limit = self._backoff_cap if cap is None else cap
        delay = max(at_least, self._jitter(backoff(self._backoff_base, limit, failures)))
        self.add_after(item, delay, Urgency.SWEEP)
        return delay

    def forget(self, item: Item) -> None:
        """Reset the back-off of ``item``: its last run went well."""
        self._failures.pop(item, None)

    def discard(self, item: Item) -> None:
        """``item`` is gone: no wish for it is left, however far ahead; a present run goes on."""
        self._failures.pop(item, None)
        self._dirty.pop(item, None)
        self._ready.discard(item)
        if self._delayed.pop(item, None) is not None:
            self._drop_outdated()

    def is_processing(self, item: Item) -> bool:
        """Whether a worker has ``item`` just now."""
        return item in self._processing

    def run(self, item: Item) -> Run:
        """The present run of ``item``, or what one would be."""
        return Run(self._processing.get(item, Urgency.CHANGE), self._failures.get(item, 0))

    async def get(self) -> Item:
        """Wait for an item and take it; follow with :meth:`done`. Raises QueueClosed."""
        while (item := self._ready.first(self._may_be_taken)) is None:
            if self._closed.is_set() and not self._ready:
                raise QueueClosed("the work queue is shut down")
            await self._idle_until_woken()
        urgency = self._ready.urgency(item)
        self._ready.take(item)
        self._processing[item] = urgency
        self._at_work[self._group_of(item)] += 1
        return item

    def _may_be_taken(self, group: Hashable) -> bool:
        return self._share is None or self._at_work[group] < self._share

    async def _idle_until_woken(self) -> None:
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._idle.append(woken)
        try:
            await woken
        except asyncio.CancelledError:
            if woken.done() and not woken.cancelled():
                self._wake_one()  # woken for an item that somebody else must take now
            raise

    def _wake_one(self) -> None:
        while self._idle:
            woken = self._idle.popleft()
            if not woken.done():
                woken.set_result(None)
                return

    def _wake_all(self) -> None:
        while self._idle:
            self._wake_one()

    def done(self, item: Item) -> None:
        """End the run begun by :meth:`get`. Raises KeyError if there was none."""
        del self._processing[item]
        group = self._group_of(item)
        self._at_work[group] -= 1
        if not self._at_work[group]:
            del self._at_work[group]
        if item in self._dirty:
            self._ready.put(item, self._dirty.pop(item), self._clock())
        if self._closed.is_set():
            self._wake_all()
        elif self._ready:
            self._wake_one()

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
        self._closed.set()
        self._wake_all()

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
    def busy(self) -> int:
        """How many items are handled just now."""
        return len(self._processing)

    @property
    def depth(self) -> int:
        """How many items wait for a worker."""
        return len(self._ready)

    def waiting(self, urgency: Urgency) -> int:
        """How many of that class wait for a worker."""
        return self._ready.count(urgency)

    def longest_wait(self, urgency: Urgency) -> float:
        """How long the first of that class has waited for a worker; 0 when none waits."""
        since = self._ready.oldest(urgency)
        return 0.0 if since is None else max(0.0, self._clock() - since)

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
        for _ in range(SLICE):  # all may be due at one moment: the timer fires again for the rest
            if not self._schedule or self._schedule[0][0] > now:
                break
            due, _, item = heapq.heappop(self._schedule)
            if self._is_current(item, due):
                self.add(item, self._delayed[item].urgency)
        self._set_timer()

    def _is_current(self, item: Item, due: float) -> bool:
        found = self._delayed.get(item)
        return found is not None and found.due == due

    def _drop_outdated(self) -> None:
        """Rebuild the heap when most of it is outdated: its size stays that of what is delayed."""
        if len(self._schedule) <= 2 * len(self._delayed) + 64:
            return
        self._schedule = [one for one in self._schedule if self._is_current(one[2], one[0])]
        heapq.heapify(self._schedule)
