"""The Amove API in memory: buckets, and the keys of several users, with faults on request.

Only what the controllers use: the emulator is the cluster tests'. Every call asks :class:`Fate`
first, which can end the process before or after it, or have an odd answer given (ODD_ANSWERS), as
the client above the wire tells it. A word that means nothing to a call is as good as ``ok``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from pydantic import SecretStr

from amove_operator.amove import (
    BreakerState,
    BucketAddress,
    CallPermits,
    IssuedKey,
    NewKey,
    Observed,
)
from amove_operator.clock import Clock
from amove_operator.core.key_list import RemoteKey
from amove_operator.errors import (
    AlreadyExists,
    ApiError,
    IncompleteListing,
    NotEmpty,
    NotFound,
    Rejected,
    Throttled,
    TransportFault,
)
from amove_operator.models import BucketFlags, ServiceId, canonical_id, spelling_of
from tests.stand_ins.fate import Fate, after
from tests.stand_ins.time import Time

ODD_ANSWERS = (
    "mixed list",
    "absent once",  # a look at a bucket
    "name refused",  # a create
    "renamed",  # a key
    "ids in capitals",  # a list, a new key
    "throttled",  # any call
)
"""Words for :class:`Fate`."""
IDS = "abcdef00-0000-4000-8000-{:012}".format
_UNANSWERED = ("unanswered, done", "unanswered, not done", "refused")


@dataclass
class StandInBreaker:
    """Whether calls are held back, which no test of the controllers needs."""

    state: BreakerState = field(default_factory=BreakerState)

    def check(self) -> None:
        """It is never open."""


class StoredKey:
    """A key at the service. ``shows``: from when a list has it, in monotonic seconds.

    ``name``: that which was asked for.
    """

    def __init__(self, issued: IssuedKey, name: str, user: str, shows: float) -> None:
        self.user, self.shows = user, shows
        self.id, self.name = issued.id, name
        self.listed = issued.named(name)


class InMemoryService:
    """The Amove API. ``calls``: what was asked of it, with the bucket or the key's name.

    ``hidden``: buckets that do not show (yet), though they are there.
    ``lingering``: those that still show, whether they are there or not.
    ``full``: those that are not empty.
    ``failing``: by call and bucket, what is raised instead of doing it.
    ``pause``: what each call about a bucket waits for.
    ``slow``: by call and bucket, after how many seconds it is answered. In both the calls about
    keys stand for all keys: ``("create key", "")``, ``("delete key", "")``, ``("list", "")``.
    ``unlisted``: ids of keys that no list shows (yet). ``lag``: how long it takes each to show.
    ``half_lists``: how many lists fail yet.
    ``unanswered``: ids of keys whose create was done and not answered.
    ``id_of``: the id of its first key, its second …; IDS are such that have letters.
    ``permits``: everybody's turn comes at once. ``readings_failed``: of the list being read.
    """

    readings_failed = 0

    def __init__(self, time: Time, fate: Fate) -> None:
        clock = Clock(monotonic=time.elapsed)
        self.permits = CallPermits(rate=10.0**9, concurrency=10**6, clock=clock)
        self.calls: list[tuple[str, str]] = []
        self.failing: dict[tuple[str, str], ApiError] = {}
        self.breaker = StandInBreaker()
        self.buckets: dict[str, BucketFlags] = {}
        self.hidden: set[str] = set()
        self.full: set[str] = set()
        self.lingering: dict[str, BucketFlags] = {}
        self.pause: asyncio.Event | None = None
        self.slow: dict[tuple[str, str], float] = {}
        self.keys: dict[str, StoredKey] = {}
        self.user = self.listed_as = "user-1"
        self.lag = 0.0
        self.half_lists = 0
        self.unlisted: set[str] = set()
        self.creating: Callable[[NewKey], None] = lambda _new: None
        self.deleting: Callable[[StoredKey], None] = lambda _key: None
        self.listed: Callable[[list[StoredKey]], None] = lambda _shown: None
        self.unanswered: set[str] = set()
        self.created: list[tuple[float, str]] = []
        self.id_of: Callable[[int], str] = "key-{}".format
        self._time, self._fate = time, fate

    def _meets(self, call: str) -> str:
        """Fate's word for a call that does something only if this returns."""
        word = self._fate.next()
        if word == "unanswered, not done":
            raise TransportFault(f"{call}: time-out")
        if word == "throttled":
            raise Throttled(f"{call}: slow down", retry_after=1.0)
        return word

    def _reads(self, call: str) -> str:
        word = self._meets(call)
        if word in _UNANSWERED:
            raise TransportFault(f"{call}: time-out")
        return word

    def retry_in(self, error: ApiError, failures: int) -> float | None:
        """Nothing is tried again silently: each failure shows in status."""
        del error, failures
        return None

    async def cloud_accounts(self) -> tuple[()]:
        self._reads("get_all")
        return ()

    # -- buckets ---------------------------------------------------------------------------------

    async def bucket_status(self, where: BucketAddress) -> BucketFlags:
        name = await self._called("status", where)
        word = self._reads("bucket_status")
        if name in self.lingering:
            return self.lingering[name]
        if name in self.hidden or name not in self.buckets or word == "absent once":
            raise NotFound("NOT_FOUND", "no such bucket")
        return self.buckets[name]

    async def create_bucket(
        self, where: BucketAddress, flags: BucketFlags, observed: Observed | None = None
    ) -> None:
        del observed
        name = await self._called("create", where)
        word = self._meets("create_bucket")
        if word == "name refused":
            raise Rejected("DEFAULT", "the name is not allowed", maybe_done=True)
        if name in self.buckets:
            raise AlreadyExists("DUPLICATE", "it exists")
        self.buckets[name] = flags
        _answered("create_bucket", word)

    async def update_bucket(
        self, where: BucketAddress, flags: BucketFlags, observed: Observed | None = None
    ) -> None:
        del observed
        name = await self._called("update", where)
        word = self._meets("update_bucket")
        if name not in self.buckets:
            raise NotFound("NOT_FOUND", "no such bucket")
        self.buckets[name] = flags
        _answered("update_bucket", word)

    async def delete_bucket(self, where: BucketAddress) -> None:
        name = await self._called("delete", where)
        word = self._meets("delete_bucket")
        if name in self.full:
            raise NotEmpty("DEFAULT", "not empty")
        if self.buckets.pop(name, None) is None:
            raise NotFound("NOT_FOUND", "no such bucket")
        _answered("delete_bucket", word)

    async def _called(self, call: str, where: BucketAddress) -> str:
        name = where[1]
        self.calls.append((call, name))
        if self.pause is not None:
            await self.pause.wait()
        await self._answer(call, name)
        return name

    async def _answer(self, call: str, name: str = "") -> None:
        if (seconds := self.slow.get((call, name), 0.0)) > 0:
            await asyncio.sleep(seconds)
        if (error := self.failing.get((call, name))) is not None:
            raise error

    @property
    def renamed(self) -> set[str]:
        """The ids of the keys that it made under another name than was asked for."""
        return {key.id for key in self.keys.values() if key.listed.name != key.name}

    def count(self, call: str) -> int:
        """How often it was called: ``status``, ``create``, ``list`` …"""
        return sum(made == call for made, _ in self.calls)

    # -- keys ------------------------------------------------------------------------------------

    async def get_storage_keys(self) -> tuple[RemoteKey, ...]:
        word = self._reads("get_storage_key")
        await self._answer("list")
        self.calls.append(("list", ""))
        if self.half_lists:
            self.half_lists -= 1
            raise IncompleteListing("the pages do not add up")
        if word == "mixed list":
            raise IncompleteListing("the pages show keys of two users")
        self.listed_as, now = self.user, self._time.elapsed()
        shown = [
            key
            for key in self.keys.values()
            if key.user == self.user and key.shows <= now and key.id not in self.unlisted
        ]
        self.listed(shown)
        told = (replace(key.listed, id=_in_letters(key.listed.id, word)) for key in shown)
        return tuple(told)

    async def create_storage_key(self, new: NewKey) -> IssuedKey:
        self.creating(new)
        await self._answer("create key")
        word = self._meets("create_storage_key")
        if word == "name refused":
            raise Rejected("DEFAULT", "the name is not allowed", maybe_done=True)
        self.calls.append(("create key", new.name))
        self.created.append((self._time.elapsed(), new.name))
        issued = self.issue(self.id_of(len(self.created)), new.name)
        if word == "renamed":
            issued = self._rename(issued, new.name[:16])
        if word in _UNANSWERED:
            self.unanswered.add(issued.id)
        _answered("create_storage_key", word)
        return issued.model_copy(update={"id": _in_letters(issued.id, word)})

    def issue(self, key_id: str, name: str) -> IssuedKey:
        """A key of that remote name, issued to whomever."""
        issued = IssuedKey(
            id=key_id,
            access_key=f"AK-{key_id}",
            secret_key=SecretStr(f"SK-{key_id}"),
            user_id=self.user,
            create_date=self._time.true(),
        )
        self.keys[key_id] = StoredKey(issued, name, self.user, self._time.elapsed() + self.lag)
        return issued

    def _rename(self, issued: IssuedKey, name: str) -> IssuedKey:
        stored = self.keys[spelling_of(issued.id)]
        stored.listed = replace(stored.listed, name=name)
        return issued.model_copy(update={"name": name})

    async def delete_storage_key(self, key_id: str) -> None:
        await self._answer("delete key")
        word = self._meets("delete_storage_key")
        found = self.keys.get(spelling_of(key_id)) or self.keys.get(canonical_id(key_id))
        if found is None or found.user != self.user:
            raise NotFound("NOT_FOUND", "no such key")
        self.deleting(found)
        del self.keys[spelling_of(found.id)]
        _answered("delete_storage_key", word)


def _in_letters(key_id: str, word: str) -> str:
    return ServiceId(key_id.upper()) if word == "ids in capitals" else key_id


def _answered(call: str, word: str) -> None:
    """What a call that was done still meets."""
    if word in _UNANSWERED:
        raise TransportFault(f"{call}: dropped")
    after(word)
