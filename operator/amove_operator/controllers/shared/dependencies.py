"""The process's one of everything that reconcilers use."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

from amove_operator.amove import AmoveClient
from amove_operator.controllers.shared.accounts import CloudAccounts
from amove_operator.controllers.shared.bucket_losses import BucketLosses
from amove_operator.controllers.shared.enqueue import Enqueuer
from amove_operator.controllers.shared.key_list_cache import KeyListCache
from amove_operator.controllers.shared.key_losses import KeyLosses
from amove_operator.controllers.shared.known_secrets import KnownSecrets
from amove_operator.controllers.shared.leadership import Leadership, Namespaces
from amove_operator.controllers.shared.memory import Memories
from amove_operator.controllers.shared.name_registry import NameRegistry
from amove_operator.controllers.shared.next_call import NextCall
from amove_operator.controllers.shared.status_writer import StatusWriter
from amove_operator.controllers.shared.store import Store
from amove_operator.core.naming import cluster_digest
from amove_operator.engine.keyed_lock import KeyedLock
from amove_operator.engine.workqueue import WorkQueue
from amove_operator.kube import Kube
from amove_operator.models.refs import ObjectId
from amove_operator.settings import Settings
from amove_operator.telemetry import Metrics

_WITHOUT_CALLS = 16
"""Workers beyond those that may wait for the answer to a call: a service that hangs holds up no
Retain deletion, no refusal and no status."""


class Dependencies:
    """What is handed to every part; each of these alone changes what it remembers.

    ``cluster_uid``: the UID of namespace kube-system.
    """

    def __init__(
        self,
        settings: Settings,
        kube: Kube,
        api: AmoveClient,
        metrics: Metrics,
        cluster_uid: str,
        *,
        queue: WorkQueue[ObjectId] | None = None,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.settings = settings
        self.kube = kube
        self.api = api
        self.metrics = metrics
        self.cluster_uid = cluster_uid
        self.clock = clock
        self.now = now
        self.queue = queue if queue is not None else self._new_queue()
        self.permits = api.permits
        self.bucket_names: KeyedLock[str, str] = KeyedLock()
        self.accounts = CloudAccounts(settings, api)
        self.key_lists = KeyListCache(api, clock, self.settle)
        self.secrets = KnownSecrets()
        self.leadership = Leadership()
        self.namespaces = Namespaces()
        self.store = Store()
        self.memories = Memories()
        self.names = NameRegistry(
            self.store,
            self.memories,
            self.key_lists,
            self.secrets,
            self.leadership,
            self.namespaces,
            self.settle,
            self.watches_all,
            cluster_digest(cluster_uid),
        )
        self.bucket_losses = BucketLosses(self.store, self.memories, self.queue, metrics)
        self.key_losses = KeyLosses(self.store, self.memories, self.settle)
        self.next_call = NextCall(api, self.queue, self.key_lists)
        self.enqueue = self._new_enqueuer()
        self.status = StatusWriter(kube, self.store, now)

    def _new_enqueuer(self) -> Enqueuer:
        return Enqueuer(
            self.queue,
            self.store,
            self.memories,
            self.secrets,
            self.key_lists,
            self.clock,
            self.now,
            self.kube.field_manager,
        )

    def _new_queue(self) -> WorkQueue[ObjectId]:
        return WorkQueue(
            clock=self.clock,
            group_of=lambda item: item.ref.namespace,
            share=self.workers // 2,
            backoff_cap=self.resync,
            begun=False,  # as this process takes the lead, everybody is added
        )

    @property
    def workers(self) -> int:
        """So many objects are served at a time: as many as may call, and some that need no call."""
        return self.settings.concurrency + _WITHOUT_CALLS

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

    def forget(self, item: ObjectId) -> None:
        """An object of either kind left the store, and all that was remembered of it goes.

        Whoever waits for a bucket name that was reserved for a key is reconciled again.
        """
        self.queue.discard(item)
        self.permits.discard(item.uid)
        self.key_lists.discard(item.uid)
        self.bucket_names.discard(item.uid)
        self.memories.forget(item.uid)
        self.status.forget(item.uid)
        self.bucket_losses.forget(item.uid)
        self.names.forget(item.uid)
        self.key_losses.forget(item.uid)
        self.enqueue.waiting(self.store.key_index.release(item.uid))
