"""Whose turn it is among many who wait: by urgency, and namespaces in turn."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Hashable
from enum import IntEnum
from typing import Generic, TypeVar

Item = TypeVar("Item", bound=Hashable)

_BEFORE_A_LOWER = 3
"""So many of a class go before one of a lower class: a lower one that waits gets a quarter."""


class Urgency(IntEnum):
    """The class that somebody waits in; the least number goes first."""

    REVOCATION = 0
    """A key is to be revoked: it may have leaked."""
    CHANGE = 1
    """A person, or another object, changed something."""
    SWEEP = 2
    """Nobody waits for it: the resync, and what failed before."""


class FairLine(Generic[Item]):
    """Items that wait, each once: three classes, in each class the groups in turn.

    A team that adds a thousand items delays another team's one by one of its own. ``group_of``:
    the namespace of an item. All is O(1), but for groups that :meth:`first` has to pass over.
    """

    def __init__(self, group_of: Callable[[Item], Hashable]) -> None:
        self._group_of = group_of
        self._classes: dict[Urgency, OrderedDict[Hashable, dict[Item, None]]] = {
            urgency: OrderedDict() for urgency in Urgency
        }
        self._waiting: dict[Item, tuple[Urgency, float]] = {}
        self._since: dict[Urgency, dict[Item, float]] = {urgency: {} for urgency in Urgency}
        self._went_first = dict.fromkeys(Urgency, 0)

    def __len__(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def __contains__(self, item: object) -> bool:
        """Whether ``item`` waits."""
        return item in self._waiting

    def put(self, item: Item, urgency: Urgency, since: float = 0.0) -> None:
        """Have ``item`` wait. One that waits already keeps its place, or goes up to ``urgency``."""
        if (before := self._waiting.get(item)) is not None:
            if before[0] <= urgency:
                return
            self._leave(item, before[0])
            since = before[1]
        self._waiting[item] = urgency, since
        self._classes[urgency].setdefault(self._group_of(item), {})[item] = None
        self._since[urgency][item] = since

    def discard(self, item: Item) -> bool:
        """Whether ``item`` waited; it waits no more."""
        if (found := self._waiting.pop(item, None)) is None:
            return False
        self._leave(item, found[0])
        return True

    def clear(self) -> list[Item]:
        """Have nobody wait; those who did."""
        waited = list(self._waiting)
        for item in waited:
            self.discard(item)
        return waited

    def first(
        self, may_go: Callable[[Hashable], bool], classes: Collection[Urgency] = tuple(Urgency)
    ) -> Item | None:
        """Whose turn it is among the groups and classes that may go; all stay in line.

        ``may_go`` is asked of one group after the other, and should refuse only few.
        """
        last: Item | None = None
        for urgency in classes:
            groups = self._classes[urgency]
            item = next((next(iter(groups[one])) for one in groups if may_go(one)), None)
            if item is None:
                continue
            last = item  # a class gives way only to one that may go
            if self._went_first[urgency] < _BEFORE_A_LOWER:
                break
        return last

    def take(self, item: Item) -> None:
        """``item`` goes, and its group comes last in its class."""
        urgency, _ = self._waiting.pop(item)
        self._leave(item, urgency)
        groups, group = self._classes[urgency], self._group_of(item)
        if group in groups:
            groups.move_to_end(group)
        for higher in Urgency:
            if higher < urgency:
                self._went_first[higher] = 0
        self._went_first[urgency] = self._went_first[urgency] + 1 if self._lower(urgency) else 0

    def urgency(self, item: Item) -> Urgency:
        """The class in which ``item`` waits."""
        return self._waiting[item][0]

    def count(self, urgency: Urgency) -> int:
        """How many of that class wait."""
        return len(self._since[urgency])

    def waits(self, urgency: Urgency) -> bool:
        """Whether anybody of that class waits."""
        return bool(self._since[urgency])

    def since(self, item: Item) -> float:
        """Since when ``item`` waits."""
        return self._waiting[item][1]

    def oldest(self, urgency: Urgency) -> float | None:
        """Since when the one waits who came into that class first; None where nobody does."""
        return next(iter(self._since[urgency].values()), None)

    def _lower(self, urgency: Urgency) -> bool:
        return any(self._since[one] for one in Urgency if one > urgency)

    def _leave(self, item: Item, urgency: Urgency) -> None:
        groups, group = self._classes[urgency], self._group_of(item)
        del groups[group][item]
        del self._since[urgency][item]
        if not groups[group]:
            del groups[group]
