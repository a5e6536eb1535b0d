"""Who may make the next call: within the rate and the concurrency of the process, in fair order.

Nobody waits inside a worker. An item of the queue that gets no permit at once goes back to where it
came from, and is called when its turn has come; it holds the permit by then::

    worker ── acquire(item) ──► held: the pass goes on with its calls
                   │
                   └──► in line: the pass ends ··· its turn: queue.add(item) ──► a worker again

Who is no item (a key list, a command) waits in the same line, in :meth:`CallPermits.turn`.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable, Hashable, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from amove_operator.amove.limits import TokenBucket
from amove_operator.clock import Clock
from amove_operator.errors import Paused
from amove_operator.fairness import FairLine, Urgency

LONG_PAUSE_SECONDS = 5.0
"""A pause of more than that is told in status instead of being waited for in line."""
# Somebody who can go sooner may come while the one before is waited for.
_LONGEST_SLEEP = 1.0
_log = logging.getLogger(__name__)
_ALL = tuple(Urgency)
_BUT_SWEEPS = (Urgency.REVOCATION, Urgency.CHANGE)
_holder: ContextVar[Hashable | None] = ContextVar("holder", default=None)


@dataclass(slots=True)
class _Asked:
    """``calls``: how many are needed at once; ``on_turn``: called when they are there."""

    group: Hashable
    calls: int
    on_turn: Callable[[], None]


@dataclass(slots=True)
class _Permit:
    """``calls``: how many may still be made with it."""

    group: Hashable
    calls: int


class CallPermits:
    """At most ``concurrency`` calls at a time, and ``rate`` a second with a burst of twice that.

    Sweeps and retries get half of the rate at most. A group (a namespace) has at most half of the
    connections, one of ``concurrency`` 1. ``on_given``: called with how urgent it was and how many
    seconds it took, whenever somebody gets a permit. Not thread-safe.
    """

    def __init__(self, rate: float, concurrency: int, clock: Clock) -> None:
        self._tokens = TokenBucket(rate, 2 * rate, clock.monotonic)
        self._for_sweeps = TokenBucket(rate / 2, rate, clock.monotonic)
        # Two at least: an observation that had to wait, and what is done on the strength of it.
        self._most_calls = max(2, int(2 * rate))
        self._concurrency = concurrency
        self._share = max(1, concurrency // 2)
        self._sleep, self._monotonic = clock.sleep, clock.monotonic
        self._asked: dict[Hashable, _Asked] = {}
        self._line: FairLine[Hashable] = FairLine(lambda one: self._asked[one].group)
        self._held: dict[Hashable, _Permit] = {}
        self._in_use: Counter[Hashable] = Counter()
        self._waking: asyncio.Task[None] | None = None
        self.on_given: Callable[[Urgency, float], None] = lambda _urgency, _seconds: None

    # -- items of the queue ----------------------------------------------------------------------

    def acquire(
        self,
        item: Hashable,
        group: Hashable,
        on_turn: Callable[[], None],
        *,
        urgency: Urgency = Urgency.CHANGE,
        calls: int = 1,
    ) -> bool:
        """Whether ``item`` holds a permit for its next call.

        If not it waits in line, and ``on_turn`` is called when it holds one for ``calls``. Follow
        with :meth:`release`. One that waits already keeps its place. What was held when a pause
        began is held no more.
        """
        if self.pause_left > 0:
            self.release(item)
        if item in self._held:
            return True
        self._asked[item] = _Asked(group, min(calls, self._most_calls), on_turn)
        self._line.put(item, urgency, self._monotonic())
        self._let_go_ahead(asking=item)
        return item in self._held

    def release(self, item: Hashable) -> None:
        """``item`` makes no more calls for now: what it did not use goes to others."""
        if (permit := self._held.pop(item, None)) is None:
            return
        self._tokens.give_back(permit.calls)
        self._in_use[permit.group] -= 1
        if not self._in_use[permit.group]:
            del self._in_use[permit.group]
        self._let_go_ahead()

    def discard(self, item: Hashable) -> None:
        """``item`` is gone: it neither waits nor holds anything."""
        if self._line.discard(item):
            del self._asked[item]
        self.release(item)

    @contextmanager
    def held_by(self, item: Hashable) -> Iterator[None]:
        """What is called within uses the permit of ``item``, which ends with its last call."""
        token = _holder.set(item)
        try:
            yield
        finally:
            _holder.reset(token)
            permit = self._held.get(item)
            if permit is not None and permit.calls <= 0:
                self.release(item)

    # -- calls -----------------------------------------------------------------------------------

    @asynccontextmanager
    async def turn(self, check: Callable[[], None]) -> AsyncIterator[None]:
        """One call: by the permit of the item that makes it, else by one that is waited for.

        ``check`` is called meanwhile, and ends it by raising. An item never waits here: Paused is
        raised to one that holds no permit any more.
        """
        if (holder := _holder.get()) is not None:
            self._use(holder)
            yield
            return
        caller = object()
        try:
            await self._wait_in_line(caller, check)
            yield
        finally:
            self.discard(caller)

    def _use(self, holder: Hashable) -> None:
        permit = self._held.get(holder)
        if permit is None or permit.calls <= 0 or self.pause_left > 0:
            self.check_pause()
            raise Paused("all calls were held back for a moment", retry_after=self.pause_left)
        permit.calls -= 1

    def check_pause(self) -> None:
        """Raise Paused during a pause that is too long to be waited for in line."""
        if (left := self.pause_left) > LONG_PAUSE_SECONDS:
            why = f"the service asked to slow down: calls go on in {left:.0f} s"
            raise Paused(why, retry_after=left)

    @property
    def is_held(self) -> bool:
        """Whether the caller makes its calls as an item of the queue, which waits for nothing."""
        return _holder.get() is not None

    def charge(self) -> None:
        """One more call by who makes one already: those who come after wait for it."""
        if (permit := self._held.get(_holder.get())) is not None and permit.calls > 0:
            permit.calls -= 1
        else:
            self._tokens.take()

    def pause(self, seconds: float) -> None:
        """Let nobody through for ``seconds``; who waits in line hears of a long pause at once."""
        before = self.pause_left
        self._tokens.pause(seconds)
        if before <= LONG_PAUSE_SECONDS < self.pause_left:
            _log.warning("the service asked to slow down: no calls for %.0f s", seconds)
            self.dismiss_all()

    def waiting(self, urgency: Urgency) -> int:
        """How many of that class are in line."""
        return self._line.count(urgency)

    def longest_wait(self, urgency: Urgency) -> float:
        """How many seconds the first of that class has been in line; 0 where nobody waits."""
        since = self._line.oldest(urgency)
        return 0.0 if since is None else self._monotonic() - since

    @property
    def in_use(self) -> int:
        """How many hold a permit: at most ``concurrency``."""
        return len(self._held)

    @property
    def pause_left(self) -> float:
        """Seconds for which nobody gets through, because the service asked for that."""
        return self._tokens.pause_left

    def dismiss_all(self) -> None:
        """Have all who wait come now, without a permit: they hear why none is given."""
        for one in self._line.clear():
            self._asked.pop(one).on_turn()

    async def aclose(self) -> None:
        """Call nobody any more."""
        if self._waking is not None:
            self._waking.cancel()
            await asyncio.gather(self._waking, return_exceptions=True)

    # -- the line --------------------------------------------------------------------------------

    async def _wait_in_line(self, caller: object, check: Callable[[], None]) -> None:
        check()
        came = asyncio.Event()
        while not self.acquire(caller, caller, came.set):
            await came.wait()
            came.clear()
            check()
        self._held[caller].calls -= 1

    def _let_go_ahead(self, asking: Hashable | None = None) -> None:
        """Give permits in fair order, as long as there are any; who asks just now is not called."""
        while (one := self._next()) is not None:
            asked = self._asked[one]
            if self._tokens.wait(asked.calls) > 0:
                break
            self._give(one, asked)
            if one != asking:
                asked.on_turn()
        asleep = self._waking is not None and not self._waking.done()
        if self._line and not asleep and self._next_in() is not None:
            # A context of its own: the log fields of who asks are not those of who is called.
            self._waking = asyncio.get_running_loop().create_task(
                self._wake_in_time(), name="amove-api-permits", context=contextvars.Context()
            )

    async def _wake_in_time(self) -> None:
        while (wait := self._next_in()) is not None:
            await self._sleep(min(wait, _LONGEST_SLEEP))
            self._let_go_ahead()

    def _next_in(self) -> float | None:
        """Seconds until time alone lets somebody go ahead; None while that takes a free place."""
        if (one := self._next()) is not None:
            return self._tokens.wait(self._asked[one].calls)
        if len(self._held) < self._concurrency and self._line.waits(Urgency.SWEEP):
            return self._for_sweeps.wait() or None
        return None

    def _next(self) -> Hashable | None:
        if len(self._held) >= self._concurrency:
            return None
        classes = _ALL if self._for_sweeps.wait() <= 0 else _BUT_SWEEPS
        return self._line.first(lambda group: self._in_use[group] < self._share, classes)

    def _give(self, one: Hashable, asked: _Asked) -> None:
        urgency = self._line.urgency(one)
        if urgency is Urgency.SWEEP:
            self._for_sweeps.take(asked.calls)
        self.on_given(urgency, self._monotonic() - self._line.since(one))
        self._line.take(one)
        del self._asked[one]
        self._tokens.take(asked.calls)
        self._held[one] = _Permit(asked.group, asked.calls)
        self._in_use[asked.group] += 1
