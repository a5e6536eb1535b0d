"""One life of the operator: watches around the Lease around the work, ended from the inside out.

    the HTTP ports
    └─ watches: the fence, both kinds, our Secrets
       └─ the Lease
          └─ work: the workers, the resync, the accounts, the alarms

Each level is a task group whose body holds the next level, all in one task. Ending a life cancels
that task where it waits, in the innermost group that it has reached: so the order in which things
stop is the order of these lines, read from the last to the first.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing, suppress
from math import inf
from typing import Any, TypeVar

from amove_operator.amove.credentials import check_credentials
from amove_operator.app import alarms, gauges, http, watches, wiring
from amove_operator.app.lead_guard import Ending, LeadGuard
from amove_operator.app.vitals import Vitals
from amove_operator.engine.heap import nothing_collected_in_full, short_collections
from amove_operator.engine.workers import run_workers
from amove_operator.errors import KubeRefused, KubeUnavailable
from amove_operator.kube import FenceWatch, Kube
from amove_operator.models.refs import Kind
from amove_operator.settings import Settings
from amove_operator.telemetry import Metrics

_log = logging.getLogger(__name__)
_RETRY_SECONDS = 5.0
_CRDS_SAID_EVERY = 12  # tries
_ACCOUNTS_SECONDS = 5.0
_CENSUS_HOLDS_SECONDS = 10.0
_GRANT = "; grant the operator the roles of the chart"
T = TypeVar("T")


class Life:
    """From the start until the process is asked to stop, or may not lead any more.

    ``asked_to_stop`` is of the process: a signal must not be lost between one life and the next.
    """

    def __init__(
        self, settings: Settings, kube: Kube, fence: FenceWatch, asked_to_stop: asyncio.Event
    ) -> None:
        self._settings = settings
        self._kube = kube
        self._fence = fence
        self._asked_to_stop = asked_to_stop
        self._ending: Ending | None = None
        self._filled_at = -inf
        self._metrics = Metrics()
        self._alarms = alarms.Alarms(kube, self._metrics)
        self._election = wiring.make_election(settings, kube)
        self._guard = LeadGuard(fence, self._election, self._alarms, self._end)
        self._vitals = Vitals(self._guard, lambda: kube.skew_seconds)
        gauges.show_process(self._metrics, kube, fence, self._leads, self._vitals.is_ready)

    async def run(self) -> Ending:
        """Live until something ends it; the HTTP ports answer from the first moment to the last.

        Raises SettingsError for what only a person can mend.
        """
        check_credentials(self._settings)
        with short_collections():
            return await self._live()

    async def _live(self) -> Ending:
        ports = self._settings.metrics_port, self._settings.health_port
        probes = self._vitals.live, self._vitals.ready
        async with http.serve(self._metrics.registry, *probes, *ports):
            self._task = asyncio.create_task(self._watch())
            self._take_signals()
            await asyncio.wait({self._task})
            if not self._task.cancelled():
                # No part may die alone: an operator that only looks alive is worse than none.
                died = self._task.exception()
                _log.critical("a part of the operator ended unexpectedly", exc_info=died)
            if self._ending is Ending.OVERLAP:
                await self._asked_to_stop.wait()
        return self._ending or Ending.LOST

    def _end(self, ending: Ending) -> None:
        """End this life from the inside out, whatever it waits for.

        The first reason counts, but no new life begins where this one ends for good: while a life
        that the fence ended lets its calls finish, it may see another operator's writes.
        """
        before = self._ending
        if before is None or (before is Ending.ANEW and ending is not Ending.ANEW):
            self._ending = ending
        if before is None:
            self._vitals.stopping = ending.value
            self._task.cancel()

    def _take_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal)
        if self._asked_to_stop.is_set():
            self._end(Ending.STOPPED)

    def _on_signal(self) -> None:
        self._asked_to_stop.set()
        self._end(Ending.STOPPED)

    # -- readiness ---------------------------------------------------------------------------------

    def _leads(self) -> bool:
        return self._guard.leads and self._ending is None

    async def _patiently(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask Kubernetes until it answers; /readyz and the log say what is waited for."""
        while True:
            try:
                answer = await ask()
            except (KubeUnavailable, KubeRefused) as error:
                hint = _GRANT if isinstance(error, KubeRefused) and error.status == 403 else ""
                self._vitals.waits_for = f"waiting for Kubernetes: {error}{hint}"
                _log.error("%s", self._vitals.waits_for)
                await asyncio.sleep(_RETRY_SECONDS)
            else:
                self._vitals.waited()
                return answer

    async def _crds_installed(self) -> None:
        tries = 0
        while missing := await self._patiently(self._kube.missing_crds):
            self._vitals.waits_for = (
                f"the CRDs of {' and '.join(missing)} are not installed: run 'amove-operator crds "
                "| kubectl apply -f -' or install the chart with crds.install=true"
            )
            if tries % _CRDS_SAID_EVERY == 0:
                _log.error("%s; waiting for them", self._vitals.waits_for)
            tries += 1
            await asyncio.sleep(_RETRY_SECONDS)

    # -- the levels --------------------------------------------------------------------------------

    async def _watch(self) -> None:
        """The outermost level. A standby watches too, so that it can take the lead at once."""
        async with asyncio.TaskGroup() as group:
            self._vitals.begin(group, self._fence.run(self._guard.on_fence_read), "the fence")
            await self._crds_installed()
            uid = await self._patiently(self._kube.cluster_uid)
            operator = wiring.wire(self._settings, self._kube, self._election, self._alarms, uid)
            self._vitals.operator = operator
            async with aclosing(operator.d.api):
                group.create_task(self._end_with_history(operator))
                await self._election.note_free()
                await self._fill_caches(group, operator)
                await self._guard.stand_behind_fence()
                await self._hold_lease(operator)

    async def _fill_caches(self, group: asyncio.TaskGroup, operator: wiring.Operator) -> None:
        namespaces = self._settings.watch_namespaces

        def on_event(kind: Kind, change: str | None, body: Mapping[str, Any]) -> None:
            self._metrics.watch_event.labels(kind.value).set_to_current_time()
            self._guard.check_overlap(kind, body["metadata"], operator.d.kube.field_manager)
            operator.dispatcher.on_object_event(kind, change, body)

        watching, login = asyncio.Event(), self._kube.transport.login
        both = watches.Watches(
            on_event, login, namespaces, self._crds_installed, self._take_signals
        )
        with nothing_collected_in_full():
            self._vitals.begin(group, both.run(watching), "the watches")
            self._vitals.begin(group, operator.secrets.run(), "the watch of Secrets")
            await watching.wait()
            await self._patiently(operator.census.take)
            await operator.secrets.synced.wait()
        self._filled_at = time.monotonic()
        self._vitals.fill()
        store = operator.d.store
        _log.info("watching: %d objects", len(store.buckets) + len(store.keys))

    async def _end_with_history(self, operator: wiring.Operator) -> None:
        await operator.d.store.history.went_back.wait()
        self._end(Ending.WENT_BACK)

    async def _hold_lease(self, operator: wiring.Operator) -> None:
        """Wait for the Lease, and work while we have it; it is released when the work has ended.

        Released last, because the next leader acts at once: if a create_storage_key of ours were
        still on its way, the next leader would find no key in the list and issue a second one.
        """
        won = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            election = self._election.run(won.set, lambda: self._on_lease_lost(operator))
            self._vitals.begin(group, election, "the Lease")
            await won.wait()
            await self._guard.on_lease_won(self._kube.skew_seconds or 0.0)
            if not self._is_census_of_now():
                await self._patiently(operator.census.take)
            await operator.dispatcher.on_leading()
            await self._guard.begin(operator.d)
            await self._work(operator)

    def _is_census_of_now(self) -> bool:
        """Whether nothing was served since the caches were filled, and that was just now.

        A standby's cache may be old: a key that went while another led was served by that leader.
        Without a complete list its deletion would be served a second time.
        """
        recent = time.monotonic() - self._filled_at < _CENSUS_HOLDS_SECONDS
        return recent and self._election.nobody_led_meanwhile

    def _on_lease_lost(self, operator: wiring.Operator) -> None:
        _log.error("the Lease was lost: this process ends, so that another can go on")
        operator.d.leadership.end()
        self._end(Ending.LOST)

    async def _work(self, operator: wiring.Operator) -> None:
        accounts_asked = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(_load_accounts(operator, accounts_asked))
            self._vitals.begin(group, _serve_queue(operator, accounts_asked), "the workers")
            self._vitals.begin(group, operator.resync.run(), "the resync")
            self._vitals.begin(group, self._alarms.run(), "the alarms")
            await operator.d.enqueue.all()


async def _load_accounts(operator: wiring.Operator, asked: asyncio.Event) -> None:
    """Read the accounts until it succeeds; whoever waits for them hears of each other failure."""
    d = operator.d
    while not d.accounts.loaded:
        if await d.accounts.load():
            await d.enqueue.all()
        asked.set()
        if not d.accounts.loaded:
            await asyncio.sleep(_RETRY_SECONDS if d.accounts.needed else d.resync)


async def _serve_queue(operator: wiring.Operator, accounts_asked: asyncio.Event) -> None:
    """Handle what is queued. Cancelled, it takes nothing more and lets calls in flight finish.

    A create_storage_key that is cut off may have made a key whose secret nobody has received.
    """
    queue = operator.d.queue
    # Else each new object would first be reported as waiting for the accounts.
    with suppress(TimeoutError):
        async with asyncio.timeout(_ACCOUNTS_SECONDS):
            await accounts_asked.wait()
    work = run_workers(queue, operator.dispatcher.handle, operator.d.workers)
    workers = asyncio.create_task(work)
    try:
        await asyncio.shield(workers)
    finally:
        queue.shutdown()
        await workers
