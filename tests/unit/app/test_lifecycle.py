"""One life of the operator, all that it starts stood in for: what ends it, and in which order."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from amove_operator.amove import BreakerState
from amove_operator.app import lifecycle, watches, wiring
from amove_operator.app.health import Health
from amove_operator.app.lead_guard import Ending
from amove_operator.app.lifecycle import Life
from amove_operator.controllers.shared.leadership import Leadership, Namespaces
from amove_operator.controllers.shared.store import Store
from amove_operator.engine.workqueue import WorkQueue
from amove_operator.kube import FenceWatch, Kube
from amove_operator.models.refs import Kind
from amove_operator.settings import Settings
from tests.patience import PATIENCE

DOWN = BreakerState(open=True, cause="unavailable", reason="the service is down")
STAGES = (
    "CRDs",
    "cluster UID",
    "Kopf ready",
    "first list",
    "Secrets listed",
    "fence",
    "standby",
    "fence read anew",
    "list before the lead",
    "work",
)


class Stage:
    """All that a life starts, as stand-ins that note what they did in ``noted``.

    ``hold``: the stage that does not end by itself. ``Life`` sees the rest of the world only here.
    """

    def __init__(self, hold: str = "work") -> None:
        self.hold = hold
        self.noted: list[str] = []
        self.asked_to_stop = asyncio.Event()
        self.reached = asyncio.Event()
        self.dies: dict[str, BaseException] = {}
        self.faults: list[str] = []
        self.goes_missing: list[str] = []
        self.nobody_led = False
        self.lose: Callable[[], None] = lambda: None
        self.on_fence_read: Callable[[], None] = lambda: None
        self.on_event: Callable[..., None] = lambda *_: None
        self.queue = WorkQueue[Any]()
        self.accounts = SimpleNamespace(load=self.load_accounts, loaded=False, needed=True)
        self.concurrency = 16
        self.crowd: asyncio.Barrier | None = None
        self.store = Store()
        self.lists = iter(("first list", "list before the lead"))
        self.seen: list[Any] = []
        self.background: list[asyncio.Task[None]] = []

    async def pass_by(self, stage: str) -> None:
        """Go on at once, or never."""
        if stage == self.hold:
            self.reached.set()
            await asyncio.Event().wait()

    async def part(self, name: str) -> None:
        """Something that runs until it is cancelled, or dies at once."""
        if name in self.dies:
            raise self.dies[name]
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.01)
            self.noted.append(f"{name} ended")

    # -- what it starts ----------------------------------------------------------------------------

    async def missing_crds(self) -> list[str]:
        await self.pass_by("CRDs")
        return self.goes_missing if "leads" in self.noted else []

    async def cluster_uid(self) -> str:
        await self.pass_by("cluster UID")
        return "uid"

    def watches(self, on_event: Any, _login: Any, _spaces: Any, served: Any, take: Any) -> Any:
        self.on_event = on_event
        return SimpleNamespace(run=partial(self.watch, served, take))

    async def watch(self, served: Any, take: Any, ready: Any) -> None:
        take()
        if self.hold == "Kopf ready":
            self.reached.set()
        else:
            ready.set()
        if self.goes_missing:
            while "leads" not in self.noted:
                await asyncio.sleep(0.01)
            self.background.append(asyncio.create_task(self.note_soon("asked anew")))
            await served()
        await self.part("Kopf")

    async def note_soon(self, what: str) -> None:
        await asyncio.sleep(0.05)
        self.noted.append(what)

    async def take(self) -> None:
        self.noted.append(list_taken := next(self.lists))
        await self.pass_by(list_taken)

    async def read_fence(self, on_read: Callable[[], None]) -> None:
        self.on_fence_read = on_read
        await self.part("fence")

    async def compete(self, on_lead: Callable[[], None], on_loss: Callable[[], None]) -> None:
        await self.pass_by("standby")
        self.lose = on_loss
        on_lead()
        await self.part("Lease")

    async def load_accounts(self) -> bool:
        self.noted.append("accounts")
        self.accounts.loaded = True
        return True

    async def handle(self, item: str) -> None:
        if self.crowd is not None:
            await self.crowd.wait()
        self.reached.set()
        await asyncio.sleep(0.05)
        self.noted.append(f"{item} handled")

    async def enqueue_all(self) -> None:
        self.queue.add("photos")

    async def close_api(self) -> None:
        self.noted.append("API closed")

    def wire(self, *_: Any) -> Any:
        listed = asyncio.Event()
        if self.hold == "Secrets listed":
            self.reached.set()
        else:
            listed.set()
        leadership = Leadership()

        async def on_leading() -> None:
            leadership.begin(0.0)
            self.noted.append("leads")

        dispatcher = SimpleNamespace(
            on_leading=on_leading,
            handle=self.handle,
            on_object_event=lambda *event: self.seen.append(event),
        )
        d = SimpleNamespace(
            api=SimpleNamespace(aclose=self.close_api, breaker=SimpleNamespace(state=DOWN)),
            namespaces=Namespaces(),
            key_lists=SimpleNamespace(incomplete=None),
            queue=self.queue,
            workers=self.concurrency,
            store=self.store,
            accounts=self.accounts,
            kube=SimpleNamespace(field_manager="amove-operator/ours"),
            leadership=leadership,
            enqueue=SimpleNamespace(all=self.enqueue_all),
        )
        return SimpleNamespace(
            d=d,
            dispatcher=dispatcher,
            census=SimpleNamespace(take=self.take),
            resync=SimpleNamespace(run=lambda: self.part("resync")),
            secrets=SimpleNamespace(run=lambda: self.part("Secrets"), synced=listed, refused=None),
        )

    def life(self, token: Path) -> Life:
        kube = SimpleNamespace(
            missing_crds=self.missing_crds,
            cluster_uid=self.cluster_uid,
            transport=SimpleNamespace(login=None, on_request=None),
            skew_seconds=None,
            namespace="amove-system",
        )
        fence = SimpleNamespace(
            run=self.read_fence,
            stand=lambda: self.pass_by("fence"),
            check=lambda: self.pass_by("fence read anew"),
            why_not=lambda: self.faults[0] if self.faults else None,
            fault=lambda: None,
            required=True,
            identity="a/b",
            made_at=None,
            noted=None,
            stands=True,
            intact=True,
        )
        settings = Settings(token_file=token, leader_election=False, metrics_port=0, health_port=0)
        return Life(settings, cast(Kube, kube), cast(FenceWatch, fence), self.asked_to_stop)


Act = Callable[[Stage, Life], None]
Live = Callable[[Stage, Act], Awaitable[Ending]]


@pytest.fixture
def live(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Live:
    """Live until the stage is reached, act, and say how the life ended."""

    async def run(stage: Stage, act: Act) -> Ending:
        monkeypatch.setattr(wiring, "wire", stage.wire)
        monkeypatch.setattr(watches, "Watches", stage.watches)
        monkeypatch.setattr(
            wiring,
            "make_election",
            lambda *_: SimpleNamespace(
                run=stage.compete,
                annotation=lambda _: "a/b",
                annotate=lambda *_: None,
                note_free=lambda: stage.pass_by("Lease read"),
                nobody_led_meanwhile=stage.nobody_led,
                unreadable=None,
                standing_by="standing by: the Lease amove is held by another",
            ),
        )
        token = tmp_path / "token"
        token.write_text("a-token")
        life = stage.life(token)
        async with asyncio.timeout(PATIENCE):
            ending = asyncio.create_task(life.run())
            reached = asyncio.create_task(stage.reached.wait())
            await asyncio.wait({ending, reached}, return_when=asyncio.FIRST_COMPLETED)
            act(stage, life)
            return await ending

    return run


def sigterm(*_: Any) -> None:
    os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize("hold", STAGES)
async def test_sigterm_ends_every_stage(hold: str, live: Live) -> None:
    stage = Stage(hold)
    assert await live(stage, sigterm) is Ending.STOPPED
    assert stage.noted[-1] in ("fence ended", "Kopf ended", "Secrets ended")
    assert ("leads" in stage.noted) is (hold == "work")


async def test_what_fills_the_caches_is_kept_from_full_collections_for_one_life(live: Live) -> None:
    frozen: list[int] = []
    thresholds = gc.get_threshold()

    def act(stage: Stage, life: Life) -> None:
        frozen.append(gc.get_freeze_count())
        sigterm(stage, life)

    await live(Stage("standby"), act)
    assert gc.get_threshold() == thresholds
    assert frozen[0] > 0
    assert gc.get_freeze_count() == 0


@pytest.mark.parametrize(
    ("nobody_led", "seconds", "lists"),
    [
        pytest.param(True, 10.0, 1, id="nobody led since"),
        pytest.param(False, 10.0, 2, id="somebody may have led since"),
        pytest.param(True, 0.0, 2, id="the caches were filled long ago"),
    ],
)
async def test_objects_are_listed_again_before_the_lead_where_they_may_have_been_served_since(
    nobody_led: bool, seconds: float, lists: int, live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifecycle, "_CENSUS_HOLDS_SECONDS", seconds)
    stage = Stage()
    stage.nobody_led = nobody_led
    await live(stage, sigterm)
    before_the_lead = stage.noted[: stage.noted.index("leads")]
    assert [one for one in before_the_lead if "list" in one] == [
        "first list",
        "list before the lead",
    ][:lists]


async def test_a_signal_from_the_life_before_ends_the_next_at_once(live: Live) -> None:
    stage = Stage()
    stage.asked_to_stop.set()
    stage.reached.set()
    assert await live(stage, lambda *_: None) is Ending.STOPPED
    assert stage.noted == []


async def test_calls_in_flight_end_before_the_lease_is_released_and_the_watches_end_last(
    live: Live,
) -> None:
    stage = Stage()
    await live(stage, sigterm)
    order = [stage.noted.index(each) for each in ("photos handled", "Lease ended", "API closed")]
    assert order == sorted(order)
    assert set(stage.noted[order[-1] + 1 :]) == {"Kopf ended", "Secrets ended", "fence ended"}
    assert stage.noted.index("resync ended") < stage.noted.index("Lease ended")


@pytest.mark.parametrize("part", ["Kopf", "Secrets", "fence", "resync", "Lease"])
async def test_no_part_dies_alone_and_the_lease_is_released_after_the_work(
    part: str, live: Live, caplog: pytest.LogCaptureFixture
) -> None:
    stage = Stage()
    stage.reached.set()
    stage.dies[part] = RuntimeError(f"{part} is broken")
    assert await live(stage, lambda *_: None) is Ending.LOST
    (line,) = [each for each in caplog.records if each.levelname == "CRITICAL"]
    assert line.getMessage() == "a part of the operator ended unexpectedly"
    assert f"{part} is broken" in caplog.text
    if "Lease ended" in stage.noted and "resync ended" in stage.noted:
        assert stage.noted.index("resync ended") < stage.noted.index("Lease ended")


async def test_as_many_objects_are_served_at_a_time_as_calls_are_allowed(live: Live) -> None:
    stage = Stage()
    stage.concurrency = 20
    stage.crowd = asyncio.Barrier(20)
    for number in range(19):
        stage.queue.add(f"object {number}")
    assert await live(stage, sigterm) is Ending.STOPPED
    assert sum(each.endswith(" handled") for each in stage.noted) == 20


async def test_the_loss_of_the_lease_lets_calls_in_flight_end(live: Live) -> None:
    stage = Stage()
    assert await live(stage, lambda *_: stage.lose()) is Ending.LOST
    assert "photos handled" in stage.noted


@pytest.mark.parametrize("hold", ["first list", "standby", "work"])
async def test_a_history_that_went_back_ends_a_leader_and_a_standby_in_order(
    hold: str, live: Live
) -> None:
    stage = Stage(hold)
    ending = await live(stage, lambda *_: stage.store.history.went_back.set())
    assert ending is Ending.WENT_BACK
    assert ("photos handled" in stage.noted) is (hold == "work")
    assert stage.noted[-1] in ("fence ended", "Kopf ended", "Secrets ended")


def take_the_fence_away(stage: Stage, _life: Life) -> None:
    stage.faults.append("there is no fence")
    stage.on_fence_read()


@pytest.mark.parametrize(
    ("hold", "message"),
    [("standby", "this process may not lead"), ("work", "this process does not lead any more")],
)
async def test_a_fence_that_goes_away_begins_a_life_anew(
    hold: str, message: str, live: Live, caplog: pytest.LogCaptureFixture
) -> None:
    assert await live(Stage(hold), take_the_fence_away) is Ending.ANEW
    assert f"{message}: there is no fence" in caplog.text


async def test_a_fence_that_is_away_before_it_ever_stood_ends_nothing(live: Live) -> None:
    stage = Stage("fence")

    def act(stage: Stage, life: Life) -> None:
        take_the_fence_away(stage, life)
        sigterm()

    assert await live(stage, act) is Ending.STOPPED


@pytest.mark.parametrize("fence_goes", [False, True])
async def test_after_an_overlap_it_rests_until_it_is_asked_to_stop(
    live: Live, fence_goes: bool
) -> None:
    """Also where it is seen while the calls in flight end, since the fence went just before."""
    stage = Stage()
    status = {
        "manager": "amove-operator/theirs/amove",
        "subresource": "status",
        "time": "2999-01-01T00:00:00Z",
    }
    meta = {
        "namespace": "team",
        "name": "photos",
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "managedFields": [status],
    }

    def act(stage: Stage, life: Life) -> None:
        async def stop_once_it_rests() -> None:
            while "Kopf ended" not in stage.noted:
                await asyncio.sleep(0.01)
            ready, live = life._vitals.ready(), life._vitals.live()
            assert (ready.code, live.code) == (503, 200), "a restart would not help"
            stage.noted.append(ready.body)
            sigterm()

        if fence_goes:
            take_the_fence_away(stage, life)
        stage.on_event(Kind.BUCKET, None, {"metadata": meta})
        stage.background.append(asyncio.create_task(stop_once_it_rests()))

    assert await live(stage, act) is Ending.OVERLAP
    assert "that of Lease theirs/amove" in stage.noted[-1]


async def health_of(stage: Stage, live: Live, *, until: str = "") -> tuple[Health, Health]:
    """What /healthz and /readyz answer at the stage, or once a part has ended."""
    seen: list[tuple[Health, Health]] = []

    def act(stage: Stage, life: Life) -> None:
        async def look() -> None:
            while until and until not in stage.noted:
                await asyncio.sleep(0.01)
            seen.append((life._vitals.live(), life._vitals.ready()))
            sigterm()

        stage.background.append(asyncio.create_task(look()))

    await live(stage, act)
    return seen[0]


@pytest.mark.parametrize(
    ("hold", "says"),
    [
        ("CRDs", "the caches are not filled yet"),
        ("Kopf ready", "the caches are not filled yet"),
        ("fence", "ok"),
        ("standby", "standing by: the Lease amove is held by another"),
        ("work", "calls to the Amove API wait: the service is down"),
    ],
)
async def test_each_stage_says_what_it_waits_for_and_is_alive(
    hold: str, says: str, live: Live
) -> None:
    alive, ready = await health_of(Stage(hold), live)
    assert alive.code == 200
    assert ready.code == (503 if "not filled" in says else 200)
    assert says in ready.body


async def test_while_the_rest_ends_a_part_that_died_is_a_liveness_failure(live: Live) -> None:
    """The calls in flight may take a minute; nobody takes the process for sound meanwhile."""
    stage = Stage()
    stage.dies["resync"] = RuntimeError("broken")
    alive, ready = await health_of(stage, live, until="Lease ended")
    assert (alive.code, ready.code) == (503, 503)
    assert alive.body.startswith("a part of the operator (the resync) ended unexpectedly")


async def test_definitions_that_go_while_it_runs_are_waited_for(live: Live) -> None:
    stage = Stage()
    stage.goes_missing = ["AmoveBucket"]
    alive, ready = await health_of(stage, live, until="asked anew")
    assert (alive.code, ready.code) == (200, 503)
    assert "the CRDs of AmoveBucket are not installed" in ready.body
