"""The one loop of both kinds: gather, ask the planner, perform its step, until it ends.

::

    event, timer, sweep → queue → worker → Reconciler.reconcile(item)
                                              │
              ┌───────────────────────────────▼──────────────────────────────┐
              │ decide   gather what is known → the planner chooses one step │
              │ perform  one call to Kubernetes or the service               │◄─┐
              └──────────┬───────────────────────────┬───────────────────────┘  │
                         │ Finish                    │ anything else            │
                         ▼                           └──────────────────────────┘
              write status, set the time to come again

A pass whose next step needs a turn of the rate limit or a key list ends, and the object is queued
again when it can have that: a worker waits for nothing but the answer to a call of its own.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from amove_operator.controllers.shared.dependencies import Dependencies
from amove_operator.core import steps
from amove_operator.core.conditions import unsynced
from amove_operator.core.outcomes import Outcome, outcome_of
from amove_operator.core.reading import Seen, status_unreadable
from amove_operator.core.reasons import Reason
from amove_operator.errors import ApiError, KubeInternalError, KubeRefused, OperatorError
from amove_operator.models.refs import ObjectId

MOST_STEPS = 40
SOON_AGAIN = 30.0
"""The longest back-off for what may come right by itself: a webhook that is down."""

_log = logging.getLogger(__name__)

Pass = TypeVar("Pass", bound="Progress")


class Progress(Protocol):
    """What one pass goes by beside the object."""

    def status_written(self, before: Any, now: Any, /) -> None:
        """Status was written before an effect."""


@dataclass(frozen=True, slots=True)
class Decision(Generic[Seen, Pass]):
    """One round of the loop: the object as last seen, what this pass knows, and the step.

    ``progress``: for a key what this pass has learnt, for a bucket all that is remembered of it.
    """

    seen: Seen
    progress: Pass
    snapshot: Any
    step: Any


class Reconciler(ABC, Generic[Seen, Pass]):
    """Brings one object a step nearer to its spec, until its planner says that the pass ends.

    A crash between two steps loses nothing: each round begins from what the store, the service and
    the Secret show, and what cannot be seen there is in status before it is needed.
    """

    model: type[Seen]

    def __init__(self, dependencies: Dependencies) -> None:
        self.d = dependencies

    async def reconcile(self, item: ObjectId) -> Outcome:
        """Serve one object. Raises Conflict, KubeUnavailable, KubeRefused, NotLeading."""
        if self.find(item) is None:
            return Outcome.OK
        progress, taken = self.begin(item.uid), []
        for _ in range(MOST_STEPS):
            seen = self.find(item)
            if seen is None or item in self.d.store.unconfirmed:
                return Outcome.OK  # one that vanished just now is read before anything is done
            if seen.unread_status:
                await self.report_unreadable(seen)
                return Outcome.OK
            decision = self.decide(seen, progress)
            taken.append(type(decision.step).__name__)
            try:
                outcome = await self._take_or_report(decision)
            except (KubeRefused, KubeInternalError) as error:
                await self._report_refused(decision, error)
                return Outcome.KUBE_REFUSED
            if outcome is not None:
                return outcome
        raise RuntimeError(f"{item}: no end after {', '.join(taken)}")

    def find(self, item: ObjectId) -> Seen | None:
        """That very object as last seen, if it still needs something."""
        found = self.d.store.find(item.uid)
        return found if isinstance(found, self.model) else None

    async def report_unreadable(self, seen: Seen) -> None:
        """Leave alone what a newer version wrote, and say so.

        A vanished object, of which nothing can be said, is forgotten: its keys are orphans.
        """
        item, said = seen.object_id, status_unreadable(seen.unread_status)
        if seen.metadata.vanished:
            _log.warning("%s vanished, and is let go of as it was: %s", item, said.synced.message)
            self.forget(seen)
        else:
            await self.d.status.write(seen, seen.status, said)
        self.d.queue.forget(item)

    async def _take_or_report(self, decision: Decision[Seen, Pass]) -> Outcome | None:
        """Perform one step, or say in status why the service did not; how the pass ends, if so."""
        error = None
        try:
            if self._must_wait(decision):
                self.set_aside(decision)
                return Outcome.WAITS
            end = await self._take(decision)
        except ApiError as failure:
            again = self.may_repeat(decision)
            if again and self.d.next_call.is_tried_again(decision.seen.object_id, failure):
                self.set_aside(decision)
                return Outcome.API_ERROR
            error, end = failure, self.failed(decision, failure)
        if end is None:
            return None
        await self.finish(decision, end, error)
        return outcome_of(end.conclusion)

    def _must_wait(self, decision: Decision[Seen, Pass]) -> bool:
        """Whether the step needs what is not there: the object is queued again once it is.

        Raises ApiError where a key list was wanted that could not be read.
        """
        step, item = decision.step, decision.seen.object_id
        if isinstance(step, steps.ComeAgain):
            self.d.queue.add_after(item, step.at - self.d.clock(), self.d.queue.urgency(item))
            return True
        if isinstance(step, steps.AwaitKeyList):
            due = step.since <= self.d.clock()
            return due and not self.d.next_call.has_list(item, step.since)
        calls = self.calls_ahead(decision)
        return bool(calls) and not self.may_call(decision, calls)

    async def _report_refused(
        self, decision: Decision[Seen, Pass], error: KubeRefused | KubeInternalError
    ) -> None:
        """Say in status what Kubernetes refused. Raises the same where status cannot be written."""
        seen = decision.seen
        if seen.metadata.vanished:
            raise error
        try:
            await self.finish(decision, self.refused(decision, error), error)
        except (KubeRefused, KubeInternalError):
            self.status_unwritten(decision)
            raise error from None
        _log.error("%s: Kubernetes refused: %s", seen.object_id.ref, error)

    def refused(
        self, decision: Decision[Seen, Pass], error: KubeRefused | KubeInternalError
    ) -> steps.Finish[Any]:
        """How the pass ends when Kubernetes refused the step: only Synced says so.

        Where a status was refused, the former one may pass with that.
        """
        writes_status = hasattr(decision.step, "status")
        status = decision.seen.status if writes_status else self.known_status(decision)
        said = f"Kubernetes refused a request for this object: {error}"
        return steps.Finish(status, unsynced(Reason.KubernetesRefused, said), retry=True)

    def longest_pause(self, error: Exception | None) -> float:
        """The most that a back-off may grow to."""
        again = isinstance(error, KubeInternalError)
        return min(SOON_AGAIN, self.d.resync) if again else self.d.resync

    async def _take(self, decision: Decision[Seen, Pass]) -> steps.Finish[Any] | None:
        """Perform one step; how the pass ends, if it does with that. Raises ApiError too.

        An object that was let go of is found no more by the next round.
        """
        seen = decision.seen
        match decision.step:
            case steps.Finish():
                return decision.step
            case steps.AwaitKeyList(status, conclusion, since):
                if (left := since - self.d.clock()) > 0:
                    self.d.queue.add_after(seen.object_id, left)
                    return steps.Finish(status, conclusion)
            case steps.AddFinalizer():
                body = await self.d.kube.add_finalizer(seen.object_id.ref, seen.metadata)
                self.d.store.put(self.model.KIND, body)
                self.finalizer_added(decision)
            case steps.WriteStatus(status, conclusion):
                await self.d.status.write(seen, status, conclusion)
                decision.progress.status_written(seen.status, status)
            case steps.RemoveFinalizer():
                await self._remove_finalizer(decision)
            case _:
                with self.d.permits.held_by(seen.metadata.uid):
                    await self.perform(decision)
        return None

    def status_unwritten(self, decision: Decision[Seen, Pass]) -> None:
        """Status cannot be written: what others wait for must be known to them even so."""

    async def _remove_finalizer(self, decision: Decision[Seen, Pass]) -> None:
        """Let go of the object; of a vanished one, nothing is left but our copy."""
        item, meta = decision.seen.object_id, decision.seen.metadata
        await self.before_release(decision)
        if not meta.vanished:
            with self.d.store.letting_go(item):
                await self.d.kube.remove_finalizer(item.ref, meta)
        self.forget(decision.seen)

    def forget(self, seen: Seen) -> None:
        """The object is served to its end: forget it, and enqueue whoever waits for that."""
        item = seen.object_id
        self.d.store.forget(item.uid)
        self.d.forget(item)
        self.d.enqueue.freed_by(seen)

    # -- what differs by kind --------------------------------------------------------------------

    @abstractmethod
    def begin(self, uid: str) -> Pass:
        """What is remembered of an object, and what one pass learns beside that."""

    @abstractmethod
    def decide(self, seen: Seen, progress: Pass) -> Decision[Seen, Pass]:
        """Gather a snapshot, and have the planner choose the next step."""

    @abstractmethod
    def calls_ahead(self, decision: Decision[Seen, Pass]) -> int:
        """How many calls the step, or what it prepares, will make; 0 where there is none."""

    @abstractmethod
    async def perform(self, decision: Decision[Seen, Pass]) -> None:
        """Perform a step of this kind alone. Raises ApiError too."""

    @abstractmethod
    def failed(self, decision: Decision[Seen, Pass], error: ApiError) -> steps.Finish[Any] | None:
        """How the pass ends after a failed call; ``None``: noted, let the planner choose again."""

    @abstractmethod
    def known_status(self, decision: Decision[Seen, Pass]) -> Any:
        """The status that says what is known, and nothing of the step."""

    @abstractmethod
    async def finish(
        self, decision: Decision[Seen, Pass], end: steps.Finish[Any], error: OperatorError | None
    ) -> None:
        """Write status, and set the time to come again."""

    def set_aside(self, decision: Decision[Seen, Pass]) -> None:
        """The pass ends here, without a word, and is begun anew soon."""

    def may_repeat(self, decision: Decision[Seen, Pass]) -> bool:
        """Whether the next pass would repeat a call that failed, as it was."""
        return True

    def may_call(self, decision: Decision[Seen, Pass], calls: int) -> bool:
        """Whether it is the object's turn to make so many calls; else it is queued when it is."""
        return self.d.next_call.has_turn(decision.seen.object_id, calls)

    def finalizer_added(self, decision: Decision[Seen, Pass]) -> None:
        """Our finalizer was put on."""

    async def before_release(self, decision: Decision[Seen, Pass]) -> None:
        """The finalizer is about to be taken off."""
