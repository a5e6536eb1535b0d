"""Gather what the key planner asks for, from the store, memory and the list. Changes nothing."""

from __future__ import annotations

from datetime import datetime, timedelta

from amove_operator.controllers.keys.reconcile_pass import ReconcilePass
from amove_operator.controllers.shared.dependencies import Dependencies
from amove_operator.core.conditions import Conclusion, stalled
from amove_operator.core.key_list import RemoteKey
from amove_operator.core.keys import messages, snapshot
from amove_operator.core.naming import Marker, marker_of
from amove_operator.core.policy import invalid, key_not_permitted, rotation_faults
from amove_operator.core.reasons import Reason
from amove_operator.core.scope import Scope
from amove_operator.core.secrets.manifest import DesiredSecret
from amove_operator.core.secrets.rendering import longest_context, template_fault
from amove_operator.models import AmoveStorageKey, ScopeField, parse_duration
from amove_operator.models.refs import Kind, Ref


class KeyGatherer:
    """Makes the snapshot of one AmoveStorageKey."""

    def __init__(self, dependencies: Dependencies) -> None:
        self._d = dependencies

    def gather(self, key: AmoveStorageKey, progress: ReconcilePass) -> snapshot.KeySnapshot:
        """All that is known about one AmoveStorageKey as of now."""
        d, meta, spec, expectations = self._d, key.metadata, key.spec, progress.memory.expectations
        gate, trusted = self.gate(key), d.settings.trusts(meta.namespace)
        return snapshot.KeySnapshot(
            now=d.now(),
            clock=d.clock(),
            uid=meta.uid,
            spec=spec,
            status=key.proven,
            gate=gate,
            rotation=_rotation(key),
            expectations=expectations,
            limits=snapshot.KeyLimits(d.settings.mint_budget, d.settings.listing_settle),
            finalizer=meta.finalized_by_us or meta.vanished,
            deleting=meta.deleting,
            paused=meta.paused,
            trusted=trusted,
            namespace_terminating=progress.namespace_terminating,
            fault=None if meta.deleting else self.fault(key, gate),
            secret=progress.secret if progress.secret is not None else progress.memory.secret,
            secret_fresh=progress.secret_fresh,
            live=self.live(key, progress),
            listed_at=self._listed_at(),
            list_outdated=self._is_list_outdated(key, progress),
            gone=self._gone(key, progress),
            displaced=snapshot.Displaced(self._displaced(key), self._wanted(key, progress)),
            dry_run_passed=progress.dry_run_passed,
            refused=progress.memory.refused,
            renamed=progress.memory.renamed,
            loss=self._loss(key, progress),
            loss_accepted=progress.loss_accepted,
            clock_skewed=d.clock_skewed,
            defaults=d.accounts.defaults(),
            first_seen=progress.memory.first_seen,
            desired_secret=DesiredSecret.of(key, trusted=trusted),
        )

    def marker(self, key: AmoveStorageKey) -> Marker:
        """The marker of this object's keys."""
        return marker_of(self._d.cluster_uid, key.metadata.uid)

    def live(self, key: AmoveStorageKey, progress: ReconcilePass) -> tuple[RemoteKey, ...] | None:
        """The object's live keys, as far as the rule of time lets us know."""
        listing, named = self._d.key_lists.latest, key.proven.named_ids
        expectations = progress.memory.expectations
        return expectations.live(self.marker(key), listing, self._d.settle, named)

    def _listed_at(self) -> datetime | None:
        """When the list at hand was begun, by the wall clock."""
        listing = self._d.key_lists.latest
        if listing is None:
            return None
        return self._d.now() - timedelta(seconds=self._d.clock() - listing.begun)

    # -- the scope, and whether its buckets are ready --------------------------------------------

    def gate(self, key: AmoveStorageKey) -> Scope | snapshot.Blocked | None:
        """The scope that the spec asks for, and whether its buckets are ready."""
        if key.spec.bucket_refs is None:
            return self._scope_by_name(key)
        names: list[str] = []
        accounts: set[str] = set()
        unready: str | None = None
        for name in sorted({ref.name for ref in key.spec.bucket_refs}):
            bucket = self._d.store.buckets.get(Ref(Kind.BUCKET, key.metadata.namespace, name))
            if bucket is None:
                return messages.no_bucket(name)
            status = bucket.proven
            if status.provenance is None or status.cloud_account_id is None:
                return messages.bucket_not_created(key.status.conditions, bucket)
            holds_name = self._d.names.claimed_by(bucket) is None
            unready = unready or messages.bucket_not_ready(bucket, holds_name=holds_name)
            names.append(bucket.bucket_name)
            accounts.add(status.cloud_account_id)
        if len(accounts | ({key.spec.cloud_account_id} - {None})) != 1:
            return messages.account_mismatch(key.spec.cloud_account_id, accounts)
        scope = self._scope(key, accounts.pop(), tuple(names))
        if unready is not None:
            return snapshot.Blocked(Reason.BucketNotReady, unready, scope)
        return scope

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

    # -- our own refusals ------------------------------------------------------------------------

    def fault(
        self, key: AmoveStorageKey, gate: Scope | snapshot.Blocked | None
    ) -> Conclusion | None:
        """Why we refuse this spec ourselves, without a call."""
        d, spec, namespace = self._d, key.spec, key.metadata.namespace
        if (fault := d.store.faults.get(key.object_id.ref)) is not None:
            return fault
        least, most = d.settings.min_rotation_interval, d.settings.max_grace
        if found := invalid(rotation_faults(spec, min_interval=least, max_grace=most)):
            return found
        defaults = d.accounts.judging_defaults(spec.cloud_account_id, spec.storage_dn)
        trusted = d.settings.trusts(namespace)
        if found := key_not_permitted(spec, namespace, defaults, trusted=trusted):
            return found
        if isinstance(gate, snapshot.Blocked) and gate.reason is Reason.AccountMismatch:
            return stalled(Reason.AccountMismatch, gate.message)
        wanted = gate.scope if isinstance(gate, snapshot.Blocked) else gate
        if wrong := template_fault(spec.secret, longest_context(spec, wanted)):
            return stalled(Reason.InvalidTemplate, wrong)
        unjudged = not trusted and d.accounts.is_unjudged(spec.cloud_account_id, spec.storage_dn)
        if (gate is None or unjudged) and (pending := d.accounts.pending()) is not None:
            return None if key.proven.key is not None else pending
        if gate is None:
            return stalled(Reason.AccountUnknown, self._without_scope(key))
        return None

    def _without_scope(self, key: AmoveStorageKey) -> str:
        """Why a key has no scope: no account, or nobody says where its storage is."""
        named = key.spec.bucket_refs is not None or key.spec.cloud_account_id is not None
        if not named and self._d.accounts.default_account is None:
            return self._d.accounts.unknown()
        return messages.STORAGE_UNKNOWN

    # -- what the list shows ---------------------------------------------------------------------

    def _loss(self, key: AmoveStorageKey, progress: ReconcilePass) -> snapshot.LossVerdict:
        losses, current = self._d.key_losses, key.proven.key
        if progress.loss_accepted:
            return snapshot.LossVerdict.NONE
        if progress.memory.expectations.user_changed or self._speaks_for_user(key) is False:
            return snapshot.LossVerdict.OTHER_USER
        unknown = current is None and losses.holds_up(key.metadata.namespace)
        if unknown or self._may_be_mass(key):
            return snapshot.LossVerdict.MASS_LOSS
        return snapshot.LossVerdict.NONE

    def _may_be_mass(self, key: AmoveStorageKey) -> bool:
        return self._d.key_losses.may_be_mass(key)

    def _speaks_for_user(self, key: AmoveStorageKey) -> bool | None:
        """Whether the list shows keys of the recorded user; ``None`` where nobody can know."""
        listing, current = self._d.key_lists.latest, key.proven.key
        return listing.speaks_for(current.user_id) if listing and current else None

    def _displaced(self, key: AmoveStorageKey) -> frozenset[str]:
        """Ids whose bucket name another namespace takes, while no CR of ours holds it any more."""
        namespace, names = key.metadata.namespace, self._d.names
        return frozenset(
            one.id
            for one in key.named_keys
            if one.issued_for is None
            and any(names.is_taken_from(namespace, name) for name in one.buckets)
        )

    def _wanted(self, key: AmoveStorageKey, progress: ReconcilePass) -> tuple[str, ...]:
        """The names that other namespaces wait for, if nobody knows the buckets of a listed key."""
        names, listing = self._d.names, self._d.key_lists.latest
        listed = listing.of_marker(self.marker(key)) if listing is not None else ()
        known = {one.id for one in key.named_keys if not one.dead}
        known |= {key_id for key_id, _ in progress.memory.expectations.scopes}
        if all(one.id in known for one in listed):
            return ()
        namespace = key.metadata.namespace
        return tuple(name for name in names.wanted if names.is_taken_from(namespace, name))

    def _gone(self, key: AmoveStorageKey, progress: ReconcilePass) -> snapshot.GoneKeys:
        confirmed, presumed = self.confirmed_gone(key, progress), self._presumed_gone(key, progress)
        unseen = self._speaks_for_user(key) is False
        return snapshot.GoneKeys(confirmed, presumed, self._lasting_gone(key), unseen)

    def confirmed_gone(self, key: AmoveStorageKey, progress: ReconcilePass) -> frozenset[str]:
        """Ids in status that are proven gone, or that are listed as somebody else's."""
        listing, losses = self._d.key_lists.latest, self._d.key_losses
        gone = {key_id for key_id, _ in progress.memory.expectations.deleted}
        if listing is None or listing.begun < progress.memory.expectations.knows_from:
            return frozenset(gone)
        named, mine = key.proven.named_ids, self.marker(key)
        foreign = {one for one in named if listing.owners.get(one) not in (None, mine)}
        held_up = losses.holds_up(key.metadata.namespace) or self._may_be_mass(key)
        # Who accepts that the user changed may have another key; the former one's names stay kept.
        accepted = progress.loss_accepted and self._speaks_for_user(key) is not False
        if accepted or (not held_up and self._lacks_ours_alone(key)):
            gone |= {one for one in named if one not in listing.owners}
        return frozenset(gone | foreign)

    def _lasting_gone(self, key: AmoveStorageKey) -> frozenset[str]:
        """The current key's id, if lists of its user, the settle time apart, lacked it.

        Or if it is listed as somebody else's. That a person accepted its loss proves nothing here.
        """
        listing, current = self._d.key_lists.latest, key.proven.key
        if listing is None or current is None:
            return frozenset()
        since = self._d.key_losses.lacked_since(key.metadata.uid)
        missed = listing.begun >= since + self._d.settle and self._lacks_ours_alone(key)
        lasting = current.id in listing.owners or missed
        return frozenset({current.id}) if lasting else frozenset()

    def _lacks_ours_alone(self, key: AmoveStorageKey) -> bool:
        """Whether the list is one of the user who issued the key, as far as can be known.

        Keys that we are revoking ourselves are expected to be missing: they are ignored, or two
        deletions would wait for each other.
        """
        speaks = self._speaks_for_user(key)
        if speaks is not None:
            return speaks
        return not self._d.key_losses.others_unexplained(key.metadata.uid)

    def _presumed_gone(self, key: AmoveStorageKey, progress: ReconcilePass) -> frozenset[str]:
        """Ids of ours that the service was never asked to revoke, and that a list lacks.

        Not where it shows other keys of the recorded user, who is no other then.
        """
        listing, current = self._d.key_lists.latest, key.proven.key
        if listing is None or self._speaks_for_user(key):
            return frozenset()
        asked = progress.memory.expectations.asked
        dead = {current.id} if current is not None and current.dead else set()
        return frozenset(_ours(key, progress) - listing.owners.keys() - asked - dead)

    def _is_list_outdated(self, key: AmoveStorageKey, progress: ReconcilePass) -> bool:
        """Whether a list from before this pass lacks keys of ours and may be another user's."""
        listing = self._d.key_lists.latest
        if listing is None or listing.begun >= progress.begun or self._speaks_for_user(key):
            return False
        return not _ours(key, progress) <= listing.owners.keys()


def _rotation(key: AmoveStorageKey) -> snapshot.Rotation:
    """What spec and annotation ask for."""
    rotation = key.spec.rotation
    interval = parse_duration(rotation.interval) if rotation.interval else None
    requested = key.metadata.annotation("rotate-requested-at") or ""
    return snapshot.Rotation(parse_duration(rotation.grace_period), interval, requested)


def _ours(key: AmoveStorageKey, progress: ReconcilePass) -> frozenset[str]:
    """The ids of ours that status names or that this process issued."""
    issued = (key_id for key_id, _ in progress.memory.expectations.scopes)
    return key.proven.named_ids.union(issued)
