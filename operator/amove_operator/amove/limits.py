"""The process's share of the service: calls per second, and calls at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from amove_operator.clock import Clock

# A pause can be long: within this many seconds a waiting call notices that the breaker has opened.
_LONGEST_SLEEP = 1.0


class TokenBucket:
    """At most ``rate`` takes a second in the long run, ``burst`` at once; in order of asking."""

    def __init__(self, rate: float, burst: float, clock: Clock) -> None:
        self._rate = rate
        self._burst = max(burst, 1.0)
        self._clock = clock
        self._tokens = self._burst
        self._filled_at = clock.monotonic()
        self._paused_until = self._filled_at
        # asyncio's lock wakes its waiters in order; one that is cancelled takes nothing.
        self._turn = asyncio.Lock()

    async def take(self, check: Callable[[], None]) -> None:
        """Wait for a turn and use it. ``check`` is called meanwhile, and may end it by raising."""
        async with self._turn:
            check()
            while (wait := self._wait()) > 0:
                await self._clock.sleep(min(wait, _LONGEST_SLEEP))
                check()
            self._tokens -= 1

    def charge(self) -> None:
        """Use a turn at once; those who come after wait for it."""
        self._refill()
        self._tokens -= 1

    def pause(self, seconds: float) -> None:
        """Let nobody through for ``seconds``, then start without a burst."""
        if seconds <= 0:
            return
        self._refill()
        self._tokens = 0.0
        self._paused_until = max(self._paused_until, self._clock.monotonic() + seconds)

    def _wait(self) -> float:
        self._refill()
        pause = self._paused_until - self._clock.monotonic()
        # A hair less than a whole token is one: rounding must not make a loop of tiny sleeps.
        missing = 1.0 - self._tokens
        return max(pause, missing / self._rate if missing > 1e-9 else 0.0, 0.0)

    def _refill(self) -> None:
        now = self._clock.monotonic()
        since = max(self._filled_at, min(self._paused_until, now))
        self._tokens = min(self._burst, self._tokens + (now - since) * self._rate)
        self._filled_at = now
