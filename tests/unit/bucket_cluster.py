"""The real bucket reconciler with its queue and workers, on a virtual clock and stand-ins.

For what takes hours, or an unlucky order of things; the real API server and the emulator are the
cluster tests'.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable, Coroutine, Mapping
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

from pydantic import SecretStr

from amove_operator.amove import AmoveClient, BucketAddress, IssuedKey, NewKey
from amove_operator.controllers.dispatcher import Dispatcher
from amove_operator.controllers.shared.dependencies import wire
from amove_operator.controllers.shared.store import id_of
from amove_operator.core.refs import Kind, ObjectId, Ref
from amove_operator.engine.workqueue import WorkQueue, run_workers
from amove_operator.errors import AlreadyExists, ApiError, KubeRefused, NotEmpty, NotFound
from amove_operator.kube import Kube
from amove_operator.kube.secret_watch import SecretMeta
from amove_operator.models.bucket import BucketFlags
from amove_operator.settings import Settings
from amove_operator.telemetry import Metrics
from tests.model.stand_ins import Fate, StandInKube, Time
from tests.unit.virtual_time import VirtualTimeLoop

ACCOUNT = "11111111-1111-4111-8111-111111111111"
BEGAN = datetime(2026, 3, 1, tzinfo=UTC)
METRICS = Metrics()


class Service:
    """The Amove API's buckets, and the keys that it issued.

    ``hidden``: buckets that do not show (yet), though they are there.
    ``lingering``: those that still show, whether they are there or not.
    ``failing``: by call and bucket, what is raised instead of doing it.
    ``unlisted``: ids of keys that no list shows (yet).
    """

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self.buckets: dict[str, BucketFlags] = {}
        self.hidden: set[str] = set()
        self.full: set[str] = set()
        self.lingering: dict[str, BucketFlags] = {}
        self.failing: dict[tuple[str, str], ApiError] = {}
        self.keys: dict[str, IssuedKey] = {}
        self.unlisted: set[str] = set()
        self.calls: list[tuple[str, str]] = []
        self.pause: asyncio.Event | None = None
        self.breaker = SimpleNamespace(open=False)

    async def _called(self, call: str, where: BucketAddress) -> str:
        name = where[1]
        self.calls.append((call, name))
        if self.pause is not None:
            await self.pause.wait()
        if (error := self.failing.get((call, name))) is not None:
            raise error
        return name

    async def bucket_status(self, where: BucketAddress) -> BucketFlags:
        name = await self._called("status", where)
        if name in self.lingering:
            return self.lingering[name]
        if name in self.hidden or name not in self.buckets:
            raise NotFound("NOT_FOUND", "no such bucket")
        return self.buckets[name]

    async def create_bucket(self, where: BucketAddress, flags: BucketFlags) -> None:
        name = await self._called("create", where)
        if name in self.buckets:
            raise AlreadyExists("DUPLICATE", "it exists")
        self.buckets[name] = flags

    async def delete_bucket(self, where: BucketAddress) -> None:
        name = await self._called("delete", where)
        if name in self.full:
            raise NotEmpty("DEFAULT", "not empty")
        if self.buckets.pop(name, None) is None:
            raise NotFound("NOT_FOUND", "no such bucket")

    async def get_storage_keys(self) -> SimpleNamespace:
        if (error := self.failing.get(("list", ""))) is not None:
            raise error
        self.calls.append(("list", ""))
        return SimpleNamespace(
            keys=tuple(key for key in self.keys.values() if key.id not in self.unlisted)
        )

    async def create_storage_key(self, new: NewKey) -> IssuedKey:
        key_id = f"key-{len(self.calls)}"
        self.calls.append(("create key", new.name))
        return self.issue(key_id, new.name)

    def issue(self, key_id: str, name: str) -> IssuedKey:
        """A key of that remote name, issued to whomever."""
        issued = IssuedKey(
            id=key_id,
            name=name,
            access_key=f"AK-{key_id}",
            secret_key=SecretStr(f"SK-{key_id}"),
            user_id="user-1",
            create_date=self._now(),
        )
        self.keys[key_id] = issued
        return issued

    async def delete_storage_key(self, key_id: str) -> None:
        if self.keys.pop(key_id, None) is None:
            raise NotFound("NOT_FOUND", "no such key")

    async def cloud_accounts(self) -> tuple[()]:
        return ()

    def count(self, call: str) -> int:
        return sum(made == call for made, _ in self.calls)


class CountingKube(StandInKube):
    """Counts the writes of status. ``closed``: namespaces without our role; ``gone``: that went."""

    def __init__(self, time: Time, fate: Fate) -> None:
        super().__init__(time, fate)
        self.writes = 0
        self.events: list[str] = []
        self.closed: set[str] = set()
        self.gone: set[str] = set()

    async def write_status(
        self, ref: Ref, version: str, before: Mapping[str, Any], new: Mapping[str, Any]
    ) -> dict[str, Any] | None:
        written = await super().write_status(ref, version, before, new)
        self.writes += written is not None
        return written

    async def each_object(
        self, kind: Kind, take: Callable[[dict[str, Any]], None], namespace: str | None
    ) -> str:
        if namespace in self.closed | self.gone:
            raise KubeRefused("may not be listed", status=403)
        version = self.version()
        shown = [
            copy.deepcopy(body)
            for ref, body in self.crs.items()
            if ref.kind is kind and namespace in (None, ref.namespace)
        ]
        await self.answered(kind)
        for body in shown:
            take(body)
        return version

    async def namespace_gone(self, namespace: str) -> bool:
        return namespace in self.gone

    async def answered(self, _kind: Kind) -> None:
        """The answer to a list is on its way."""

    async def emit_event(self, *_args: object, reason: str, message: str, **_more: object) -> None:
        self.events.append(reason)


class BucketCluster:
    """One operator at work; namespaces called ``trusted…`` are trusted."""

    def __init__(self, loop: VirtualTimeLoop, resync: str = "1h", watched: str = "") -> None:
        self.loop, self.service = loop, Service(self.now)
        self.kube = CountingKube(Time(), Fate())
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
        api = cast(AmoveClient, self.service)
        queue: WorkQueue[ObjectId] = WorkQueue(clock=self.loop.time, jitter=lambda delay: delay)
        self.d = wire(
            self._settings,
            cast(Kube, self.kube),
            api,
            METRICS,
            "cluster",
            queue=queue,
            clock=self.loop.time,
            now=self.now,
        )
        self.d.accounts.loaded = True
        self.dispatcher = Dispatcher(self.d)
        for ref, body in self.kube.crs.items():
            self.dispatcher.on_object_event(ref.kind, None, copy.deepcopy(body))
        self.show_secrets()
        self.dispatcher.on_leading()
        self._workers = self.loop.create_task(run_workers(queue, self.dispatcher.handle, 4))

    def configure(self, **settings: Any) -> None:
        """Other settings, as if the process had begun with them."""
        object.__setattr__(self.d, "settings", self.d.settings.model_copy(update=settings))

    def now(self) -> datetime:
        """The wall clock, which goes with the virtual one."""
        return BEGAN + timedelta(seconds=self.loop.time())

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
        body = {
            "metadata": {
                "name": ref.name,
                "namespace": ref.namespace,
                "uid": f"uid-{self._count}",
                "generation": 1,
                "creationTimestamp": f"2026-01-01T00:00:{self._count:02}Z",
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
            self.dispatcher.on_secret_event(SecretMeta.parse(copy.deepcopy(body)), deleted=False)

    def _show(self, ref: Ref) -> None:
        self.dispatcher.on_object_event(ref.kind, None, self.kube.touch(self.kube.crs[ref]))

    # -- time ------------------------------------------------------------------------------------

    async def passes(self, seconds: float = 5.0) -> None:
        await asyncio.sleep(seconds)

    async def resync(self) -> None:
        """Every bucket is looked at once more."""
        for bucket in list(self.d.store.buckets.values()):
            self.d.memories.bucket(bucket.metadata.uid).stale = True
            self.d.queue.add(id_of(bucket))
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
) -> None:
    """Run a scenario on a cluster of its own, on a virtual clock."""
    loop = VirtualTimeLoop()

    async def played() -> None:
        cluster = BucketCluster(loop, resync, watched)
        try:
            await scenario(cluster)
        finally:
            await cluster.stop()

    try:
        loop.run(played())
    finally:
        loop.close()
