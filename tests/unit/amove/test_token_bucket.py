"""The token bucket: so many a second, whoever asks."""

from __future__ import annotations

import pytest

from amove_operator.amove.limits import TokenBucket


class Second:
    """A clock that a test moves."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Second:
    return Second()


def taken(bucket: TokenBucket, clock: Second, number: int) -> list[float]:
    """When each of so many tokens could be taken, by one who waits as long as told."""
    moments = []
    for _ in range(number):
        while (wait := bucket.wait()) > 0:
            clock.now += wait
        bucket.take()
        moments.append(round(clock.now - 1000.0, 6))
    return moments


def test_a_burst_is_free_and_the_rest_comes_at_the_rate(clock: Second) -> None:
    assert taken(TokenBucket(10.0, 20.0, clock), clock, 25) == [0.0] * 20 + [
        0.1,
        0.2,
        0.3,
        0.4,
        0.5,
    ]


def test_a_burst_is_at_least_one(clock: Second) -> None:
    assert taken(TokenBucket(0.1, 0.2, clock), clock, 2) == [0.0, 10.0]


def test_what_is_not_used_fills_the_burst_again_and_no_more(clock: Second) -> None:
    bucket = TokenBucket(10.0, 20.0, clock)
    taken(bucket, clock, 20)
    clock.now += 100.0
    assert taken(bucket, clock, 21)[-2:] == [100.0, 100.1]


def test_several_at_once_are_waited_for_and_never_more_than_the_burst(clock: Second) -> None:
    bucket = TokenBucket(1.0, 2.0, clock)
    assert bucket.wait(2) == 0.0
    bucket.take(2)
    assert bucket.wait(2) == 2.0
    assert bucket.wait(9) == 2.0


def test_what_was_taken_and_not_used_is_there_for_others(clock: Second) -> None:
    bucket = TokenBucket(1.0, 3.0, clock)
    bucket.take(3)
    bucket.give_back(2)
    assert bucket.wait(2) == 0.0
    bucket.give_back(9)
    assert bucket.wait(3) == 0.0
    bucket.take(3)
    assert bucket.wait() == 1.0, "no more than the burst came back"


def test_a_debt_is_paid_by_those_who_come_after(clock: Second) -> None:
    bucket = TokenBucket(1.0, 1.0, clock)
    bucket.take(3)
    assert bucket.wait() == 3.0


def test_a_pause_lets_nobody_through_and_ends_without_a_burst(clock: Second) -> None:
    bucket = TokenBucket(10.0, 20.0, clock)
    bucket.take(3)
    bucket.pause(5.0)
    bucket.give_back(3)
    assert bucket.pause_left == 5.0
    assert taken(bucket, clock, 3) == [5.1, 5.2, 5.3]
    bucket.pause(0.0)
    assert bucket.pause_left == 0.0


def test_the_longer_of_two_pauses_counts(clock: Second) -> None:
    bucket = TokenBucket(10.0, 20.0, clock)
    bucket.pause(5.0)
    bucket.pause(1.0)
    assert bucket.pause_left == 5.0
