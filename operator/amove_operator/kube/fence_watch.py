"""Whether the fence stands: read every 30 s, since status proves something only behind it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any

from amove_operator.errors import KubeRefused, KubeUnavailable
from amove_operator.models.fence import FENCE, identity, last_changed, made_at, weakness

Found = tuple[Mapping[str, Any] | None, Mapping[str, Any] | None]
"""Policy and binding as they are now, each None where there is none."""

EVERY_SECONDS = 30.0
AGAIN_SECONDS = 5.0
"""While the fence does not stand: whoever has just mended it waits for us."""
NEW_SECONDS = 10.0
"""So long an API server may take to load a policy that is there."""
_MENDING = (
    "make it anew with 'amove-operator crds | kubectl apply -f -' or by the chart's "
    "crds.install=true; until then nothing is done (AMOVE_REQUIRE_FENCE=false goes on without it)"
)
_GRANT = "; grant the operator the roles of the chart"

log = logging.getLogger(__name__)


class FenceWatch:
    """What this process has seen of the fence. One for the process: it outlives a lost lead.

    ``identity``: of the two objects as last seen to guard enough, None while they do not.
    ``made_at``: since when these are there.
    ``noted``: where no Lease can note it, which fence the last leader relied on.
    """

    def __init__(
        self,
        read: Callable[[], Awaitable[Found]],
        *,
        required: bool,
        server_now: Callable[[], float],
        clock: Callable[[], float] = time.monotonic,
        every: float = EVERY_SECONDS,
    ) -> None:
        self.required = required
        self.identity: str | None = None
        self.made_at: datetime | None = None
        self.noted: str | None = None
        self._read = read
        self._server_now = server_now
        self._clock = clock
        self._every = every
        self._fault: str | None = "it was not looked at yet"
        self._observed = False
        self._judged = False
        self._refused_before = False
        self._counts_at = 0.0

    @property
    def stands(self) -> bool:
        """It guards enough, and has long enough for every API server to know it."""
        return self._fault is None and self._clock() >= self._counts_at

    @property
    def intact(self) -> bool | None:
        """Whether it stands; None while no API server has said anything of it."""
        return self.stands if self._judged else None

    def why_not(self) -> str | None:
        """Why this process may not lead, and what to do; None when it may."""
        if not self.required or self.stands:
            return None
        if self._fault is not None:
            return f"{self.fault()}; {_MENDING}" if self._judged else self.fault()
        left = self._counts_at - self._clock()
        return (
            f"the fence {FENCE} is new: API servers may not know it yet; it counts in {left:.0f} s"
        )

    def fault(self) -> str | None:
        """Why it does not stand, also where this process leads without one; None when it does."""
        if self._fault is None:
            return None
        if not self._judged:
            return f"the fence {FENCE} is not known to stand: {self._fault}"
        return f"the fence {FENCE} does not stand: {self._fault}"

    async def run(self, on_observed: Callable[[], None]) -> None:
        """Observe for ever; ``on_observed`` is called each time, and when a new fence counts."""
        while True:
            await self.check()
            on_observed()
            await asyncio.sleep(self._pause())

    async def stand(self) -> None:
        """Wait until this process may lead."""
        while self.why_not() is not None:
            await asyncio.sleep(0.1)

    def _pause(self) -> float:
        if self._fault is not None:
            return AGAIN_SECONDS
        left = self._counts_at - self._clock()
        return left if left > 0 else self._every

    async def check(self) -> None:
        """Read policy and binding once.

        An API server that does not answer says nothing about them: the fence that stood a moment
        ago still stands, or each restart of the API server would end the leader.
        """
        try:
            policy, binding = await self._read()
        except KubeUnavailable as error:
            log.warning("the fence %s cannot be looked at: %s", FENCE, error)
            if not self._observed:
                self._fault = f"it cannot be looked at: {error}"
            return
        except KubeRefused as error:
            # A single refusal may be an API server that has just begun.
            if self._refused_before or not self._observed:
                self._judge(f"it may not be read: {error}{_GRANT}", None, 0.0)
            self._refused_before = True
            return
        self._refused_before = False
        fault = weakness(policy, binding)
        if fault is not None or policy is None or binding is None:
            self._judge(fault, None, 0.0)
        else:
            age = self._server_now() - last_changed(policy, binding).timestamp()
            self.made_at = made_at(policy, binding)
            self._judge(None, identity(policy, binding), age)
        self._observed = True

    def _judge(self, fault: str | None, found: str | None, age: float) -> None:
        if fault is None and found != self.identity:
            # What was there before this process began counts from its own last change.
            spent = 0.0 if self._observed else max(age, 0.0)
            self._counts_at = self._clock() + max(NEW_SECONDS - spent, 0.0)
        if fault is not None and fault != self._fault:
            level = logging.ERROR if self.required else logging.WARNING
            log.log(level, "the fence %s does not stand: %s", FENCE, fault)
        elif fault is None and self._fault is not None:
            log.info("the fence %s is there", FENCE)
        self._fault, self.identity, self._judged = fault, found, True
