"""What one life knows of itself, read when /healthz or /readyz is asked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from amove_operator.app.health import Health, State, liveness, readiness
from amove_operator.app.lead_guard import LeadGuard
from amove_operator.app.wiring import Operator

NOT_FILLED = "the caches are not filled yet: buckets, keys and Secrets are being listed"


@dataclass
class Vitals:
    """``waits_for``: what the start, or the watches, wait for; ``ended``: a part that died.

    ``skew_seconds``: of the local clock. ``operator``: once it is built.
    """

    guard: LeadGuard
    skew_seconds: Callable[[], float | None]
    operator: Operator | None = None
    waits_for: str | None = NOT_FILLED
    filled: bool = False
    stopping: str | None = None
    ended: str | None = None

    def begin(self, group: asyncio.TaskGroup, part: Coroutine[Any, Any, Any], name: str) -> None:
        """Begin a part that is to run as long as this life: should it end first, it has died."""
        task = group.create_task(part, name=name)
        task.add_done_callback(partial(self._note_end, name))

    def _note_end(self, name: str, task: asyncio.Task[Any]) -> None:
        if not task.cancelled() and not self.stopping and self.ended is None:
            self.ended = f"a part of the operator ({name})"

    def waited(self) -> None:
        """What was waited for is there."""
        self.waits_for = None if self.filled else NOT_FILLED

    def fill(self) -> None:
        """The caches are filled."""
        self.filled = True
        self.waited()

    def live(self) -> Health:
        """What /healthz answers."""
        return liveness(self._state())

    def ready(self) -> Health:
        """What /readyz answers."""
        return readiness(self._state())

    def is_ready(self) -> bool:
        """Whether /readyz answers 200."""
        return not self.ready().faults

    def _state(self) -> State:
        guard, operator = self.guard, self.operator
        common = State(
            ended=self.ended,
            stopping=self.stopping,
            may_not_lead=guard.why_not(),
            waits_for=self.waits_for,
            lease=guard.election.unreadable,
            standby=None if guard.leads else guard.election.standing_by,
            fence=guard.runs_without_fence(),
            clock_skew=self.skew_seconds() or 0.0,
        )
        return common if operator is None else _with_work(common, operator)


def _with_work(state: State, operator: Operator) -> State:
    """The same with what only a built operator knows."""
    d = operator.d
    return replace(
        state,
        refused=d.namespaces.refused or operator.secrets.refused,
        calls_held_back=d.api.breaker.state.reason,
        list_incomplete=d.key_lists.incomplete,
        unlisted=tuple(sorted(d.namespaces.unlisted)),
    )
