"""Reading a key list to its end, and knowing that it is the end.

A list that is taken for complete although it is not makes the operator believe that a live key
is gone. So (docs/amove-api.md, "Paging") one reading is a proof only if every page gave the same
``total``, as many distinct ids came as that, and they came newest first.

Why newest first: of the keys 1 to 4, in pages of two, key 1 is deleted and key 5 made between the
pages. Newest first, the pages show 4, 3 and then 3, 2: three ids of four, so the reading is thrown
away. Oldest first they show 1, 2 and then 4, 5: four ids of four, and key 3 is in neither though it
lives. Where the service ignored the wish for newest first, two readings in a row must therefore
show the same ids.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import pairwise

from amove_operator.amove.models import KeyPage
from amove_operator.core.key_list import RemoteKey
from amove_operator.errors import IncompleteListing


@dataclass(frozen=True)
class Reading:
    """One pass over the pages. ``fault`` says why it proves nothing."""

    keys: tuple[RemoteKey, ...]
    pages: int
    fault: str | None = None

    @property
    def ordered(self) -> bool:
        """Whether the keys came newest first, every date known.

        One page is one moment: any order will do.
        """
        dates = pairwise(key.created for key in self.keys)
        return self.pages == 1 or all(one and other and one >= other for one, other in dates)

    def agrees(self, earlier: Reading | None) -> bool:
        """Whether ``earlier`` adds up as well and has the same keys."""
        if earlier is None or earlier.fault is not None:
            return False
        return {key.id for key in earlier.keys} == {key.id for key in self.keys}


async def read_pages(fetch: Callable[[int], Awaitable[KeyPage]]) -> Reading:
    """Read page 1, 2, … until the count is reached or the pages stop adding up.

    The end is where as many ids came as ``total`` says, and not an empty page: a page can be empty
    because the service lost it, and asking for one more would cost every list a call.
    """
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
    why: str | None = None
    for number in range(1, rounds + 1):
        reading = await read_pages(fetch)
        why = reading.fault
        if why is None:
            if reading.ordered or reading.agrees(earlier):
                return reading.keys
            why = "the pages are not newest first, and no two readings agree"
        earlier = reading
        if number < rounds:
            await between(number)
    raise IncompleteListing(f"get_storage_key: no complete list in {rounds} readings: {why}")
