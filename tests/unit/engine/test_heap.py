"""No full garbage collection walks much, and nothing that is let go of stays for it."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from amove_operator.engine import heap
from amove_operator.engine.heap import nothing_collected_in_full, short_collections

MOST = 1_000


class Remembered:
    """Something that the collector walks, and of which it can be seen whether it is there."""


@pytest.fixture(autouse=True)
def _only_what_is_made_here(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(heap, "KEPT_AT", MOST)
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


def walked() -> int:
    return len(gc.get_objects())


def test_what_grew_to_much_is_walked_once_and_no_more() -> None:
    with short_collections():
        remembered = [Remembered() for _ in range(MOST // 2)]
        gc.collect()
        assert walked() >= MOST // 2, "it is not much yet"
        remembered += [Remembered() for _ in range(MOST)]
        gc.collect()
        assert walked() < MOST // 2
    assert walked() > MOST, "the next life begins without what this one knew"


def test_what_was_kept_and_is_let_go_of_is_freed_without_the_collector() -> None:
    with short_collections():
        remembered = [Remembered() for _ in range(2 * MOST)]
        gone = weakref.ref(remembered[0])
        gc.collect()
        assert walked() < MOST
        remembered.clear()
        assert gone() is None


def test_a_circle_that_is_let_go_of_later_is_still_found() -> None:
    with short_collections():
        circle = Remembered()
        circle.itself = circle  # type: ignore[attr-defined]
        gone = weakref.ref(circle)
        gc.collect()
        del circle
        gc.collect()
        assert gone() is None


def test_while_the_caches_are_filled_nothing_is_walked_in_full() -> None:
    full = []
    thresholds = gc.get_threshold()
    gc.callbacks.append(lambda phase, info: full.append(phase) if info["generation"] == 2 else None)
    try:
        with nothing_collected_in_full():
            filled = [[number] for number in range(200_000)]
            assert full == []
        assert walked() < len(filled)
    finally:
        gc.callbacks.pop()
    assert gc.get_threshold() == thresholds
