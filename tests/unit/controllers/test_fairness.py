"""One team among others: what a thousand objects, a loop or a hanging call may cost the rest.

The real client with its permits, the real queue with its workers, on a virtual clock; time is
counted in calls of the service.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from math import inf
from pathlib import Path
from typing import Any

import httpx
import pytest

from amove_operator.amove import AmoveClient
from amove_operator.amove.session import Tuning
from amove_operator.clock import Clock
from amove_operator.controllers.dispatcher import Dispatcher
from amove_operator.controllers.shared.dependencies import Dependencies
from amove_operator.core.key_list import KeyList
from amove_operator.engine.workers import run_workers
from amove_operator.errors import NotLeading
from amove_operator.models.refs import ObjectId, Ref
from tests.stand_ins.amove_transport import InMemoryAmove
from tests.stand_ins.fate import run
from tests.stand_ins.ports import as_kube
from tests.unit.bucket_cluster import METRICS, BucketCluster
from tests.unit.virtual_time import VirtualTimeLoop

LATENCY = 0.02


class Shared(BucketCluster):
    """One operator for many teams. ``calls``: what the service was asked for, in order.

    ``hang``: whose calls get no answer for 30 s. ``served``: how many passes there were.
    ``refused``: calls that the service refuses.
    """

    def __init__(self, loop: VirtualTimeLoop, token: Path, rate: float = 10.0) -> None:
        self.calls: list[tuple[str, str]] = []
        self.hang: Callable[[str], bool] = lambda _name: False
        self.served = 0
        self.refused: set[str] = set()
        self._token, self._rate = token, rate
        super().__init__(loop)

    def start(self) -> None:
        self.amove = InMemoryAmove(self.time, lambda: "ok")
        settings = self._settings.model_copy(
            update={"token_file": self._token, "rate_limit": self._rate}
        )
        clock = Clock(self.loop.time, lambda: self.time.true().timestamp(), asyncio.sleep)
        api = AmoveClient(
            settings, transport=httpx.MockTransport(self._answer), tuning=Tuning(clock=clock)
        )
        self.d = Dependencies(
            settings,
            as_kube(self.kube),
            api,
            METRICS,
            "cluster",
            clock=self.loop.time,
            now=self.time.local,
        )
        self.d.accounts.loaded = True
        self.dispatcher = Dispatcher(self.d)
        run(self.dispatcher.on_leading())
        work = run_workers(self.d.queue, self._handle, self.d.workers)
        self._workers = self.loop.create_task(work)

    async def _handle(self, item: ObjectId) -> None:
        self.served += 1
        await self.dispatcher.handle(item)

    async def stop(self) -> None:
        await super().stop()
        await self.d.api.aclose()

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        call, content = request.url.path.rpartition("/")[2], request.content.decode()
        self.calls.append((call, content or str(request.url.params)))
        await asyncio.sleep(30.0 if self.hang(content) else LATENCY)
        if call in self.refused:
            return httpx.Response(499, headers={"error-code": "ACCESS"})
        return await self.amove.answer(request)

    async def until(self, what: Callable[[], bool], seconds: float = 3600.0) -> None:
        """Let time pass until it is so."""
        end, polls = self.loop.time() + seconds, 0
        while not what():
            assert self.loop.time() < end, "it does not come"
            await asyncio.sleep(0.05)
            polls += 1
            if polls % 20 == 0:
                self.watch()

    def is_ready(self, ref: Ref) -> bool:
        return self.says(ref).get("Ready", ("", ""))[0] == "True"


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text("amv_token-00000000000000000001")
    return path


def shared(
    token: Path, story: Callable[[Shared], Coroutine[Any, Any, None]], rate: float = 10.0
) -> None:
    loop = VirtualTimeLoop()

    async def played() -> None:
        cluster = Shared(loop, token, rate)
        try:
            await story(cluster)
        finally:
            await cluster.stop()

    try:
        loop.run(played())
    finally:
        loop.close()


def test_a_team_that_makes_600_buckets_delays_anothers_by_a_few_calls(token_file: Path) -> None:
    async def story(cluster: Shared) -> None:
        for number in range(600):
            cluster.apply("big", f"bucket-{number}")
        await cluster.passes(5)
        before = len(cluster.calls)
        theirs = cluster.apply("small", "theirs")
        await cluster.until(partial(cluster.is_ready, theirs))
        assert len(cluster.calls) - before <= 30

    shared(token_file, story)


@pytest.mark.parametrize("namespace", ["small", "big"])
def test_a_leaked_key_is_revoked_after_a_few_calls_while_a_team_lets_200_buckets_go(
    namespace: str, token_file: Path
) -> None:
    async def story(cluster: Shared) -> None:
        cluster.apply(namespace, "data")
        key = cluster.apply_key(namespace, "app", "data")
        await cluster.passes(60)
        assert cluster.is_ready(key)
        big = [
            cluster.apply("big", f"bucket-{number}", deletionPolicy="Delete")
            for number in range(200)
        ]
        await cluster.until(lambda: all(cluster.is_ready(one) for one in big))
        for one in big:
            cluster.delete(one)
        await cluster.passes(5)
        before = len(cluster.calls)
        cluster.delete(key)
        await cluster.until(lambda: not cluster.amove.keys)
        assert len(cluster.calls) - before <= 20

    shared(token_file, story)


def test_a_bucket_that_is_annotated_in_a_loop_leaves_others_their_turn(token_file: Path) -> None:
    async def story(cluster: Shared) -> None:
        noisy = cluster.apply("noisy", "noisy")
        await cluster.passes(5)

        async def annotate() -> None:
            for number in range(2000):
                cluster.annotate(noisy, reconcile_requested_at=str(number))
                await asyncio.sleep(0.01)

        loop = asyncio.ensure_future(annotate())
        await cluster.passes(5)
        before = len(cluster.calls)
        theirs = cluster.apply("quiet", "theirs")
        await cluster.until(partial(cluster.is_ready, theirs))
        assert len(cluster.calls) - before <= 12
        await loop

    shared(token_file, story)


def test_calls_that_hang_hold_up_neither_another_team_nor_what_needs_no_call(
    token_file: Path,
) -> None:
    async def story(cluster: Shared) -> None:
        kept = cluster.apply("trusted", "kept", deletionPolicy="Retain")
        await cluster.until(partial(cluster.is_ready, kept))
        cluster.hang = lambda sent: '"hangs-' in sent
        for number in range(300):
            cluster.apply("stuck", f"hangs-{number}")
        await cluster.passes(5)
        began = cluster.loop.time()
        theirs = cluster.apply("fine", "theirs")
        cluster.delete(kept)
        await cluster.until(lambda: kept not in cluster.kube.crs)
        await cluster.until(partial(cluster.is_ready, theirs))
        assert cluster.loop.time() - began < 5.0

    shared(token_file, story, rate=1000.0)


def test_calls_of_two_teams_that_hang_on_all_connections_hold_up_nothing_that_needs_no_call(
    token_file: Path,
) -> None:
    async def story(cluster: Shared) -> None:
        kept = cluster.apply("trusted", "kept", deletionPolicy="Retain")
        await cluster.until(partial(cluster.is_ready, kept))
        cluster.hang = lambda sent: '"hangs-' in sent
        for number in range(100):
            cluster.apply(f"stuck-{number % 2}", f"hangs-{number}")
        await cluster.passes(5)
        began = cluster.loop.time()
        cluster.delete(kept)
        refused = cluster.apply("team", "refused", adoptionPolicy="IfExists")
        await cluster.until(lambda: kept not in cluster.kube.crs)
        await cluster.until(
            lambda: cluster.says(refused).get("Ready", ("", ""))[1] == "NotPermitted"
        )
        assert cluster.loop.time() - began < 1.0

    shared(token_file, story, rate=1000.0)


def test_a_long_retry_after_is_told_and_a_retained_bucket_is_let_go_of_meanwhile(
    token_file: Path,
) -> None:
    async def story(cluster: Shared) -> None:
        kept = cluster.apply("trusted", "kept", deletionPolicy="Retain")
        await cluster.until(partial(cluster.is_ready, kept))
        cluster.d.permits.pause(90.0)
        waits = cluster.apply("team", "waits")
        cluster.delete(kept)
        await cluster.passes(2)
        assert kept not in cluster.kube.crs
        assert cluster.says(waits)["Synced"] == ("False", "ApiUnavailable")
        [synced] = [
            one
            for one in cluster.kube.crs[waits]["status"]["conditions"]
            if one["type"] == "Synced"
        ]
        assert "asked to slow down" in synced["message"]
        assert [call for call, _ in cluster.calls[-1:]] == ["bucket_status"], (
            "nothing was sent since"
        )
        await cluster.passes(100)
        assert cluster.is_ready(waits)

    shared(token_file, story)


def test_those_in_line_are_told_of_a_retry_after_and_none_calls_meanwhile(token_file: Path) -> None:
    async def story(cluster: Shared) -> None:
        crowd = [cluster.apply("team", f"bucket-{number}") for number in range(100)]
        await cluster.passes(2)
        cluster.d.permits.pause(90.0)
        before = len(cluster.calls)
        await cluster.passes(3)
        waits = [ref for ref in crowd if not cluster.is_ready(ref)]
        assert waits
        assert {cluster.says(ref)["Synced"] for ref in waits} == {("False", "ApiUnavailable")}
        assert len(cluster.calls) - before <= 16, "those that were under way"
        await cluster.until(lambda: all(cluster.is_ready(ref) for ref in crowd))

    shared(token_file, story)


def test_a_revocation_that_is_refused_is_told_however_long_the_list_takes(token_file: Path) -> None:
    async def story(cluster: Shared) -> None:
        cluster.apply("team", "data")
        key = cluster.apply_key("team", "app", "data")
        await cluster.until(partial(cluster.is_ready, key))
        cluster.refused = {"delete_storage_key"}
        cluster.delete(key)
        await cluster.until(lambda: cluster.says(key).get("Synced", ("", ""))[1] == "ApiRefused")
        assert [call for call, _ in cluster.calls].count("delete_storage_key") == 2

    shared(token_file, story, rate=0.02)


def test_a_revocation_that_met_an_outage_goes_first_after_it(token_file: Path) -> None:
    async def story(cluster: Shared) -> None:
        cluster.d.api.breaker.on_change(
            lambda state: None if state.open else cluster.d.enqueue.after_outage()
        )
        cluster.apply("big", "data")
        key = cluster.apply_key("big", "app", "data")
        crowd = [cluster.apply("big", f"bucket-{number}") for number in range(100)]
        await cluster.until(lambda: all(cluster.is_ready(ref) for ref in (key, *crowd)))
        cluster.amove.down = True
        for ref in crowd:
            cluster.annotate(ref, reconcile_requested_at="1")
        await cluster.until(lambda: cluster.d.api.breaker.state.open)
        cluster.delete(key)
        await cluster.passes(60)
        cluster.amove.down = False
        await cluster.until(lambda: not cluster.d.api.breaker.state.open)
        before = len(cluster.calls)
        await cluster.until(lambda: not cluster.amove.keys)
        assert len(cluster.calls) - before <= 45, "half of the burst, and its turn"

    shared(token_file, story)


@pytest.mark.parametrize("seconds", [20, 70, 1000])
def test_nothing_waits_on_after_an_outage_for_the_next_try_of_a_list_that_failed_in_it(
    seconds: int, token_file: Path
) -> None:
    """A revocation that may be done needs a list, and so does a new object's bucket name."""

    async def story(cluster: Shared) -> None:
        cluster.d.api.breaker.on_change(
            lambda state: None if state.open else cluster.d.enqueue.after_outage()
        )
        cluster.apply("team", "data")
        key = cluster.apply_key("team", "app", "data")
        await cluster.until(partial(cluster.is_ready, key))
        cluster.amove.down = True
        cluster.delete(key)
        cluster.apply("team", "more")
        new = cluster.apply_key("team", "new", "more")
        await cluster.passes(seconds)
        cluster.amove.down = False
        await cluster.until(lambda: not cluster.d.api.breaker.state.open)
        await cluster.until(lambda: cluster.is_ready(new) and key not in cluster.kube.crs, 2.0)
        assert len(cluster.amove.keys) == 1

    shared(token_file, story)


