"""Reading and writing the Secret of one AmoveStorageKey (docs/key-protocol.md, "Issuing")."""

from __future__ import annotations

from dataclasses import replace

from amove_operator.controllers.keys.gather import KeyGatherer, ReconcilePass
from amove_operator.controllers.shared.dependencies import Dependencies
from amove_operator.controllers.shared.memory import KeyMemory
from amove_operator.core.keys import snapshot
from amove_operator.core.keys.expectations import Expectations
from amove_operator.core.keys.steps import WriteSecret
from amove_operator.core.scope import Scope
from amove_operator.core.secrets.manifest import (
    OPAQUE,
    SecretMetadata,
    metadata_drifted,
    new_secret,
    recorded,
    rewrite,
    whose,
    with_names,
)
from amove_operator.core.secrets.record import SecretRecord, sound_record
from amove_operator.core.secrets.rendering import RenderContext, format_digest, render
from amove_operator.errors import Conflict, KubeRefused
from amove_operator.kube import SecretView
from amove_operator.models import AmoveStorageKey

_STAND_IN = "0" * 40


class SecretWriter:
    """The Secret's side of the key reconciler. Remembers no secret data."""

    def __init__(self, dependencies: Dependencies, gatherer: KeyGatherer) -> None:
        self._d = dependencies
        self._gatherer = gatherer

    def recall(self, key: AmoveStorageKey, memory: KeyMemory) -> None:
        """Trust what was read before only while the watch shows the same version."""
        known = self._d.secrets.get((key.metadata.namespace, key.secret_name))
        version = (known.uid, known.resource_version) if known is not None else None
        if memory.secret is not None and version != memory.secret_version:
            memory.secret = None

    async def read(self, key: AmoveStorageKey, progress: ReconcilePass) -> None:
        """One GET; what it shows is remembered without the data."""
        meta, kube = key.metadata, self._d.kube
        try:
            view = await kube.read_secret(meta.namespace, key.secret_name)
        except KubeRefused:
            if not (meta.deleting and await kube.namespace_terminating(meta.namespace)):
                raise
            view = None  # our role there went first; the Secret goes with its namespace
        self._take_in(key, progress, view)
        if view is None and meta.deleting:
            return
        if meta.deleting and key.spec.deletion_policy == "Retain":
            progress.namespace_terminating = await kube.namespace_terminating(meta.namespace)

    def _take_in(
        self, key: AmoveStorageKey, progress: ReconcilePass, view: SecretView | None
    ) -> None:
        memory = progress.memory
        progress.secret = seen = self._judge(key, memory, view)
        progress.secret_fresh = True
        progress.metadata = _metadata(view) if view is not None else None
        ours = seen if isinstance(seen, snapshot.SecretOurs) else None
        memory.secret = ours
        memory.secret_version = (ours.uid, ours.resource_version) if ours else None
        if ours is None:
            return
        if memory.expectations.is_new:  # not new: its finalizer was taken off once
            memory.expectations = Expectations.for_known(self._d.leadership.since, self._d.settle)
        pending = memory.expectations.pending_key
        if pending is not None and ours.data_matches and ours.record.key_id == pending.key.id:
            memory.expectations = memory.expectations.written()

    def _judge(
        self, key: AmoveStorageKey, memory: KeyMemory, view: SecretView | None
    ) -> snapshot.SecretSeen:
        if view is None:
            memory.record = memory.record_uid = None
            return snapshot.SecretAbsent()
        owner = self._gatherer.owner(key)
        seen = _metadata(view)
        stranger, leftover = whose(seen, owner, key.spec.secret.type or OPAQUE)
        if stranger is not None:
            advice = "" if leftover else "; delete it, or give this key another spec.secret.name"
            return snapshot.SecretForeign(
                f"Secret {view.name} is not ours: {stranger}{advice}.", leftover
            )
        status = key.proven.key
        record, data_matches = sound_record(
            owner.uid,
            view.annotations,
            view.data,
            remembered=memory.record if memory.record_uid == view.uid else None,
            status_key_id=status.id if status is not None else None,
            now=self._d.now(),
            max_grace=self._d.settings.max_grace,
        )
        if data_matches:
            memory.record, memory.record_uid = record, view.uid
        return snapshot.SecretOurs(
            uid=view.uid,
            resource_version=view.resource_version,
            record=record,
            data_matches=data_matches,
            metadata_drifted=data_matches
            and metadata_drifted(seen, owner, key.spec.secret, self._formatted(key, record)),
            deleting=view.deleting,
        )

    def _formatted(self, key: AmoveStorageKey, record: SecretRecord) -> SecretRecord:
        """An annotation of the format that was edited away is written anew."""
        return record if record.format8 else replace(record, format8=format_digest(key.spec.secret))

    # -- writes --------------------------------------------------------------------------------

    async def dry_run(self, key: AmoveStorageKey, progress: ReconcilePass, scope: Scope) -> None:
        """Have the server check the write that the next key is for. Raises KubeRefused."""
        format8 = format_digest(key.spec.secret)
        record = SecretRecord("0" * 36, self._d.now(), "", format8, "")
        place = self._place(scope, "0" * 63)
        data = render(key.spec.secret, place, _STAND_IN[:20], _STAND_IN)
        await self._send(key, progress, record, data, dry_run=True)

    async def write(self, key: AmoveStorageKey, progress: ReconcilePass, step: WriteSecret) -> None:
        """Put the pending key into the Secret, in one request.

        A Conflict is no failure: the Secret is read anew, and the planner decides again.
        """
        pending, spec = step.pending_key, key.spec.secret
        place = self._place(pending.scope, pending.key.name)
        secret_key = pending.secret_key.get_secret_value()
        data = render(spec, place, pending.key.access_key, secret_key)
        record = SecretRecord(
            key_id=pending.key.id,
            issued_at=self._d.now().replace(microsecond=0),
            rotate_request=pending.rotate_request,
            format8=format_digest(spec),
            checksum="",
            retiring=step.retiring,
        )
        try:
            view = await self._send(key, progress, record, data)
        except Conflict:
            progress.forget_secret()
            return
        self._written(key, progress, recorded(record, spec, key.metadata.uid, data), view)

    async def repair_metadata(
        self, key: AmoveStorageKey, progress: ReconcilePass, secret: snapshot.SecretOurs
    ) -> None:
        """Repair labels, annotations and owner; the data stay as they are."""
        if progress.metadata is None:
            await self.read(key, progress)
            return
        owner = self._gatherer.owner(key)
        record = self._formatted(key, secret.record)
        spec = key.spec.secret
        patch = rewrite(progress.metadata, owner, spec, record, None, secret.record.written)
        try:
            repaired = await self._d.kube.patch_secret(
                owner.namespace,
                key.secret_name,
                patch,
                uid=secret.uid,
                resource_version=secret.resource_version,
            )
        except Conflict:
            progress.forget_secret()
            return
        self._written(key, progress, with_names(record, spec), repaired)

    def _written(
        self, key: AmoveStorageKey, progress: ReconcilePass, record: SecretRecord, view: SecretView
    ) -> None:
        progress.memory.record, progress.memory.record_uid = record, view.uid
        self._d.metrics.secret_writes.inc()
        self._take_in(key, progress, view)

    async def _send(
        self,
        key: AmoveStorageKey,
        progress: ReconcilePass,
        record: SecretRecord,
        data: dict[str, str],
        *,
        dry_run: bool = False,
    ) -> SecretView:
        owner = self._gatherer.owner(key)
        spec = key.spec.secret
        full = recorded(record, spec, owner.uid, data)
        secret = progress.secret
        if not isinstance(secret, snapshot.SecretOurs) or progress.metadata is None:
            manifest = new_secret(key.secret_name, owner, spec, full, data)
            return await self._d.kube.create_secret(manifest, dry_run=dry_run)
        patch = rewrite(progress.metadata, owner, spec, full, data, secret.record.written)
        return await self._d.kube.patch_secret(
            owner.namespace,
            key.secret_name,
            patch,
            uid=secret.uid,
            resource_version=secret.resource_version,
            dry_run=dry_run,
        )

    def _place(self, scope: Scope, name: str) -> RenderContext:
        endpoint = self._d.accounts.endpoint(scope.account, scope.storage_dn)
        return RenderContext(scope, endpoint, name)


def _metadata(view: SecretView) -> SecretMetadata:
    return SecretMetadata(view.labels, view.annotations, view.owner_references, view.type)
