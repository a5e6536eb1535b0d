"""Performs the steps of the key planner (:mod:`amove_operator.core.keys.plan`)."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeAlias

from amove_operator.clock import backoff
from amove_operator.controllers.keys.gather import KeyGatherer
from amove_operator.controllers.keys.key_service import KeyService
from amove_operator.controllers.keys.reconcile_pass import ReconcilePass
from amove_operator.controllers.keys.secret_writer import SecretWriter
from amove_operator.controllers.keys.unconfirmed import UnconfirmedKeys
from amove_operator.controllers.reconciler import Decision, Reconciler
from amove_operator.controllers.shared.dependencies import Dependencies
from amove_operator.controllers.shared.memory import KeyMemory
from amove_operator.controllers.shared.status_writer import explain
from amove_operator.core.conditions import Verdict, unsynced
from amove_operator.core.keys import messages, steps
from amove_operator.core.keys.derived import held_id, is_usable
from amove_operator.core.keys.expectations import Expectations
from amove_operator.core.keys.plan import plan_key
from amove_operator.core.keys.snapshot import KeySnapshot, SecretOurs
from amove_operator.core.keys.status import finish, status_of
from amove_operator.core.reasons import Reason
from amove_operator.errors import (
    ApiError,
    KubeInternalError,
    KubeRefused,
    Rejected,
)
from amove_operator.fairness import Urgency
from amove_operator.models import AmoveStorageKey, KeyStatus

_FIRST_PAUSE = 1.0
_BEFORE_MINT = (steps.DryRun, steps.RecordIssue, steps.Mint)
_BEFORE_REVOKE = (steps.WriteStatus, steps.Revoke)
_SECRET_WRITES = (steps.DryRun, steps.WriteSecret, steps.RepairSecretMetadata)

KeyDecision: TypeAlias = Decision[AmoveStorageKey, ReconcilePass]


class KeyReconciler(Reconciler[AmoveStorageKey, ReconcilePass]):
    """Serves AmoveStorageKeys, one pass at a time for each UID (the queue sees to that)."""

    model = AmoveStorageKey

    def __init__(self, dependencies: Dependencies) -> None:
        super().__init__(dependencies)
        self._gatherer = KeyGatherer(dependencies)
        self._secrets = SecretWriter(dependencies)
        self._unconfirmed = UnconfirmedKeys(dependencies)
        self._service = KeyService(dependencies, self._unconfirmed)

    # -- deciding --------------------------------------------------------------------------------

    def begin(self, uid: str) -> ReconcilePass:
        """Nothing is known of the Secret yet but what is remembered."""
        memories = self.d.memories.keys
        if uid not in memories:
            known = Expectations.for_known(self.d.leadership.since, self.d.settle)
            memories[uid] = KeyMemory(known, first_seen=self.d.clock())
        return ReconcilePass.begin(memories[uid], self.d.clock())

    def decide(
        self, seen: AmoveStorageKey, progress: ReconcilePass
    ) -> tuple[KeySnapshot, steps.KeyStep]:
        """Gather a snapshot, and have the planner choose the next step: both."""
        self._expire(seen, progress)
        if progress.secret is None:
            known = self.d.secrets.get((seen.metadata.namespace, seen.secret_name))
            progress.memory.recall_secret(known)
        snapshot = self._gatherer.gather(seen, progress)
        return snapshot, plan_key(snapshot)

    def _expire(self, key: AmoveStorageKey, progress: ReconcilePass) -> None:
        """Forget what a person's change made void."""
        memory = progress.memory
        accept_loss = key.metadata.annotation("accept-loss")
        progress.loss_accepted = self.d.key_losses.accepted(key.metadata.uid, accept_loss)
        if memory.fingerprint != key.metadata.fingerprint:
            memory.secret = None  # whether its metadata drifted was judged by the former spec
            memory.fingerprint = key.metadata.fingerprint
            memory.refused = memory.renamed = ""
            memory.refusals = 0
            memory.expectations = memory.expectations.spec_corrected(self.d.settings.mint_budget)
            lost = key.metadata.uid in self.d.key_losses.missing
            if progress.loss_accepted and (lost or memory.expectations.user_changed):
                # By a list begun since. Without a loss each new annotation would cost a key list.
                memory.expectations = memory.expectations.require_newer_list(self.d.clock())
        if self.d.clock() - memory.refused_at > self.d.resync:
            memory.refused = ""
        if progress.loss_accepted or self._is_recorded_user_back(key, memory):
            memory.expectations = memory.expectations.same_user()

    def _is_recorded_user_back(self, key: AmoveStorageKey, memory: KeyMemory) -> bool:
        """Whether a list since the change of user shows the recorded user's keys again."""
        changed_at, recorded = memory.expectations.other_user_at, key.proven.key
        listing = self.d.key_lists.latest
        if changed_at is None or recorded is None or listing is None:
            return False
        return listing.begun > changed_at and bool(listing.speaks_for(recorded.user_id))

    def calls_ahead(self, decision: KeyDecision) -> int:
        """One, for a create or a revocation, also where the step prepares it."""
        return 1 if isinstance(decision.step, (*_BEFORE_MINT, *_BEFORE_REVOKE)) else 0

    def may_call(self, decision: KeyDecision, calls: int) -> bool:
        """A key may have leaked, so its revocation goes first; one sent in vain has no hurry."""
        item, revokes = decision.seen.object_id, isinstance(decision.step, _BEFORE_REVOKE)
        urgency, expected = decision.run.urgency, decision.progress.memory.expectations
        if self.d.next_call.would_unsettle_list(item, urgency, revokes=revokes):
            return False
        if revokes and not expected.failed_revokes:
            urgency = Urgency.REVOCATION
        return self.d.next_call.has_turn(item, urgency, calls)

    # -- steps -----------------------------------------------------------------------------------

    async def perform(self, decision: KeyDecision) -> None:
        """Perform a step of a key. Raises ApiError too."""
        key, progress, snapshot = decision.seen, decision.progress, decision.snapshot
        memory = progress.memory
        match decision.step:
            case steps.ReadSecret():
                await self._secrets.read(snapshot, progress)
            case steps.DryRun():
                await self._secrets.dry_run(snapshot, progress, decision.step)
            case steps.RecordIssue(serial, scope, status, conclusion):
                await self.d.status.write(key, status, conclusion)
                memory.expectations = memory.expectations.issue_recorded(serial, scope)
            case steps.Mint():
                await self._service.create(key, progress, decision.step)
            case steps.WriteSecret():
                await self._secrets.write(snapshot, progress, decision.step)
            case steps.RepairSecretMetadata(secret):
                await self._secrets.repair_metadata(snapshot, progress, secret)
            case steps.Revoke():
                await self._service.revoke(key, progress, decision.step)
            case steps.DeleteSecret(uid):
                secret = snapshot.desired_secret
                await self.d.kube.delete_secret(secret.owner.namespace, secret.name, uid=uid)
                progress.forget_secret()

    async def before_release(self, decision: KeyDecision) -> None:
        """A Secret that stays keeps its key from being an orphan; lost answers are reported."""
        secret, key = decision.snapshot.secret, decision.seen
        if isinstance(secret, SecretOurs) and not secret.deleting:
            self.d.names.note_holder(secret.record.key_id, key.metadata.namespace)
        await self._report_unconfirmed(key, decision.progress, last=True)

    def status_unwritten(self, decision: KeyDecision) -> None:
        """Whoever waits for a bucket name learns which keys are gone.

        A tenant can fill an object up to the limit of etcd, so that no status fits in any more: its
        revoked key would keep the name from another team for ever.
        """
        known, key = self.known_status(decision), decision.seen
        named = (known.key, *known.retiring)
        alive = {one.id for one in named if one is not None and not one.dead}
        gone = key.proven.named_ids - alive
        self.d.store.key_index.note_dead(key.metadata.uid, gone)
        self.d.enqueue.waiting(key.reached_buckets if gone else ())

    # -- the end of a pass -----------------------------------------------------------------------

    def failed(self, decision: KeyDecision, error: ApiError) -> steps.Finish[KeyStatus]:
        """A failed call changes only Synced; a failed mint says why there is no key yet."""
        snapshot, step = decision.snapshot, decision.step
        reason, message = explain(error)
        if isinstance(step, steps.Revoke):
            refused = isinstance(error, Rejected)
            reason = reason if refused else Reason.RevokePending
            message = messages.revoke_failed(snapshot, step.key_id, message, refused=refused)
        conclusion = unsynced(reason, message)
        if isinstance(step, steps.Mint) and isinstance(error, Rejected):
            in_a_row = decision.progress.memory.refusals
            said = messages.create_refused(snapshot, message, in_a_row)
            # The queue's own back-off begins anew with each list that is waited for in between.
            pause = backoff(_FIRST_PAUSE, self.d.resync, in_a_row - 1)
            return steps.Finish(status_of(snapshot), said, retry=True, at_least=pause)
        secret = snapshot.secret
        dead = isinstance(step, _BEFORE_MINT) and not is_usable(snapshot)
        held = isinstance(secret, SecretOurs) and secret.data_matches
        if dead or (secret is not None and not held):
            conclusion = replace(conclusion, ready=Verdict("False", reason, message))
        return steps.Finish(status_of(snapshot), conclusion, retry=True)

    def known_status(self, decision: KeyDecision) -> KeyStatus:
        """What is known of its keys, so that other teams learn what was revoked."""
        return status_of(decision.snapshot)

    def refused(
        self, decision: KeyDecision, error: KubeRefused | KubeInternalError
    ) -> steps.Finish[KeyStatus] | None:
        """What concerns the Secret itself has a reason of its own; a verdict stalls the object."""
        snapshot = decision.snapshot
        if not isinstance(decision.step, _SECRET_WRITES):
            return None
        if isinstance(error, KubeRefused):
            return finish(snapshot, messages.secret_refused(snapshot, str(error)), retry=True)
        return finish(snapshot, messages.secret_not_taken(snapshot, str(error)), retry=True)

    async def finish(self, decision: KeyDecision, end: steps.Finish[KeyStatus]) -> None:
        """Write status, and enqueue whom the change concerns."""
        key, memory, before = decision.seen, decision.progress.memory, decision.seen.proven
        memory.forget_refused_revokes()
        if key.metadata.vanished:
            return
        await self.d.status.write(key, end.status, end.conclusion)
        memory.expectations = memory.expectations.named(end.status.named_ids)
        if before.key is not None and end.status.key is not None:
            self.d.key_losses.named(key, before.key.id, end.status.key.id)
        if (before.key, before.retiring) != (end.status.key, end.status.retiring):
            self.d.enqueue.buckets_of(key)
            self.d.enqueue.waiting(self.d.names.wanted_and_kept_by(end.status.named_ids))
        await self._report_unconfirmed(key, decision.progress)
        self._release_names(decision, end.status)

    def _release_names(self, decision: KeyDecision, status: KeyStatus) -> None:
        """Status names every live key, and so the buckets that they reach: drop the reservation.

        Not while the Secret holds a key of ours that status never named, since it could not be
        written: that one list lacks it proves nothing, and nothing else keeps its names.
        """
        key, progress = decision.seen, decision.progress
        expected = progress.memory.expectations
        issued = {key_id for key_id, _ in expected.scopes} - expected.asked - status.named_ids
        if expected.pending_key is not None or held_id(decision.snapshot) in issued:
            return
        alive = self._gatherer.live(key, progress)
        if alive is not None and {one.id for one in alive} <= status.named_ids:
            self.d.enqueue.waiting(self.d.store.key_index.release(key.metadata.uid))

    async def _report_unconfirmed(
        self, key: AmoveStorageKey, progress: ReconcilePass, *, last: bool = False
    ) -> None:
        """A key that left the list without a 200 to its deletion may still live at the storage.

        One that nothing proves gone is asked for again, so it is not reported yet; but once an
        object is let go of (``last``) nobody asks any more.
        """
        memory, expected = progress.memory, progress.memory.expectations
        reported = expected.unconfirmed | expected.failed_revokes if last else expected.unconfirmed
        if not reported:
            return
        if not last:
            reported -= key.proven.named_ids - self._gatherer.confirmed_gone(key, progress)
        memory.expectations = expected.unconfirmed_reported(reported)
        await self._unconfirmed.report_gone(key, reported)
