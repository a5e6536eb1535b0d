"""Gather what the key planner looks at, from cache, memory and the shared listing. Reads only."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from amove_operator.controllers.shared.context import Context
from amove_operator.controllers.shared.loss_guard import loss_accepted, missing_unasked
from amove_operator.controllers.shared.memory import KeyMemory
from amove_operator.controllers.shared.name_registry import claim_of, claimants
from amove_operator.controllers.shared.status_writer import accounts_pending
from amove_operator.controllers.shared.store import (
    Ghost,
    Item,
    bucket_name,
    named_keys,
    own_bucket_status,
    own_key_status,
    secret_name,
)
from amove_operator.core import conditions
from amove_operator.core.buckets.snapshot import ClaimHeld
from amove_operator.core.conditions import Conclusion, stalled
from amove_operator.core.keys.derived import named_ids
from amove_operator.core.keys.snapshot import Gate, KeyLimits, KeySnapshot, LossVerdict, SecretSeen
from amove_operator.core.names import claim_holder
from amove_operator.core.naming import Marker, marker_of
from amove_operator.core.policy import RotationLimits, invalid, key_not_permitted, rotation_faults
from amove_operator.core.reasons import Reason
from amove_operator.core.refs import Kind, Ref
from amove_operator.core.scope import Scope
from amove_operator.core.secrets.manifest import SecretMetadata, SecretOwner
from amove_operator.core.secrets.rendering import RenderContext, format_digest, template_fault
from amove_operator.models import (
    AmoveBucket,
    AmoveStorageKey,
    KeySpec,
    KeyStatus,
    ScopeField,
    parse_duration,
)


@dataclass(slots=True)
class Look:
    """What one reconcile has learnt so far and does not remember beyond itself."""

    secret: SecretSeen | None = None
    secret_fresh: bool = False
    metadata: SecretMetadata | None = None
    dry_run_passed: bool = False
    refused: str = ""
    failed: set[str] = field(default_factory=set)
    namespace_terminating: bool = False


def marker(context: Context, key: AmoveStorageKey) -> Marker:
    """The marker of this CR's keys."""
    return marker_of(context.cluster_uid, key.metadata.uid)


def gather_key(
    context: Context, item: Item, key: AmoveStorageKey, memory: KeyMemory, look: Look
) -> KeySnapshot:
    """The world of one AmoveStorageKey as of now."""
    meta, spec, expectations = key.metadata, key.spec, memory.expectations
    ref = item.ref if isinstance(item, Ghost) else item
    status = own_key_status(key)
    gate = gate_of(context, key)
    trusted = context.settings.trusts(meta.namespace)
    deleting = meta.deleting or isinstance(item, Ghost)
    interval = parse_duration(spec.rotation.interval) if spec.rotation.interval else None
    return KeySnapshot(
        now=context.now(),
        clock=context.clock(),
        uid=meta.uid,
        spec=spec,
        status=status,
        gate=gate,
        secret_name=secret_name(key),
        format8=format_digest(spec.secret),
        grace=parse_duration(spec.rotation.grace_period),
        interval=interval,
        rotate_request=meta.annotation("rotate-requested-at") or "",
        finalizer=meta.finalized_by_us or isinstance(item, Ghost),
        deleting=deleting,
        paused=meta.paused and not isinstance(item, Ghost),
        trusted=trusted,
        namespace_terminating=look.namespace_terminating,
        fault=None if deleting else key_fault(context, ref, key, gate),
        secret=look.secret if look.secret is not None else memory.secret,
        secret_fresh=look.secret_fresh,
        live=expectations.live(marker(context, key), context.key_lists.latest, context.settle),
        pending_key=expectations.pending_key,
        is_new=expectations.is_new,
        knows_from=expectations.knows_from,
        last_serial=expectations.last_serial,
        listed_at=_listed_at(context),
        settle=context.settings.listing_settle,
        outcome_unknown=expectations.outcome_unknown,
        scopes=expectations.scopes,
        dry_run_passed=look.dry_run_passed,
        refused=look.refused or memory.refused,
        recorded=expectations.recorded,
        mass=_mass(context, key, memory, status),
        clock_skewed=context.clock_skewed,
        defaults=context.accounts.defaults(),
        revoked=frozenset(key_id for key_id, _ in expectations.revoked),
        revoking=expectations.failed_revokes,
        displaced=_given_up(context, key),
        wanted=_wanted(context, key, memory),
        confirmed_gone=confirmed_gone(context, key, memory, status),
        presumed_gone=_presumed_gone(context, memory, status),
        limits=KeyLimits(context.settings.mint_budget),
    )


