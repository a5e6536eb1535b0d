"""Which items go by a name; an item may go by several."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Generic, TypeVar

Name = TypeVar("Name", bound=Hashable)
Item = TypeVar("Item", bound=Hashable)


class Index(Generic[Name, Item]):
    """A look-up by name that is kept in both directions, so that an item leaves no name behind.

    Nearly every name has one item, and nearly every item one name: as sets, the two would take half
    a KiB for each.
    """

    def __init__(self) -> None:
        self._items: dict[Name, tuple[Item] | set[Item]] = {}
        self._names: dict[Item, tuple[Name, ...]] = {}

    def put(self, item: Item, names: Iterable[Name]) -> None:
        """Index ``item`` under exactly these names."""
        self.drop(item)
        self._names[item] = tuple(dict.fromkeys(names))
        for name in self._names[item]:
            found = self._items.get(name)
            if found is None:
                self._items[name] = (item,)
            elif isinstance(found, set):
                found.add(item)
            else:
                self._items[name] = {*found, item}

    def drop(self, item: Item) -> None:
        """Forget ``item``."""
        for name in self._names.pop(item, ()):
            found = self._items[name]
            if isinstance(found, set) and len(found) > 1:
                found.discard(item)
            else:
                del self._items[name]

    def names(self, item: Item) -> frozenset[Name]:
        """The names of that item."""
        return frozenset(self._names.get(item, ()))

    def get(self, name: Name) -> list[Item]:
        """The items of that name, in a stable order."""
        return sorted(self._items.get(name, ()), key=str)

    def in_use(self) -> frozenset[Name]:
        """Every name that some item has."""
        return frozenset(self._items)
