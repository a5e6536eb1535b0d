"""The running operator: everything is made here, started in order, and stopped in order."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress
from datetime import UTC, datetime, timedelta
from enum import Enum
from functools import partial
from typing import Any, TypeVar

from amove_operator.amove import AmoveClient, BreakerState, credentials_for
from amove_operator.app import watches as handlers
from amove_operator.app.gauges import count_exhausted_keys, count_objects, count_untrusted_keys
from amove_operator.app.http import serve
from amove_operator.controllers.census import Census
from amove_operator.controllers.dispatcher import Dispatcher
from amove_operator.controllers.resync import Resync
from amove_operator.controllers.shared.dependencies import wire
from amove_operator.core.overlap import field_manager, other_operator
from amove_operator.core.refs import Kind
from amove_operator.engine.workqueue import run_workers
from amove_operator.errors import ApiError, KubeRefused, KubeUnavailable
from amove_operator.kube import AlwaysLeading, FenceWatch, Kube, LeaseElection, SecretWatch
from amove_operator.kube.lease import unique_identity
from amove_operator.models import GROUP
from amove_operator.models.fence import AWAY, was_away
from amove_operator.settings import Settings, unknown_variables
from amove_operator.telemetry import Metrics

_log = logging.getLogger(__name__)
_WORKERS = 16
_PATIENCE = 5.0
_NOT_FILLED = "the caches are not filled yet: buckets, keys and Secrets are being listed"
_MAY_END = ("accounts", "lease", "lead", "event")
_FENCE_NOTE = f"{GROUP}/fence-uid"
_TRUNCATED = timedelta(seconds=2)
"""managedFields know whole seconds only, and the server's clock is known to half of one."""
T = TypeVar("T")


class Ending(Enum):
    """Why an operator ended."""

    TOLD = "told to stop"
    LOST = "the lead was lost, or a part of it died"
    ANEW = "it may not lead any more: begin again from what the cluster then shows"


