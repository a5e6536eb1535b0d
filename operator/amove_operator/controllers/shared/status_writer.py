"""The one place that writes status, and the one that turns an error into a condition."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime

from amove_operator.controllers.shared.store import Store
from amove_operator.core import conditions
from amove_operator.core.conditions import Conclusion, unsynced
from amove_operator.core.policy import overlong
from amove_operator.core.reading import Object, Seen, conditions_are_lost
from amove_operator.core.reasons import EventReason, Reason
from amove_operator.errors import (
    ApiError,
    AuthFailed,
    IncompleteListing,
    KubeRefused,
    Paused,
    Rejected,
)
from amove_operator.kube import Kube
from amove_operator.kube.views import ObjectReference
from amove_operator.models import BucketStatus, KeyStatus
from amove_operator.models.shared import Condition

_log = logging.getLogger(__name__)


def explain(error: ApiError) -> tuple[Reason, str]:
    """The condition that a failed call ends in: reason and message."""
    match error:
        case AuthFailed():
            return Reason.ApiUnauthorized, f"The service does not accept the credentials: {error}"
        case Paused():
            held = Reason.ApiUnauthorized if error.credentials else Reason.ApiUnavailable
            return held, f"Calls to the service are held back: {error}"
        case Rejected():
            return Reason.ApiRefused, f"The service answered {error}"
        case IncompleteListing():
            return Reason.ListIncomplete, f"Nothing is concluded from a list in part: {error}"
        case _:
            return Reason.ApiUnavailable, f"The service gave no usable answer: {error}"


def failed(error: ApiError) -> Conclusion:
    """A failed call changes only Synced."""
    return unsynced(*explain(error))


class StatusWriter:
    """Writes what changed, and emits an Event for a changed reason of Ready or Synced.

    ``_unwritten``: the UIDs of objects of which an Event says what status cannot.
    """

    def __init__(self, kube: Kube, store: Store, now: Callable[[], datetime]) -> None:
        self._kube = kube
        self._store = store
        self._now = now
        self._unwritten: set[str] = set()

    def forget(self, uid: str) -> None:
        """The object is gone."""
        self._unwritten.discard(uid)

    async def write(
        self,
        seen: Seen,
        status: BucketStatus | KeyStatus,
        conclusion: Conclusion,
        *,
        reported: bool = False,
    ) -> Seen:
        """Write what changed, if anything; the object with the status that it has now.

        ``reported``: an Event of this pass has said already what led to it, unless it is bad.

        Where that would lose conditions which cannot be read, an Event says it instead.
        Raises Conflict when ``seen`` is stale.
        The status of a vanished object is noted on our copy. So is that of one whose namespace is
        being deleted, where our role may go before the object.
        """
        if conditions_are_lost(seen.unread_status):
            await self.emit_unwritten(seen, conclusion.synced.reason, conclusion.synced.message)
            return seen
        meta, before = seen.metadata, seen.status.conditions
        if not meta.deleting and conditions.deletion_begun(before):
            # Restored from a backup that was made in the middle of a deletion.
            before = tuple(one for one in before if one.type != "Reconciling")
        on_its_way = conclusion.reconciling is not None
        if not meta.deleting:
            conclusion = conditions.of_an_edited_spec(conclusion, before, meta.generation)
        conclusion = conditions.noting(conclusion, overlong(meta.overlong))
        merged = conditions.merge(before, conclusion, meta.generation, self._now())
        wanted = status.model_copy(
            update={"conditions": merged, "observed_generation": meta.generation}
        )
        sent = None if meta.vanished else await self._send(seen, wanted)
        if sent is None:
            return self._store.note_status(seen, wanted)
        if sent is not seen:
            _log_change(seen, merged)
            await self._emit_change(seen, merged, on_its_way=on_its_way, reported=reported)
        return sent

    async def _send(self, seen: Seen, status: BucketStatus | KeyStatus) -> Seen | None:
        """Have the API server take it; ``None`` where our role went before the object."""
        meta, old, new = seen.metadata, seen.status.to_kube(), status.to_kube()
        try:
            body = await self._kube.write_status(
                seen.object_id.ref, meta.resource_version, old, new
            )
        except KubeRefused:
            if not (meta.deleting and await self._kube.namespace_terminating(meta.namespace)):
                raise
            return None
        self._unwritten.discard(meta.uid)
        if body is None:
            return seen
        self._store.put(seen.KIND, body)
        return seen.with_status(status)

    async def _emit_change(
        self, seen: Object, after: tuple[Condition, ...], *, on_its_way: bool, reported: bool
    ) -> None:
        """One Event for a changed reason of Ready or Synced: never one for each resync.

        ``on_its_way``: the pass itself concludes so. That a deletion was begun stays in the
        conditions through all that goes wrong with it, and makes no refusal a good sign.
        """
        going_on = conditions.reason_of(after, "Reconciling")
        for kind in ("Ready", "Synced"):
            old, new = conditions.find(seen.status.conditions, kind), conditions.find(after, kind)
            if new is None or (old and (old.status, old.reason) == (new.status, new.reason)):
                continue
            bad = new.status != "True" and not on_its_way and new.reason != going_on
            if bad or (kind == "Ready" and new.status == "True" and not reported):
                await self.emit_event(
                    seen, Reason(new.reason), new.message or new.reason, warning=bad
                )
                return

    async def emit_refused(self, seen: Object, error: Exception) -> None:
        """An Event, where status cannot say what Kubernetes refused."""
        said = f"Kubernetes refused a request for this object, and its status: {error}"
        await self.emit_unwritten(seen, Reason.KubernetesRefused, said)

    async def emit_unwritten(self, seen: Object, reason: Reason, message: str) -> None:
        """An Event that says what status cannot: one, until status can be written again."""
        uid = seen.metadata.uid
        if uid not in self._unwritten:
            self._unwritten.add(uid)
            await self.emit_event(seen, reason, message, warning=True)

    async def emit_event(
        self,
        seen: Object,
        reason: Reason | EventReason,
        message: str,
        *,
        warning: bool = False,
    ) -> None:
        """An Event on one of our objects; fails nothing."""
        item = seen.object_id
        await self._kube.emit_event(
            ObjectReference.to(item.ref, item.uid),
            type="Warning" if warning else "Normal",
            reason=reason,
            message=message,
        )


def _log_change(seen: Object, after: tuple[Condition, ...]) -> None:
    """One line for each change of status: what Ready and Synced say, and Synced's message."""
    shown = []
    for kind in ("Ready", "Synced"):
        old, new = conditions.find(seen.status.conditions, kind), conditions.find(after, kind)
        if new is not None and (not old or (old.status, old.reason) != (new.status, new.reason)):
            shown.append(new)
    if shown:
        said = ", ".join(f"{one.type}={one.status} {one.reason}" for one in shown)
        message = shown[-1].message or shown[0].message
        _log.info("%s: %s%s", seen.object_id.ref, said, message and f": {message}")
