"""Permits for calls: the rate, the connections, and who goes first, in fake time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import aclosing

import pytest

from amove_operator.amove.permits import CallPermits
from amove_operator.clock import Clock
from amove_operator.errors import Paused
from amove_operator.fairness import Urgency
from tests.unit.virtual_time import VirtualTimeLoop

SWEEP, CHANGE, REVOCATION = Urgency.SWEEP, Urgency.CHANGE, Urgency.REVOCATION


@pytest.fixture
def loop() -> Iterator[VirtualTimeLoop]:
    made = VirtualTimeLoop()
    yield made
    made.close()


class Team:
    """Items of namespaces that ask, make a call when their turn has come, and are done at once."""

    def __init__(self, loop: VirtualTimeLoop, rate: float = 10.0, concurrency: int = 16) -> None:
        clock = Clock(loop.time, loop.time, asyncio.sleep)
        self.permits = CallPermits(rate, concurrency, clock)
        self.loop = loop
        self.went: list[tuple[float, str]] = []

    async def aclose(self) -> None:
        await self.permits.aclose()

    def ask(
        self, item: str, urgency: Urgency = CHANGE, calls: int = 1, *, hold: bool = False
    ) -> bool:
        def on_turn() -> None:
            self.went.append((round(self.loop.time() - 1000.0, 3), item))
            if not hold:
                self.loop.create_task(self.call(item))

        namespace = item.partition("/")[0]
        held = self.permits.acquire(item, namespace, on_turn, urgency=urgency, calls=calls)
        if held:
            on_turn()
        return held

    async def call(self, item: str, seconds: float = 0.0) -> None:
        with self.permits.held_by(item):
            async with self.permits.turn(lambda: None):
                await asyncio.sleep(seconds)
        self.permits.release(item)

    def order(self) -> list[str]:
        return [item for _, item in self.went]

    def moments(self) -> list[float]:
        return [at for at, _ in self.went]


def test_a_burst_goes_at_once_and_the_rest_at_the_rate(loop: VirtualTimeLoop) -> None:
    async def story() -> None:
        team = Team(loop, rate=5.0)
        async with aclosing(team):
            for number in range(14):
                team.ask(f"{number}/a")
            await asyncio.sleep(2)
        assert team.moments() == [0.0] * 10 + [0.2, 0.4, 0.6, 0.8]

    loop.run(story())


def test_a_team_with_600_items_delays_another_by_one_turn(loop: VirtualTimeLoop) -> None:
    async def story() -> None:
        team = Team(loop)
        async with aclosing(team):
            for number in range(600):
                team.ask(f"big/{number}")
            await asyncio.sleep(1)
            before = len(team.went)
            team.ask("small/a")
            await asyncio.sleep(1)
        assert team.order().index("small/a") - before <= 2

    loop.run(story())


def test_a_revocation_goes_before_600_changes_and_a_sweep_gets_its_quarter(
    loop: VirtualTimeLoop,
) -> None:
    async def story() -> None:
        team = Team(loop)
        async with aclosing(team):
            for number in range(600):
                team.ask(f"big/{number}")
            team.ask("big/leaked", REVOCATION)
            for number in range(100):
                team.ask(f"swept/{number}", SWEEP)
            await asyncio.sleep(20)
        assert team.order().index("big/leaked") <= 16, "all connections were in use"
        swept = sum(item.startswith("swept") for item in team.order()[20:120])
        assert 24 <= swept <= 26

    loop.run(story())


def test_sweeps_take_half_of_the_rate_even_when_nobody_else_calls(loop: VirtualTimeLoop) -> None:
    async def story() -> None:
        team = Team(loop)
        async with aclosing(team):
            for number in range(600):
                team.ask(f"swept/{number}", SWEEP)
            await asyncio.sleep(10)
        assert 10 + 48 <= len(team.went) <= 10 + 52, "a burst of 10, and 5 a second"

    loop.run(story())


def test_a_namespace_has_half_of_the_connections_and_another_goes_at_once(
    loop: VirtualTimeLoop,
) -> None:
    async def story() -> None:
        team = Team(loop, rate=1000.0, concurrency=4)
        async with aclosing(team):
            assert [team.ask(f"slow/{number}", hold=True) for number in range(3)] == [
                True,
                True,
                False,
            ]
            assert team.ask("other/a", hold=True)
            assert team.ask("third/a", hold=True)
            assert not team.ask("fourth/a", hold=True), "all four are in use"
            team.permits.release("slow/0")
            assert team.order()[-1] == "slow/2"
            team.permits.release("slow/1")
            assert team.order()[-1] == "fourth/a"

    loop.run(story())


def test_one_connection_is_enough(loop: VirtualTimeLoop) -> None:
    async def story() -> None:
        team = Team(loop, rate=1000.0, concurrency=1)
        async with aclosing(team):
            for number in range(5):
                team.ask(f"a/{number}")
            await asyncio.sleep(1)
        assert len(team.went) == 5

    loop.run(story())


def test_several_calls_are_asked_for_at_once_and_what_is_left_goes_to_others(
    loop: VirtualTimeLoop,
) -> None:
    async def story() -> None:
        team = Team(loop, rate=1.0)
        async with aclosing(team):
            assert team.ask("a/1", calls=3)
            assert not team.ask("b/1"), "two tokens are there, and all of them are taken"
            team.permits.release("a/1")
            assert team.order() == ["a/1", "b/1"]
            await asyncio.sleep(0)
            assert team.moments() == [0.0, 0.0], "it did not use its tokens"

    loop.run(story())


def test_a_pause_is_told_to_an_item_and_waited_for_by_a_listing(loop: VirtualTimeLoop) -> None:
    async def story() -> None:
        team = Team(loop)
        async with aclosing(team):
            team.permits.pause(60.0)
            with team.permits.held_by("a/1"), pytest.raises(Paused, match="in 60 s") as raised:
                async with team.permits.turn(lambda: None):
                    pass
            assert raised.value.retry_after == 60.0
            async with team.permits.turn(lambda: None):
                assert loop.time() - 1000.0 == pytest.approx(60.1)

    loop.run(story())


def test_who_waits_hears_at_once_that_all_calls_are_paused(loop: VirtualTimeLoop) -> None:
    async def story() -> None:
        team, closed = Team(loop, rate=0.1), False

        def check() -> None:
            if closed:
                raise Paused("the breaker is open")

        async with aclosing(team):
            assert team.ask("a/0", hold=True)
            assert not team.ask("a/1", hold=True)
            waits = asyncio.ensure_future(_one_call(team.permits, check))
            await asyncio.sleep(1)
            closed = True
            team.permits.dismiss_all()
            with pytest.raises(Paused):
                await waits
            assert team.order() == ["a/0", "a/1"]
            assert team.moments()[1] == 1.0
            assert not team.ask("a/1", hold=True), "it was called without a permit"

    async def _one_call(permits: CallPermits, check: object) -> None:
        async with permits.turn(check):  # type: ignore[arg-type]
            raise AssertionError("nobody gets through")

    loop.run(story())


def test_one_that_is_gone_leaves_its_place_and_its_permit(loop: VirtualTimeLoop) -> None:
    async def story() -> None:
        team = Team(loop, rate=1000.0, concurrency=1)
        async with aclosing(team):
            team.ask("a/1", hold=True)
            team.ask("a/2", hold=True)
            team.ask("a/3", hold=True)
            team.permits.discard("a/2")
            team.permits.discard("a/1")
            assert team.order() == ["a/1", "a/3"]

    loop.run(story())


def test_a_caller_that_is_cancelled_while_it_waits_leaves_nothing_behind(
    loop: VirtualTimeLoop,
) -> None:
    async def story() -> None:
        team = Team(loop, rate=0.5)
        async with aclosing(team):

            async def one() -> None:
                async with team.permits.turn(lambda: None):
                    pass

            await one()
            late = asyncio.ensure_future(one())
            await asyncio.sleep(0.5)
            late.cancel()
            await asyncio.gather(late, return_exceptions=True)
            await one()
            assert loop.time() - 1000.0 == pytest.approx(2.0)

    loop.run(story())


def test_a_pause_takes_the_permit_of_an_item_that_has_not_called_yet(loop: VirtualTimeLoop) -> None:
    async def story() -> None:
        team = Team(loop)
        async with aclosing(team):
            assert team.ask("a/1", hold=True)
            team.permits.pause(3.0)
            with team.permits.held_by("a/1"), pytest.raises(Paused):
                async with team.permits.turn(lambda: None):
                    pass
            assert not team.ask("a/1", hold=True), "it waits for its turn like anybody"
            await asyncio.sleep(4)
            assert team.moments() == [0.0, 3.1]

    loop.run(story())


def test_who_waits_in_line_hears_of_a_long_pause_at_once(loop: VirtualTimeLoop) -> None:
    async def story() -> None:
        team = Team(loop, rate=0.5)
        async with aclosing(team):
            team.ask("a/1")
            assert not team.ask("a/2", hold=True)
            await asyncio.sleep(1)
            team.permits.pause(300.0)
            assert team.moments() == [0.0, 1.0]
            with pytest.raises(Paused, match="calls go on in 300 s"):
                team.permits.check_pause()

    loop.run(story())


def test_it_shows_how_many_wait_and_for_how_long(loop: VirtualTimeLoop) -> None:
    async def story() -> None:
        team = Team(loop, rate=0.5)
        async with aclosing(team):
            given: list[tuple[Urgency, float]] = []
            team.permits.on_given = lambda *one: given.append(one)
            assert (team.permits.longest_wait(CHANGE), team.permits.in_use) == (0.0, 0)
            team.ask("a/1", hold=True)
            team.ask("a/2", hold=True)
            team.ask("b/1", SWEEP, hold=True)
            await asyncio.sleep(1)
            waiting = [team.permits.waiting(urgency) for urgency in Urgency]
            assert (waiting, team.permits.in_use) == ([0, 1, 1], 1)
            assert [team.permits.longest_wait(urgency) for urgency in Urgency] == [0.0, 1.0, 1.0]
            team.permits.release("a/1")
            await asyncio.sleep(1)
            assert given[:2] == [(CHANGE, 0.0), (CHANGE, pytest.approx(1.0))]

    loop.run(story())
