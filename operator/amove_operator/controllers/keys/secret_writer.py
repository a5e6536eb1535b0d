"""Reading and writing the Secret of one AmoveStorageKey (docs/key-protocol.md, "Issuing")."""

from __future__ import annotations

from dataclasses import replace

from amove_operator.controllers.keys.gather import ReconcilePass
from amove_operator.controllers.shared.dependencies import Dependencies
from amove_operator.controllers.shared.memory import KeyMemory
from amove_operator.core.keys import snapshot
from amove_operator.core.keys.expectations import Expectations
from amove_operator.core.keys.steps import WriteSecret
from amove_operator.core.scope import Scope
from amove_operator.core.secrets import manifest, rendering
from amove_operator.core.secrets.record import SecretRecord, sound_record
from amove_operator.errors import Conflict, KubeRefused
from amove_operator.kube import SecretView
from amove_operator.models import AmoveStorageKey
from amove_operator.times import whole_seconds

_STAND_IN = "0" * 40


class SecretWriter:
    """The Secret's side of the key reconciler. Remembers no secret data."""

    def __init__(self, dependencies: Dependencies) -> None:
        self._d = dependencies

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
        owner, seen = self._owner(key), _metadata(view)
        stranger, leftover = manifest.whose(seen, owner, key.spec.secret.type or manifest.OPAQUE)
        if stranger is not None:
            advice = "" if leftover else "; delete it, or give this key another spec.secret.name"
            message = f"Secret {view.name} is not ours: {stranger}{advice}."
            return snapshot.SecretForeign(message, leftover)
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
            and manifest.metadata_drifted(
                seen, owner, key.spec.secret, self._formatted(key, record)
            ),
            deleting=view.deleting,
        )

    def _formatted(self, key: AmoveStorageKey, record: SecretRecord) -> SecretRecord:
        """An annotation of the format that was edited away is written anew."""
        return replace(record, format8=record.format8 or rendering.format_digest(key.spec.secret))

    def _owner(self, key: AmoveStorageKey) -> manifest.SecretOwner:
        """Whose the Secret is; under a permitted ``Retain`` it does not go with its object."""
        meta = key.metadata
        retained = key.spec.deletion_policy == "Retain" and self._d.settings.trusts(meta.namespace)
        return manifest.SecretOwner(meta.namespace, meta.name, meta.uid, owning=not retained)

    # -- writes --------------------------------------------------------------------------------

    async def dry_run(self, key: AmoveStorageKey, progress: ReconcilePass, scope: Scope) -> None:
        """Have the server check the write that the next key is for."""
        spec = key.spec.secret
        record = SecretRecord("0" * 36, self._d.now(), "", rendering.format_digest(spec), "")
        data = rendering.render(spec, self._place(scope, "0" * 63), _STAND_IN[:20], _STAND_IN)
        try:
            await self._send(key, progress, record, data, dry_run=True)
        except KubeRefused as error:
            progress.refused = str(error)
        else:
            progress.dry_run_passed = True

    async def write(self, key: AmoveStorageKey, progress: ReconcilePass, step: WriteSecret) -> None:
        """Put the pending key into the Secret, in one request.

        A Conflict is no failure: the Secret is read anew, and the planner decides again. A refusal
        that no dry run foretold costs the pending key.
        """
        pending, spec, memory = step.pending_key, key.spec.secret, progress.memory
        place = self._place(pending.scope, pending.key.name)
        secret_key = pending.secret_key.get_secret_value()
        record = SecretRecord(
            key_id=pending.key.id,
            issued_at=whole_seconds(self._d.now()),
            rotate_request=pending.rotate_request,
            format8=rendering.format_digest(spec),
            checksum="",
            retiring=step.retiring,
        )
        try:
            data = rendering.render(spec, place, pending.key.access_key, secret_key)
            view = await self._send(key, progress, record, data)
        except Conflict:
            progress.forget_secret()
        except (KubeRefused, rendering.TemplateFault) as error:
            memory.refused, memory.refused_at = str(error), self._d.clock()
        else:
            full = manifest.recorded(record, spec, key.metadata.uid, data)
            self._written(key, progress, full, view)

    async def repair_metadata(
        self, key: AmoveStorageKey, progress: ReconcilePass, secret: snapshot.SecretOurs
    ) -> None:
        """Repair labels, annotations and owner; the data stay as they are."""
        if progress.metadata is None:
            await self.read(key, progress)
            return
        record = self._formatted(key, secret.record)
        try:
            repaired = await self._patch(key, progress.metadata, secret, record, None)
        except Conflict:
            progress.forget_secret()
        else:
            self._written(key, progress, manifest.with_names(record, key.spec.secret), repaired)

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
        secret, seen, spec = progress.secret, progress.metadata, key.spec.secret
        full = manifest.recorded(record, spec, key.metadata.uid, data)
        if isinstance(secret, snapshot.SecretOurs) and seen is not None:
            return await self._patch(key, seen, secret, full, data, dry_run=dry_run)
        body = manifest.new_secret(key.secret_name, self._owner(key), spec, full, data)
        return await self._d.kube.create_secret(body, dry_run=dry_run)

    async def _patch(
        self,
        key: AmoveStorageKey,
        seen: manifest.SecretMetadata,
        secret: snapshot.SecretOurs,
        record: SecretRecord,
        data: dict[str, str] | None,
        *,
        dry_run: bool = False,
    ) -> SecretView:
        owner, former = self._owner(key), secret.record.written
        return await self._d.kube.patch_secret(
            owner.namespace,
            key.secret_name,
            manifest.rewrite(seen, owner, key.spec.secret, record, data, former),
            uid=secret.uid,
            resource_version=secret.resource_version,
            dry_run=dry_run,
        )

    def _place(self, scope: Scope, name: str) -> rendering.RenderContext:
        endpoint = self._d.accounts.endpoint(scope.account, scope.storage_dn)
        return rendering.RenderContext(scope, endpoint, name)


def _metadata(view: SecretView) -> manifest.SecretMetadata:
    return manifest.SecretMetadata(view.labels, view.annotations, view.owner_references, view.type)
