"""Where one is in the small world, and what can happen next there."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeVar

from amove_operator.core.keys.expectations import Expectations
from tests.model.small_world import Cr, Memory, State
from tests.model.translation import ledger_of, remembered

T = TypeVar("T")


class Move(NamedTuple):
    """One thing that can happen. ``kind``: neither fault nor wish: settling may rely on it."""

    label: str
    kind: bool
    after: State


class World(NamedTuple):
    """Where one is: one CR in the eyes of one process."""

    state: State
    process: int
    cr: int

    @property
    def one(self) -> Cr:
        """The CR."""
        return self.state.crs[self.cr]

    @property
    def memory(self) -> Memory:
        """What the process remembers of it."""
        return self.state.processes[self.process].memories[self.cr]

    def with_cr(self, one: Cr) -> World:
        """The same with another state of the CR."""
        return self._replace(state=with_cr(self.state, self.cr, one))

    def with_memory(self, memory: Memory) -> World:
        """The same with another memory."""
        process = self.state.processes[self.process]
        memories = put(process.memories, self.cr, memory)
        processes = put(self.state.processes, self.process, process._replace(memories=memories))
        return self._replace(state=self.state._replace(processes=processes))

    def learnt(self, change: Callable[[Expectations], Expectations]) -> World:
        """The same after a real ledger's method."""
        expectations = change(ledger_of(self.cr, self.memory, self.one.born))
        return self.with_memory(remembered(self.cr, self.memory, expectations))

    def less(self, chance: str) -> World:
        """The same with one chance of that name used up."""
        return self._replace(state=less(self.state, chance))


def less(state: State, chance: str) -> State:
    """The state with one chance of that name used up."""
    left = getattr(state.chances, chance) - 1
    return state._replace(chances=state.chances._replace(**{chance: left}))


def with_cr(state: State, cr: int, one: Cr) -> State:
    """The state with another CR at that place."""
    return state._replace(crs=put(state.crs, cr, one))


def put(items: tuple[T, ...], place: int, item: T) -> tuple[T, ...]:
    """The tuple with another item at that place."""
    return (*items[:place], item, *items[place + 1 :])
