"""Reading and writing the Secret of one AmoveStorageKey (docs/key-protocol.md, "Issuing")."""

from __future__ import annotations

import logging
from typing import Any

from amove_operator.controllers.keys.reconcile_pass import ReconcilePass
from amove_operator.controllers.shared.dependencies import Dependencies
from amove_operator.controllers.shared.memory import KeyMemory
from amove_operator.core.keys.expectations import Expectations
from amove_operator.core.keys.snapshot import (
    KeySnapshot,
    SecretAbsent,
    SecretForeign,
    SecretOurs,
    SecretSeen,
)
from amove_operator.core.keys.steps import DryRun, WriteSecret
from amove_operator.core.scope import Scope
from amove_operator.core.secrets.manifest import DesiredSecret, SecretMetadata
from amove_operator.core.secrets.record import SecretRecord, sound_record
from amove_operator.core.secrets.rendering import RenderContext, TemplateFault, render
from amove_operator.errors import Conflict, KubeRefused
from amove_operator.kube import SecretView
from amove_operator.times import whole_seconds

_log = logging.getLogger(__name__)

# As long as an access key or a secret key can be: what is too long is found before one is issued.
_STAND_IN = "0" * 128
_MOST_FIELDS = 8


class SecretWriter:
    """The Secret's side of the key reconciler. Remembers no secret data."""

    def __init__(self, dependencies: Dependencies) -> None:
        self._d = dependencies

    async def read(self, snapshot: KeySnapshot, progress: ReconcilePass) -> None:
        """One GET; what it shows is remembered without the data."""
        kube, desired = self._d.kube, snapshot.desired_secret
        namespace = desired.owner.namespace
        try:
            view = await kube.read_secret(namespace, desired.name)
        except KubeRefused:
            if not (snapshot.deleting and await kube.namespace_terminating(namespace)):
                raise
            view = None  # our role there went first; the Secret goes with its namespace
        self._take_in(snapshot, progress, view)
        retained = snapshot.deleting and snapshot.spec.deletion_policy == "Retain"
        if retained and view is not None:
            progress.namespace_terminating = await kube.namespace_terminating(namespace)

    def _take_in(
        self, snapshot: KeySnapshot, progress: ReconcilePass, view: SecretView | None
    ) -> None:
        memory = progress.memory
        progress.secret = seen = self._judge(snapshot, memory, view)
        progress.secret_fresh = True
        progress.metadata = _metadata(view) if view is not None else None
        ours = seen if isinstance(seen, SecretOurs) else None
        memory.secret = ours
        memory.secret_version = (ours.uid, ours.resource_version) if ours else None
        if ours is None:
            return
        if memory.expectations.is_new:  # not new: its finalizer was taken off once
            memory.expectations = Expectations.for_known(self._d.leadership.since, self._d.settle)
        pending, taken = memory.expectations.pending_key, not memory.refused
        if pending is None or ours.record.key_id != pending.key.id:
            return
        if taken and ours.data_matches:
            memory.expectations = memory.expectations.written()

    def _judge(
        self, snapshot: KeySnapshot, memory: KeyMemory, view: SecretView | None
    ) -> SecretSeen:
        if view is None:
            memory.record = memory.record_uid = None
            return SecretAbsent()
        desired, seen = snapshot.desired_secret, _metadata(view)
        stranger, leftover = desired.whose(seen)
        if stranger is not None:
            advice = "" if leftover else "; delete it, or give this key another spec.secret.name"
            message = f"Secret {view.name} is not ours: {stranger}{advice}."
            return SecretForeign(message, leftover)
        status = snapshot.status.key
        record, data_matches = sound_record(
            desired.owner.uid,
            view.annotations,
            view.data,
            remembered=memory.record if memory.record_uid == view.uid else None,
            status_key_id=status.id if status is not None else None,
            now=self._d.now(),
            max_grace=self._d.settings.max_grace,
        )
        if data_matches:
            memory.record, memory.record_uid = record, view.uid
        return SecretOurs(
            uid=view.uid,
            resource_version=view.resource_version,
            record=record,
            data_matches=data_matches,
            metadata_drifted=data_matches and desired.metadata_drifted(seen, record),
            deleting=view.deleting,
        )

    # -- writes --------------------------------------------------------------------------------

    async def dry_run(self, snapshot: KeySnapshot, progress: ReconcilePass, step: DryRun) -> None:
        """Have the server check the very write that the next key is for, as long as it can become.

        A create that passes also proves that there is no Secret; one that is there is read. Raises
        KubeRefused.
        """
        desired = snapshot.desired_secret
        record = SecretRecord(
            key_id="0" * 64,
            issued_at=whole_seconds(self._d.now()),
            rotate_request=snapshot.rotation.requested,
            format8=desired.format8,
            checksum="",
            retiring=step.retiring,
        )
        data = render(desired.spec, self._place(step.scope, "0" * 63), _STAND_IN, _STAND_IN)
        try:
            await self._send(snapshot, progress, record, data, dry_run=True)
        except Conflict:
            await self.read(snapshot, progress)
            return
        if not isinstance(progress.secret, SecretOurs):
            self._take_in(snapshot, progress, None)
        progress.dry_run_passed = True

    async def write(
        self, snapshot: KeySnapshot, progress: ReconcilePass, step: WriteSecret
    ) -> None:
        """Put the pending key into the Secret, in one request.

        A Conflict is no failure: the Secret is read anew, and the planner decides again. A refusal
        that no dry run foretold costs the pending key.
        """
        pending, desired, memory = step.pending_key, snapshot.desired_secret, progress.memory
        place = self._place(pending.scope, pending.key.name)
        secret_key = pending.secret_key.get_secret_value()
        record = SecretRecord(
            key_id=pending.key.id,
            issued_at=whole_seconds(self._d.now()),
            rotate_request=pending.rotate_request,
            format8=desired.format8,
            checksum="",
            retiring=step.retiring,
        )
        try:
            data = render(desired.spec, place, pending.key.access_key, secret_key)
            view = await self._send(snapshot, progress, record, data)
        except Conflict:
            progress.forget_secret()
        except (KubeRefused, TemplateFault) as error:
            memory.refused, memory.refused_at = str(error), self._d.clock()
            if isinstance(error, _Altered):
                self._take_in(snapshot, progress, error.answer)
        else:
            self._written(snapshot, progress, desired.recorded(record, data), view)

    async def repair_metadata(
        self, snapshot: KeySnapshot, progress: ReconcilePass, secret: SecretOurs
    ) -> None:
        """Repair labels, annotations and owner; the data stay as they are. Raises KubeRefused."""
        if progress.metadata is None:
            await self.read(snapshot, progress)
            return
        desired = snapshot.desired_secret
        record = desired.of_today(secret.record)
        patch = desired.patch(progress.metadata, record, None, secret.record.written)
        try:
            repaired = await self._patch(desired, secret, patch)
        except Conflict:
            progress.forget_secret()
        except _Altered as error:
            self._take_in(snapshot, progress, error.answer)
            raise
        else:
            self._written(snapshot, progress, record, repaired)

    def _written(
        self,
        snapshot: KeySnapshot,
        progress: ReconcilePass,
        record: SecretRecord,
        view: SecretView,
    ) -> None:
        progress.memory.record, progress.memory.record_uid = record, view.uid
        self._d.metrics.secret_writes.inc()
        _log.info("wrote Secret %s, which holds key %s", view.name, record.key_id)
        self._take_in(snapshot, progress, view)

    async def _send(
        self,
        snapshot: KeySnapshot,
        progress: ReconcilePass,
        record: SecretRecord,
        data: dict[str, str],
        *,
        dry_run: bool = False,
    ) -> SecretView:
        secret, seen, desired = progress.secret, progress.metadata, snapshot.desired_secret
        full = desired.recorded(record, data)
        if isinstance(secret, SecretOurs) and seen is not None:
            patch = desired.patch(seen, full, data, secret.record.written)
            return await self._patch(desired, secret, patch, dry_run=dry_run)
        manifest = desired.manifest(full, data)
        answer = await self._d.kube.create_secret(manifest, dry_run=dry_run)
        return _as_sent(desired, manifest, answer)

    async def _patch(
        self,
        desired: DesiredSecret,
        secret: SecretOurs,
        patch: dict[str, Any],
        *,
        dry_run: bool = False,
    ) -> SecretView:
        answer = await self._d.kube.patch_secret(
            desired.owner.namespace,
            desired.name,
            patch,
            uid=secret.uid,
            resource_version=secret.resource_version,
            dry_run=dry_run,
        )
        return _as_sent(desired, patch, answer)

    def _place(self, scope: Scope, name: str) -> RenderContext:
        endpoint = self._d.accounts.endpoint(scope.account, scope.storage_dn)
        return RenderContext(scope, endpoint, name)


class _Altered(KubeRefused):
    """Admission took the write and changed it; ``answer`` is the Secret as it is now."""

    def __init__(self, fields: list[str], answer: SecretView) -> None:
        shown = ", ".join(fields[:_MOST_FIELDS]) + (" and more" if fields[_MOST_FIELDS:] else "")
        super().__init__(
            f"a webhook or policy of the cluster changes or drops {shown}; have it leave this "
            "Secret as it is written, or ask for what it makes of it",
            status=200,
        )
        self.answer = answer


def _as_sent(desired: DesiredSecret, sent: dict[str, Any], answer: SecretView) -> SecretView:
    """The answer to a write, where nothing that was sent is otherwise in it. Raises KubeRefused."""
    if fields := desired.altered(sent, _metadata(answer), answer.data):
        raise _Altered(fields, answer)
    return answer


def _metadata(view: SecretView) -> SecretMetadata:
    return SecretMetadata(view.labels, view.annotations, view.owner_references, view.type)
