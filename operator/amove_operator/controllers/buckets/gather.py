"""Gather what the bucket planner asks for, from the store and memory. Changes nothing."""

from __future__ import annotations

from amove_operator.controllers.shared.dependencies import Dependencies
from amove_operator.controllers.shared.memory import BucketMemory
from amove_operator.core.buckets.snapshot import BucketSnapshot
from amove_operator.core.conditions import Conclusion, stalled
from amove_operator.core.policy import bucket_not_permitted
from amove_operator.core.reasons import Reason
from amove_operator.models import AmoveBucket


def gather_bucket(d: Dependencies, bucket: AmoveBucket, memory: BucketMemory) -> BucketSnapshot:
    """All that is known about one AmoveBucket as of now."""
    meta, status, name = bucket.metadata, bucket.proven, bucket.bucket_name
    account = status.cloud_account_id or bucket.spec.cloud_account_id
    account = account or d.accounts.default_account or ""
    since, listing = d.names.list_needed_since(meta.namespace), d.key_lists.latest
    return BucketSnapshot(
        meta=meta,
        spec=bucket.spec,
        status=status,
        name=name,
        account=account,
        default_account=d.accounts.default_account,
        fault=None if meta.deleting else bucket_fault(d, bucket, account),
        claimed_by=d.names.claimed_by(bucket),
        name_in_use=None if status.ours else d.names.name_in_use(meta.namespace, name),
        list_needed_since=None if listing is not None and listing.begun >= since else since,
        orphaned=status.ours and d.names.is_reached_by_orphan(meta.namespace, name),
        blockers=d.names.blockers(bucket) if meta.deleting else (),
        seen=memory.seen,
        loss=d.bucket_losses.verdict(bucket, memory),
        refusal=memory.refusal,
        created=memory.created,
        delete_sent=memory.delete_sent,
        effect_pending=d.clock() - memory.effect_at < d.settle,
        repairs_left=memory.repairs_left,
    )


def bucket_fault(d: Dependencies, bucket: AmoveBucket, account: str) -> Conclusion | None:
    """Why we refuse this spec ourselves, without a call."""
    if (fault := d.store.faults.get(bucket.object_id.ref)) is not None:
        return fault
    namespace = bucket.metadata.namespace
    trusted = d.settings.trusts(namespace)
    defaults = d.accounts.judging_defaults(bucket.spec.cloud_account_id, None)
    if found := bucket_not_permitted(bucket.spec, namespace, defaults, trusted=trusted):
        return found
    unjudged = not trusted and d.accounts.is_unjudged(bucket.spec.cloud_account_id, None)
    if (not account or unjudged) and (pending := d.accounts.pending()) is not None:
        return None if bucket.in_sync else pending
    if not account:
        return stalled(Reason.AccountUnknown, d.accounts.unknown())
    if bucket.proven.provenance is not None:
        return None  # an account that was switched off is no reason to let go of what is there
    if problem := d.accounts.problem(account):
        return stalled(Reason.AccountUnusable, problem)
    return None
