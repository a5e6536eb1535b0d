"""The real bucket reconciler with its queue and workers, on a virtual clock and stand-ins.

For what takes hours, or an unlucky order of things; the real API server and the emulator are the
cluster tests'.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable, Coroutine
from typing import Any

from amove_operator.controllers.dispatcher import Dispatcher
from amove_operator.controllers.shared.dependencies import Dependencies
from amove_operator.engine.workers import run_workers
from amove_operator.engine.workqueue import WorkQueue
from amove_operator.kube.secret_watch import SecretMeta
from amove_operator.models.refs import Kind, ObjectId, Ref
from amove_operator.settings import Settings
from amove_operator.telemetry import Metrics
from tests.stand_ins.fate import Fate, run
from tests.stand_ins.kube import InMemoryKube
from tests.stand_ins.ports import as_client, as_kube
from tests.stand_ins.service import InMemoryService
from tests.stand_ins.time import LoopTime
from tests.unit.virtual_time import VirtualTimeLoop

ACCOUNT = "11111111-1111-4111-8111-111111111111"
METRICS = Metrics()


class BucketCluster:
    """One operator at work; namespaces called ``trusted…`` are trusted."""

    def __init__(
        self,
        loop: VirtualTimeLoop,
        resync: str = "1h",
        watched: str = "",
        fate: Fate | None = None,
    ) -> None:
        self.loop, self.time = loop, LoopTime(loop)
        fate = fate or Fate()
        self.kube = InMemoryKube(self.time, fate)
        self.service = InMemoryService(self.time, fate)
        self._settings = Settings.model_validate(
            {
                "token_file": "/dev/null",
                "cloud_account_id": ACCOUNT,
                "storage_dn": "s3.example",
                "trusted_namespaces": "trusted*",
                "resync_interval": resync,
                "watch_namespaces": watched,
            }
        )
        self._count = 0
        self._workers: asyncio.Task[None] | None = None
        self.start()

    def start(self) -> None:
        """A process takes the lead, and sees all there is."""
        queue: WorkQueue[ObjectId] = WorkQueue(
            clock=self.loop.time, jitter=lambda delay: delay, begun=False
        )
        self.d = Dependencies(
            self._settings,
            as_kube(self.kube),
            as_client(self.service),
            METRICS,
            "cluster",
            queue=queue,
            clock=self.loop.time,
            now=self.time.local,
        )
        self.d.accounts.loaded = True
        self.dispatcher = Dispatcher(self.d)
        for ref, body in self.kube.crs.items():
            self.dispatcher.on_object_event(ref.kind, None, copy.deepcopy(body))
        self.show_secrets()
        run(self.dispatcher.on_leading())
        run(self.d.enqueue.all())
        self._workers = self.loop.create_task(run_workers(queue, self.dispatcher.handle, 4))

    def configure(self, **settings: Any) -> None:
        """Other settings, as if the process had begun with them."""
        object.__setattr__(self.d, "settings", self.d.settings.model_copy(update=settings))

    async def stop(self) -> None:
        """The process is killed, in the middle of whatever it was at."""
        assert self._workers is not None
        self._workers.cancel()
        await asyncio.gather(self._workers, return_exceptions=True)

    async def restart(self) -> None:
        """Another process takes over."""
        await self.stop()
        self.start()

    # -- people ----------------------------------------------------------------------------------

    def apply(self, namespace: str, name: str, **spec: Any) -> Ref:
        """A new AmoveBucket; each is a second younger than the one before."""
        return self._applied(Ref(Kind.BUCKET, namespace, name), spec)

    def apply_key(self, namespace: str, name: str, *buckets: str, **spec: Any) -> Ref:
        """A new AmoveStorageKey for AmoveBuckets of its namespace."""
        refs = [{"name": bucket} for bucket in buckets]
        asked = {"permission": "ReadWrite", "bucketRefs": refs, **spec}
        return self._applied(Ref(Kind.KEY, namespace, name), asked)

    def _applied(self, ref: Ref, spec: dict[str, Any]) -> Ref:
        self._count += 1
        minutes, seconds = divmod(self._count, 60)
        body = {
            "metadata": {
                "name": ref.name,
                "namespace": ref.namespace,
                "uid": f"uid-{self._count}",
                "generation": 1,
                "creationTimestamp": f"2026-01-01T00:{minutes:02}:{seconds:02}Z",
                "annotations": {},
            },
            "spec": spec,
            "status": {"observedGeneration": -1},
        }
        self.kube.crs[ref] = body
        self._show(ref)
        return ref

    def annotate(self, ref: Ref, **values: str | None) -> None:
        """Set or drop annotations of ``storage.amove.io/``; an underscore stands for a hyphen."""
        notes = self.kube.crs[ref]["metadata"]["annotations"]
        for name, value in values.items():
            full = f"storage.amove.io/{name.replace('_', '-')}"
            notes.pop(full, None)
            if value is not None:
                notes[full] = value
        self._show(ref)

    def delete(self, ref: Ref) -> None:
        meta = self.kube.crs[ref]["metadata"]
        if not meta.get("finalizers"):
            self.strip(ref)
            return
        meta["deletionTimestamp"] = "2026-01-02T00:00:00Z"
        meta["generation"] += 1
        self._show(ref)

    def strip(self, ref: Ref) -> None:
        """The finalizer is taken off and the object deleted, while the operator watches."""
        gone = self.kube.crs.pop(ref)
        self.dispatcher.on_object_event(ref.kind, "DELETED", gone)

    def edit_secret(self, where: tuple[str, str], **annotations: str) -> None:
        """A person edits annotations of ours; the watch shows it."""
        notes = self.kube.secrets[where]["metadata"]["annotations"]
        notes |= {
            f"storage.amove.io/{name.replace('_', '-')}": annotations[name] for name in annotations
        }
        self.kube.touch(self.kube.secrets[where])
        self.show_secrets()

    def show_secrets(self) -> None:
        """What the watch of Secrets shows."""
        for body in self.kube.secrets.values():
            self.dispatcher.secret_events.on_event(
                SecretMeta.parse(copy.deepcopy(body)), deleted=False
            )

    def _show(self, ref: Ref) -> None:
        self.dispatcher.on_object_event(ref.kind, None, self.kube.touch(self.kube.crs[ref]))

    # -- time ------------------------------------------------------------------------------------

    async def passes(self, seconds: float = 5.0) -> None:
        await asyncio.sleep(seconds)

    def watch(self) -> None:
        """What the watches show by now of all that there is."""
        for ref, body in list(self.kube.crs.items()):
            known = self.d.store.get(ref)
            version = body["metadata"]["resourceVersion"]
            if known is None or known.metadata.resource_version != version:
                self.dispatcher.on_object_event(ref.kind, None, copy.deepcopy(body))
        for item in self.d.store:
            if item.ref not in self.kube.crs:
                self.dispatcher.on_object_gone(item.ref)
        for secret in list(self.d.secrets):
            if (secret.namespace, secret.name) not in self.kube.secrets:
                self.dispatcher.secret_events.on_event(secret, deleted=True)
        known_secrets = {(one.namespace, one.name): one.resource_version for one in self.d.secrets}
        for where, body in self.kube.secrets.items():
            if known_secrets.get(where) != body["metadata"]["resourceVersion"]:
                self.dispatcher.secret_events.on_event(SecretMeta.parse(body), deleted=False)

    async def resync(self) -> None:
        """Every bucket is looked at once more."""
        for bucket in list(self.d.store.buckets.values()):
            self.d.memories.bucket(bucket.metadata.uid).stale = True
            self.d.queue.add(bucket.object_id)
        await self.passes()

    # -- looking at it ---------------------------------------------------------------------------

    def says(self, ref: Ref) -> dict[str, tuple[str, str]]:
        """The conditions as ``type: (status, reason)``."""
        told = self.kube.crs[ref]["status"].get("conditions", ())
        return {one["type"]: (one["status"], one["reason"]) for one in told}

    def provenance(self, ref: Ref) -> str | None:
        found: str | None = self.kube.crs[ref]["status"].get("provenance")
        return found


def on_cluster(
    scenario: Callable[[BucketCluster], Coroutine[Any, Any, None]],
    resync: str = "1h",
    watched: str = "",
    fate: Fate | None = None,
) -> None:
    """Run a scenario on a cluster of its own, on a virtual clock."""
    loop = VirtualTimeLoop()

    async def played() -> None:
        cluster = BucketCluster(loop, resync, watched, fate)
        try:
            await scenario(cluster)
        finally:
            await cluster.stop()

    try:
        loop.run(played())
    finally:
        loop.close()
