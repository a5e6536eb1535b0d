"""Each odd answer for ever: what it is about says so, and nobody else waits for it.

The controllers and the client are the real ones, with pace, retries and breaker, on a virtual
clock. Delay is counted in calls: what the others' objects cost by the time that all are ready.
"""

from __future__ import annotations

import asyncio
from functools import cache
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from amove_emulator import ODD_ANSWERS
from amove_operator.amove import AmoveClient
from amove_operator.amove.session import Tuning
from amove_operator.clock import Clock
from amove_operator.controllers.resync import Resync
from amove_operator.core.naming import parse_name
from amove_operator.models.refs import Ref
from tests.stand_ins.odd_transport import OddAmove
from tests.unit.bucket_cluster import BucketCluster
from tests.unit.virtual_time import VirtualTimeLoop

HEALTHY, HOSTILE = "healthy", "odd"
PAIRS = 6
"""So many buckets with a key each does the healthy team declare."""
MORE_CALLS = 60
"""What the hostile team's three buckets and keys may cost the others: with their retries."""
A_STEP = 2
"""Seconds between two looks, and until the watches have caught up."""
LONG = 30
"""Minutes within which all is as declared once the answers are true."""
CALM = 5
"""Minutes for which it stays so."""


class OddCluster(BucketCluster):
    """One operator with the real client, above a service whose answers to one team are odd."""

    def __init__(self, loop: VirtualTimeLoop, token: Path) -> None:
        self._token, self._loop = token, loop
        self.amove: OddAmove | None = None
        super().__init__(loop, resync="2m")

    def start(self) -> None:
        """A process takes the lead, with a client of its own."""
        clock = Clock(self.loop.time, lambda: self.time.true().timestamp(), asyncio.sleep)
        self.amove = self.amove or OddAmove(self.time, HOSTILE)
        self._settings = self._settings.model_copy(update={"token_file": self._token})
        self.client = AmoveClient(
            self._settings,
            transport=httpx.MockTransport(self.amove.answer),
            tuning=Tuning(clock=clock, rng=lambda: 0.5),
        )
        self.service = cast("Any", self.client)
        super().start()

    async def stop(self) -> None:
        """The process ends."""
        await super().stop()
        await self.client.aclose()


