"""Gather what the bucket planner looks at, from cache and memory. Reads only."""

from __future__ import annotations

from collections.abc import Iterator

from amove_operator.controller.cache import (
    Ghost,
    Item,
    bucket_name,
    fingerprint,
    own_bucket_status,
)
from amove_operator.controller.context import Context
from amove_operator.controller.losses import (
    accepted,
    is_concluded,
    is_loss_unclear,
    mass_bucket_loss,
)
from amove_operator.controller.memory import REPAIRS, BucketMemory
from amove_operator.controller.reporting import accounts_pending
from amove_operator.core import conditions
from amove_operator.core.bucket_world import (
    Absent,
    BucketWorld,
    Claim,
    ClaimHeld,
    ClaimLost,
    Present,
    Refused,
)
from amove_operator.core.claims import Claimant, claim_holder
from amove_operator.core.conditions import Conclusion, stalled
from amove_operator.core.naming import marker_of
from amove_operator.core.policy import bucket_not_permitted, invalid
from amove_operator.core.reasons import Reason
from amove_operator.core.refs import Ref
from amove_operator.core.scope import Scope
from amove_operator.core.secret_record import KEY_ID, OWNER_UID, SCOPE
from amove_operator.kube.secret_watch import SecretMeta
from amove_operator.models import AmoveBucket, BucketSpec

_NO_CLAIM = {
    Reason.BucketExists,
    Reason.BucketMissing,
    Reason.NotPermitted,
    Reason.AccountMismatch,
    Reason.AccountUnknown,
    Reason.AccountUnusable,
    Reason.InvalidSpec,
}


def bucket_world(
    context: Context, item: Item, bucket: AmoveBucket, memory: BucketMemory
) -> BucketWorld:
    """The world of one AmoveBucket as of now."""
    meta = bucket.metadata
    ref = item.ref if isinstance(item, Ghost) else item
    status = own_bucket_status(bucket)
    account = status.cloud_account_id or bucket.spec.cloud_account_id
    account = account or context.accounts.default_account or ""
    name = bucket_name(bucket)
    deleting = meta.deleting or isinstance(item, Ghost)
    refreshed(bucket, memory, context.clock())
    mass_loss, loss_unclear = _loss(context, bucket, memory)
    return BucketWorld(
        now=context.now(),
        uid=meta.uid,
        namespace=meta.namespace,
        cr_name=meta.name,
        spec=_spec(item, bucket),
        status=status,
        name=name,
        account=account,
        finalizer=meta.finalized_by_us or isinstance(item, Ghost),
        deleting=deleting,
        paused=meta.paused and not isinstance(item, Ghost),
        fault=None if deleting else bucket_fault(context, ref, bucket, account),
        claim=_ghost_claim(context, bucket)
        if isinstance(item, Ghost)
        else claim_of(context, bucket),
        name_in_use=name_in_use(context, ref, name),
        seen=memory.seen,
        refusal=memory.refusal,
        blockers=_blockers(context, ref, name) if deleting else (),
        delete_sent=memory.delete_sent,
        effect_pending=context.clock() - memory.effect_at < context.settle,
        repairs_left=memory.repairs_left,
        mass_loss=mass_loss,
        loss_unclear=loss_unclear,
        default_account=context.accounts.default_account,
    )


def _spec(item: Item, bucket: AmoveBucket) -> BucketSpec:
    """A ghost is served by its own policy: nobody asked to delete the data of one that retains.

    One that was paused is let go, since nobody can end its pause any more.
    """
    if isinstance(item, Ghost) and bucket.metadata.paused:
        return bucket.spec.model_copy(update={"deletion_policy": "Retain"})
    return bucket.spec


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
    memory.fingerprint = print_now
    memory.stale = False


def _is_taken(memory: BucketMemory) -> bool:
    """The service said that the name is taken: nothing is tried again before a person changes it.

    A look at each resync goes on, and shows a bucket that became ours to see.
    """
    return memory.refusal is not None and memory.refusal.what is Refused.EXISTS


def _is_disowning(bucket: AmoveBucket, memory: BucketMemory) -> bool:
    """The create was surely not ours, and status still says that it was: that must go first."""
    status, what = own_bucket_status(bucket), memory.refusal.what if memory.refusal else None
    if what is Refused.EXISTS:
        return bool(status.create_intent) or status.provenance == "Created"
    return what is Refused.UNSENT and bool(status.create_intent)


def _settled(bucket: AmoveBucket) -> bool:
    status = bucket.status
    return (
        status.observed_generation == bucket.metadata.generation
        and not bucket.metadata.deleting
        and own_bucket_status(bucket).provenance is not None
        and conditions.is_true(status.conditions, "Ready")
        and conditions.is_true(status.conditions, "Synced")
    )


def bucket_fault(
    context: Context, ref: Ref, bucket: AmoveBucket, account: str
) -> Conclusion | None:
    """Why we refuse this spec ourselves, without a call."""
    faults = context.cache.faults.get(ref)
    if faults:
        return invalid(list(faults))
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
    if own_bucket_status(bucket).provenance is not None:
        return None  # an account that was switched off is no reason to let go of what is there
    if problem := context.accounts.problem(account):
        return stalled(Reason.AccountUnusable, problem)
    return None


