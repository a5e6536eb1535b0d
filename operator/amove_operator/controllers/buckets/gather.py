"""Gather what the bucket planner looks at, from cache and memory. Reads only."""

from __future__ import annotations

from amove_operator.controllers.shared.context import Context
from amove_operator.controllers.shared.loss_guard import (
    accepted,
    is_concluded,
    is_loss_unconfirmed,
    mass_bucket_loss,
)
from amove_operator.controllers.shared.memory import REPAIRS, BucketMemory
from amove_operator.controllers.shared.name_registry import (
    claim_of,
    ghost_claim,
    list_needed_since,
    name_in_use,
    reached_by_orphan,
    who_keeps,
)
from amove_operator.controllers.shared.status_writer import accounts_pending
from amove_operator.controllers.shared.store import (
    Ghost,
    Item,
    fingerprint,
)
from amove_operator.core import conditions
from amove_operator.core.buckets.snapshot import (
    Absent,
    BucketLoss,
    BucketSnapshot,
    Present,
    Refused,
)
from amove_operator.core.conditions import Conclusion, stalled
from amove_operator.core.policy import bucket_not_permitted
from amove_operator.core.reasons import Reason
from amove_operator.core.refs import Ref
from amove_operator.models import AmoveBucket


def gather_bucket(
    context: Context, item: Item, bucket: AmoveBucket, memory: BucketMemory
) -> BucketSnapshot:
    """The snapshot of one AmoveBucket as of now."""
    meta = bucket.metadata
    ref = item.ref if isinstance(item, Ghost) else item
    status, name = bucket.proven, bucket.bucket_name
    account = status.cloud_account_id or bucket.spec.cloud_account_id
    account = account or context.accounts.default_account or ""
    refreshed(bucket, memory, context.clock())
    since, listing = list_needed_since(context, meta.namespace), context.key_lists.latest
    return BucketSnapshot(
        bucket=bucket,
        account=account,
        default_account=context.accounts.default_account,
        fault=None if meta.deleting else bucket_fault(context, ref, bucket, account),
        claim=ghost_claim(context, bucket) if meta.vanished else claim_of(context, bucket),
        name_in_use=None if status.ours else name_in_use(context, ref, name),
        list_needed_since=None if listing is not None and listing.begun >= since else since,
        orphaned=status.ours and reached_by_orphan(context, ref, name),
        blockers=who_keeps(context, ref, name) if meta.deleting else (),
        seen=memory.seen,
        loss=_loss(context, bucket, memory),
        refusal=memory.refusal,
        created=memory.created,
        delete_sent=memory.delete_sent,
        effect_pending=context.clock() - memory.effect_at < context.settle,
        repairs_left=memory.repairs_left,
    )


def refreshed(bucket: AmoveBucket, memory: BucketMemory, clock: float) -> None:
    """Forget what was seen when a person changed something, a resync is due, or a retry is."""
    print_now = fingerprint(bucket.metadata)
    changed = memory.fingerprint is not None and memory.fingerprint != print_now
    if changed:
        memory.refusals_in_a_row = 0
        memory.repairs_left = REPAIRS
        memory.delete_sent = False
    elif memory.stale:
        memory.repairs_left = max(memory.repairs_left, 1)
    if changed or memory.stale or clock >= memory.retry_at:
        memory.seen = None
        if not (_is_taken(memory) and not changed) and not _is_disowning(bucket, memory):
            memory.refusal = None
        memory.retry_at = float("inf")
    elif memory.fingerprint is None and _settled(bucket):
        # The first look after a restart: a settled bucket waits for its turn in the resync.
        memory.seen = Present(bucket.status.observed) if bucket.status.observed else None
    if bucket.proven.provenance is not None:
        memory.created = False  # from here on status is the proof
    memory.fingerprint = print_now
    memory.stale = False


def _is_taken(memory: BucketMemory) -> bool:
    """The service said that the name is taken: nothing is tried again before a person changes it.

    A look at each resync goes on, and shows a bucket that became ours to see.
    """
    return memory.refusal is not None and memory.refusal.what is Refused.EXISTS


def _is_disowning(bucket: AmoveBucket, memory: BucketMemory) -> bool:
    """The create was surely not ours, and status still says that it was: that must go first."""
    status, what = bucket.proven, memory.refusal.what if memory.refusal else None
    if what is Refused.EXISTS:
        return bool(status.create_intent) or status.provenance == "Created"
    return what is Refused.UNSENT and bool(status.create_intent)


def _settled(bucket: AmoveBucket) -> bool:
    status = bucket.status
    return (
        status.observed_generation == bucket.metadata.generation
        and not bucket.metadata.deleting
        and bucket.proven.provenance is not None
        and conditions.is_true(status.conditions, "Ready")
        and conditions.is_true(status.conditions, "Synced")
    )


def bucket_fault(
    context: Context, ref: Ref, bucket: AmoveBucket, account: str
) -> Conclusion | None:
    """Why we refuse this spec ourselves, without a call."""
    if (fault := context.cache.faults.get(ref)) is not None:
        return fault
    trusted = context.settings.trusts(bucket.metadata.namespace)
    defaults = context.accounts.judging_defaults(bucket.spec.cloud_account_id, None)
    if found := bucket_not_permitted(
        bucket.spec, bucket.metadata.namespace, defaults, trusted=trusted
    ):
        return found
    if (pending := accounts_pending(context)) is not None:
        return None if _settled(bucket) else pending
    if not account:
        return stalled(Reason.AccountUnknown, context.accounts.unknown())
    if bucket.proven.provenance is not None:
        return None  # an account that was switched off is no reason to let go of what is there
    if problem := context.accounts.problem(account):
        return stalled(Reason.AccountUnusable, problem)
    return None


def _loss(context: Context, bucket: AmoveBucket, memory: BucketMemory) -> BucketLoss:
    if not isinstance(memory.seen, Absent) or accepted(bucket.metadata, memory.accept_before):
        return BucketLoss.NONE
    if is_concluded(bucket) and not bucket.metadata.deleting:
        return BucketLoss.NONE  # status says that it is missing: nothing is made of it anyhow
    if mass_bucket_loss(context):
        return BucketLoss.MASS
    unconfirmed = is_loss_unconfirmed(context, bucket.metadata.uid)
    return BucketLoss.UNCONFIRMED if unconfirmed else BucketLoss.NONE
