"""The token bucket, in fake time."""

from __future__ import annotations

import asyncio

from amove_operator.amove.limits import TokenBucket
from amove_operator.clock import Clock
from tests.unit.amove.stand_ins import FakeClock


async def take_all(bucket: TokenBucket, clock: FakeClock, number: int) -> list[tuple[int, float]]:
    taken: list[tuple[int, float]] = []

    async def take(index: int) -> None:
        await bucket.take(lambda: None)
        taken.append((index, clock.time - 1_000.0))

    async def everyone() -> None:
        await asyncio.gather(*(take(index) for index in range(number)))

    await clock.run(everyone())
    return taken


async def test_a_burst_goes_at_once_and_then_one_at_a_time_in_order(fake_clock: FakeClock) -> None:
    bucket = TokenBucket(10.0, 20.0, fake_clock.clock)
    taken = await take_all(bucket, fake_clock, 25)
    assert [index for index, _ in taken] == list(range(25))
    assert [round(at, 6) for _, at in taken] == [0.0] * 20 + [0.1, 0.2, 0.3, 0.4, 0.5]


async def test_a_slow_rate_still_lets_one_through_at_once(fake_clock: FakeClock) -> None:
    taken = await take_all(TokenBucket(0.1, 0.2, fake_clock.clock), fake_clock, 2)
    assert [round(at, 6) for _, at in taken] == [0.0, 10.0]


async def test_after_a_pause_there_is_no_burst(fake_clock: FakeClock) -> None:
    bucket = TokenBucket(10.0, 20.0, fake_clock.clock)
    bucket.pause(30.0)
    taken = await take_all(bucket, fake_clock, 3)
    assert [round(at, 6) for _, at in taken] == [30.1, 30.2, 30.3]


async def test_a_shorter_pause_does_not_cut_a_longer_one(fake_clock: FakeClock) -> None:
    bucket = TokenBucket(10.0, 20.0, fake_clock.clock)
    bucket.pause(30.0)
    bucket.pause(1.0)
    assert [round(at, 6) for _, at in await take_all(bucket, fake_clock, 1)] == [30.1]


async def test_one_who_gives_up_waiting_takes_nothing(fake_clock: FakeClock) -> None:
    bucket = TokenBucket(1.0, 1.0, fake_clock.clock)
    await bucket.take(lambda: None)
    waiting = asyncio.ensure_future(bucket.take(lambda: None))
    await fake_clock.settle()
    waiting.cancel()
    assert [round(at, 6) for _, at in await take_all(bucket, fake_clock, 1)] == [1.0]


async def test_time_that_stands_still_does_not_spin() -> None:
    sleeps: list[float] = []
    moment = iter([0.0, 0.0, 0.0, 0.0, 0.0, 0.0] + [5.0] * 10)

    async def sleep(seconds: float) -> None:
        sleeps.append(seconds)

    bucket = TokenBucket(1.0, 1.0, Clock(monotonic=lambda: next(moment), sleep=sleep))
    await bucket.take(lambda: None)
    await bucket.take(lambda: None)
    assert sleeps
    assert all(seconds > 1e-6 for seconds in sleeps)
