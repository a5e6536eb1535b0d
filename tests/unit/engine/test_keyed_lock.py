"""One at a time for each name, and nobody waits with a worker in hand."""

from __future__ import annotations

import pytest

from amove_operator.engine.keyed_lock import KeyedLock
from amove_operator.engine.workqueue import WorkQueue
from amove_operator.models.refs import Kind, Ref

FIRST, SECOND = Ref(Kind.BUCKET, "a", "media"), Ref(Kind.BUCKET, "b", "media")


@pytest.fixture
def queue() -> WorkQueue[Ref]:
    return WorkQueue()


def test_who_comes_while_another_has_the_turn_is_queued_when_it_ends(
    queue: WorkQueue[Ref],
) -> None:
    lock: KeyedLock[str, Ref] = KeyedLock(queue.add)
    with lock.try_acquire("media", FIRST) as mine:
        assert mine
        for _ in range(3):
            with lock.try_acquire("media", SECOND) as theirs:
                assert not theirs
        assert queue.depth == 0
    assert queue.depth == 1
    with lock.try_acquire("media", SECOND) as mine:
        assert mine


def test_another_name_has_a_turn_of_its_own(queue: WorkQueue[Ref]) -> None:
    lock: KeyedLock[str, Ref] = KeyedLock(queue.add)
    with lock.try_acquire("media", FIRST) as one, lock.try_acquire("other", SECOND) as two:
        assert one
        assert two


def test_a_turn_that_ends_in_an_error_is_over(queue: WorkQueue[Ref]) -> None:
    lock: KeyedLock[str, Ref] = KeyedLock(queue.add)

    def fail() -> None:
        with lock.try_acquire("media", FIRST), lock.try_acquire("media", SECOND):
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert queue.depth == 1
    with lock.try_acquire("media", FIRST) as mine:
        assert mine
