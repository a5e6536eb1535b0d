"""Gather what the bucket planner asks for, from the store and memory. Changes nothing."""

from __future__ import annotations

from amove_operator.controllers.shared.dependencies import Dependencies
from amove_operator.controllers.shared.memory import BucketMemory, is_in_sync
from amove_operator.controllers.shared.store import id_of
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
    mass_loss, loss_unconfirmed = d.bucket_losses.verdict(bucket, memory)
    ours = status.provenance is not None or bool(status.create_intent)
    since, listing = d.names.list_needed_since(meta.namespace), d.key_lists.latest
    ref = id_of(bucket).ref
    return BucketSnapshot(
        now=d.now(),
        uid=meta.uid,
        namespace=meta.namespace,
        cr_name=meta.name,
        spec=bucket.spec,
        status=status,
        name=name,
        account=account,
        finalizer=meta.finalized_by_us or meta.vanished,
        deleting=meta.deleting,
        paused=meta.paused,
        fault=None if meta.deleting else bucket_fault(d, bucket, account),
        claim=d.names.claim_of(bucket),
        name_in_use=None if ours else d.names.name_in_use(meta.namespace, name),
        keys_listed=listing is not None and listing.begun >= since,
        list_since=since,
        orphaned=ours and d.names.is_reached_by_orphan(meta.namespace, name),
        seen=memory.seen,
        refusal=memory.refusal,
        blockers=d.names.blockers(ref, name) if meta.deleting else (),
        delete_sent=memory.delete_sent,
        created=memory.created,
        effect_pending=d.clock() - memory.effect_at < d.settle,
        repairs_left=memory.repairs_left,
        mass_loss=mass_loss,
        loss_unconfirmed=loss_unconfirmed,
        default_account=d.accounts.default_account,
    )


def bucket_fault(d: Dependencies, bucket: AmoveBucket, account: str) -> Conclusion | None:
    """Why we refuse this spec ourselves, without a call."""
    if (fault := d.store.faults.get(id_of(bucket).ref)) is not None:
        return fault
    namespace = bucket.metadata.namespace
    trusted = d.settings.trusts(namespace)
    defaults = d.accounts.judging_defaults(bucket.spec.cloud_account_id, None)
    if found := bucket_not_permitted(bucket.spec, namespace, defaults, trusted=trusted):
        return found
    if (pending := d.accounts.pending()) is not None:
        return None if is_in_sync(bucket) else pending
    if not account:
        return stalled(Reason.AccountUnknown, d.accounts.unknown())
    if bucket.proven.provenance is not None:
        return None  # an account that was switched off is no reason to let go of what is there
    if problem := d.accounts.problem(account):
        return stalled(Reason.AccountUnusable, problem)
    return None
