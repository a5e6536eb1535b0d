"""The buckets of one cloud account that ought to be there, counted as they come and go."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection
from itertools import chain, islice, zip_longest
from typing import NamedTuple

from amove_operator.core.mass_loss import Tally
from amove_operator.models.refs import ObjectId

FEW = 20
"""How many others of an account are observed at once because one is absent."""


class Counted(NamedTuple):
    """How one bucket that ought to be there is counted."""

    account: str
    namespace: str
    lost: bool


class AccountBuckets:
    """The buckets of one cloud account that ought to be there, and those of them that are not."""

    def __init__(self) -> None:
        self.known, self.lost = Tally(), Tally()
        self.absent: OrderedDict[ObjectId, None] = OrderedDict()
        self.asked: list[ObjectId] = []
        self._present: OrderedDict[str, OrderedDict[ObjectId, None]] = OrderedDict()

    def count(self, item: ObjectId, namespace: str, *, lost: bool) -> None:
        """Count a bucket in."""
        self.known.add(namespace)
        if lost:
            self.lost.add(namespace)
            self.absent[item] = None
        else:
            self._present.setdefault(namespace, OrderedDict())[item] = None

    def discount(self, item: ObjectId, namespace: str, *, lost: bool) -> None:
        """Count it out again."""
        self.known.add(namespace, -1)
        if lost:
            self.lost.add(namespace, -1)
            del self.absent[item]
            return
        there = self._present[namespace]
        del there[item]
        if not there:
            del self._present[namespace]

    def some_present(self, but: Collection[ObjectId]) -> list[ObjectId]:
        """A few others, of as many namespaces as there are; next time it is the turn of others."""
        names = list(islice(self._present, FEW))
        rows = (islice(self._present[name], FEW + len(but)) for name in names)
        found = (item for item in chain.from_iterable(zip_longest(*rows)) if item is not None)
        some = list(islice((item for item in found if item not in but), FEW))
        for name in names:
            self._present.move_to_end(name)
        for item in some:
            self._present[item.ref.namespace].move_to_end(item)
        return some

    def some_absent(self) -> list[ObjectId]:
        """A few of the lost; next time it is the turn of others."""
        some = list(islice(self.absent, FEW))
        for item in some:
            self.absent.move_to_end(item)
        return some
