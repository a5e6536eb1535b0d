"""Never two leaders, whatever is lost or late; and exactly when a leader stops believing."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from amove_operator.errors import Conflict, KubeUnavailable, NotLeading, OperatorError
from amove_operator.kube import AlwaysLeading, Kube, LeaseElection
from amove_operator.kube.failures import Gone
from amove_operator.kube.transport import Request, Transport

DURATION, DEADLINE, RETRY = 15.0, 10.0, 2.0


class LeaseStore:
    """What an API server does with one Lease: compare and swap on its resourceVersion."""

    def __init__(self) -> None:
        self.lease: dict[str, Any] | None = None
        self.version = 0

    def serve(self, request: Request) -> dict[str, Any]:
        body: Any = json.loads(json.dumps(request.body))
        if request.method == "GET":
            if self.lease is None:
                raise Gone("no such lease", status=404)
        elif request.method == "POST":
            if self.lease is not None:
                raise Conflict("it exists")
            self._store(body)
        else:
            stale = self.lease is None or body["metadata"] != self.lease["metadata"]
            if stale:
                raise Conflict("it changed")
            self._store(body)
        answer: dict[str, Any] = json.loads(json.dumps(self.lease))
        return answer

    def _store(self, body: dict[str, Any]) -> None:
        self.version += 1
        body["metadata"]["resourceVersion"] = str(self.version)
        self.lease = body

    @property
    def spec(self) -> dict[str, Any]:
        assert self.lease is not None
        spec: dict[str, Any] = self.lease["spec"]
        return spec


class StoreTransport(Transport):
    """Requests end in a function instead of the network."""

    def __init__(self, serve: Callable[[Request], Awaitable[dict[str, Any]]]) -> None:
        self._serve = serve

    async def call(
        self,
        request: Request,
        *,
        gate: Callable[[], None] | None = None,
        urgent_seconds: float | None = None,
    ) -> dict[str, Any]:
        assert gate is None, "the Lease is not gated by itself"
        assert urgent_seconds is not None, "a renewal waits for no other request"
        return await self._serve(request)


def candidate(
    identity: str,
    serve: Callable[[Request], Awaitable[dict[str, Any]]],
    clock: Callable[[], float],
    retry: float = RETRY,
) -> LeaseElection:
    kube = Kube(StoreTransport(serve), namespace="team")
    return LeaseElection(
        kube,
        namespace="team",
        identity=identity,
        lease_duration=DURATION,
        renew_deadline=DEADLINE,
        retry_period=retry,
        clock=clock,
    )


def leads(election: LeaseElection) -> bool:
    try:
        election.check()
    except NotLeading:
        return False
    return True


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
        self.store._store(lease)


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

    async with asyncio.timeout(10):
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
    async with asyncio.timeout(10):
        await election.run(led.set, lost.set)
    assert lost.is_set()


async def test_a_failing_release_keeps_nobody_from_stopping() -> None:
    one = OneCandidate()
    led = asyncio.Event()
    task = asyncio.create_task(one.election.run(led.set, lambda: None))
    async with asyncio.timeout(10):
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
    async with asyncio.timeout(10):
        await led.wait()
    assert not task.done()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


class _Pause:
    """Hands a request to the simulation, and the simulation's answer back."""

    def __init__(self, request: Request) -> None:
        self.request = request

    def __await__(self) -> Generator[Request, dict[str, Any], dict[str, Any]]:
        return (yield self.request)


async def _paused(request: Request) -> dict[str, Any]:
    return await _Pause(request)


class _Process:
    """A candidate whose clock has its own zero and rate, stepped by hand."""

    def __init__(self, name: str, offset: float, rate: float, world: TwoCandidates) -> None:
        self.election = candidate(name, _paused, lambda: offset + rate * world.time)
        self.trying: Coroutine[Any, Any, bool] | None = None
        self.request: Request | None = None
        self.effect: dict[str, Any] | OperatorError | None = None

    def resume(self, answer: dict[str, Any] | OperatorError | None) -> None:
        assert self.trying is not None
        self.request = self.effect = None
        try:
            if isinstance(answer, OperatorError):
                self.request = self.trying.throw(answer)
            else:
                self.request = self.trying.send(answer)
        except StopIteration:
            self.trying = None


numbers = st.integers(min_value=0, max_value=1)
seconds = st.sampled_from([0.0, 0.1, 9.0, 16.0])


class TwoCandidates(RuleBasedStateMachine):
    """Requests and answers are late or lost at will, and the clocks' rates differ by a quarter."""

    def __init__(self) -> None:
        super().__init__()
        self.time = 0.0
        self.store = LeaseStore()
        self.strays: list[Request] = []
        self.both = [_Process("one", 0.0, 1.0, self), _Process("two", 5000.0, 1.25, self)]

    @rule(number=numbers, after=seconds)
    def a_try_goes_one_move_further(self, number: int, after: float) -> None:
        self.time += after
        process = self.both[number]
        if process.trying is None:
            process.trying = process.election.step()
            process.resume(None)
        elif process.effect is not None:
            process.resume(process.effect)
        elif process.request is not None:
            try:
                process.effect = self.store.serve(process.request)
            except OperatorError as refusal:
                process.effect = refusal

    @rule(number=numbers, after=seconds)
    def a_try_goes_through(self, number: int, after: float) -> None:
        self.a_try_goes_one_move_further(number, after)
        while self.both[number].trying is not None:
            self.a_try_goes_one_move_further(number, 0.0)

    @rule(number=numbers)
    def a_request_or_its_answer_is_lost(self, number: int) -> None:
        process = self.both[number]
        if process.request is not None:
            if process.effect is None:
                self.strays.append(process.request)
            process.resume(KubeUnavailable("lost"))

    @precondition(lambda self: self.strays)
    @rule()
    def a_request_given_up_long_ago_arrives(self) -> None:
        with contextlib.suppress(OperatorError):
            self.store.serve(self.strays.pop())

    @precondition(lambda self: self.store.lease is not None)
    @rule()
    def somebody_annotates_the_lease(self) -> None:
        assert self.store.lease is not None
        self.store._store(self.store.lease)

    @invariant()
    def never_two_lead(self) -> None:
        assert sum(leads(process.election) for process in self.both) <= 1

    def teardown(self) -> None:
        for process in self.both:
            if process.trying is not None:
                process.trying.close()


TestNeverTwoLeaders = TwoCandidates.TestCase
TestNeverTwoLeaders.settings = settings(
    max_examples=400, stateful_step_count=25, deadline=None, derandomize=True
)
