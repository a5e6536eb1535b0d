"""What only whoever runs the operator can mend: in the log, as a metric, and as an Event."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field

from amove_operator.amove import BreakerState
from amove_operator.core.reasons import EventReason, Reason
from amove_operator.kube import Kube
from amove_operator.telemetry import Metrics

_log = logging.getLogger(__name__)
_RENEW = (
    "; put a valid token of the same API user where the settings say: it is read again by itself"
)


@dataclass(frozen=True)
class Alarms:
    """Raises the alarms; Events on the operator's Deployment wait until :meth:`run` sends them."""

    kube: Kube
    metrics: Metrics
    _events: asyncio.Queue[tuple[Reason | EventReason, str]] = field(default_factory=asyncio.Queue)

    async def run(self) -> None:
        """Send the Events until cancelled. It runs in the leader: one replica sends them."""
        while True:
            reason, message = await self._events.get()
            if deployment := await self.kube.own_deployment():
                event = {"reason": reason, "message": message}
                await self.kube.emit_event(deployment, type="Warning", **event)

    def fence_was_away(self) -> None:
        """Status may be forged: anybody with a role could write it while no fence stood."""
        message = (
            "the fence amove-fence was away: the status of buckets and keys may have been written "
            "meanwhile by whoever has a role there, and is believed; see 'When the fence was away' "
            "in docs/policies.md for how to audit it"
        )
        _log.error("FenceWasAway: %s", message)
        self.metrics.fence_was_away.inc()
        self._events.put_nowait((EventReason.FenceWasAway, message))

    def on_breaker_change(self, state: BreakerState) -> None:
        """The circuit breaker opened, closed, or is open for another cause."""
        refused = state.open and state.cause == "auth"
        self.metrics.api_breaker_open.set(state.open)
        self.metrics.api_credentials_valid.set(not refused)
        if not state.open:
            _log.info("the Amove API can be used again")
            return
        why = f"{state.reason}{_RENEW if refused else ''}"
        _log.error("all calls to the Amove API are held back: %s", why)
        reason = Reason.ApiUnauthorized if refused else Reason.ApiUnavailable
        self._events.put_nowait((reason, why))
