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

from amove_operator import errors
from amove_operator.clock import Clock, backoff

_log = logging.getLogger(__name__)

Cause = Literal["auth", "unavailable"]

_ANSWERED = (errors.Rejected, errors.UnreadableAnswer)
"""What the service itself said, though it is no success."""

_THRESHOLD = 5
"""So many failures in a row start a probe."""
_FIRST_WAIT = 1.0
_LONGEST_WAIT = 30.0
_TOKEN_SECONDS = 1.0
"""While open, how often the token is compared with the one last probed."""
_REST_SECONDS = 5.0
"""After a probe that passed, the next one waits that long."""


@dataclass(frozen=True)
class BreakerState:
    """Open or closed; ``cause`` and ``reason`` (one readable line) only while open."""

    open: bool = False
    cause: Cause | None = None
    reason: str | None = None


def suspected_cause(error: errors.ApiError) -> Cause | None:
    """What may be wrong with the whole service after ``error``; None where it is at work.

    A 429 comes from a service that works: the token bucket slows down instead. So does an answer
    of its own that we cannot read.
    """
    if isinstance(error, errors.AuthFailed):
        return "auth"
    if isinstance(error, _ANSWERED):
        return None
    if isinstance(error, errors.Unavailable) and error.status != 429:
        return "unavailable"
    return None


class Breaker:
    """Open or closed, and the probing in the background that decides it.

    ``probe`` makes the one-item key list call, once. ``replaced`` says whether the credentials
    were replaced since the last probe.
    """

    def __init__(
        self,
        probe: Callable[[], Awaitable[None]],
        replaced: Callable[[], bool],
        *,
        clock: Clock,
        rng: Callable[[], float],
    ) -> None:
        self._probe = probe
        self._replaced = replaced
        self._clock = clock
        self._rng = rng
        self._failures = 0
        self._rest_until = clock.monotonic()
        self._probing: asyncio.Task[None] | None = None
        self._listeners: list[Callable[[BreakerState], None]] = []
        self.state = BreakerState()

    def on_change(self, listener: Callable[[BreakerState], None]) -> None:
        """Call ``listener`` in the event loop whenever it opens, closes or changes its cause."""
        self._listeners.append(listener)

    def check(self) -> None:
        """Raise Paused while open."""
        if self.state.open:
            message = f"the Amove API is paused: {self.state.reason}"
            raise errors.Paused(message, credentials=self.state.cause == "auth")

    def succeeded(self) -> None:
        """A call was answered by the service itself."""
        self._failures = 0

    def failed(self, error: errors.ApiError) -> None:
        """A call failed: start a probe at once for refused credentials, else at the threshold.

        A refusal (499) or an answer that cannot be read is one of the service itself: a team whose
        bucket is refused for ever resets the count with each try, and never brings the threshold
        nearer.
        """
        if (cause := suspected_cause(error)) is None:
            if isinstance(error, _ANSWERED):
                self.succeeded()
            return
        self._failures += 1
        if cause == "auth" or self._failures >= _THRESHOLD:
            self._start_probing()

    async def aclose(self) -> None:
        """Stop probing."""
        if self._probing is not None:
            self._probing.cancel()
            await asyncio.gather(self._probing, return_exceptions=True)

    def _start_probing(self) -> None:
        if self._probing is None or self._probing.done():
            # A context of its own: the log fields of the call that failed are not the probe's.
            self._probing = asyncio.get_running_loop().create_task(
                self._probe_until_passed(), name="amove-api-probe", context=contextvars.Context()
            )

    async def _probe_until_passed(self) -> None:
        """Probe, open the breaker if that fails, and go on until one passes.

        Five calls about one broken bucket end in 502. The probe, a list of one key, passes: the
        breaker never opened, and the other teams' calls went on meanwhile. Were the service down,
        the probe would fail as well: open, and no call but a probe at least every 30 seconds.
        """
        await self._clock.sleep(max(0.0, self._rest_until - self._clock.monotonic()))
        attempt = 0
        while not await self._passes():
            await self._wait_for_next(attempt)
            attempt += 1
        self._failures = 0
        self._rest_until = self._clock.monotonic() + _REST_SECONDS
        self._become(BreakerState())

    async def _passes(self) -> bool:
        """Probe once. An answer that says nothing about the whole leaves the state as it is."""
        try:
            await self._probe()
        except _ANSWERED:
            return True
        except errors.ApiError as error:
            if (cause := suspected_cause(error)) is not None:
                self._become(BreakerState(open=True, cause=cause, reason=str(error)))
            return False
        except errors.NotLeading:
            return False
        except Exception:
            # Were this task to end, an open breaker would stay open for good.
            _log.exception("the probe of the Amove API failed in an unforeseen way")
            return False
        return True

    async def _wait_for_next(self, attempt: int) -> None:
        """Wait 50 to 100 % of the back-off, or until the token is another one."""
        longest = backoff(_FIRST_WAIT, _LONGEST_WAIT, attempt)
        until = self._clock.monotonic() + longest * (0.5 + self._rng() / 2)
        while (left := until - self._clock.monotonic()) > 0:
            await self._clock.sleep(min(left, _TOKEN_SECONDS))
            if self._replaced():
                return

    def _become(self, state: BreakerState) -> None:
        before, self.state = self.state, state
        if (before.open, before.cause) == (state.open, state.cause):
            return
        for listener in self._listeners:
            try:
                listener(state)
            except Exception:
                _log.exception("a listener to the circuit breaker failed")
