"""Walk through every state of a small world."""

from __future__ import annotations

import gc
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from tests.model.changes import canonical, is_settled
from tests.model.moves import Moves
from tests.model.small_world import Broken, State


class Explored(NamedTuple):
    """How many states and moves there are."""

    states: int
    edges: int


def explore(
    moves: Moves, start: State, *, settles: bool = True, at_most: int = 3_000_000
) -> Explored:
    """Visit every state; raises Broken with the way there, or where no way back is left.

    ``settles`` of False asks only for the invariants: of a world that cannot settle.
    """
    with _nothing_is_garbage():
        return _explore(moves, start, settles=settles, at_most=at_most)


@contextmanager
def _nothing_is_garbage() -> Iterator[None]:
    """All states are kept, and none refers back: to look for cycles took a third of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _explore(moves: Moves, start: State, *, settles: bool, at_most: int) -> Explored:
    number = {start: 0}
    parents: list[tuple[int, str]] = [(-1, "start")]
    back: list[list[int]] = [[]]
    good: list[int] = []
    queue = deque([start])
    edges = 0
    while queue:
        state = queue.popleft()
        here = number[state]
        if (
            not settles
            or is_settled(state)
            or any(len(one.born) >= moves.most_keys for one in state.crs)
        ):
            good.append(here)
        try:
            for label, kind, raw in moves.after(state):
                edges += 1
                after = raw if raw in number else canonical(raw)
                if (there := number.get(after)) is None:
                    there = number[after] = len(parents)
                    parents.append((here, label))
                    back.append([])
                    queue.append(after)
                if kind and there != here:
                    back[there].append(here)
        except Broken as broken:
            raise Broken(f"{broken}\n{_way(parents, here)}\n{state}") from None
        if len(parents) > at_most:
            raise AssertionError(f"more than {at_most} states")
    lost = _without_way_back(back, good)
    if lost:
        worst = list(number)[lost[0]]
        way = _way(parents, lost[0])
        raise Broken(f"{len(lost)} states without a way back, such as\n{way}\n{worst}")
    return Explored(len(parents), edges)


def _without_way_back(back: list[list[int]], good: list[int]) -> list[int]:
    seen = bytearray(len(back))
    for state in good:
        seen[state] = 1
    stack = list(good)
    while stack:
        for before in back[stack.pop()]:
            if not seen[before]:
                seen[before] = 1
                stack.append(before)
    return [state for state, found in enumerate(seen) if not found]


def _way(parents: list[tuple[int, str]], state: int) -> str:
    steps = []
    while state >= 0:
        state, label = parents[state]
        steps.append(label)
    return "\n".join(f"  {label}" for label in reversed(steps))