class Runtime:
    """The operator from start to a clean stop.

    ``told``: set by the signal to stop, which must not be lost between one and the next.
    """

    def __init__(
        self, settings: Settings, kube: Kube, fence: FenceWatch, told: asyncio.Event
    ) -> None:
        self._settings = settings
        self._kube = kube
        self._fence = fence
        self._told = told
        self._stop = asyncio.Event()
        self._ending = Ending.TOLD
        self._synced = False
        self._waits_for = _NOT_FILLED
        self._behind_the_fence = False
        self._led_since = datetime.max.replace(tzinfo=UTC)
        self._overlap: str | None = None
        self._accounts_asked = asyncio.Event()
        self._metrics = Metrics()
        self._election = self._make_election()
        kube.gate = self._election.check
        kube.field_manager = field_manager(self._lease_namespace, settings.lease_name)
        self._api = AmoveClient(settings, observer=self._observed, before_send=self._election.check)
        self._wired = False
        self._tasks: set[asyncio.Task[None]] = set()

    def _make_election(self) -> LeaseElection | AlwaysLeading:
        if not self._settings.leader_election:
            return AlwaysLeading()
        return LeaseElection(
            self._kube,
            name=self._settings.lease_name,
            namespace=self._lease_namespace,
            identity=unique_identity(),
        )

    @property
    def _leading(self) -> bool:
        return self._wired and self._d.leadership.leading

    @property
    def _lease_namespace(self) -> str:
        return self._settings.lease_namespace or self._kube.namespace

    def _wire(self, cluster_uid: str) -> None:
        self._d = wire(self._settings, self._kube, self._api, self._metrics, cluster_uid)
        self._dispatcher = Dispatcher(self._d)
        self._census = Census(self._dispatcher)
        self._gauges()
        self._wired = True

    # -- life ------------------------------------------------------------------------------------

    async def run(self) -> Ending:
        """Run until it is told to stop, or may lead no more."""
        self._api.check_credentials()
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._serving())
            stack.push_async_callback(self._api.aclose)
            self._listen_to_signals()
            self._spawn(self._fence.run(self._fence_looked), "fence")
            begin = asyncio.create_task(self._start())
            await asyncio.wait(
                {begin, asyncio.create_task(self._stop.wait())},
                return_when=asyncio.FIRST_COMPLETED,
            )
            if begin.done():
                begin.result()
                await self._stop.wait()
            else:
                begin.cancel()
            await self._end()
            if self._overlap is not None:
                await self._told.wait()
        return self._ending

    def _serving(self) -> AbstractAsyncContextManager[None]:
        return serve(
            self._metrics.registry,
            healthy=lambda: None,
            ready=self._unready,
            metrics_port=self._settings.metrics_port,
            health_port=self._settings.health_port,
        )

    def _unready(self) -> str | None:
        if (why := self._overlap or self._fence.why_not()) is not None:
            return why
        return None if self._synced else self._waits_for

    def _listen_to_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._tell)
        if self._told.is_set():
            self._stop.set()

    def _tell(self) -> None:
        self._told.set()
        self._stop.set()

    async def _start(self) -> None:
        await self._crds_served()
        self._wire(await self._patiently(self._kube.cluster_uid))
        self._api.breaker.on_change(self._breaker_changed)
        watched = asyncio.Event()
        self._spawn(
            handlers.watch(
                self._seen,
                self._kube.login,
                self._settings.watch_namespaces,
                ready=watched,
                stop=self._stop,
            ),
            "kopf",
        )
        secrets = SecretWatch(
            self._kube, self._dispatcher.on_secret_event, namespaces=self._settings.watch_namespaces
        )
        self._spawn(secrets.run(), "secrets")
        await watched.wait()
        self._listen_to_signals()  # Kopf has put its own in their place
        await self._patiently(self._census.take)
        await secrets.synced.wait()
        self._synced = True
        _log.info("watching: %d objects", len(list(self._d.store)))
        await self._fence.stand()
        self._behind_the_fence = True
        self._spawn(self._election.run(self._lead, self._lose), "lease")

    async def _crds_served(self) -> None:
        told = float("-inf")
        while missing := await self._patiently(self._kube.missing_crds):
            self._waits_for = (
                f"the CRDs of {' and '.join(missing)} are not installed: run 'amove-operator crds "
                "| kubectl apply -f -' or install the chart with crds.install=true"
            )
            if time.monotonic() - told > 60.0:
                told = time.monotonic()
                _log.error("%s; waiting for them", self._waits_for)
            await asyncio.sleep(_PATIENCE)

    async def _patiently(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask Kubernetes until it answers, saying visibly what is waited for."""
        while True:
            try:
                answer = await ask()
            except (KubeUnavailable, KubeRefused) as error:
                self._waits_for = f"waiting for Kubernetes: {error}"
                _log.error("%s", self._waits_for)
                await asyncio.sleep(_PATIENCE)
            else:
                self._waits_for = _NOT_FILLED
                return answer

    def _lead(self) -> None:
        skew = timedelta(seconds=self._kube.skew_seconds or 0.0)
        self._led_since = datetime.now(UTC) - skew + _TRUNCATED
        self._spawn(self._take_the_lead(), "lead")

    async def _take_the_lead(self) -> None:
        """A standby's cache may be old: what went while another led was served by the other.

        So may its look at the fence be, and its absence why the other has just laid the lead down.
        """
        await self._fence.look()
        self._fence_looked()
        if self._stop.is_set():
            return
        await self._patiently(self._census.take)
        self._dispatcher.on_leading()
        self._note_fence()
        self._metrics.leader.set(1)
        self._spawn(self._load_accounts(), "accounts")
        self._d.enqueue.all()
        self._spawn(self._work(), "workers")
        self._spawn(Resync(self._dispatcher).run(), "resync")

    async def _work(self) -> None:
        """Begin when the accounts were asked for: else every new object were told to wait first."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._accounts_asked.wait(), _PATIENCE)
        await run_workers(self._d.queue, self._dispatcher.handle, _WORKERS)

    def _lose(self) -> None:
        _log.error("the Lease was lost: this process ends, so that another can go on")
        self._ending = Ending.LOST
        self._d.leadership.end()
        self._stop.set()

    # -- what forbids to lead ----------------------------------------------------------------------

    def _fence_looked(self) -> None:
        """Whatever was begun behind a fence ends with it, as a process does: nothing is kept."""
        self._metrics.fence_intact.set(self._fence.stands)
        if self._leading:
            self._note_fence()
        if self._behind_the_fence and (why := self._fence.why_not()) is not None:
            told = "does not lead any more" if self._leading else "may not lead"
            _log.error("this process %s: %s", told, why)
            self._behind_the_fence = False
            self._ending = Ending.ANEW
            self._stop.set()

    def _note_fence(self) -> None:
        """Hand on which fence was relied on; tell where it is another than the one handed on."""
        before = self._election.annotation(_FENCE_NOTE) or self._fence.noted
        if before is None and self._older_status():
            before = AWAY
        now = (self._fence.identity if self._fence.stands else None) or AWAY
        if before != now:
            self._election.annotate(_FENCE_NOTE, now)
            self._fence.noted = now
        if not was_away(before, now):
            return
        message = (
            "the fence amove-fence was away: the status of buckets and keys may have been written "
            "meanwhile by whoever has a role there, and is believed; see 'When the fence was away' "
            "in docs/policies.md for how to audit it"
        )
        _log.error("FenceWasAway: %s", message)
        self._metrics.fence_was_away.inc()
        self._spawn(self._tell_deployment("FenceWasAway", message), "event")

    def _older_status(self) -> bool:
        """Whether a Lease without a note is not the beginning: status was there before the fence.

        Definitions that came without it, a former release with a fence of its own, another Lease.
        Without a Lease nothing can be noted, and it would be told at each start.
        """
        made_at, store = self._fence.made_at, self._d.store
        if made_at is None or not self._settings.leader_election:
            return False
        return any(
            one.status.owner_uid == one.metadata.uid
            and (one.metadata.creation_timestamp or made_at) <= made_at
            for one in map(store.find, store)
            if one is not None
        )

    def _seen(self, kind: Kind, change: str | None, body: Mapping[str, Any]) -> None:
        if self._leading and self._overlap is None:
            meta = body["metadata"]
            created = datetime.fromisoformat(meta["creationTimestamp"])
            entries, ours = meta.get("managedFields") or (), self._kube.field_manager
            whose = other_operator(entries, ours, self._led_since, created)
            if whose is not None:
                self._overlaps(kind, meta, whose)
        self._dispatcher.on_object_event(kind, change, body)

    def _overlaps(self, kind: Kind, metadata: Mapping[str, Any], whose: str) -> None:
        """Two operators on one object undo each other: neither begins again by itself."""
        self._overlap = (
            f"the status of {kind.value} {metadata.get('namespace')}/{metadata['name']} is written "
            f"by another operator as well, that of Lease {whose}: give each release namespaces of "
            "its own (AMOVE_WATCH_NAMESPACES), then restart this one"
        )
        _log.error("this process does not lead any more: %s", self._overlap)
        self._stop.set()

    async def _load_accounts(self) -> None:
        while True:
            try:
                await self._d.accounts.load()
            except ApiError as error:
                _log.warning("the cloud accounts cannot be read yet: %s", error)
                self._accounts_asked.set()
                self._d.enqueue.all()
                await asyncio.sleep(_PATIENCE)
            else:
                self._accounts_asked.set()
                self._d.enqueue.all()
                return

    async def _end(self) -> None:
        """Finish what runs, then release the Lease: the next leader finds nothing in flight."""
        self._metrics.leader.set(0)
        if self._wired:
            self._d.queue.shutdown()
        by_name = {task.get_name(): task for task in self._tasks}
        if (workers := by_name.pop("workers", None)) is not None:
            await asyncio.wait({workers}, timeout=15.0)
        lease = by_name.pop("lease", None)
        await _cancelled(list(by_name.values()))
        if lease is not None:
            await _cancelled([lease])

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """No part may die alone: an operator that only looks alive is worse than none."""
        self._tasks.discard(task)
        if self._stop.is_set() or task.cancelled():
            return
        if task.get_name() in _MAY_END and task.exception() is None:
            return
        _log.critical("%s ended unexpectedly", task.get_name(), exc_info=task.exception())
        self._ending = Ending.LOST
        self._stop.set()

    # -- telling ---------------------------------------------------------------------------------

    def _observed(self, call: str, outcome: str, seconds: float) -> None:
        self._metrics.api_requests.labels(call, outcome).inc()
        self._metrics.api_request_duration.labels(call).observe(seconds)

    def _breaker_changed(self, state: BreakerState) -> None:
        refused = state.open and state.cause == "auth"
        self._metrics.api_breaker_open.set(state.open)
        self._metrics.api_credentials_valid.set(not refused)
        if not state.open:
            _log.info("the Amove API can be used again")
            self._dispatcher.on_service_back()
            return
        _log.error("all calls to the Amove API are held back: %s", state.reason)
        reason = "ApiUnauthorized" if refused else "ApiUnavailable"
        self._spawn(self._tell_deployment(reason, state.reason or ""), "event")

    async def _tell_deployment(self, reason: str, message: str) -> None:
        deployment = await self._kube.own_deployment()
        if deployment is not None and self._leading:
            await self._kube.emit_event(deployment, type="Warning", reason=reason, message=message)

    def _gauges(self) -> None:
        """Values that exist elsewhere are read when they are scraped."""
        d, metrics = self._d, self._metrics
        metrics.queue_depth.set_function(lambda: d.queue.depth)
        metrics.queue_oldest.set_function(lambda: d.queue.oldest_seconds)
        metrics.clock_skew.set_function(lambda: d.kube.skew_seconds or 0.0)
        metrics.api_credentials_valid.set(1)
        metrics.api_token_expiry.set_function(self._token_expiry)
        metrics.mass_loss.labels("bucket").set_function(lambda: d.bucket_losses.is_mass)
        metrics.mint_budget_exhausted.set_function(partial(count_exhausted_keys, d.store))
        metrics.untrusted_live_keys.set_function(partial(count_untrusted_keys, d.store))
        for kind in Kind:
            for ready in ("true", "false"):
                metrics.objects.labels(kind.value, ready).set_function(
                    partial(count_objects, d.store, kind, ready=ready == "true")
                )

    def _token_expiry(self) -> float:
        moment = self._api.token_expiry()
        return moment.timestamp() if moment is not None else 0.0


async def _cancelled(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def run_operator(settings: Settings) -> int:
    """Connect and run. Raises SettingsError for what only a person can mend."""
    credentials_for(settings).check()
    kube = await Kube.connect()
    if unknown := unknown_variables(os.environ):
        _log.warning(
            "%s: no such setting; is it misspelt, or of a service link?", ", ".join(unknown)
        )
    told = asyncio.Event()
    fence = FenceWatch(
        kube.fence,
        required=settings.require_fence,
        server_now=lambda: time.time() - (kube.skew_seconds or 0.0),
    )
    try:
        while True:
            ending = await Runtime(settings, kube, fence, told).run()
            if ending is not Ending.ANEW or told.is_set():
                return 1 if ending is Ending.LOST else 0
    finally:
        await kube.close()
