"""One at a time for each name, and nobody waits with a worker in hand."""

from __future__ import annotations

from functools import partial

import pytest

from amove_operator.engine.keyed_lock import KeyedLock
from amove_operator.engine.workqueue import WorkQueue
from amove_operator.models.refs import Kind, Ref

FIRST, SECOND = Ref(Kind.BUCKET, "a", "media"), Ref(Kind.BUCKET, "b", "media")

RIVALS = [Ref(Kind.BUCKET, "c", name) for name in ("one", "two", "three")]


@pytest.fixture
def queue() -> WorkQueue[Ref]:
    return WorkQueue()


def test_who_comes_while_another_has_the_turn_is_queued_when_it_ends(
    queue: WorkQueue[Ref],
) -> None:
    lock: KeyedLock[str, Ref] = KeyedLock()
    with lock.try_acquire("media", FIRST, partial(queue.add, FIRST)) as mine:
        assert mine
        for _ in range(3):
            with lock.try_acquire("media", SECOND, partial(queue.add, SECOND)) as theirs:
                assert not theirs
        assert queue.depth == 0
    assert queue.depth == 1
    with lock.try_acquire("media", SECOND, partial(queue.add, SECOND)) as mine:
        assert mine


def test_another_name_has_a_turn_of_its_own(queue: WorkQueue[Ref]) -> None:
    lock: KeyedLock[str, Ref] = KeyedLock()
    with (
        lock.try_acquire("media", FIRST, partial(queue.add, FIRST)) as one,
        lock.try_acquire("other", SECOND, partial(queue.add, SECOND)) as two,
    ):
        assert one
        assert two


def test_a_turn_that_ends_in_an_error_is_over(queue: WorkQueue[Ref]) -> None:
    lock: KeyedLock[str, Ref] = KeyedLock()

    def fail() -> None:
        with (
            lock.try_acquire("media", FIRST, partial(queue.add, FIRST)),
            lock.try_acquire("media", SECOND, partial(queue.add, SECOND)),
        ):
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert queue.depth == 1
    with lock.try_acquire("media", FIRST, partial(queue.add, FIRST)) as mine:
        assert mine


def test_those_who_were_turned_away_come_one_after_the_other(queue: WorkQueue[Ref]) -> None:
    lock: KeyedLock[str, Ref] = KeyedLock()
    with lock.try_acquire("media", FIRST, partial(queue.add, FIRST)):
        for rival in RIVALS:
            with lock.try_acquire("media", rival, partial(queue.add, rival)) as theirs:
                assert not theirs
    for number, rival in enumerate(RIVALS, start=1):
        assert queue.depth == number, "one more was called, and only one"
        with lock.try_acquire("media", rival, partial(queue.add, rival)) as mine:
            assert mine


def test_one_that_is_gone_before_it_came_leaves_the_turn_to_the_next(
    queue: WorkQueue[Ref],
) -> None:
    lock: KeyedLock[str, Ref] = KeyedLock()
    with lock.try_acquire("media", FIRST, partial(queue.add, FIRST)):
        for rival in RIVALS:
            with lock.try_acquire("media", rival, partial(queue.add, rival)):
                pass
    lock.discard(RIVALS[1])
    lock.discard(RIVALS[0])
    assert queue.depth == 2, "the first was called, and then the third"
    with lock.try_acquire("media", RIVALS[2], partial(queue.add, RIVALS[2])) as mine:
        assert mine
    assert queue.depth == 2
