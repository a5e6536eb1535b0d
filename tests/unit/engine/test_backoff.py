"""The queue's back-off: how long a failed item waits."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amove_operator.engine.workqueue import spread
from tests.unit.virtual_time import VirtualTimeLoop, new_queue, take, with_loop


@pytest.fixture
def loop() -> Iterator[VirtualTimeLoop]:
    loop = VirtualTimeLoop()
    yield loop
    loop.close()


def test_the_back_off_doubles_up_to_the_cap_and_starts_anew_when_forgotten(
    loop: VirtualTimeLoop,
) -> None:
    async def scenario() -> None:
        queue = new_queue(loop, backoff_base=2.0, backoff_cap=20.0)
        assert [queue.fail("a") for _ in range(6)] == [2, 4, 8, 16, 20, 20]
        assert (queue.run("a").failures, queue.run("b").failures) == (6, 0)
        assert queue.fail("b") == 2
        queue.forget("a")
        queue.forget("never seen")
        assert (queue.run("a").failures, queue.fail("a")) == (0, 2)

    loop.run(scenario())


def test_a_run_of_failures_longer_than_floats_reach_stays_at_the_cap(
    loop: VirtualTimeLoop,
) -> None:
    async def scenario() -> None:
        queue = new_queue(loop)
        delays = [queue.fail("a") for _ in range(1100)]
        assert delays[-1] == 600.0

    loop.run(scenario())


def test_a_failure_may_bring_its_own_cap_and_its_own_least_delay(loop: VirtualTimeLoop) -> None:
    async def scenario() -> None:
        queue = new_queue(loop, backoff_cap=600.0)
        for _ in range(20):
            queue.fail("a")
        assert queue.fail("a", cap=30.0) == 30.0
        assert queue.fail("a", cap=30.0, at_least=45.0) == 45.0
        assert queue.fail("a", at_least=900.0) == 900.0
        assert queue.fail("b", at_least=0.5) == 1.0

    loop.run(scenario())


def test_a_server_asking_for_a_pause_gets_it_in_full_despite_the_jitter(
    loop: VirtualTimeLoop,
) -> None:
    async def scenario() -> None:
        queue = new_queue(loop, jitter=lambda delay: delay / 2)
        assert queue.fail("a", at_least=10.0) == 10.0
        assert await take(queue) == (10, "a")

    loop.run(scenario())


@given(delay=st.floats(min_value=0.001, max_value=1e6))
def test_the_default_jitter_never_undoes_a_doubling_nor_passes_the_cap(delay: float) -> None:
    spreads = [spread(delay) for _ in range(50)]
    assert delay * 0.75 <= min(spreads) < max(spreads) <= delay
    assert spread(2 * delay) > max(spreads)


@given(caps=st.lists(st.none() | st.floats(1.0, 1000.0), max_size=12), base=st.floats(0.01, 5.0))
def test_the_back_off_never_falls_while_failures_go_on_under_one_cap(
    caps: list[float | None], base: float
) -> None:
    async def scenario(loop: VirtualTimeLoop) -> None:
        queue = new_queue(loop, backoff_base=base, backoff_cap=100.0)
        delays = []
        for cap in caps:  # other items' caps must not matter
            queue.fail("other", cap=cap)
            delays.append(queue.fail("a"))
        assert delays == sorted(delays)
        assert all(delay <= 100.0 for delay in delays)

    with_loop(scenario)
