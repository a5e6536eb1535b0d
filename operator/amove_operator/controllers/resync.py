"""The paced sweep over all objects: drift at the service shows only to those who ask."""

from __future__ import annotations

import asyncio
import logging
import random

from amove_operator.amove import LONG_PAUSE_SECONDS
from amove_operator.controllers.census import Census
from amove_operator.controllers.dispatcher import Dispatcher
from amove_operator.errors import ApiError, KubeRefused, KubeUnavailable, NotLeading
from amove_operator.fairness import Urgency
from amove_operator.models import AmoveStorageKey
from amove_operator.models.refs import Kind, ObjectId

_log = logging.getLogger(__name__)
_KEYS_A_PAGE = 50
_RETRY = 5.0


def sweep_seconds(buckets: int, keys: int, interval: float, rate: float) -> float:
    """How long one sweep takes: the interval, or longer so that half the rate suffices."""
    calls = buckets + 1 + keys / _KEYS_A_PAGE
    return max(interval, calls / (rate / 2))


class Resync:
    """Reconciles every object once in each sweep, spread evenly over it."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._census = Census(dispatcher)
        self._orphans = dispatcher.orphans
        self._d = dispatcher.d
        self._reading: asyncio.Task[bool] | None = None
        self._listing: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Sweep until cancelled; the first begins at once, for what changed while we were away."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._first_listing())
            group.create_task(self._orphans.run())
            counted = False  # just now, when the lead was taken
            while True:
                began = self._d.clock()
                self._read_accounts_anew(group)
                self._list_keys_anew(group)
                if counted:
                    await self._count()
                counted = True
                self._d.metrics.resync_began.set_to_current_time()
                await self._sweep(began)
                self._d.metrics.resync_ended.set_to_current_time()
                self._d.metrics.resync_duration.set(self._d.clock() - began)

    def _read_accounts_anew(self, group: asyncio.TaskGroup) -> None:
        """Once a sweep, and nothing waits for it; until they were read once, others see to that."""
        accounts = self._d.accounts
        if accounts.needed and accounts.loaded and (self._reading is None or self._reading.done()):
            self._reading = group.create_task(accounts.load())

    def _list_keys_anew(self, group: asyncio.TaskGroup) -> None:
        """Once a sweep, and nothing waits for it: buckets are observed all the same."""
        if self._listing is None or self._listing.done():
            self._listing = group.create_task(self._listed())

    async def _first_listing(self) -> None:
        """What an earlier process minted is known after the settle time."""
        await self._sleep_until(self._settled_at)
        await self._listed()
        waiting = [key.object_id for key in self._d.store.keys.values() if self._may_wait(key)]
        self._d.enqueue.after_first_list(waiting)

    def _may_wait(self, key: AmoveStorageKey) -> bool:
        memory = self._d.memories.keys.get(key.metadata.uid)
        return memory is None or not memory.expectations.knows_from_the_start

    @property
    def _settled_at(self) -> float:
        return self._d.leadership.since + self._d.settle

    async def _listed(self) -> None:
        """One complete listing for the whole sweep, as soon as it can tell all.

        Where there are no AmoveStorageKeys, only if a list was needed before: by an old one, a key
        of a retained Secret would keep its bucket's name for ever.
        """
        d = self._d
        needed = d.store.keys or d.watches_all or d.key_lists.latest is not None
        while needed and d.clock() >= self._settled_at:
            try:
                await d.key_lists.fresh()
            except (ApiError, NotLeading) as error:
                if not d.store.keys:
                    return  # only orphans would show
                _log.warning("the key listing waits: %s", error)
                # Objects that need one have it read in the same pauses: no more often for us.
                await self._sleep_until(max(d.clock() + _pause(), d.key_lists.retry_at))
            else:
                return

    async def _count(self) -> None:
        """Make the store true, however long Kubernetes does not answer."""
        while True:
            try:
                await self._census.take()
            except (KubeUnavailable, KubeRefused) as error:
                _log.warning("the resync waits: %s", error)
                await asyncio.sleep(_pause())
            else:
                return

    async def _sweep(self, began: float) -> None:
        d, items = self._d, list(self._d.store)
        random.shuffle(items)
        counts = len(d.store.buckets), len(d.store.keys)
        length = sweep_seconds(*counts, d.resync, d.settings.rate_limit)
        _log.info("the resync looks at %d objects within %.0f s", len(items), length)
        for number, item in enumerate(items):
            d.metrics.resync_remaining.set(len(items) - number)
            await self._sleep_until(began + length * number / len(items))
            while d.api.breaker.state.open or d.permits.pause_left > LONG_PAUSE_SECONDS:
                await asyncio.sleep(1.0)  # settled objects stay as they are meanwhile
            self._reconcile(item, began)
        d.metrics.resync_remaining.set(0)
        await self._sleep_until(began + length)

    def _reconcile(self, item: ObjectId, began: float) -> None:
        if item.ref.kind is Kind.BUCKET and self._d.store.find(item.uid) is not None:
            memory = self._d.memories.bucket(item.uid)
            # One asked since the sweep began needs no other, even if the answer is on its way.
            memory.stale = memory.stale or memory.asked_at < began
        self._d.queue.add(item, Urgency.SWEEP)

    async def _sleep_until(self, moment: float) -> None:
        await asyncio.sleep(0)
        while (left := moment - self._d.clock()) > 0:
            await asyncio.sleep(left)


def _pause() -> float:
    return _RETRY * random.uniform(1, 2)  # noqa: S311 - no secret
