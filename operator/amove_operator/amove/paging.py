"""Reading a key list to its end, and knowing that it is the end.

A list that is taken for complete although it is not makes the operator believe that a live key
is gone. So (docs/amove-api.md, "Paging"): the same ``total`` on every page, as many distinct ids as
``total``, newest first. Newest first matters: a key made meanwhile then shows up before what is
still to be read, so it cannot hide an older one. Where the pages are not in that order (the
service ignored the wish), two readings in a row must show the same ids.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from amove_operator.amove.models import KeyPage
from amove_operator.core.key_list import RemoteKey
from amove_operator.errors import IncompleteListing

PAGE_SIZE = 50


@dataclass(frozen=True)
class Reading:
    """One pass over the pages. ``fault`` says why it proves nothing; ``ordered``: newest first."""

    keys: tuple[RemoteKey, ...]
    pages: int
    fault: str | None = None

    @property
    def ids(self) -> frozenset[str]:
        """The distinct ids."""
        return frozenset(key.id for key in self.keys)

    @property
    def ordered(self) -> bool:
        """Whether the pages came newest first. One page is a single look: any order will do."""
        return self.pages == 1 or newest_first(self.keys)


def newest_first(keys: Sequence[RemoteKey]) -> bool:
    """Whether every date is known and none is later than the one before it."""
    dates = [key.created for key in keys]
    return all(
        one is not None and other is not None and one >= other for one, other in pairwise(dates)
    )


async def read_pages(fetch: Callable[[int], Awaitable[KeyPage]]) -> Reading:
    """Read page 1, 2, … until the count is reached or the pages stop adding up."""
    seen: dict[str, RemoteKey] = {}
    total: int | None = None
    number = 0
    fault: str | None = None
    while fault is None:
        number += 1
        page = await fetch(number)
        before = len(seen)
        for key in page.keys:
            seen.setdefault(key.id, key)
        if total is not None and page.total != total:
            fault = f"the total went from {total} to {page.total} while reading"
        elif len(seen) > page.total:
            fault = f"{len(seen)} keys came although the total is {page.total}"
        elif len(seen) == page.total:
            break
        elif len(seen) == before:
            fault = f"page {number} brought no new key at {before} of {page.total}"
        total = page.total
    return Reading(tuple(seen.values()), number, fault)


async def read_complete(
    fetch: Callable[[int], Awaitable[KeyPage]],
    *,
    rounds: int,
    between: Callable[[int], Awaitable[None]],
) -> tuple[RemoteKey, ...]:
    """Read until one pass proves itself complete, at most ``rounds`` times.

    ``between`` waits after the failed pass of that number (from 1). Raises IncompleteListing.
    """
    earlier: Reading | None = None
    for number in range(1, rounds + 1):
        reading = await read_pages(fetch)
        why = reading.fault
        if why is None and not reading.ordered:
            if earlier is not None and earlier.fault is None and earlier.ids == reading.ids:
                return reading.keys
            why = "the pages are not newest first, and no two readings agree"
        if why is None:
            return reading.keys
        if number == rounds:
            raise IncompleteListing(
                f"get_storage_key: no complete list in {rounds} readings: {why}",
                call="get_storage_key",
            )
        earlier = reading
        await between(number)
    raise AssertionError("rounds must be at least 1")