def claim_of(context: Context, bucket: AmoveBucket) -> Claim:
    """Whether this CR is the one of its bucket name, among all namespaces and accounts."""
    mine = _claimant(bucket, asking=True)
    others = [one for one in claimants(context, bucket_name(bucket)) if one.uid != mine.uid]
    holder = claim_holder([mine, *others])
    if holder is None or holder.uid == mine.uid:
        return ClaimHeld()
    return ClaimLost(str(holder))


def claimants(context: Context, name: str) -> list[Claimant]:
    """Every AmoveBucket that wants a bucket name."""
    return [_claimant(bucket) for _, bucket in context.cache.buckets_named(name)]


def _ghost_claim(context: Context, bucket: AmoveBucket) -> Claim:
    """A vanished CR has no claim against one that is there: its successor's data stay."""
    rivals = context.cache.buckets_named(bucket_name(bucket))
    return ClaimLost(f"{rivals[0][0].namespace}/{rivals[0][0].name}") if rivals else ClaimHeld()


def _claimant(bucket: AmoveBucket, *, asking: bool = False) -> Claimant:
    meta = bucket.metadata
    return Claimant(
        meta.namespace,
        meta.name,
        meta.uid,
        meta.creation_timestamp,
        proven=_proven(bucket),
        stalled=not asking and _has_no_claim(bucket),
    )


def _proven(bucket: AmoveBucket) -> bool:
    meta, status = bucket.metadata, own_bucket_status(bucket)
    let_go = meta.deleting and not meta.finalized_by_us  # it is here only for another's finalizer
    return not let_go and (status.provenance is not None or bool(status.create_intent))


def _has_no_claim(bucket: AmoveBucket) -> bool:
    """Going, paused, or stalled for a reason that holds no claim, as far as this spec goes."""
    if bucket.metadata.deleting or bucket.metadata.paused:
        return True  # a paused one is never looked at: it could keep the name without any right
    found = conditions.find(bucket.status.conditions, "Stalled")
    if found is None or found.observed_generation != bucket.metadata.generation:
        return False
    return found.reason in {str(one) for one in _NO_CLAIM}


def holds_claim(bucket: AmoveBucket) -> bool:
    """Whether it counts among the claimants of its bucket's name (design.md §3)."""
    return _proven(bucket) or not _has_no_claim(bucket)


def name_in_use(context: Context, ref: Ref, name: str) -> str | None:
    """Whose live keys reach this name from elsewhere, in words; ``None``: it is free."""
    for item, key in context.cache.keys_reaching(name):
        meta = key.metadata
        if meta.namespace != ref.namespace and context.cache.binds(key, name):
            return f"Waiting until key {item} is revoked, which still reaches bucket {name}."
    for namespace, secret in _retained(context, name):
        if namespace != ref.namespace:
            return f"The key in retained Secret {namespace}/{secret} still reaches bucket {name}."
    return None


def _blockers(context: Context, ref: Ref, name: str) -> tuple[str, ...]:
    """The keys that keep a deletion waiting (design.md §3, §4.5)."""
    waiting = {f"AmoveStorageKey {key.name}" for key in context.cache.keys_referring_to(ref)}
    for item, key in context.cache.keys_reaching(name):
        same_team = key.metadata.namespace == ref.namespace
        if same_team or context.cache.binds(key, name):
            found = item.ref if isinstance(item, Ghost) else item
            waiting.add(f"AmoveStorageKey {found.name}" if same_team else str(found))
    waiting |= {f"retained Secret {where[0]}/{where[1]}" for where in _retained(context, name)}
    return tuple(sorted(waiting))


def _retained(context: Context, name: str) -> Iterator[tuple[str, str]]:
    """The retained Secrets whose live key reaches a bucket name."""
    for where, kept in context.retained.items():
        if name in kept and (
            context.settings.trusts(where[0]) or _is_proven(context, context.secrets[where], name)
        ):
            yield where


def _is_proven(context: Context, secret: SecretMeta, name: str) -> bool:
    """Whether the list says that it is so; anybody can write a Secret that says it.

    Only trusted namespaces get to keep a key, but one that is kept stays when trust goes. What
    no list could tell yet counts: names are not given away on a guess.
    """
    listing, told = context.listings.latest, secret.annotations
    in_doubt = context.mass_key_loss or bool(context.missing_keys)  # whose list it is, even
    if listing is None or (in_doubt and told.get(KEY_ID) not in listing.owners):
        return True
    owner = marker_of(context.cluster_uid, told.get(OWNER_UID, ""))
    live = (key for key in listing.marked.get(owner, ()) if key.id == told.get(KEY_ID))
    scopes = (Scope.proven(told.get(SCOPE, ""), key.scope8) for key in live)
    return any(scope is not None and name in scope.buckets for scope in scopes)


def _loss(context: Context, bucket: AmoveBucket, memory: BucketMemory) -> tuple[bool, bool]:
    if not isinstance(memory.seen, Absent) or accepted(bucket.metadata, memory.accept_before):
        return False, False
    if is_concluded(bucket) and not bucket.metadata.deleting:
        return False, False  # told before as missing: nothing is made of it anyhow
    mass = mass_bucket_loss(context)
    return mass, not mass and is_loss_unclear(context, bucket.metadata.uid)
