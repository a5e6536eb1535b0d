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
PAIRS, HOSTILE_PAIRS = 6, 6
"""So many buckets with a key each does the healthy team declare, twice; and the hostile one."""
MORE_CALLS = (60, 20)
"""So many more calls may be made until the healthy team is served than on a quiet day: a few for
each hostile object, as each call is tried three times, and fewer when their back-off has grown."""
A_STEP = 4
"""Seconds between two looks, and until the watches have caught up."""
LONG = 30
"""Minutes within which all is as declared once the answers are true."""
CALM = 3
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

    async def calls_of_healthy(self, stem: str) -> int:
        """The healthy team declares objects; the calls that were made until all were served."""
        refs = [ref for one in range(PAIRS) for ref in self.declare_healthy(f"{stem}-{one}")]
        calls = await self.minutes(LONG, *refs)
        assert all(self.is_ready(ref) for ref in refs), {r: self.cluster.says(r) for r in refs}
        return calls

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


def played_with(odd: str, token: Path) -> tuple[list[int], Scene]:
    """The play on a cluster of its own."""
    loop = VirtualTimeLoop()
    played: list[tuple[list[int], Scene]] = []

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


async def plays(scene: Scene, odd: str) -> list[int]:
    """The hostile team does all that there is to do; the calls until the healthy one is served.

    It declares all it has twice: as soon as the answers are odd, and minutes later.
    """
    cluster, amove = scene.cluster, scene.amove
    settled = scene.declare_hostile("old") + scene.declare_hostile("going")
    await scene.minutes(5, *settled)
    assert all(scene.is_ready(ref) for ref in settled)
    await scene.minutes(2)  # a list was read since

    amove.odd = odd
    new = [ref for number in range(HOSTILE_PAIRS) for ref in scene.declare_hostile(str(number))]
    hostile = settled[:2] + new
    cluster.annotate(settled[1], rotate_requested_at="now")
    edited(cluster, settled[0], versioningEnabled=True)
    for ref in settled[2:]:
        cluster.delete(ref)
    calls = [await scene.calls_of_healthy("soon")]
    await scene.minutes(CALM)
    calls.append(await scene.calls_of_healthy("later"))
    await scene.minutes(CALM)
    for ref in hostile:
        assert scene.is_ready(ref) or says_why(cluster, ref), cluster.says(ref)

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
def calls_on_a_quiet_day(token: Path) -> list[int]:
    """What the healthy team costs beside the other one when all answers are true."""
    return played_with("", token)[0]


@pytest.mark.parametrize("odd", ODD_ANSWERS)
def test_who_gets_an_odd_answer_for_ever_says_so_and_delays_nobody(odd: str, token: Path) -> None:
    calls, scene = played_with(odd, token)
    assert scene.amove.struck
    for found, quiet, more in zip(calls, calls_on_a_quiet_day(token), MORE_CALLS, strict=True):
        assert found <= quiet + more
    assert max(scene.live_at_once.values()) <= 2
    unknown = [key["name"] for key in scene.amove.keys.values() if parse_name(key["name"]) is None]
    assert unknown == []
    held = {
        body["metadata"]["annotations"]["storage.amove.io/key-id"]
        for body in scene.cluster.kube.secrets.values()
    }
    assert {str(key) for key in scene.amove.keys} == {key.lower() for key in held}