def _listed_at(context: Context) -> datetime | None:
    """When the listing at hand was begun, by the wall clock."""
    listing = context.key_lists.latest
    if listing is None:
        return None
    return context.now() - timedelta(seconds=context.clock() - listing.begun)


# ---------------------------------------------------------------- scope and gate


def gate_of(context: Context, key: AmoveStorageKey) -> Gate:
    """The scope that the spec asks for, and whether its buckets are ready."""
    if key.spec.bucket_refs is None:
        return Gate(_free_scope(context, key))
    names: list[str] = []
    accounts: set[str] = set()
    closed: tuple[Reason, str] | None = None
    for name in sorted({ref.name for ref in key.spec.bucket_refs}):
        ref = Ref(Kind.BUCKET, key.metadata.namespace, name)
        bucket = context.cache.buckets.get(ref)
        if bucket is None:
            return Gate(None, Reason.BucketNotFound, f"There is no AmoveBucket {name} here.")
        status = own_bucket_status(bucket)
        if status.provenance is None or status.cloud_account_id is None:
            return _unborn(key, bucket)
        closed = closed or _unready(context, bucket)
        names.append(bucket_name(bucket))
        accounts.add(status.cloud_account_id)
    if len(accounts | ({key.spec.cloud_account_id} - {None})) != 1:
        return Gate(None, Reason.AccountMismatch, _mismatch(key, accounts))
    scope = _scope(context, key, accounts.pop(), tuple(names))
    reason, message = closed or (None, "")
    return Gate(scope, reason, message)


def _unborn(key: AmoveStorageKey, bucket: AmoveBucket) -> Gate:
    """To a key that waits, a bucket on its way is no news worth a write: Ready comes next."""
    told = conditions.find(key.status.conditions, "Reconciling")
    begun = bucket.status.conditions
    on_its_way = not begun or conditions.is_true(begun, "Reconciling")
    if told is not None and told.reason == Reason.BucketNotFound and on_its_way:
        return Gate(None, Reason.BucketNotFound, told.message)
    name = bucket.metadata.name
    return Gate(None, Reason.BucketNotReady, f"AmoveBucket {name} is not ready yet.")


def _unready(context: Context, bucket: AmoveBucket) -> tuple[Reason, str] | None:
    name = bucket.metadata.name
    if bucket.metadata.deleting:
        return Reason.BucketNotReady, f"AmoveBucket {name} is being deleted."
    if not isinstance(claim_of(context, bucket), ClaimHeld):
        return Reason.BucketNotReady, f"AmoveBucket {name} does not hold its bucket's name."
    if not conditions.is_true(bucket.status.conditions, "Ready"):
        return Reason.BucketNotReady, f"AmoveBucket {name} is not ready."
    return None


def _mismatch(key: AmoveStorageKey, accounts: set[str]) -> str:
    if len(accounts) > 1:
        return "spec.bucketRefs: the buckets are in several cloud accounts; one key, one account."
    return (
        f"spec.cloudAccountId is {key.spec.cloud_account_id}, but the buckets are in "
        f"{next(iter(accounts))}: leave it out."
    )


def _free_scope(context: Context, key: AmoveStorageKey) -> Scope | None:
    """The scope of ``bucketNames`` or ``allBuckets``: no CR vouches for those buckets."""
    pinned = own_key_status(key).key
    account = key.spec.cloud_account_id or (pinned.cloud_account_id if pinned else None)
    account = account or context.accounts.default_account
    if account is None or (key.spec.bucket_names is None and key.spec.all_buckets is None):
        return None
    return _scope(context, key, account, key.spec.bucket_names)


