"""When a candidate takes the Lease, and exactly when a leader stops believing."""

from __future__ import annotations

import asyncio
import copy
import time
from typing import Any

import pytest

from amove_operator.errors import KubeRefused, KubeUnavailable, NotLeading, OperatorError
from amove_operator.kube import AlwaysLeading, Kube, LeaseElection
from amove_operator.kube.transport import Request
from tests.patience import PATIENCE
from tests.unit.kube.lease_store import DEADLINE, DURATION, LeaseStore, StoreTransport, candidate


class OneCandidate:
    """A candidate at a clock that the test moves, and a server that it can break."""

    def __init__(self) -> None:
        self.now = 100.0
        self.store = LeaseStore()
        self.before_effect: OperatorError | None = None
        self.after_effect: OperatorError | None = None
        self.seconds = 0.0
        self.election = candidate("one", self._serve, lambda: self.now, retry=0.001)

    async def _serve(self, request: Request) -> dict[str, Any]:
        if self.before_effect is not None:
            raise self.before_effect
        answer = self.store.serve(request)
        self.now += self.seconds
        if self.after_effect is not None and request.method != "GET":
            raised, self.after_effect = self.after_effect, None
            raise raised
        return answer

    def others_write(self, **spec: object) -> None:
        lease = self.store.lease or {"metadata": {"name": "amove-operator"}, "spec": {}}
        lease["spec"] |= spec
        self.store.write(lease)


async def test_nobody_leads_before_the_lease_is_taken() -> None:
    one = OneCandidate()
    with pytest.raises(NotLeading):
        one.election.check()
    assert one.election.leading_since is None
    assert await one.election.step()
    one.election.check()
    assert one.election.leading_since == 100.0


async def test_the_lead_ends_by_itself_at_the_deadline_counted_from_the_requests_start() -> None:
    one = OneCandidate()
    await one.election.step()
    one.now, one.seconds = 110.0 - 1.0, 4.0
    assert await one.election.step()  # begun at 109, answered at 113
    one.now = 109.0 + DEADLINE - 0.001
    one.election.check()
    one.now = 109.0 + DEADLINE
    with pytest.raises(NotLeading, match="last renewed"):
        one.election.check()


async def test_a_note_goes_with_the_next_renewal_and_is_read_by_the_next_leader() -> None:
    one = OneCandidate()
    await one.election.step()
    assert one.election.annotation("example.com/note") is None
    one.election.annotate("example.com/note", "relied on 1")
    assert one.election.annotation("example.com/note") == "relied on 1"
    await one.election.step()
    assert one.store.lease is not None
    assert one.store.lease["metadata"]["annotations"] == {"example.com/note": "relied on 1"}
    other = candidate("other", one._serve, lambda: one.now)
    one.store.spec["holderIdentity"] = ""
    await other.step()
    assert other.annotation("example.com/note") == "relied on 1"


async def test_the_last_note_of_a_leader_goes_with_the_release() -> None:
    one = OneCandidate()
    task = asyncio.create_task(one.election.run(lambda: None, lambda: None))
    while one.election.leading_since is None:
        await asyncio.sleep(0)
    one.election.annotate("example.com/note", "away")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert one.store.lease is not None
    assert one.store.spec["holderIdentity"] == ""
    assert one.store.lease["metadata"]["annotations"] == {"example.com/note": "away"}


async def test_failed_renewals_do_not_prolong_the_lead() -> None:
    one = OneCandidate()
    await one.election.step()
    one.before_effect = KubeUnavailable("down")
    one.now += DEADLINE - 1
    assert await one.election.step()
    one.election.check()
    one.now += 1
    with pytest.raises(NotLeading):
        one.election.check()
    assert not await one.election.step()


