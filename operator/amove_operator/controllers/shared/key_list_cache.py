"""One shared, complete key listing for everybody who needs one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from amove_operator.amove import AmoveClient
from amove_operator.core.key_list import KeyList, RemoteKey
from amove_operator.engine.slices import in_slices
from amove_operator.errors import IncompleteListing

_log = logging.getLogger(__name__)

JudgeKeyList = Callable[[KeyList], Awaitable[Callable[[], None]]]
"""Judges a list that nobody goes by yet; what it returns is called as everybody does."""


class KeyListCache:
    """The last complete listing, and a way to have one that is new enough.

    A list may lag behind what this process did itself by up to ``settle`` seconds: until then
    the keys that it issued are added to what a list shows, and those that it revoked are left
    out. So a key keeps its bucket names also when its CR is let go of meanwhile.

    ``incomplete``: why the last list did not add up; ``None`` once one does.
    """

    def __init__(self, api: AmoveClient, clock: Callable[[], float], settle: float = 0.0) -> None:
        self.latest: KeyList | None = None
        self.incomplete: str | None = None
        self._api = api
        self._clock = clock
        self._judges: list[JudgeKeyList] = []
        self._settle = settle
        self._lock = asyncio.Lock()
        self._issued: dict[str, tuple[RemoteKey, float]] = {}
        self._revoked: dict[str, float] = {}

    def subscribe(self, judge: JudgeKeyList) -> None:
        """Have every new list judged before anybody goes by it.

        A list of another user's token must not be believed a moment before it is known for one.
        """
        self._judges.append(judge)

    async def begun_since(self, moment: float) -> KeyList:
        """A listing begun at or after ``moment`` (monotonic); shared by all who wait for one.

        Raises ApiError when none can be had now.
        """
        async with self._lock:
            if self.latest is not None and self.latest.begun >= moment:
                return self.latest
            begun = self._clock()
            listed = {key.id: key for key in await self._complete_list()}
            listing = await self._indexed(begun, listed)
            conclusions = [await judge(listing) for judge in self._judges]
            self._bring_up_to_date(listing)  # with what was done meanwhile
            self.latest = listing
            for conclude in conclusions:
                conclude()
            return listing

    async def _complete_list(self) -> tuple[RemoteKey, ...]:
        """All keys. One that does not add up, again and again, only a person can mend: the log."""
        try:
            listed = await self._api.get_storage_keys()
        except IncompleteListing as error:
            if self.incomplete is None:
                _log.error(
                    "ListIncomplete: no key is issued or missed on the word of it: %s", error
                )
            self.incomplete = str(error)
            raise
        if self.incomplete is not None:
            _log.warning("the key list adds up again")
        self.incomplete = None
        return listed

    async def fresh(self) -> KeyList:
        """A listing begun now or later."""
        return await self.begun_since(self._clock())

    def issued(self, key: RemoteKey) -> None:
        """This process was issued a key, at this moment."""
        self._issued[key.id] = key, self._clock()
        if self.latest is not None:
            self.latest.add(key)

    def revoked(self, key_id: str) -> None:
        """The service answered 200 to a revocation, at this moment."""
        self._issued.pop(key_id, None)
        self._revoked[key_id] = self._clock()
        if self.latest is not None:
            self.latest.forget(key_id)

    async def _indexed(self, begun: float, listed: dict[str, RemoteKey]) -> KeyList:
        """The list and what this process did itself, within a settle time of its begin."""
        limit = begun - self._settle
        self._issued = {one: pair for one, pair in self._issued.items() if pair[1] > limit}
        self._revoked = {one: at for one, at in self._revoked.items() if at > limit}
        listing = KeyList(begun)
        async for key in in_slices(listed.values()):
            if key.id not in self._revoked:
                listing.show(key)
        self._bring_up_to_date(listing)
        return listing

    def _bring_up_to_date(self, listing: KeyList) -> None:
        for key_id in self._revoked:
            listing.forget(key_id)
        for key, _ in self._issued.values():
            # Added, and not listed: it is no evidence of whose keys the service shows.
            listing.add(key)
