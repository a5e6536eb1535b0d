"""One shared, complete key listing for everybody who needs one (design.md §6)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from amove_operator.api import AmoveClient
from amove_operator.core.ledger import Listing, LiveKey


class Listings:
    """The last complete listing, and a way to have one that is new enough."""

    def __init__(
        self, api: AmoveClient, clock: Callable[[], float], on_new: Callable[[Listing], None]
    ) -> None:
        self.latest: Listing | None = None
        self._api = api
        self._clock = clock
        self._on_new = on_new
        self._lock = asyncio.Lock()

    async def begun_since(self, moment: float) -> Listing:
        """A listing begun at or after ``moment`` (monotonic); shared by all who wait for one.

        Raises ApiError when none can be had now.
        """
        async with self._lock:
            if self.latest is not None and self.latest.begun >= moment:
                return self.latest
            begun = self._clock()
            found = await self._api.get_storage_keys()
            self.latest = Listing.of(
                begun,
                (
                    LiveKey(key.id, key.name, key.access_key, key.create_date, key.user_id)
                    for key in found.keys
                ),
            )
            self._on_new(self.latest)
            return self.latest

    async def fresh(self) -> Listing:
        """A listing begun now or later."""
        return await self.begun_since(self._clock())