async def test_who_waits_for_the_lease_says_once_whose_it_is(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    one = OneCandidate()
    one.others_write(holderIdentity="another", leaseDurationSeconds=15)
    running = asyncio.create_task(one.election.run(lambda: None, lambda: None))
    async with asyncio.timeout(PATIENCE):
        while one.store.reads < 5:
            await asyncio.sleep(0)
    one.others_write(holderIdentity="a third")
    async with asyncio.timeout(PATIENCE):
        while one.store.reads < 10:
            await asyncio.sleep(0)
    running.cancel()
    told = [line for line in caplog.messages if "standing by" in line]
    assert told == [
        f"standing by: the Lease amove-operator is held by {who}" for who in ("another", "a third")
    ]


async def test_a_lease_that_may_not_be_read_is_told_at_once_and_once_a_minute(
    caplog: pytest.LogCaptureFixture,
) -> None:
    one = OneCandidate()
    one.others_write(holderIdentity="another", leaseDurationSeconds=15)
    await one.election.step()
    caplog.clear()
    one.before_effect = KubeRefused("forbidden", status=403)
    for _ in range(60):
        await one.election.step()
        one.now += 2.0
    assert len(caplog.messages) == 2
    assert "the Lease amove-operator could not be read or written: forbidden" in caplog.messages[0]


async def test_a_renewal_whose_answer_was_lost_is_recognised_as_ours() -> None:
    one = OneCandidate()
    await one.election.step()
    one.after_effect = KubeUnavailable("the answer was lost")
    assert await one.election.step()
    one.now += DEADLINE - 1
    assert await one.election.step()
    one.now += DEADLINE - 1
    one.election.check()
    assert one.store.spec["leaseTransitions"] == 0


async def test_anothers_lease_is_taken_only_after_it_stood_unchanged_for_its_duration() -> None:
    one = OneCandidate()
    ancient = "2001-01-01T00:00:00.000000Z"
    one.others_write(holderIdentity="other", leaseDurationSeconds=20, renewTime=ancient)
    assert not await one.election.step(), "an old time proves nothing: clocks differ"
    one.now += 19.9
    assert not await one.election.step()
    one.others_write(renewTime="2001-01-01T00:00:01.000000Z")  # a sign of life
    one.now += 19.9
    assert not await one.election.step()
    one.now += 19.9
    assert not await one.election.step()
    one.now += 0.2
    assert await one.election.step()
    assert one.store.spec["leaseTransitions"] == 1


async def test_a_short_duration_in_the_record_does_not_make_us_hasty() -> None:
    one = OneCandidate()
    one.others_write(holderIdentity="other", leaseDurationSeconds=1)
    assert not await one.election.step()
    one.now += DURATION - 0.1
    assert not await one.election.step()


async def test_a_released_lease_is_taken_at_once() -> None:
    one = OneCandidate()
    one.others_write(holderIdentity="", leaseDurationSeconds=1, leaseTransitions=3)
    assert await one.election.step()
    assert one.store.spec["leaseTransitions"] == 4


@pytest.mark.parametrize(
    ("before", "meanwhile", "nobody"),
    [
        pytest.param(None, (), True, id="there was none"),
        pytest.param("", (), True, id="it was released"),
        pytest.param("", ("other", ""), False, id="it was held and released since"),
        pytest.param(None, ("",), False, id="it was made since"),
        pytest.param("other", ("",), False, id="its holder released it since"),
    ],
)
async def test_whether_nobody_led_meanwhile_shows_by_the_version_that_is_won(
    before: str | None, meanwhile: tuple[str, ...], nobody: bool
) -> None:
    one = OneCandidate()
    if before is not None:
        one.others_write(holderIdentity=before, leaseDurationSeconds=1)
    await one.election.note_free()
    for holder in meanwhile:
        one.others_write(holderIdentity=holder, leaseDurationSeconds=1)
    assert await one.election.step()
    assert one.election.nobody_led_meanwhile is nobody


async def test_of_a_holder_that_fell_silent_and_of_a_lease_unread_nothing_is_known() -> None:
    silent = OneCandidate()
    silent.others_write(holderIdentity="other", leaseDurationSeconds=1)
    await silent.election.note_free()
    silent.now += DURATION + 1
    assert await silent.election.step()
    assert not silent.election.nobody_led_meanwhile

    unread = OneCandidate()
    unread.before_effect = KubeUnavailable("down")
    await unread.election.note_free()
    unread.before_effect = None
    assert await unread.election.step()
    assert not unread.election.nobody_led_meanwhile


async def test_a_win_whose_answer_was_lost_proves_nothing_of_before() -> None:
    one = OneCandidate()
    await one.election.note_free()
    one.after_effect = KubeUnavailable("cut off")
    assert not await one.election.step()
    assert await one.election.step()
    assert not one.election.nobody_led_meanwhile


async def test_a_lease_that_another_took_is_lost_at_once() -> None:
    one = OneCandidate()
    await one.election.step()
    one.others_write(holderIdentity="other")
    assert not await one.election.step()
    assert one.election.leading_since is None


async def test_run_tells_of_the_loss_once_and_returns() -> None:
    one = OneCandidate()
    told: list[str] = []

    def on_lead() -> None:
        told.append("led")
        one.before_effect = KubeUnavailable("down from now on")
        one.now += DEADLINE

    async with asyncio.timeout(PATIENCE):
        await one.election.run(on_lead, lambda: told.append("lost"))
    assert told == ["led", "lost"]
    assert one.election.leading_since is None


async def test_a_renewal_that_hangs_does_not_hold_back_the_loss() -> None:
    led = asyncio.Event()
    store = LeaseStore()

    async def serve(request: Request) -> dict[str, Any]:
        if led.is_set():
            await asyncio.Event().wait()
        return store.serve(request)

    kube = Kube(StoreTransport(serve), namespace="team")
    election = LeaseElection(
        kube,
        namespace="team",
        identity="one",
        lease_duration=0.3,
        renew_deadline=0.2,
        retry_period=0.01,
    )
    lost = asyncio.Event()
    async with asyncio.timeout(PATIENCE):
        await election.run(led.set, lost.set)
    assert lost.is_set()


async def test_a_stop_in_the_middle_of_a_renewal_still_releases_the_lease() -> None:
    store = LeaseStore()
    led, renewing = asyncio.Event(), asyncio.Event()

    async def serve(request: Request) -> dict[str, Any]:
        answer = store.serve(request)
        if led.is_set() and request.method == "PUT" and not renewing.is_set():
            renewing.set()
            await asyncio.Event().wait()  # the effect is there, the answer never comes
        return answer

    election = candidate("one", serve, time.monotonic, retry=0.001)
    task = asyncio.create_task(election.run(led.set, lambda: None))
    async with asyncio.timeout(PATIENCE):
        await renewing.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert store.spec["holderIdentity"] == ""


async def test_a_stop_does_not_release_what_another_took() -> None:
    one = OneCandidate()
    led = asyncio.Event()
    task = asyncio.create_task(one.election.run(led.set, lambda: None))
    async with asyncio.timeout(PATIENCE):
        await led.wait()
        one.others_write(holderIdentity="other")
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert one.store.spec["holderIdentity"] == "other"


async def test_a_failing_release_keeps_nobody_from_stopping() -> None:
    one = OneCandidate()
    led = asyncio.Event()
    task = asyncio.create_task(one.election.run(led.set, lambda: None))
    async with asyncio.timeout(PATIENCE):
        await led.wait()
        one.before_effect = KubeUnavailable("down")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    with pytest.raises(NotLeading):
        one.election.check()


@pytest.mark.parametrize("spans", [(10, 10, 2), (15, 2, 2), (15, 10, 0)])
def test_spans_that_cannot_be_safe_are_refused(spans: tuple[float, float, float]) -> None:
    duration, deadline, retry = spans
    with pytest.raises(ValueError, match="renew deadline"):
        LeaseElection(
            OneCandidate().election._kube,
            namespace="team",
            identity="one",
            lease_duration=duration,
            renew_deadline=deadline,
            retry_period=retry,
        )


async def test_without_election_the_process_leads_until_it_is_stopped() -> None:
    alone = AlwaysLeading()
    alone.check()
    led = asyncio.Event()
    task = asyncio.create_task(alone.run(led.set, lambda: None))
    async with asyncio.timeout(PATIENCE):
        await led.wait()
    assert not task.done()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("leads", [True, False])
async def test_a_lease_that_comes_back_older_is_lost_also_for_who_waits_for_it(
    leads: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """As after a restore of etcd: all that the process knows is of a history that is no more."""
    one = OneCandidate()
    one.others_write(holderIdentity="" if leads else "another", leaseDurationSeconds=3600)
    backup = copy.deepcopy(one.store.lease)
    seen, lost = asyncio.Event(), asyncio.Event()
    running = asyncio.create_task(one.election.run(seen.set, lost.set))
    async with asyncio.timeout(PATIENCE):
        while one.store.reads < 2 and not seen.is_set():
            await asyncio.sleep(0)
        if not leads:
            one.others_write(holderIdentity="another", renewTime="later")
            reads = one.store.reads
            while one.store.reads < reads + 2:
                await asyncio.sleep(0)
        assert one.election.leading_since == (100.0 if leads else None)
        one.store.lease = backup
        await running
    assert lost.is_set()
    with pytest.raises(NotLeading):
        one.election.check()
    assert one.store.lease == backup
    assert "history went back: the Lease amove-operator is of version 1, and 2 was" in caplog.text


async def test_when_the_last_renewal_was_begun_is_told_by_a_leader() -> None:
    one = OneCandidate()
    await one.election.step()
    one.now, one.seconds = 104.0, 3.0
    await one.election.step()
    assert one.election.renewed_at() == 104.0
    one.now, one.before_effect = 109.0, KubeUnavailable("no answer")
    await one.election.step()
    assert one.election.renewed_at() == 104.0
    assert AlwaysLeading().renewed_at() == float("inf")
