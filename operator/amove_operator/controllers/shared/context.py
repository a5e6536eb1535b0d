"""What both reconcilers share, in one place, so that each test can build its own."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import inf

from amove_operator.amove import AmoveClient
from amove_operator.controllers.shared.accounts import CloudAccounts
from amove_operator.controllers.shared.key_list_cache import KeyListCache
from amove_operator.controllers.shared.known_secrets import KnownSecrets
from amove_operator.controllers.shared.memory import BucketMemory, KeyMemory
from amove_operator.controllers.shared.store import Cache, Item
from amove_operator.core.refs import Ref
from amove_operator.engine.workqueue import WorkQueue
from amove_operator.kube import Kube, ObjectReference
from amove_operator.settings import Settings
from amove_operator.telemetry import Metrics


def utc_now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


@dataclass
class Context:
    """The process's one of everything. ``leading_since`` is monotonic, set on taking the lead.

    ``holders``: by key id, the namespace of the Secret whose data carry a key without a CR.
    ``may_have_unlisted``: the namespaces where the process before us may have issued a key that
    neither status nor a list shows yet. ``unlisted``: the watched namespaces that cannot be listed;
    ``hidden``: those of them that are there, so that their Secrets may hold keys.
    """

    settings: Settings
    kube: Kube
    api: AmoveClient
    cache: Cache
    queue: WorkQueue[Item]
    accounts: CloudAccounts
    metrics: Metrics
    cluster_uid: str = ""
    leading_since: float = 0.0
    clock: Callable[[], float] = time.monotonic
    now: Callable[[], datetime] = utc_now
    buckets: dict[str, BucketMemory] = field(default_factory=dict)
    keys: dict[str, KeyMemory] = field(default_factory=dict)
    unlisted: frozenset[str] = frozenset()
    hidden: frozenset[str] = frozenset()
    absent_buckets: dict[str, tuple[Ref, float]] = field(default_factory=dict)
    known_buckets: tuple[float, int] = (-inf, 0)
    wanted_names: dict[str, Ref] = field(default_factory=dict)
    secrets: KnownSecrets = field(default_factory=KnownSecrets)
    holders: dict[str, str] = field(default_factory=dict)
    may_have_unlisted: frozenset[str] = frozenset()
    mass_bucket_loss: bool = False
    mass_key_loss: bool = False
    missing_keys: set[str] = field(default_factory=set)
    accept_before: dict[str, str | None] = field(default_factory=dict)
    key_lists: KeyListCache = field(init=False)

    @property
    def settle(self) -> float:
        """AMOVE_LISTING_SETTLE in seconds."""
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

    def forget_key(self, uid: str) -> frozenset[str]:
        """An AmoveStorageKey is gone, and all that was remembered of it goes.

        Answers the bucket names that were kept for a key of it that status did not name yet.
        """
        self.keys.pop(uid, None)
        self.missing_keys.discard(uid)
        self.accept_before.pop(uid, None)
        return self.cache.expect_nothing(uid)

    def forget_bucket(self, uid: str) -> None:
        """An AmoveBucket is gone, and all that was remembered of it goes."""
        self.buckets.pop(uid, None)
        self.absent_buckets.pop(uid, None)

    async def tell(
        self, ref: Ref, uid: str, reason: str, message: str, *, warning: bool = False
    ) -> None:
        """An Event on one of our objects; fails nothing."""
        await self.kube.emit_event(
            ObjectReference.to(ref, uid),
            type="Warning" if warning else "Normal",
            reason=reason,
            message=message,
        )
