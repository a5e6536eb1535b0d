"""One shared, complete key listing for everybody who needs one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from math import inf

from amove_operator.amove import AmoveClient
from amove_operator.clock import backoff
from amove_operator.core.key_list import KeyList, RemoteKey
from amove_operator.engine.background import Background, Spawn
from amove_operator.engine.slices import in_slices
from amove_operator.errors import ApiError, IncompleteListing, NotLeading, UnreadableAnswer

_log = logging.getLogger(__name__)
_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 120.0


@dataclass(frozen=True, slots=True)
class _Waiting:
    """``since``: from when the list must be begun; ``on_listed``: called once it may be asked."""

    since: float
    on_listed: Callable[[], None]


JudgeKeyList = Callable[[KeyList], Awaitable[Callable[[], None]]]
"""Judges a list that nobody goes by yet; what it returns is called as everybody does."""


class KeyListCache:
    """The last complete listing, and a way to have one that is new enough.

    A list may lag behind what this process did itself by up to ``settle`` seconds: until then
    the keys that it issued are added to what a list shows, and those that it revoked are left
    out. So a key keeps its bucket names also when its CR is let go of meanwhile.

    One reading at a time serves all who wait for one, and so does its failure: until a pause is
    over, which doubles, no object has another one begun. ``spawn`` runs a reading beside all else.
    ``retry_at``: the end of that pause. ``incomplete``: why the last list did not add up; ``None``
    once one does.
    """

    def __init__(
        self,
        api: AmoveClient,
        clock: Callable[[], float],
        settle: float = 0.0,
    ) -> None:
        self.latest: KeyList | None = None
        self.incomplete: str | None = None
        self._api = api
        self._clock = clock
        self.spawn: Spawn = Background("key-list")
        self._judges: list[JudgeKeyList] = []
        self._settle = settle
        self._lock = asyncio.Lock()
        self._reading = False
        self._waiting: dict[str, _Waiting] = {}
        self._failure: ApiError | NotLeading | None = None
        self._failures = 0
        self.retry_at = 0.0
        self._issued: dict[str, tuple[RemoteKey, float]] = {}
        self._revoked: dict[str, float] = {}

    def subscribe(self, judge: JudgeKeyList) -> None:
        """Have every new list judged before anybody goes by it.

        A list of another user's token must not be believed a moment before it is known for one.
        """
        self._judges.append(judge)

    # -- for objects -----------------------------------------------------------------------------

    def has_since(self, moment: float, uid: str, on_listed: Callable[[], None]) -> bool:
        """Whether there is a listing begun at or after ``moment`` (monotonic).

        If not one is read, and ``on_listed`` is called when it is worth asking again. Raises
        ApiError, or NotLeading, while none can be had: the failure of the last reading, until the
        next is due.
        """
        if self._is_begun(moment):
            return True
        if self._failure is not None and self._clock() < self.retry_at:
            raise self._failure.with_traceback(None)
        self._waiting[uid] = _Waiting(moment, on_listed)
        if not self._reading:
            self._reading = True
            self.spawn(self._read_for_all())
        if uid in self._waiting:
            return False
        if self._failure is not None:  # it was read already: there are such ways to spawn
            raise self._failure.with_traceback(None)
        return self._is_begun(moment)

    def holds_up(self, uid: str, on_listed: Callable[[], None], *, revokes: bool) -> bool:
        """Whether a change of the keys must wait for the end of a reading, lest it never adds up.

        While a team's keys are made one after another, each page shows another total: a reading
        that did not add up once has no key made meanwhile, and twice none revoked either.
        """
        held = self._api.readings_failed >= (2 if revokes else 1)
        if held:
            self._waiting[uid] = _Waiting(-inf, on_listed)
        return held

    def outage_ended(self) -> None:
        """The service can be reached again: what failed meanwhile says nothing of the next list."""
        self.retry_at, self._failures = self._clock(), 0

    def discard(self, uid: str) -> None:
        """The object is gone, and waits no more."""
        self._waiting.pop(uid, None)

    async def _read_for_all(self) -> None:
        """Read until nobody waits for a later list; a failure ends the wait of all."""
        try:
            while self._waiting:
                async with self._lock:
                    if self._waiting:  # somebody else's reading may have served them by now
                        await self._read()
                self._call_those_served()
        except Exception as failure:
            if not isinstance(failure, ApiError | NotLeading):
                _log.exception("the list of keys could not be taken in")
            self._reading = False
            self._call_those_served(all_of_them=True)
        finally:
            self._reading = False

    def _call_those_served(self, *, all_of_them: bool = False) -> None:
        served = [
            uid for uid, one in self._waiting.items() if all_of_them or self._is_begun(one.since)
        ]
        for uid in served:
            self._waiting.pop(uid).on_listed()

    def _is_begun(self, moment: float) -> bool:
        return self.latest is not None and self.latest.begun >= moment

    # -- readings --------------------------------------------------------------------------------

    async def fresh(self) -> KeyList:
        """A listing begun now or later, for whoever may wait. Raises ApiError."""
        moment = self._clock()
        async with self._lock:
            if (latest := self.latest) is None or latest.begun < moment:
                try:
                    latest = await self._read()
                except Exception:
                    self._call_those_served(all_of_them=True)  # some wait for its end alone
                    raise
        self._call_those_served()
        return latest

    async def _read(self) -> KeyList:
        begun = self._clock()
        try:
            listed = {key.id: key for key in await self._complete_list()}
            listing = await self._indexed(begun, listed)
            conclusions = [await judge(listing) for judge in self._judges]
        except Exception as error:
            self._note_failure(error)
            raise
        self._failure, self._failures = None, 0
        self._bring_up_to_date(listing)  # with what was done meanwhile
        self.latest = listing
        for conclude in conclusions:
            conclude()
        return listing

    def _note_failure(self, error: Exception) -> None:
        """Whatever it is, nobody has another list read before a pause, which doubles, is over.

        A fault of ours as well: else all who wait would have it read again and again.
        """
        pause = backoff(_FIRST_PAUSE, _LONGEST_PAUSE, self._failures)
        self._failures += 1
        self.retry_at = self._clock() + pause
        if not isinstance(error, ApiError | NotLeading):
            kind = type(error).__name__
            error = UnreadableAnswer(f"the list of keys could not be taken in: {kind}, see the log")
        self._failure = error

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