def test_a_lease_that_is_late_for_a_moment_ends_no_wait_for_a_list_for_ever(
    token_file: Path,
) -> None:
    async def story(cluster: Shared) -> None:
        cluster.apply("team", "data")
        key = cluster.apply_key("team", "app", "data")
        await cluster.until(partial(cluster.is_ready, key))
        cluster.watch()
        late = False

        def may_call() -> None:
            if late:
                raise NotLeading("the Lease was last renewed 10.2 s ago")

        cluster.d.api._before_send = may_call
        memory = cluster.d.memories.keys[cluster.kube.crs[key]["metadata"]["uid"]]
        memory.expectations = memory.expectations.require_newer_list(cluster.loop.time())
        late = True
        del cluster.kube.secrets["team", "app"]
        cluster.watch()
        await cluster.passes(0.5)
        late = False
        await cluster.until(lambda: ("team", "app") in cluster.kube.secrets, seconds=120)

    shared(token_file, story)


def test_an_annotation_that_accepts_no_loss_costs_no_key_list(token_file: Path) -> None:
    async def story(cluster: Shared) -> None:
        cluster.apply("team", "data")
        key = cluster.apply_key("team", "app", "data")
        await cluster.until(partial(cluster.is_ready, key))
        await cluster.passes(60)
        await cluster.d.key_lists.fresh()
        before = len(cluster.calls)
        for number in range(20):
            cluster.annotate(key, accept_loss=str(number))
            await cluster.passes(2)
        assert "get_storage_key" not in [call for call, _ in cluster.calls[before:]]
        assert cluster.is_ready(key)

    shared(token_file, story)


