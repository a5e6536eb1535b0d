"""The scope that a key's spec asks for, and what forbids to issue a key for it."""

from __future__ import annotations

from amove_operator.controllers.shared.dependencies import Dependencies
from amove_operator.controllers.shared.store import id_of
from amove_operator.core import conditions
from amove_operator.core.buckets.snapshot import ClaimHeld
from amove_operator.core.conditions import Conclusion, stalled
from amove_operator.core.keys.snapshot import Blocked
from amove_operator.core.policy import RotationLimits, invalid, key_not_permitted, rotation_faults
from amove_operator.core.reasons import Reason
from amove_operator.core.refs import Kind, Ref
from amove_operator.core.scope import Scope
from amove_operator.core.secrets.rendering import RenderContext, template_fault
from amove_operator.models import AmoveBucket, AmoveStorageKey
from amove_operator.models.key import ScopeField


class KeyGate:
    """Asks of each bucket whether it is ready, and of each setting what a spec leaves out."""

    def __init__(self, dependencies: Dependencies) -> None:
        self._d = dependencies

    def of(self, key: AmoveStorageKey) -> Scope | Blocked | None:
        """The scope that the spec asks for, and whether its buckets are ready."""
        if key.spec.bucket_refs is None:
            return self._scope_by_name(key)
        names: list[str] = []
        accounts: set[str] = set()
        closed: tuple[Reason, str] | None = None
        for name in sorted({ref.name for ref in key.spec.bucket_refs}):
            bucket = self._d.store.buckets.get(Ref(Kind.BUCKET, key.metadata.namespace, name))
            if bucket is None:
                return Blocked(Reason.BucketNotFound, f"There is no AmoveBucket {name} here.")
            status = bucket.proven
            if status.provenance is None or status.cloud_account_id is None:
                return _not_created_yet(key, bucket)
            closed = closed or self._not_ready(bucket)
            names.append(bucket.bucket_name)
            accounts.add(status.cloud_account_id)
        if len(accounts | ({key.spec.cloud_account_id} - {None})) != 1:
            return Blocked(Reason.AccountMismatch, _mismatch(key, accounts))
        scope = self._scope(key, accounts.pop(), tuple(names))
        return Blocked(*closed, scope) if closed is not None else scope

    def _not_ready(self, bucket: AmoveBucket) -> tuple[Reason, str] | None:
        name = bucket.metadata.name
        if bucket.metadata.deleting:
            return Reason.BucketNotReady, f"AmoveBucket {name} is being deleted."
        if not isinstance(self._d.names.claim_of(bucket), ClaimHeld):
            message = f"Another AmoveBucket has the bucket name of {name}; see its conditions."
            return Reason.BucketNotReady, message
        if not conditions.is_true(bucket.status.conditions, "Ready"):
            return Reason.BucketNotReady, f"AmoveBucket {name} is not ready."
        return None

    def _scope_by_name(self, key: AmoveStorageKey) -> Scope | None:
        """The scope of ``bucketNames`` or ``allBuckets``: no CR vouches for those buckets."""
        pinned = key.proven.key
        account = key.spec.cloud_account_id or (pinned.cloud_account_id if pinned else None)
        account = account or self._d.accounts.default_account
        if account is None or (key.spec.bucket_names is None and key.spec.all_buckets is None):
            return None
        return self._scope(key, account, key.spec.bucket_names)

    def _scope(
        self, key: AmoveStorageKey, account: str, names: tuple[str, ...] | None
    ) -> Scope | None:
        """Where a spec is silent, what was pinned at the first issue; then the settings."""
        spec, pinned = key.spec, key.proven.key
        pinned_dn = pinned.storage_dn if pinned and pinned.cloud_account_id == account else None
        storage_dn = spec.storage_dn or pinned_dn or self._d.accounts.storage_dn(account)
        region = spec.region or (pinned.region if pinned else None) or self._d.settings.region
        if storage_dn is None:
            return None
        if names is None:
            return Scope.everything(account, region, storage_dn, spec.permission)
        issued_for: ScopeField | None = "bucketNames" if spec.bucket_refs is None else None
        return Scope.of(account, region, storage_dn, spec.permission, names, issued_for)

    def fault(self, key: AmoveStorageKey, gate: Scope | Blocked | None) -> Conclusion | None:
        """Why we refuse this spec ourselves, without a call."""
        d, spec, namespace = self._d, key.spec, key.metadata.namespace
        if (fault := d.store.faults.get(id_of(key).ref)) is not None:
            return fault
        limits = RotationLimits(d.settings.min_rotation_interval, d.settings.max_grace)
        if found := invalid(rotation_faults(spec, limits)):
            return found
        defaults = d.accounts.judging_defaults(spec.cloud_account_id, spec.storage_dn)
        trusted = d.settings.trusts(namespace)
        if found := key_not_permitted(spec, namespace, defaults, trusted=trusted):
            return found
        if isinstance(gate, Blocked) and gate.reason is Reason.AccountMismatch:
            return stalled(Reason.AccountMismatch, gate.message)
        if wrong := template_fault(spec.secret, _example(key, gate)):
            return stalled(Reason.InvalidTemplate, wrong)
        if (pending := d.accounts.pending()) is not None:
            return None if key.proven.key is not None else pending
        if gate is None:
            return stalled(Reason.AccountUnknown, self._without_scope(key))
        return None

    def _without_scope(self, key: AmoveStorageKey) -> str:
        """Why a key has no scope: no account, or nobody says where its storage is."""
        named = key.spec.bucket_refs is not None or key.spec.cloud_account_id is not None
        if not named and self._d.accounts.default_account is None:
            return self._d.accounts.unknown()
        return (
            "The storage host of the cloud account is not known: have the operator's admin set "
            "AMOVE_STORAGE_DN, or set spec.storageDn in a trusted namespace."
        )


