"""Never two leaders, whatever is lost or late: candidates stepped by hand in a random order."""

from __future__ import annotations

import contextlib
from collections.abc import Coroutine, Generator
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from amove_operator.errors import KubeUnavailable, OperatorError
from amove_operator.kube.transport import Request
from tests.unit.kube.lease_store import LeaseStore, candidate, leads


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
        self.store.write(self.store.lease)

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
