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
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Generic, Protocol, TypeVar

from amove_operator.controllers.shared.dependencies import Dependencies
from amove_operator.core import steps
from amove_operator.core.conditions import unsynced
from amove_operator.core.outcomes import Outcome, Result, outcome_of
from amove_operator.core.reading import Seen, status_unreadable
from amove_operator.core.reasons import Reason
from amove_operator.engine.workqueue import Run
from amove_operator.errors import ApiError, KubeInternalError, KubeRefused, OperatorError
from amove_operator.models.refs import ObjectId

MOST_STEPS = 40
SOON_AGAIN = 30.0
"""The longest back-off for what may come right by itself: a webhook that is down."""

_NOTHING = Result(Outcome.OK)

_log = logging.getLogger(__name__)

Pass = TypeVar("Pass", bound="Progress")


class Progress(Protocol):
    """What one pass goes by beside the object."""

    def set_aside(self) -> None:
        """The pass ends here, without a word, and is begun anew soon."""

    def finalizer_added(self, status: Any, /) -> None:
        """Our finalizer was put on an object that has this status."""

    def status_written(self, before: Any, now: Any, /) -> None:
        """Status was written before an effect."""


@dataclass(frozen=True, slots=True)
class Decision(Generic[Seen, Pass]):
    """One round of the loop: the object as last seen, what this pass knows, and the step.

    ``progress``: for a key what this pass has learnt, for a bucket all that is remembered of it.
    """

    run: Run
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

    async def reconcile(self, item: ObjectId, run: Run) -> Result:
        """Serve one object. Raises Conflict, KubeUnavailable, KubeRefused, NotLeading."""
        if self.find(item) is None:
            return _NOTHING
        progress, taken = self.begin(item.uid), []
        for _ in range(MOST_STEPS):
            seen = self.find(item)
            if seen is None or item in self.d.store.unconfirmed:
                return _NOTHING  # one that vanished just now is read before anything is done
            if seen.unread_status:
                return await self.report_unreadable(seen)
            snapshot, step = self.decide(seen, progress)
            decision = Decision(run, seen, progress, snapshot, step)
            taken.append(type(step).__name__)
            try:
                result = await self._take_or_report(decision)
            except (KubeRefused, KubeInternalError) as error:
                return await self._report_refused(decision, error)
            if result is not None:
                return result
        raise RuntimeError(f"{item}: no end after {', '.join(taken)}")

    def find(self, item: ObjectId) -> Seen | None:
        """That very object as last seen, if it still needs something."""
        found = self.d.store.find(item.uid)
        return found if isinstance(found, self.model) else None

    async def report_unreadable(self, seen: Seen) -> Result:
        """Leave alone what a newer version wrote, and say so.

        A vanished object, of which nothing can be said, is forgotten: its keys are orphans.
        """
        item, said = seen.object_id, status_unreadable(seen.unread_status)
        if seen.metadata.vanished:
            _log.warning("%s vanished, and is let go of as it was: %s", item, said.synced.message)
            self.forget(seen)
        else:
            await self.d.status.write(seen, seen.status, said)
        return Result(Outcome.OK, retry=False)

    async def _take_or_report(self, decision: Decision[Seen, Pass]) -> Result | None:
        """Perform one step, or say in status why the service did not; how the pass ends, if so."""
        error = None
        try:
            if (wait := self._wait_for(decision)) is not None:
                decision.progress.set_aside()
                return wait
            end = await self._take(decision)
        except ApiError as failure:
            again, failures = self.may_repeat(decision), decision.run.failures
            seconds = self.d.api.retry_in(failure, failures) if again else None
            if seconds is not None:
                decision.progress.set_aside()
                return Result(Outcome.API_ERROR, retry=True, at_least=seconds)
            error, end = failure, self.failed(decision, failure)
        return await self._end(decision, end, error) if end is not None else None

    def _wait_for(self, decision: Decision[Seen, Pass]) -> Result | None:
        """How the pass ends if the step needs what is not there: it comes again once it is.

        Raises ApiError where a key list was wanted that could not be read.
        """
        step, clock = decision.step, self.d.clock()
        if isinstance(step, steps.ComeAgain):
            return Result(Outcome.WAITS, after=step.at - clock)
        if isinstance(step, steps.AwaitKeyList):
            item, urgency = decision.seen.object_id, decision.run.urgency
            has_it = step.since > clock or self.d.next_call.has_list(item, urgency, step.since)
        else:
            calls = self.calls_ahead(decision)
            has_it = not calls or self.may_call(decision, calls)
        return None if has_it else Result(Outcome.WAITS)

    async def _end(
        self, decision: Decision[Seen, Pass], end: steps.Finish[Any], error: OperatorError | None
    ) -> Result:
        await self.finish(decision, end)
        after = None
        if end.requeue_at is not None:
            after = max((end.requeue_at - self.d.now()).total_seconds(), 0.0) + 0.05
        result = Result(
            outcome_of(end.conclusion),
            retry=end.retry,
            longest=self._longest_pause(error),
            at_least=max(getattr(error, "retry_after", None) or 0.0, end.at_least),
            after=after,
        )
        return self.paced(decision, result)

    async def _report_refused(
        self, decision: Decision[Seen, Pass], error: KubeRefused | KubeInternalError
    ) -> Result:
        """Say in status what Kubernetes refused. Raises the same where status cannot be written."""
        seen = decision.seen
        if seen.metadata.vanished:
            raise error
        try:
            end = self.refused(decision, error)
            if end is None:
                # Where a status was refused, the former one may pass with that.
                writes_status = hasattr(decision.step, "status")
                status = seen.status if writes_status else self.known_status(decision)
                said = f"Kubernetes refused a request for this object: {error}"
                end = steps.Finish(status, unsynced(Reason.KubernetesRefused, said), retry=True)
            result = await self._end(decision, end, error)
        except (KubeRefused, KubeInternalError):
            self.status_unwritten(decision)
            raise error from None
        _log.error("%s: Kubernetes refused: %s", seen.object_id.ref, error)
        return replace(result, outcome=Outcome.KUBE_REFUSED)

    def _longest_pause(self, error: Exception | None) -> float:
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
                    shown = self.d.now() + timedelta(seconds=left)
                    return steps.Finish(status, conclusion, requeue_at=shown)
            case steps.AddFinalizer():
                body = await self.d.kube.add_finalizer(seen.object_id.ref, seen.metadata)
                self.d.store.put(self.model.KIND, body)
                decision.progress.finalizer_added(seen.status)
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
    def decide(self, seen: Seen, progress: Pass) -> tuple[Any, Any]:
        """Gather a snapshot, and have the planner choose the next step: both."""

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
    async def finish(self, decision: Decision[Seen, Pass], end: steps.Finish[Any]) -> None:
        """Write status, and enqueue whom the change concerns."""

    def paced(self, decision: Decision[Seen, Pass], result: Result) -> Result:
        """The same, where the kind has its own times to come again."""
        return result

    def may_repeat(self, decision: Decision[Seen, Pass]) -> bool:
        """Whether the next pass would repeat a call that failed, as it was."""
        return True

    def may_call(self, decision: Decision[Seen, Pass], calls: int) -> bool:
        """Whether it is the object's turn to make so many calls; else it is queued when it is."""
        return self.d.next_call.has_turn(decision.seen.object_id, decision.run.urgency, calls)

    def refused(
        self, decision: Decision[Seen, Pass], error: KubeRefused | KubeInternalError
    ) -> steps.Finish[Any] | None:
        """How the pass ends, where the kind has more to say of it than what Kubernetes refused."""
        return None

    async def before_release(self, decision: Decision[Seen, Pass]) -> None:
        """The finalizer is about to be taken off."""
