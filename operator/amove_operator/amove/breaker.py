"""The circuit breaker: while the service is down or refuses the credentials, nothing is sent.

It opens only when a probe that carries nothing of any tenant fails too, so that one team's
broken bucket never stops the others (docs/amove-api.md, "Pace").
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from amove_operator.clock import Clock, backoff
from amove_operator.errors import (
    ApiError,
    AuthFailed,
    NotLeading,
    Paused,
    Rejected,
    Unavailable,
)

_LOGGER = logging.getLogger(__name__)

Cause = Literal["auth", "unavailable"]


@dataclass(frozen=True)
class BreakerState:
    """What the breaker thinks; ``cause`` and ``reason`` (one readable line) only while open."""

    open: bool = False
    cause: Cause | None = None
    reason: str | None = None


@dataclass(frozen=True)
class BreakerPace:
    """``threshold`` failures in a row raise a suspicion; all else in seconds.

    ``rest``: after a probe that passed, the next suspicion waits that long for its own.
    """

    threshold: int = 5
    first_wait: float = 1.0
    longest_wait: float = 30.0
    look_at_token: float = 1.0
    rest: float = 5.0


def suspicious(error: ApiError) -> Cause | None:
    """What ``error`` lets one fear for the whole service; None where the service is at work.

    A 429 comes from a service that works: the token bucket slows down instead.
    """
    if isinstance(error, AuthFailed):
        return "auth"
    if isinstance(error, Unavailable) and error.status != 429:
        return "unavailable"
    return None


class Breaker:
    """Open or closed, and the probing in the background that decides it.

    ``probe`` makes the one-item key list call, once. ``replaced`` tells whether the credentials
    were replaced since the last probe.
    """

    def __init__(
        self,
        probe: Callable[[], Awaitable[None]],
        replaced: Callable[[], bool],
        *,
        clock: Clock,
        rng: Callable[[], float],
        pace: BreakerPace,
    ) -> None:
        self._probe = probe
        self._replaced = replaced
        self._clock = clock
        self._rng = rng
        self._pace = pace
        self._failures = 0
        self._rest_until = clock.monotonic()
        self._watch: asyncio.Task[None] | None = None
        self._listeners: list[Callable[[BreakerState], None]] = []
        self._state = BreakerState()

    @property
    def state(self) -> BreakerState:
        """The state now."""
        return self._state

    @property
    def open(self) -> bool:
        """Whether calls are held back."""
        return self._state.open

    @property
    def cause(self) -> Cause | None:
        """``auth`` or ``unavailable`` while open."""
        return self._state.cause

    @property
    def reason(self) -> str | None:
        """Why it is open, in one line."""
        return self._state.reason

    def on_change(self, listener: Callable[[BreakerState], None]) -> None:
        """Call ``listener`` in the event loop whenever it opens, closes or changes its cause."""
        self._listeners.append(listener)

    def check(self, call: str) -> None:
        """Raise Paused while open."""
        if self._state.open:
            message = f"the Amove API is paused: {self._state.reason}"
            raise Paused(message, call=call, credentials=self._state.cause == "auth")

    def succeeded(self) -> None:
        """A call was answered by the service itself."""
        self._failures = 0

    def failed(self, error: ApiError) -> None:
        """A call failed; a suspicion of the whole service starts a probe."""
        cause = suspicious(error)
        if cause is None:
            if isinstance(error, Rejected):
                self.succeeded()
            return
        self._failures += 1
        if cause == "auth" or self._failures >= self._pace.threshold:
            self._start_watch()

    async def aclose(self) -> None:
        """Stop probing."""
        if (watch := self._watch) is not None:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)

    def _start_watch(self) -> None:
        if self._watch is None or self._watch.done():
            # A context of its own: the log fields of the call that failed are not the probe's.
            self._watch = asyncio.get_running_loop().create_task(
                self._probe_until_passed(), name="amove-api-probe", context=contextvars.Context()
            )

    async def _probe_until_passed(self) -> None:
        await self._clock.sleep(max(0.0, self._rest_until - self._clock.monotonic()))
        attempt = 0
        while not await self._passes():
            await self._wait_for_next(attempt)
            attempt += 1
        self._failures = 0
        self._rest_until = self._clock.monotonic() + self._pace.rest
        self._become(BreakerState())

    async def _passes(self) -> bool:
        """Probe once. An answer that says nothing about the whole leaves the state as it is."""
        try:
            await self._probe()
        except Rejected:
            return True
        except ApiError as error:
            if (cause := suspicious(error)) is not None:
                self._become(BreakerState(open=True, cause=cause, reason=str(error)))
            return False
        except NotLeading:
            return False
        except Exception:
            # Were this task to end, an open breaker would stay open for good.
            _LOGGER.exception("the probe of the Amove API failed in an unforeseen way")
            return False
        return True

    async def _wait_for_next(self, attempt: int) -> None:
        longest = backoff(self._pace.first_wait, self._pace.longest_wait, attempt)
        until = self._clock.monotonic() + longest * (0.5 + self._rng() / 2)
        while (left := until - self._clock.monotonic()) > 0:
            await self._clock.sleep(min(left, self._pace.look_at_token))
            if self._replaced():
                return

    def _become(self, state: BreakerState) -> None:
        before, self._state = self._state, state
        if (before.open, before.cause) == (state.open, state.cause):
            return
        if state.open:
            _LOGGER.error("all calls to the Amove API are paused: %s", state.reason)
        else:
            _LOGGER.warning("calls to the Amove API go on: a probe passed")
        for listener in self._listeners:
            try:
                listener(state)
            except Exception:
                _LOGGER.exception("a listener to the circuit breaker failed")