def _not_created_yet(key: AmoveStorageKey, bucket: AmoveBucket) -> Blocked:
    """To a key that waits, a bucket on its way is no news worth a write: Ready comes next."""
    waiting = conditions.find(key.status.conditions, "Reconciling")
    begun = bucket.status.conditions
    on_its_way = not begun or conditions.is_true(begun, "Reconciling")
    if waiting is not None and waiting.reason == Reason.BucketNotFound and on_its_way:
        return Blocked(Reason.BucketNotFound, waiting.message)
    name = bucket.metadata.name
    return Blocked(Reason.BucketNotReady, f"AmoveBucket {name} is not ready yet.")


def _mismatch(key: AmoveStorageKey, accounts: set[str]) -> str:
    if len(accounts) > 1:
        return "spec.bucketRefs: the buckets are in several cloud accounts; one key, one account."
    return (
        f"spec.cloudAccountId is {key.spec.cloud_account_id}, but the buckets are in "
        f"{next(iter(accounts))}: leave it out."
    )


def _example(key: AmoveStorageKey, gate: Scope | Blocked | None) -> RenderContext:
    """A context as the key's will be, if not longer: a template is checked before an issue.

    While an AmoveBucket is not there, its own name stands for the one of its bucket.
    """
    wanted = gate.scope if isinstance(gate, Blocked) else gate
    if wanted is not None:
        return RenderContext(wanted, f"https://{wanted.storage_dn}", "k" * 63)
    spec = key.spec
    refs = sorted({ref.name for ref in spec.bucket_refs or ()})
    # Numbered, so that two long names with one beginning stay two.
    stand_ins = [f"{number:02}{name}"[:63] for number, name in enumerate(refs)]
    named = stand_ins or spec.bucket_names
    scope = Scope.of("a" * 36, "r" * 63, "d" * 253, spec.permission, named or ())
    return RenderContext(scope, "https://" + "d" * 253, "k" * 63)
