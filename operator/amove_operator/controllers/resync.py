"""The paced sweep over all objects: drift at the service shows only to those who look."""

from __future__ import annotations

import asyncio
import logging
import random

from amove_operator.controllers.census import Census
from amove_operator.controllers.dispatcher import Controller
from amove_operator.controllers.keys.orphan_watch import sees_all
from amove_operator.controllers.shared.memory import BucketMemory
from amove_operator.core.refs import Ref
from amove_operator.errors import ApiError, KubeRefused, KubeUnavailable

_log = logging.getLogger(__name__)
_KEYS_A_PAGE = 50
_RETRY = 5.0


def sweep_seconds(buckets: int, keys: int, interval: float, rate: float) -> float:
    """How long one sweep takes: the interval, or longer so that half the rate suffices."""
    calls = buckets + 1 + keys / _KEYS_A_PAGE
    return max(interval, calls / (rate / 2))


class Resync:
    """Looks at every object once in each sweep, spread evenly over it."""

    def __init__(self, controller: Controller) -> None:
        self._census = Census(controller)
        self._orphans = controller.orphans
        self._context = controller.context

    async def run(self) -> None:
        """Sweep until cancelled; the first begins at once, for what changed while we were away."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._first_listing())
            group.create_task(self._orphans.run())
            counted = False  # just now, when the lead was taken
            while True:
                began = self._context.clock()
                await self._prepared(counted=counted)
                counted = True
                await self._sweep(began)
                self._context.metrics.resync_duration.set(self._context.clock() - began)

    async def _first_listing(self) -> None:
        """What an earlier process minted is known after the settle time."""
        await self._sleep_until(self._settled_at)
        await self._listed()
        for ref in list(self._context.cache.keys):
            self._context.queue.add(ref)

    @property
    def _settled_at(self) -> float:
        return self._context.leading_since + self._context.settle

    @property
    def _somebody_asks(self) -> bool:
        context = self._context
        return bool(context.cache.keys) or sees_all(context)

    async def _listed(self) -> None:
        """One complete listing for the whole sweep, as soon as it can tell all."""
        context = self._context
        while self._somebody_asks and context.clock() >= self._settled_at:
            try:
                await context.key_lists.fresh()
            except ApiError as error:
                if not context.cache.keys:
                    return  # only orphans would show: the buckets do not wait for that
                _log.warning("the key listing waits: %s", error)
                await asyncio.sleep(_pause())
            else:
                return

    async def _prepared(self, *, counted: bool) -> None:
        """Accounts and key listing, fresh for the whole sweep; and the cache, if ``counted``."""
        while True:
            try:
                if counted:
                    await self._census.take()
                await self._context.accounts.load()
            except (ApiError, KubeUnavailable, KubeRefused) as error:
                _log.warning("the resync waits: %s", error)
                await asyncio.sleep(_pause())
            else:
                return await self._listed()

    async def _sweep(self, began: float) -> None:
        context = self._context
        refs = list(context.cache)
        random.shuffle(refs)
        counts = len(context.cache.buckets), len(context.cache.keys)
        length = sweep_seconds(*counts, context.resync, context.settings.rate_limit)
        for number, ref in enumerate(refs):
            await self._sleep_until(began + length * number / len(refs))
            await self._while_the_service_is_down()
            self._look_at(ref, began)
        await self._sleep_until(began + length)

    def _look_at(self, ref: Ref, began: float) -> None:
        bucket = self._context.cache.buckets.get(ref)
        if bucket is not None:
            memory = self._context.buckets.setdefault(bucket.metadata.uid, BucketMemory())
            # One looked at since the sweep began needs no other, even if the answer is on its way.
            memory.stale = memory.stale or memory.looked_at < began
        self._context.queue.add(ref)

    async def _while_the_service_is_down(self) -> None:
        """Settled objects stay as they are; the breaker's own probe tells when to go on."""
        while self._context.api.breaker.open:
            await asyncio.sleep(1.0)

    async def _sleep_until(self, moment: float) -> None:
        await asyncio.sleep(0)
        while (left := moment - self._context.clock()) > 0:
            await asyncio.sleep(left)


def _pause() -> float:
    return _RETRY * random.uniform(1, 2)  # noqa: S311 - no secret
