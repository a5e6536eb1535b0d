"""Gather what the key planner asks for, from the store, memory and the list. Changes nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from amove_operator.controllers.keys.gate import KeyGate
from amove_operator.controllers.shared.dependencies import Dependencies
from amove_operator.controllers.shared.memory import KeyMemory
from amove_operator.core.keys.derived import named_ids
from amove_operator.core.keys.snapshot import (
    Displaced,
    GoneKeys,
    KeyLimits,
    KeySnapshot,
    LossVerdict,
    Rotation,
    SecretSeen,
)
from amove_operator.core.naming import Marker, marker_of
from amove_operator.core.secrets.manifest import SecretMetadata, SecretOwner
from amove_operator.core.secrets.rendering import format_digest
from amove_operator.models import AmoveStorageKey, parse_duration


@dataclass(slots=True)
class ReconcilePass:
    """What one pass over a key has learnt so far and does not remember beyond itself."""

    secret: SecretSeen | None = None
    secret_fresh: bool = False
    metadata: SecretMetadata | None = None
    dry_run_passed: bool = False
    refused: str = ""
    failed: set[str] = field(default_factory=set)
    namespace_terminating: bool = False

    def forget_secret(self) -> None:
        """What was read may have changed: read again before anything is done by it."""
        self.secret, self.secret_fresh, self.metadata = None, False, None


class KeyGatherer:
    """Makes the snapshot of one AmoveStorageKey."""

    def __init__(self, dependencies: Dependencies) -> None:
        self._d = dependencies
        self._gate = KeyGate(dependencies)

    def gather(
        self, key: AmoveStorageKey, memory: KeyMemory, progress: ReconcilePass
    ) -> KeySnapshot:
        """All that is known about one AmoveStorageKey as of now."""
        d, meta, spec, expectations = self._d, key.metadata, key.spec, memory.expectations
        gate = self._gate.of(key)
        interval = parse_duration(spec.rotation.interval) if spec.rotation.interval else None
        return KeySnapshot(
            now=d.now(),
            clock=d.clock(),
            uid=meta.uid,
            spec=spec,
            status=key.proven,
            gate=gate,
            secret_name=key.secret_name,
            format8=format_digest(spec.secret),
            rotation=Rotation(
                parse_duration(spec.rotation.grace_period),
                interval,
                meta.annotation("rotate-requested-at") or "",
            ),
            expectations=expectations,
            limits=KeyLimits(d.settings.mint_budget, d.settings.listing_settle),
            finalizer=meta.finalized_by_us or meta.vanished,
            deleting=meta.deleting,
            paused=meta.paused,
            trusted=d.settings.trusts(meta.namespace),
            namespace_terminating=progress.namespace_terminating,
            fault=None if meta.deleting else self._gate.fault(key, gate),
            secret=progress.secret if progress.secret is not None else memory.secret,
            secret_fresh=progress.secret_fresh,
            live=expectations.live(self.marker(key), d.key_lists.latest, d.settle),
            listed_at=self._listed_at(),
            gone=GoneKeys(self.confirmed_gone(key, memory), self._presumed_gone(key, memory)),
            displaced=Displaced(self._displaced(key), self._wanted(key, memory)),
            dry_run_passed=progress.dry_run_passed,
            refused=progress.refused or memory.refused,
            loss=self._loss(key, memory),
            clock_skewed=d.clock_skewed,
            defaults=d.accounts.defaults(),
        )

    def marker(self, key: AmoveStorageKey) -> Marker:
        """The marker of this object's keys."""
        return marker_of(self._d.cluster_uid, key.metadata.uid)

    def owner(self, key: AmoveStorageKey) -> SecretOwner:
        """Whose the Secret is; under a permitted ``Retain`` it does not go with its object."""
        meta = key.metadata
        trusted = self._d.settings.trusts(meta.namespace)
        retained = key.spec.deletion_policy == "Retain" and trusted
        return SecretOwner(meta.namespace, meta.name, meta.uid, owning=not retained)

    def _listed_at(self) -> datetime | None:
        """When the list at hand was begun, by the wall clock."""
        listing = self._d.key_lists.latest
        if listing is None:
            return None
        return self._d.now() - timedelta(seconds=self._d.clock() - listing.begun)

    # -- what the list shows ---------------------------------------------------------------------

    def _loss(self, key: AmoveStorageKey, memory: KeyMemory) -> LossVerdict:
        losses, current = self._d.key_losses, key.proven.key
        if losses.accepted(key):
            return LossVerdict.NONE
        if memory.expectations.user_changed or self._speaks_for_user(key) is False:
            return LossVerdict.OTHER_USER
        if losses.is_mass and (key.metadata.uid in losses.missing or current is None):
            return LossVerdict.MASS_LOSS
        return LossVerdict.NONE

    def _speaks_for_user(self, key: AmoveStorageKey) -> bool | None:
        """Whether the list shows keys of the recorded user; ``None`` where nobody can know."""
        listing, current = self._d.key_lists.latest, key.proven.key
        user = current.user_id if current is not None else None
        return listing.speaks_for(user) if listing is not None else None

    def _displaced(self, key: AmoveStorageKey) -> frozenset[str]:
        """Ids whose bucket name another namespace takes, while no CR of ours holds it any more."""
        namespace, names = key.metadata.namespace, self._d.names
        return frozenset(
            one.id
            for one in key.named_keys
            if one.issued_for is None
            and any(names.is_taken_from(namespace, name) for name in one.buckets)
        )

    def _wanted(self, key: AmoveStorageKey, memory: KeyMemory) -> tuple[str, ...]:
        """The names that other namespaces wait for, if nobody knows the buckets of a listed key."""
        names, listing = self._d.names, self._d.key_lists.latest
        listed = listing.of_marker(self.marker(key)) if listing is not None else ()
        known = {one.id for one in key.named_keys if not one.dead}
        known |= {key_id for key_id, _ in memory.expectations.scopes}
        if all(one.id in known for one in listed):
            return ()
        namespace = key.metadata.namespace
        return tuple(name for name in names.wanted if names.is_taken_from(namespace, name))

    def confirmed_gone(self, key: AmoveStorageKey, memory: KeyMemory) -> frozenset[str]:
        """Ids in status that are proven gone, or that are listed as somebody else's."""
        listing, losses = self._d.key_lists.latest, self._d.key_losses
        gone = {key_id for key_id, _ in memory.expectations.deleted}
        if listing is None or listing.begun < memory.expectations.knows_from:
            return frozenset(gone)
        named, mine = named_ids(key.proven), self.marker(key)
        foreign = {one for one in named if one in listing.owners and listing.owners[one] != mine}
        if losses.accepted(key) or (not losses.is_mass and self._lacks_ours_alone(key)):
            gone |= {one for one in named if one not in listing.owners}
        return frozenset(gone | foreign)

    def _lacks_ours_alone(self, key: AmoveStorageKey) -> bool:
        """Whether the list is one of the user who issued the key, as far as can be known.

        Keys that we are revoking ourselves are expected to be missing: they are ignored, or two
        deletions would wait for each other.
        """
        speaks = self._speaks_for_user(key)
        if speaks is not None:
            return speaks
        return not self._d.key_losses.unexplained() - {key.metadata.uid}

    def _presumed_gone(self, key: AmoveStorageKey, memory: KeyMemory) -> frozenset[str]:
        """Ids of ours that the service was never asked to revoke, and that a list lacks.

        Not where it shows other keys of the recorded user, who is no other then.
        """
        listing, current = self._d.key_lists.latest, key.proven.key
        if listing is None or (current is not None and current.user_id in listing.user_ids):
            return frozenset()
        asked = memory.expectations.asked
        ours = named_ids(key.proven) | {key_id for key_id, _ in memory.expectations.scopes}
        dead = {current.id} if current is not None and current.dead else set()
        return frozenset(ours - listing.owners.keys() - asked - dead)