def test_a_list_that_was_judged_before_a_rotation_says_nothing_of_the_new_key(
    token_file: Path,
) -> None:
    async def story(cluster: Shared) -> None:
        cluster.apply("team", "data")
        key = cluster.apply_key("team", "app", "data")
        await cluster.until(partial(cluster.is_ready, key))
        uid, losses = cluster.kube.crs[key]["metadata"]["uid"], cluster.d.key_losses
        old = cluster.d.store.keys[key].proven.key
        await cluster.passes(60)
        judged = await losses.judge(KeyList.of(cluster.loop.time(), []))
        cluster.annotate(key, rotate_requested_at="now")
        await cluster.passes(10)
        new = cluster.d.store.keys[key].proven.key
        assert old is not None
        assert new is not None
        assert new.id != old.id
        losses.conclude(judged)
        assert uid not in losses.missing
        assert losses.lacked_since(uid) == inf

    shared(token_file, story)


def test_a_failure_that_passes_is_tried_again_without_a_word(token_file: Path) -> None:
    async def story(cluster: Shared) -> None:
        words = iter(["unanswered, not done", "unanswered, not done"])
        cluster.amove._fate = lambda: next(words, "ok")
        theirs = cluster.apply("team", "theirs")
        await cluster.until(partial(cluster.is_ready, theirs))
        assert not [event for event in cluster.kube.events if "ApiUnavailable" in str(event)]
        statuses = [call for call, _ in cluster.calls if call == "bucket_status"]
        assert len(statuses) == 4, "two that failed, one before the create and one after it"

    shared(token_file, story)


