"""Which items go by a name; an item may go by several."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Generic, TypeVar

Name = TypeVar("Name", bound=Hashable)
Item = TypeVar("Item", bound=Hashable)


class Index(Generic[Name, Item]):
    """A look-up by name that is kept in both directions, so that an item leaves no name behind."""

    def __init__(self) -> None:
        self._items: dict[Name, set[Item]] = {}
        self._names: dict[Item, frozenset[Name]] = {}

    def put(self, item: Item, names: Iterable[Name]) -> None:
        """Index ``item`` under exactly these names."""
        self.drop(item)
        self._names[item] = frozenset(names)
        for name in self._names[item]:
            self._items.setdefault(name, set()).add(item)

    def drop(self, item: Item) -> None:
        """Forget ``item``."""
        for name in self._names.pop(item, ()):
            found = self._items[name]
            found.discard(item)
            if not found:
                del self._items[name]

    def names(self, item: Item) -> frozenset[Name]:
        """The names of that item."""
        return self._names.get(item, frozenset())

    def get(self, name: Name) -> list[Item]:
        """The items of that name, in a stable order."""
        return sorted(self._items.get(name, ()), key=str)

    def in_use(self) -> frozenset[Name]:
        """Every name that some item has."""
        return frozenset(self._items)
