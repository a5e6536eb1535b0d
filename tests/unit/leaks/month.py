"""Thirty days of a busy cluster, with all that the operator itself is made of.

The wiring, the clients, the queue with its workers, the resync and the watch of Secrets are the
real ones; the API server and the service answer from memory, and the clock is the event loop's.
"""

from __future__ import annotations

import asyncio
import copy
import random
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from amove_operator.amove import AmoveClient
from amove_operator.amove.session import Tuning
from amove_operator.app import gauges, wiring
from amove_operator.app.alarms import Alarms
from amove_operator.app.lead_guard import LeadGuard
from amove_operator.clock import Clock
from amove_operator.controllers.shared.dependencies import Dependencies
from amove_operator.engine.workers import run_workers
from amove_operator.engine.workqueue import WorkQueue
from amove_operator.errors import KubeRefused, KubeUnavailable
from amove_operator.kube import AlwaysLeading, FenceWatch, Kube
from amove_operator.kube import client as kube_client
from amove_operator.kube.events import EventLog
from amove_operator.models import FINALIZER
from amove_operator.models.refs import Kind, Ref
from amove_operator.settings import Settings
from amove_operator.telemetry import Metrics
from tests.stand_ins.amove_transport import InMemoryAmove
from tests.stand_ins.kube_transport import InMemoryApiServer, Place, secret_place
from tests.stand_ins.ports import Body
from tests.stand_ins.time import LoopTime
from tests.unit.virtual_time import VirtualTimeLoop

HOUR = 3600.0
DAY = 24 * HOUR
NAMESPACES = ("red", "blue", "trusted", "passing")
OTHERS = "example.com/other"
_MOST_OBJECTS = 26
_A_WRITE_FAILS = 0.06
_RESYNC = "6h"
_HEALABLE = {"MassBucketLoss", "MassKeyLoss", "ApiUserChanged", "BucketMissing"}


class MonthLoop(VirtualTimeLoop):
    """Its clock is a little later each time it is asked, as that of a process that works is.

    Else a wait so short that millions of seconds swallow it would be begun again for ever.
    """

    def time(self) -> float:
        self.now += 1e-6
        return self.now


class Replica:
    """One process: wired as the product is, and led or standing by."""

    def __init__(self, month: Month, *, leads: bool) -> None:
        self._month = month
        self._leads = leads
        kube = Kube(cast("Any", month.api), namespace="operator")
        metrics, election = Metrics(), AlwaysLeading()
        alarms = Alarms(kube, metrics)
        fence = FenceWatch(
            kube.fence, required=False, server_now=month.time.elapsed, clock=month.loop.time
        )
        self.guard = LeadGuard(fence, election, alarms, lambda _ending: None)
        gauges.show_process(metrics, kube, fence, lambda: leads, lambda: True)
        self.operator = wiring.wire(month.settings, kube, election, alarms, "cluster")
        self._alarms = alarms
        self._events: asyncio.Queue[tuple[Kind, str, Body]] = asyncio.Queue()
        month.api.on_change.append(lambda *event: self._events.put_nowait(event))

    @property
    def roots(self) -> list[object]:
        return [self.operator, self.guard]

    async def run(self) -> None:
        """Watch; and work, if it leads. As ``app/lifecycle.py`` has it, without Lease and Kopf."""
        operator = self.operator
        async with asyncio.TaskGroup() as group:
            group.create_task(self._take_in_events())
            group.create_task(operator.secrets.run())
            await self._list()
            await operator.secrets.synced.wait()
            if self._leads:
                await operator.dispatcher.on_leading()
                await self.guard.begin(operator.d)
                await operator.d.accounts.load()
                group.create_task(run_workers(operator.d.queue, operator.dispatcher.handle))
                group.create_task(operator.resync.run())
                group.create_task(self._alarms.run())
                await operator.d.enqueue.all()

    async def _list(self) -> None:
        while True:
            with suppress(KubeUnavailable, KubeRefused):
                return await self.operator.census.take()
            await asyncio.sleep(5)

    async def _take_in_events(self) -> None:
        """In their order, a moment late.

        The leader is not shown every end, and of some an old body once more: its lists make it
        true. A standby takes no lists.
        """
        rng = random.Random(5)  # noqa: S311 - what the watch shows
        take = self.operator.dispatcher.on_object_event
        while True:
            kind, change, body = await self._events.get()
            await asyncio.sleep(rng.uniform(0, 0.5))
            if change == "DELETED" and self._leads and rng.random() < 0.3:
                late = copy.deepcopy(body)
                self._month.loop.call_later(rng.uniform(0, 900), take, kind, "MODIFIED", late)
            if change != "DELETED" or not self._leads or rng.random() < 0.8:
                take(kind, change, body)