def test_while_one_team_has_300_keys_made_a_key_list_comes_to_its_end(
    token_file: Path,
) -> None:
    async def story(cluster: Shared) -> None:
        for number in range(70):
            cluster.apply("big", f"bucket-{number}")
        await cluster.passes(120)
        for number in range(300):
            cluster.apply_key("big", f"key-{number}", f"bucket-{number % 70}")
        await cluster.passes(20)
        made = len(cluster.amove.keys)
        assert 100 < made < 280, "it is in the middle of it"
        before = len(cluster.calls)
        listing = await cluster.d.key_lists.fresh()
        assert len(cluster.calls) - before <= 100
        assert len(listing.owners) >= made
        await cluster.passes(60)
        assert len(cluster.amove.keys) == 300, "those that waited for it went on"

    shared(token_file, story)


def passes_of_rivals(token: Path, rivals: int) -> int:
    """How many passes it takes until each of so many knows that another has the name."""
    passes = 0

    async def story(cluster: Shared) -> None:
        nonlocal passes
        owner = cluster.apply("team-0", "owner", bucketName="wanted")
        await cluster.until(partial(cluster.is_ready, owner))
        before = cluster.served
        for number in range(rivals):
            cluster.apply(f"team-{number % 20}", f"rival-{number}", bucketName="wanted")
        await cluster.passes(60)
        passes = cluster.served - before

    shared(token, story)
    return passes


def test_rivals_for_one_name_cost_the_same_each(token_file: Path) -> None:
    few, many = passes_of_rivals(token_file, 50), passes_of_rivals(token_file, 200)
    assert many <= 5 * few, "not the square"
    assert many <= 200 * 4