def _scope(
    context: Context, key: AmoveStorageKey, account: str, names: tuple[str, ...] | None
) -> Scope | None:
    """Where a spec is silent, what was pinned at the first issue; then the settings."""
    pinned = own_key_status(key).key
    pinned_dn = pinned.storage_dn if pinned and pinned.cloud_account_id == account else None
    storage_dn = key.spec.storage_dn or pinned_dn or context.accounts.storage_dn(account)
    region = key.spec.region or (pinned.region if pinned else None) or context.settings.region
    if storage_dn is None:
        return None
    if names is None:
        return Scope.everything(account, region, storage_dn, key.spec.permission)
    issued_for: ScopeField | None = "bucketNames" if key.spec.bucket_refs is None else None
    return Scope.of(account, region, storage_dn, key.spec.permission, names, issued_for)


# ---------------------------------------------------------------- our own refusals


def key_fault(context: Context, ref: Ref, key: AmoveStorageKey, gate: Gate) -> Conclusion | None:
    """Why we refuse this spec ourselves, without a call."""
    settings, spec = context.settings, key.spec
    if (fault := context.cache.faults.get(ref)) is not None:
        return fault
    limits = RotationLimits(settings.min_rotation_interval, settings.max_grace)
    if found := invalid(rotation_faults(spec, limits)):
        return found
    namespace = key.metadata.namespace
    defaults = context.accounts.judging_defaults(spec.cloud_account_id, spec.storage_dn)
    if found := key_not_permitted(spec, namespace, defaults, trusted=settings.trusts(namespace)):
        return found
    if gate.closed is Reason.AccountMismatch:
        return stalled(Reason.AccountMismatch, gate.message)
    if wrong := template_fault(spec.secret, _example(key, gate)):
        return stalled(Reason.InvalidTemplate, wrong)
    if (pending := accounts_pending(context)) is not None:
        return None if own_key_status(key).key is not None else pending
    if gate.scope is None and gate.closed is None:
        return stalled(Reason.AccountUnknown, _unplaced(context, spec))
    return None


def _unplaced(context: Context, spec: KeySpec) -> str:
    """What to tell where a key has no scope: no account, or nobody says where its storage is."""
    named = spec.bucket_refs is not None or spec.cloud_account_id is not None
    if not named and context.accounts.default_account is None:
        return context.accounts.unknown()
    return (
        "The storage host of the cloud account is not known: have the operator's admin set "
        "AMOVE_STORAGE_DN, or set spec.storageDn in a trusted namespace."
    )


def _example(key: AmoveStorageKey, gate: Gate) -> RenderContext:
    """A place as the key's will be, if not longer: a template is checked before an issue.

    While an AmoveBucket is not there, its own name stands for the one of its bucket.
    """
    if gate.scope is not None:
        return RenderContext(gate.scope, f"https://{gate.scope.storage_dn}", "k" * 63)
    spec = key.spec
    refs = sorted({ref.name for ref in spec.bucket_refs or ()})
    # Numbered, so that two long names with one beginning stay two.
    stand_ins = [f"{number:02}{name}"[:63] for number, name in enumerate(refs)]
    named = stand_ins or spec.bucket_names
    scope = Scope.of("a" * 36, "r" * 63, "d" * 253, spec.permission, named or ())
    return RenderContext(scope, "https://" + "d" * 253, "k" * 63)


# ---------------------------------------------------------------- what the list tells


def _mass(
    context: Context, key: AmoveStorageKey, memory: KeyMemory, status: KeyStatus
) -> LossVerdict:
    if loss_accepted(context, key):
        return LossVerdict.NONE
    if memory.expectations.user_changed or _of_another_user(context, status):
        return LossVerdict.USER_CHANGED
    missing = key.metadata.uid in context.missing_keys
    if context.mass_key_loss and (missing or status.key is None):
        return LossVerdict.LOSS
    return LossVerdict.NONE