class Month:
    """The cluster, its people and their month."""

    def __init__(
        self, loop: MonthLoop, patch: pytest.MonkeyPatch, token: Path, *, watched: bool
    ) -> None:
        self.loop, self.time = loop, LoopTime(loop)
        self.rng = random.Random(11)  # noqa: S311 - what people do
        self.faulty = True
        self.api = InMemoryApiServer(self.time, self._fate_of_write)
        self.amove = InMemoryAmove(self.time, self._fate_of_call)
        self._token = token
        self._count = 0
        self.renew_token()
        self.settings = Settings.model_validate(
            {
                "token_file": token,
                "cloud_account_id": "11111111-1111-4111-8111-111111111111",
                "storage_dn": "s3.example",
                "trusted_namespaces": "trusted",
                "resync_interval": _RESYNC,
                "watch_namespaces": ",".join(NAMESPACES) if watched else "",
            }
        )
        self._wire_with_virtual_time(patch)
        self.leader = Replica(self, leads=True)
        self.standby = Replica(self, leads=False)

    def _wire_with_virtual_time(self, patch: pytest.MonkeyPatch) -> None:
        """What the wiring makes goes by the loop's clock, and sends to the service in memory."""
        clock = Clock(self.loop.time, lambda: self.time.true().timestamp(), asyncio.sleep)
        transport = httpx.MockTransport(self.amove.answer)
        client = partial(AmoveClient, transport=transport, tuning=Tuning(clock=clock))

        def dependencies(settings: Settings, *parts: Any) -> Dependencies:
            longest = settings.resync_interval.total_seconds()
            queue = WorkQueue[Any](clock=self.loop.time, backoff_cap=longest)
            return Dependencies(
                settings, *parts, queue=queue, clock=self.loop.time, now=self.time.local
            )

        patch.setattr(wiring, "AmoveClient", client)
        patch.setattr(wiring, "Dependencies", dependencies)
        patch.setattr(kube_client, "EventLog", partial(EventLog, clock=clock))

    def _fate_of_write(self) -> str:
        words = ("unanswered, done", "unanswered, not done", "refused")
        return self._fate(words)

    def _fate_of_call(self) -> str:
        words = ("unanswered, done", "unanswered, not done", "refused", "slow down")
        return self._fate(words)

    def _fate(self, words: tuple[str, ...]) -> str:
        fails = self.faulty and self.rng.random() < _A_WRITE_FAILS
        return self.rng.choice(words) if fails else "ok"

    # -- its course ------------------------------------------------------------------------------

    async def live(self, days: int) -> None:
        """People do what they do."""
        for _ in range(days * 24):
            self.rng.choice(self.actions)()
            await asyncio.sleep(HOUR)
            self._accept_losses()
            self.loop.timers.clear()  # they are noted for other tests, and hold what they call

    async def calm_down(self) -> None:
        """Nothing fails any more, nobody holds anything up, and two days pass."""
        self.faulty = self.amove.down = False
        self.api.closed.clear()
        self.api.gone.clear()
        for ref in self._objects():
            self._release(ref)
            self._annotate(ref, "paused", None)
        for _ in range(48):
            self._accept_losses()
            await asyncio.sleep(HOUR)

    async def end(self) -> None:
        """All that there is goes, in whatever way."""
        for ref in self._objects():
            self._delete(ref)
        await asyncio.sleep(DAY)
        for body in self.api.secrets():
            meta = body["metadata"]
            self.api.delete(secret_place(meta["namespace"], meta["name"]))
        self.amove.keys.clear()
        # Deletions that keys held up go on. Were their buckets gone at once with these, so many
        # would be a mass loss, which waits for a person.
        await asyncio.sleep(DAY)
        self.amove.buckets.clear()
        await asyncio.sleep(DAY)

    # -- people ----------------------------------------------------------------------------------

    @property
    def actions(self) -> list[Callable[[], None]]:
        """What may happen next; what is listed twice happens twice as often."""
        return [
            *[self.make_bucket, self.make_key, self.make_key] * 3,
            *[self.delete_one, self.delete_one_that_another_keeps] * 2,
            *[self.ask_for_rotation, self.edit_key] * 2,
            self.replace_one,
            self.take_finalizer_off,
            self.take_object_away,
            self.pause_one,
            self.revoke_key,
            self.remove_bucket,
            self.delete_secret,
            self.make_foreign_secret,
            self.take_role_away,
            self.take_namespace_away,
            self.break_service,
            self.renew_token,
        ]

    def _objects(self, kind: Kind | None = None) -> list[Ref]:
        return [ref for one in Kind if kind in (None, one) for ref in self.api.refs(one)]

    def _any(self, kind: Kind | None = None) -> Ref | None:
        found = self._objects(kind)
        return self.rng.choice(found) if found else None

    def _later(self, what: Callable[[], None], least: float, most: float) -> None:
        self.loop.call_later(self.rng.uniform(least, most), what)

    def _apply(self, kind: Kind, namespace: str, spec: Body) -> None:
        ref = Ref(kind, namespace, f"{kind.value[5]}{self.rng.randrange(8)}".lower())
        crowded = len(self._objects()) >= _MOST_OBJECTS
        if not crowded and namespace not in self.api.gone and self.api.of(ref) is None:
            self.api.apply(ref, spec)

    def make_bucket(self) -> None:
        """Of a few names, so that teams want the same."""
        own = self.rng.random() < 0.7
        spec = {"bucketName": f"name-{self._fresh() if own else self.rng.randrange(4)}"}
        spec["deletionPolicy"] = self.rng.choice(["Delete", "Delete", "Retain"])
        self._apply(Kind.BUCKET, self.rng.choice(NAMESPACES), spec)

    def make_key(self) -> None:
        namespace = self.rng.choice(NAMESPACES)
        here = (ref for ref in self._objects(Kind.BUCKET) if ref.namespace == namespace)
        buckets = [ref.name for ref in here if self._is_ready(ref)]
        if not buckets:
            return
        spec: Body = {"permission": "ReadWrite", "rotation": {"gracePeriod": "1h"}}
        spec["bucketRefs"] = [{"name": name} for name in buckets[: self.rng.randint(1, 2)]]
        if self.rng.random() < 0.7:
            spec["rotation"]["interval"] = self.rng.choice(["6h", "24h", "100h"])
        if namespace == "trusted":
            spec["deletionPolicy"] = self.rng.choice(["Delete", "Retain"])
        self._apply(Kind.KEY, namespace, spec)

    def _reasons(self, ref: Ref) -> set[str]:
        body = self.api.of(ref)
        return {one["reason"] for one in body["status"].get("conditions", ())} if body else set()

    def _is_ready(self, ref: Ref) -> bool:
        return "Available" in self._reasons(ref)

    def _delete(self, ref: Ref) -> None:
        self.api.delete(Place(ref.kind.plural, ref.namespace, ref.name))

    def _any_to_delete(self) -> Ref | None:
        """Rather a key than a bucket, with which its keys would end."""
        return self._any(self.rng.choice([Kind.KEY, Kind.KEY, None]))

    def delete_one(self) -> None:
        if (ref := self._any_to_delete()) is not None:
            self._delete(ref)

    def delete_one_that_another_keeps(self) -> None:
        """Its other finalizer stays for days."""
        if (ref := self._any_to_delete()) is None:
            return

        def keep(body: Body) -> None:
            body["metadata"].setdefault("finalizers", []).append(OTHERS)

        self.api.edit(ref, keep)
        self._delete(ref)
        self._later(partial(self._release, ref), DAY, 4 * DAY)

    def _release(self, ref: Ref) -> None:
        """Others take their own finalizers off."""

        def release(body: Body) -> None:
            left = [one for one in body["metadata"].get("finalizers", ()) if one != OTHERS]
            body["metadata"]["finalizers"] = left

        body = self.api.of(ref)
        if body is not None and OTHERS in body["metadata"].get("finalizers", ()):
            self.api.edit(ref, release)

    def replace_one(self) -> None:
        """Deleted, and made again as soon as it is gone."""
        ref = self._any_to_delete()
        if ref is None or (body := self.api.of(ref)) is None:
            return
        self._delete(ref)
        spec = copy.deepcopy(body["spec"])

        def again() -> None:
            if self.api.of(ref) is None and ref.namespace not in self.api.gone:
                self.api.apply(ref, spec)

        self._later(again, 1, 60)

    def take_finalizer_off(self) -> None:
        if (ref := self._any_to_delete()) is not None:
            self.api.edit(ref, _strip)

    def take_object_away(self) -> None:
        """Its finalizer is taken off and it is deleted: it vanishes."""
        if (ref := self._any_to_delete()) is not None:
            self.api.edit(ref, _strip)
            self._delete(ref)

    def _annotate(self, ref: Ref, name: str, value: str | None) -> None:
        def annotate(body: Body) -> None:
            notes = body["metadata"]["annotations"]
            notes.pop(f"storage.amove.io/{name}", None)
            if value is not None:
                notes[f"storage.amove.io/{name}"] = value

        self.api.edit(ref, annotate)

    def ask_for_rotation(self) -> None:
        if (ref := self._any(Kind.KEY)) is not None:
            self._annotate(ref, "rotate-requested-at", self._fresh())

    def _fresh(self) -> str:
        self._count += 1
        return f"n{self._count}"

    def edit_key(self) -> None:
        if (ref := self._any(Kind.KEY)) is None:
            return
        permission = self.rng.choice(["Read", "ReadWrite"])
        self.api.edit(ref, lambda body: body["spec"].update(permission=permission), spec=True)

    def pause_one(self) -> None:
        if (ref := self._any()) is not None:
            self._annotate(ref, "paused", "true")
            self._later(partial(self._annotate, ref, "paused", None), HOUR, DAY)

    def revoke_key(self) -> None:
        """Somebody else does, at the service."""
        if self.amove.keys:
            del self.amove.keys[self.rng.choice(list(self.amove.keys))]

    def remove_bucket(self) -> None:
        if self.amove.buckets:
            del self.amove.buckets[self.rng.choice(list(self.amove.buckets))]

    def delete_secret(self) -> None:
        if found := self.api.secrets():
            meta = self.rng.choice(found)["metadata"]
            self.api.delete(secret_place(meta["namespace"], meta["name"]))

    def make_foreign_secret(self) -> None:
        """It says that it holds a key of ours; it goes some days later."""
        namespace, name = self.rng.choice(NAMESPACES), f"decoy-{self._fresh()}"
        claims = self.rng.choice([*self.amove.keys, "no-key"])
        notes = {"storage.amove.io/key-id": claims, "storage.amove.io/owner-uid": "uid-1"}
        meta = {"labels": {"storage.amove.io/managed": "true"}, "annotations": notes}
        place = secret_place(namespace, name)
        self.api.make(place, {"metadata": meta, "type": "Opaque", "data": {}})
        self._later(lambda: self.api.delete(place), HOUR, 3 * DAY)

    def take_role_away(self) -> None:
        """Of a namespace that goes on; only where each has a role of its own."""
        if self.settings.watch_namespaces:
            self.api.closed.add("passing")
            self._later(lambda: self.api.closed.discard("passing"), 60, HOUR)

    def take_namespace_away(self) -> None:
        """With all that is in it; it comes back later, and is asked for often until then."""
        for ref in self._objects():
            if ref.namespace == "passing":
                self._delete(ref)
        for body in self.api.secrets():
            if body["metadata"]["namespace"] == "passing":
                self.api.delete(secret_place("passing", body["metadata"]["name"]))
        if self.settings.watch_namespaces:
            self.api.gone.add("passing")
            self._later(lambda: self.api.gone.discard("passing"), 600, 2 * HOUR)

    def break_service(self) -> None:
        self.amove.down = True
        self._later(lambda: setattr(self.amove, "down", False), 60, 600)

    def renew_token(self) -> None:
        fresh = self._token.with_suffix(".fresh")
        fresh.write_text(f"amv_token-{self._fresh():>020}")
        fresh.replace(self._token)

    def _accept_losses(self) -> None:
        """A person reads the conditions."""
        for ref in self._objects():
            if _HEALABLE & self._reasons(ref):
                self._annotate(ref, "accept-loss", self._fresh())


def _strip(body: Body) -> None:
    others = [one for one in body["metadata"].get("finalizers", ()) if one != FINALIZER]
    body["metadata"]["finalizers"] = others
