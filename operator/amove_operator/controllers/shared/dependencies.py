"""The process's one of everything that reconcilers use."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from amove_operator.amove import AmoveClient
from amove_operator.controllers.shared.accounts import CloudAccounts
from amove_operator.controllers.shared.enqueue import Enqueuer
from amove_operator.controllers.shared.key_list_cache import KeyListCache
from amove_operator.controllers.shared.known_secrets import KnownSecrets
from amove_operator.controllers.shared.leadership import Leadership, Namespaces
from amove_operator.controllers.shared.loss_guard import BucketLosses, KeyLosses
from amove_operator.controllers.shared.memory import Memories
from amove_operator.controllers.shared.name_registry import NameRegistry
from amove_operator.controllers.shared.status_writer import StatusWriter
from amove_operator.controllers.shared.store import Store
from amove_operator.engine.workqueue import WorkQueue
from amove_operator.kube import Kube
from amove_operator.models.refs import ObjectId
from amove_operator.settings import Settings
from amove_operator.telemetry import Metrics


def utc_now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Dependencies:
    """What is handed to every part; each of these alone changes what it remembers."""

    settings: Settings
    kube: Kube
    api: AmoveClient
    metrics: Metrics
    cluster_uid: str
    queue: WorkQueue[ObjectId]
    clock: Callable[[], float]
    now: Callable[[], datetime]
    accounts: CloudAccounts
    key_lists: KeyListCache
    secrets: KnownSecrets
    leadership: Leadership
    namespaces: Namespaces
    store: Store
    memories: Memories
    names: NameRegistry
    bucket_losses: BucketLosses
    key_losses: KeyLosses
    enqueue: Enqueuer
    status: StatusWriter

    @property
    def settle(self) -> float:
        """AMOVE_LISTING_SETTLE in seconds: how long a list may lag."""
        return self.settings.listing_settle.total_seconds()

    @property
    def resync(self) -> float:
        """AMOVE_RESYNC_INTERVAL in seconds: the longest back-off."""
        return self.settings.resync_interval.total_seconds()

    @property
    def clock_skewed(self) -> bool:
        """The local clock is too far from the API server's to act by it."""
        skew = self.kube.skew_seconds
        return skew is not None and abs(skew) > 60.0

    @property
    def watches_all(self) -> bool:
        """Whether an object that is not in the store is gone."""
        return not self.settings.watch_namespaces

    def forget_bucket(self, item: ObjectId) -> None:
        """An AmoveBucket is gone, and all that was remembered of it goes."""
        self.memories.forget(item.uid)
        self.bucket_losses.forget(item)

    def forget_key(self, item: ObjectId) -> None:
        """An AmoveStorageKey is gone, and all that was remembered of it goes.

        Whoever waits for a bucket name that was reserved for it is reconciled again.
        """
        self.memories.forget(item.uid)
        self.key_losses.forget(item.uid)
        self.enqueue.waiting(self.store.release(item))


def wire(
    settings: Settings,
    kube: Kube,
    api: AmoveClient,
    metrics: Metrics,
    cluster_uid: str,
    *,
    queue: WorkQueue[ObjectId] | None = None,
    clock: Callable[[], float] = time.monotonic,
    now: Callable[[], datetime] = utc_now,
) -> Dependencies:
    """Build the one of everything. ``cluster_uid``: the UID of namespace kube-system."""
    settle = settings.listing_settle.total_seconds()
    if queue is None:
        queue = WorkQueue(backoff_cap=settings.resync_interval.total_seconds())
    store, memories = Store(), Memories()
    leadership, namespaces, secrets = Leadership(), Namespaces(), KnownSecrets()
    key_lists = KeyListCache(api, clock, settle)
    return Dependencies(
        settings=settings,
        kube=kube,
        api=api,
        metrics=metrics,
        cluster_uid=cluster_uid,
        queue=queue,
        clock=clock,
        now=now,
        accounts=CloudAccounts(settings, api),
        key_lists=key_lists,
        secrets=secrets,
        leadership=leadership,
        namespaces=namespaces,
        store=store,
        memories=memories,
        names=NameRegistry(
            store, memories, key_lists, secrets, leadership, namespaces, settings, cluster_uid
        ),
        bucket_losses=BucketLosses(store, memories, queue, metrics, clock),
        key_losses=KeyLosses(store, memories, settle),
        enqueue=Enqueuer(queue, store, memories),
        status=StatusWriter(kube, store, now),
    )
