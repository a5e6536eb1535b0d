"""An event loop whose clock jumps from timer to timer: exact times, and no waiting."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any, TypeVar, TypeVarTuple, Unpack

from amove_operator.engine.workqueue import WorkQueue

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class _JumpingSelector(selectors.SelectSelector):
    """Instead of waiting, moves the loop's clock to its next timer."""

    loop: VirtualTimeLoop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            if timeout is None:
                raise AssertionError("everything waits and no timer is set: a lost wake-up")
            self.loop.now += timeout
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self.now = 1000.0
        self.timers: list[asyncio.TimerHandle] = []
        selector = _JumpingSelector()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        return self.now

    def call_at(
        self,
        when: float,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        self.timers.append(super().call_at(when, callback, *args, context=context))
        return self.timers[-1]

    @property
    def timers_ahead(self) -> list[float]:
        return [t.when() for t in self.timers if not t.cancelled() and t.when() > self.now]

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.run_until_complete(work)


def with_loop(scenario: Callable[[VirtualTimeLoop], Coroutine[Any, Any, None]]) -> None:
    """For tests that hypothesis repeats: a fixture would live through all the examples."""
    loop = VirtualTimeLoop()
    try:
        loop.run(scenario(loop))
    finally:
        loop.close()


def exact(delay: float) -> float:
    return delay


def new_queue(loop: VirtualTimeLoop, **options: Any) -> WorkQueue[Any]:
    return WorkQueue(clock=loop.time, jitter=options.pop("jitter", exact), **options)


async def take(queue: WorkQueue[T]) -> tuple[float, T]:
    """The next item, and the time when it came."""
    item = await queue.get()
    return asyncio.get_running_loop().time() - 1000.0, item