class Scene:
    """A healthy team, and one whose objects have HOSTILE in the names of all that they reach."""

    def __init__(self, cluster: OddCluster) -> None:
        self.cluster = cluster
        assert cluster.amove is not None
        self.amove = cluster.amove
        self.live_at_once: dict[str, int] = {}

    def declare_hostile(self, stem: str) -> list[Ref]:
        """A bucket and a key for it."""
        name = f"{HOSTILE}-{stem}"
        return [
            self.cluster.apply(HOSTILE, name, deletionPolicy="Delete"),
            self.cluster.apply_key(HOSTILE, name, name, rotation={"gracePeriod": "10s"}),
        ]

    def declare_healthy(self, stem: str) -> list[Ref]:
        """A bucket and a key for it."""
        name = f"{HEALTHY}-{stem}"
        refs = [self.cluster.apply(HEALTHY, name)]
        return [*refs, self.cluster.apply_key(HEALTHY, name, name)]

    async def minutes(self, most: int, *refs: Ref) -> int:
        """Let so many pass at most, until all these are ready; the number of calls meanwhile."""
        began = len(self.amove.calls)
        for _ in range(most * 60 // A_STEP):
            if refs and all(self.is_ready(ref) for ref in refs):
                break
            await self.cluster.passes(A_STEP)
            self.cluster.watch()
            self._count_live()
        return len(self.amove.calls) - began

    def is_ready(self, ref: Ref) -> bool:
        """Whether it is settled."""
        told = self.cluster.says(ref)
        return {told.get(one, ("",))[0] for one in ("Ready", "Synced")} == {"True"}

    def _count_live(self) -> None:
        live: dict[str, int] = {}
        for key in self.amove.keys.values():
            parsed = parse_name(key["name"])
            owner = "" if parsed is None else parsed.marker.owner
            live[owner] = live.get(owner, 0) + 1
        for owner, number in live.items():
            if owner:
                self.live_at_once[owner] = max(number, self.live_at_once.get(owner, 0))


def calls_of_healthy(odd: str, token: Path) -> tuple[int, Scene]:
    """Play it; the calls that were made until the healthy team was served."""
    loop = VirtualTimeLoop()
    played: list[tuple[int, Scene]] = []

    async def scenario() -> None:
        cluster = OddCluster(loop, token)
        scene = Scene(cluster)
        sweeping = loop.create_task(Resync(cluster.dispatcher).run())
        try:
            played.append((await plays(scene, odd), scene))
        finally:
            sweeping.cancel()
            await asyncio.gather(sweeping, return_exceptions=True)
            await cluster.stop()

    try:
        loop.run(scenario())
    finally:
        loop.close()
    return played[0]


async def plays(scene: Scene, odd: str) -> int:
    cluster, amove = scene.cluster, scene.amove
    settled = scene.declare_hostile("old") + scene.declare_hostile("going")
    await scene.minutes(5, *settled)
    assert all(scene.is_ready(ref) for ref in settled)
    await scene.minutes(2)  # a list was read since

    amove.odd = odd
    hostile = settled[:2] + scene.declare_hostile("new")
    cluster.annotate(settled[1], rotate_requested_at="now")
    edited(cluster, settled[0], versioningEnabled=True)
    for ref in settled[2:]:
        cluster.delete(ref)
    healthy = [ref for number in range(PAIRS) for ref in scene.declare_healthy(str(number))]
    calls = await scene.minutes(LONG, *healthy)
    assert all(scene.is_ready(ref) for ref in healthy), {r: cluster.says(r) for r in healthy}
    await scene.minutes(CALM)
    for ref in hostile:
        assert scene.is_ready(ref) or says_why(cluster, ref), cluster.says(ref)
    assert all(scene.is_ready(ref) for ref in healthy)

    amove.odd = ""
    for _ in range(LONG):
        if all(scene.is_ready(ref) for ref in hostile):
            break
        await scene.minutes(1)
        for ref in hostile:
            acts_on_condition(cluster, ref)
    await scene.minutes(CALM)
    assert all(scene.is_ready(ref) for ref in hostile), {r: cluster.says(r) for r in hostile}
    assert not [ref for ref in settled[2:] if ref in cluster.kube.crs]
    return calls


def edited(cluster: BucketCluster, ref: Ref, **spec: Any) -> None:
    """A person edits the spec."""
    cluster.kube.crs[ref]["spec"] |= spec
    cluster.kube.crs[ref]["metadata"]["generation"] += 1
    cluster.annotate(ref)


def acts_on_condition(cluster: BucketCluster, ref: Ref) -> None:
    """What the message asks of people: another try; or an admin's word that a bucket is ours.

    Of a bucket that showed no more, and "exists already" when it was to be made again, nothing can
    be known.
    """
    match cluster.says(ref)["Synced"]:
        case "False", "ApiRefused":
            cluster.annotate(ref, reconcile_requested_at=str(cluster.time.elapsed()))
        case "False", "BucketExists":
            cluster.kube.crs[ref]["status"]["provenance"] = "Adopted"
            cluster.annotate(ref)


def says_why(cluster: BucketCluster, ref: Ref) -> bool:
    """Whether a condition tells why it is not as declared."""
    told = {one["type"]: one for one in cluster.kube.crs[ref]["status"]["conditions"]}
    return told["Synced"]["status"] == "False" and bool(told["Synced"]["message"])


@pytest.fixture(scope="module")
def token(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the API."""
    path = tmp_path_factory.mktemp("token") / "token"
    path.write_text("amv_token")
    return path


@cache
def calls_on_a_quiet_day(token: Path) -> int:
    """What the healthy team costs beside the same hostile objects, when all answers are true."""
    return calls_of_healthy("", token)[0]


@pytest.mark.parametrize("odd", ODD_ANSWERS)
def test_who_gets_an_odd_answer_for_ever_says_so_and_delays_nobody(odd: str, token: Path) -> None:
    calls, scene = calls_of_healthy(odd, token)
    assert scene.amove.struck
    assert calls <= calls_on_a_quiet_day(token) + MORE_CALLS
    assert max(scene.live_at_once.values()) <= 2
    unknown = [key["name"] for key in scene.amove.keys.values() if parse_name(key["name"]) is None]
    assert unknown == []
    held = {
        body["metadata"]["annotations"]["storage.amove.io/key-id"]
        for body in scene.cluster.kube.secrets.values()
    }
    assert {str(key) for key in scene.amove.keys} == {key.lower() for key in held}
