"""The one place that writes status, and the one that turns an error into words."""

from __future__ import annotations

import logging
from typing import TypeVar

from amove_operator.controllers.shared.context import Context
from amove_operator.controllers.shared.store import Item
from amove_operator.core import conditions
from amove_operator.core.conditions import Conclusion, unsynced
from amove_operator.core.policy import overlong
from amove_operator.core.reading import Object
from amove_operator.core.reasons import Reason
from amove_operator.core.refs import Ref
from amove_operator.errors import ApiError, AuthFailed, KubeRefused, Paused, Rejected
from amove_operator.models import BucketStatus, KeyStatus
from amove_operator.models.shared import Condition

_log = logging.getLogger(__name__)
AnyStatus = TypeVar("AnyStatus", BucketStatus, KeyStatus)


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
        case _:
            return Reason.ApiUnavailable, f"The service gave no usable answer: {error}"


def failed(error: ApiError) -> Conclusion:
    """A failed call changes only Synced."""
    return unsynced(*explain(error))


def accounts_pending(context: Context) -> Conclusion | None:
    """Why nothing new can be begun: the accounts could not be read yet."""
    if context.accounts.loaded:
        return None
    if context.accounts.failure is not None:
        return failed(context.accounts.failure)
    return unsynced(Reason.Progressing, "The cloud accounts are being read.")


async def write_status(
    context: Context, ref: Ref, seen: Object, status: AnyStatus, conclusion: Conclusion
) -> None:
    """Write what changed, if anything, and tell of it by an Event. Raises Conflict when stale.

    Where a namespace goes, our role there may go first: then a deletion is noted on our copy.
    """
    meta = seen.metadata
    told = seen.status.conditions
    if not meta.deleting and conditions.deletion_begun(told):
        # Restored from a backup that was made in the middle of a deletion.
        told = tuple(one for one in told if one.type != "Reconciling")
    conclusion = conditions.noting(conclusion, overlong(meta))
    merged = conditions.merge(told, conclusion, meta.generation, context.now())
    wanted = status.model_copy(
        update={"conditions": merged, "observed_generation": meta.generation}
    )
    before, after = seen.status.to_kube(), wanted.to_kube()
    try:
        body = await context.kube.write_status(ref, meta.resource_version, before, after)
    except KubeRefused:
        if not (meta.deleting and await context.kube.namespace_terminating(ref.namespace)):
            raise
        context.cache.note_status(ref, seen, wanted)
        return
    if body is None:
        return
    context.cache.put(ref, body)
    await _tell_of_change(context, ref, meta.uid, seen.status.conditions, merged)


async def record_status(
    context: Context, item: Item, seen: Object, status: AnyStatus, conclusion: Conclusion
) -> None:
    """Write status before an effect; of a ghost, which has none any more, note it on its copy."""
    if isinstance(item, Ref):
        await write_status(context, item, seen, status, conclusion)
        return
    meta = seen.metadata
    merged = conditions.merge(seen.status.conditions, conclusion, meta.generation, context.now())
    noted = status.model_copy(update={"conditions": merged})
    context.cache.ghosts[item] = seen.with_status(noted)


async def _tell_of_change(
    context: Context,
    ref: Ref,
    uid: str,
    before: tuple[Condition, ...],
    after: tuple[Condition, ...],
) -> None:
    """One Event for a changed reason of Ready or Synced: never one for each resync."""
    for kind in ("Ready", "Synced"):
        old, new = conditions.find(before, kind), conditions.find(after, kind)
        if new is None or (
            old is not None and (old.status, old.reason) == (new.status, new.reason)
        ):
            continue
        bad = new.status != "True" and not conditions.is_true(after, "Reconciling")
        _log.info("%s: %s=%s %s: %s", ref, kind, new.status, new.reason, new.message)
        if bad or (kind == "Ready" and new.status == "True"):
            message = new.message or new.reason
            await context.tell(ref, uid, new.reason, message, warning=bad)
            return
