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
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from amove_operator.controllers.shared.dependencies import Dependencies
from amove_operator.core import steps
from amove_operator.core.conditions import unsynced
from amove_operator.core.reading import conditions_are_lost, status_unreadable
from amove_operator.core.reasons import Reason
from amove_operator.errors import ApiError, Conflict, KubeInternalError, KubeRefused, OperatorError
from amove_operator.models import AmoveBucket, AmoveStorageKey
from amove_operator.models.refs import ObjectId

MOST_STEPS = 40
SOON_AGAIN = 30.0
"""The longest back-off for what may come right by itself: a webhook that is down."""

_log = logging.getLogger(__name__)

Seen = TypeVar("Seen", AmoveBucket, AmoveStorageKey)
Pass = TypeVar("Pass")


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

    async def reconcile(self, item: ObjectId) -> None:
        """Serve one object. Raises Conflict, KubeUnavailable, KubeRefused, NotLeading."""
        if self.find(item) is None:
            return
        progress, taken = self.begin(item.uid), []
        for _ in range(MOST_STEPS):
            seen = self.find(item)
            if seen is None or item in self.d.store.unconfirmed:
                return  # one that vanished just now is read before anything is done for it
            if seen.unread_status:
                await self.report_unreadable(seen)
                return
            decision = self.decide(seen, progress)
            taken.append(type(decision.step).__name__)
            try:
                ended = await self._take_or_report(decision)
            except (KubeRefused, KubeInternalError) as error:
                await self._report_refused(decision, error)
                return
            if ended:
                return
        raise RuntimeError(f"{item}: no end after {', '.join(taken)}")

    def find(self, item: ObjectId) -> Seen | None:
        """That very object as last seen, if it still needs something."""
        found = self.d.store.find(item)
        return found if isinstance(found, self.model) else None

    async def report_unreadable(self, seen: Seen) -> None:
        """Leave alone what a newer version wrote, and say so.

        A vanished object, of which nothing can be said, is forgotten: its keys are orphans.
        """
        item, unread = seen.object_id, seen.unread_status
        said = status_unreadable(unread)
        if seen.metadata.vanished:
            _log.warning("%s vanished, and is let go of as it was: %s", item, said.synced.message)
            self.forget(seen)
        elif conditions_are_lost(unread):
            await self.d.status.emit_unwritten(seen, said.synced.reason, said.synced.message)
        else:
            await self.d.status.write(seen, seen.status, said)
        self.d.queue.forget(item)

    async def _take_or_report(self, decision: Decision[Seen, Pass]) -> bool:
        """Perform one step, or say in status why the service did not; whether the pass ends."""
        try:
            return await self._take(decision)
        except ApiError as error:
            end = self.failed(decision, error)
            if end is not None:
                await self.finish(decision, end, error)
            return end is not None

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

    async def _take(self, decision: Decision[Seen, Pass]) -> bool:
        """Perform one step; whether the pass ends with it. Raises ApiError too."""
        seen = decision.seen
        match decision.step:
            case steps.Finish():
                await self.finish(decision, decision.step, None)
                return True
            case steps.AwaitKeyList():
                return await self._await_key_list(decision, decision.step)
            case steps.AddFinalizer():
                await self.add_finalizer(decision)
            case steps.WriteStatus(status, conclusion):
                await self.d.status.write(seen, status, conclusion)
                self.status_written(decision)
            case steps.RemoveFinalizer():
                await self._remove_finalizer(decision)
                return True
            case _:
                await self.perform(decision)
        return False

    async def _await_key_list(
        self, decision: Decision[Seen, Pass], step: steps.AwaitKeyList[Any]
    ) -> bool:
        """Have a key list begun since that moment; one that lies ahead ends the pass until then."""
        left = step.since - self.d.clock()
        if left <= 0:
            await self.d.key_lists.begun_since(step.since)
            return False
        await self.finish(decision, steps.Finish(step.status, step.conclusion), None)
        self.d.queue.add_after(decision.seen.object_id, left)
        return True

    async def add_finalizer(self, decision: Decision[Seen, Pass]) -> None:
        """Put our finalizer on."""
        ref, meta = decision.seen.object_id.ref, decision.seen.metadata
        self.d.store.put(ref, await self.d.kube.add_finalizer(ref, meta))

    async def _remove_finalizer(self, decision: Decision[Seen, Pass]) -> None:
        """Let go of the object; of a vanished one, nothing is left but our copy."""
        item, meta = decision.seen.object_id, decision.seen.metadata
        await self.before_release(decision)
        if not meta.vanished:
            self.d.store.let_go(item)
            try:
                await self.d.kube.remove_finalizer(item.ref, meta)
            except Conflict:
                self.d.store.not_let_go(item)
                raise
        self.forget(decision.seen)

    def forget(self, seen: Seen) -> None:
        """The object is served to its end: forget it, and enqueue whoever waits for that."""
        item = seen.object_id
        self.d.store.forget(item)
        self.d.forget(item)
        self.d.queue.forget(item)
        self.d.enqueue.freed_by(seen)

    # -- what differs by kind --------------------------------------------------------------------

    @abstractmethod
    def begin(self, uid: str) -> Pass:
        """What is remembered of an object, and what one pass learns beside that."""

    @abstractmethod
    def decide(self, seen: Seen, progress: Pass) -> Decision[Seen, Pass]:
        """Gather a snapshot, and have the planner choose the next step."""

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

    def status_written(self, decision: Decision[Seen, Pass]) -> None:
        """Status was written before an effect."""

    async def before_release(self, decision: Decision[Seen, Pass]) -> None:
        """The finalizer is about to be taken off."""