def _of_another_user(context: Context, status: KeyStatus) -> bool:
    """Whether the list cannot show the recorded user's keys: it shows those of one user only."""
    listing = context.key_lists.latest
    if listing is None or status.key is None:
        return False
    user = status.key.user_id
    return user is not None and bool(listing.user_ids) and user not in listing.user_ids


def _given_up(context: Context, key: AmoveStorageKey) -> frozenset[str]:
    """Ids whose bucket name another namespace takes, while no CR of ours holds it any more."""
    return frozenset(
        one.id
        for one in named_keys(key)
        if one.issued_for is None
        and any(_taken(context, key.metadata.namespace, name) for name in one.buckets)
    )


def _wanted(context: Context, key: AmoveStorageKey, memory: KeyMemory) -> tuple[str, ...]:
    """The names that other namespaces wait for, if nobody knows the buckets of a listed key."""
    listing = context.key_lists.latest
    listed = listing.of_marker(marker(context, key)) if listing is not None else ()
    known = {one.id for one in named_keys(key) if not one.dead}
    known |= {key_id for key_id, _ in memory.expectations.scopes}
    if all(one.id in known for one in listed):
        return ()
    namespace = key.metadata.namespace
    return tuple(name for name in context.wanted_names if _taken(context, namespace, name))


def _taken(context: Context, namespace: str, name: str) -> bool:
    """Whether who holds the claim of the name is of another namespace, and has it or waits for it.

    One of this namespace that holds no claim changes nothing: it may be there for a decoy.
    """
    holder = claim_holder(claimants(context, name))
    if holder is None or holder.namespace == namespace:
        return False
    waiting = context.wanted_names.get(name)
    return holder.proven or waiting == Ref(Kind.BUCKET, holder.namespace, holder.name)


def confirmed_gone(
    context: Context, key: AmoveStorageKey, memory: KeyMemory, status: KeyStatus
) -> frozenset[str]:
    """Ids in status that are proven gone, or that are listed as somebody else's."""
    listing = context.key_lists.latest
    gone = {key_id for key_id, _ in memory.expectations.revoked}
    if listing is None or listing.begun < memory.expectations.knows_from:
        return frozenset(gone)
    named = named_ids(status)
    mine = marker(context, key)
    foreign = {one for one in named if one in listing.owners and listing.owners[one] != mine}
    if loss_accepted(context, key) or (not context.mass_key_loss and _speaks(context, key, status)):
        gone |= {one for one in named if one not in listing.owners}
    return frozenset(gone | foreign)


def _presumed_gone(context: Context, memory: KeyMemory, status: KeyStatus) -> frozenset[str]:
    """Ids of ours that the service was never asked to revoke, and that a list lacks.

    Not where it shows other keys of the recorded user, who is no other then.
    """
    listing, current = context.key_lists.latest, status.key
    if listing is None or (current is not None and current.user_id in listing.user_ids):
        return frozenset()
    ours = named_ids(status) | {key_id for key_id, _ in memory.expectations.scopes}
    dead = {current.id} if current is not None and current.dead else set()
    return frozenset(ours - listing.owners.keys() - memory.expectations.asked - dead)


def _speaks(context: Context, key: AmoveStorageKey, status: KeyStatus) -> bool:
    """Whether the list is one of the user who issued the key."""
    listing = context.key_lists.latest
    assert listing is not None  # noqa: S101 - asked only where there is one
    user = status.key.user_id if status.key is not None else None
    if user is not None and listing.user_ids:
        return user in listing.user_ids  # a list shows the keys of one user only
    # What is being revoked is missing for that reason: such CRs do not wait for one another.
    return not missing_unasked(context) - {key.metadata.uid}


# ---------------------------------------------------------------- the Secret's owner


def secret_owner(context: Context, key: AmoveStorageKey) -> SecretOwner:
    """Whose the Secret is; under a permitted ``Retain`` it does not go with its CR."""
    meta = key.metadata
    retained = key.spec.deletion_policy == "Retain" and context.settings.trusts(meta.namespace)
    return SecretOwner(meta.namespace, meta.name, meta.uid, owning=not retained)
