"""A cluster and a service in memory, exact enough for the real reconciler, with faults on request.

Only what the key reconciler uses: the real API server and the emulator are the cluster tests'.
Every effect asks :class:`Fate` first, which can end the process before or after it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Coroutine, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from pydantic import SecretStr

from amove_operator.amove import IssuedKey, NewKey
from amove_operator.core.key_list import RemoteKey
from amove_operator.core.refs import Ref
from amove_operator.errors import (
    Conflict,
    IncompleteListing,
    KubeRefused,
    KubeUnavailable,
    NotFound,
    TransportFault,
)
from amove_operator.kube.views import SecretView
from amove_operator.models import FINALIZER, ObjectMeta

T = TypeVar("T")
Body = dict[str, Any]


class Crash(BaseException):
    """The process is killed here."""


MEANWHILE = ("strip", "vanish", "edit", "Secret goes")
"""What somebody else may do while an effect is under way, which is then done."""


class Fate:
    """What the next effects meet: one word for each, then ``ok`` for ever."""

    def __init__(self) -> None:
        self.words: list[str] = []
        self.meanwhile: Callable[[str], None] = lambda _word: None

    def next(self) -> str:
        """The word for this effect; a crash before it is raised at once."""
        word = self.words.pop(0) if self.words else "ok"
        if word == "crash before":
            raise Crash
        if word in MEANWHILE:
            self.meanwhile(word)
            return "ok"
        return word


def after(word: str) -> None:
    """What an effect that was done still meets."""
    if word == "crash after":
        raise Crash


def run(work: Coroutine[Any, Any, T]) -> T:
    """Drive a coroutine that never truly waits."""
    try:
        work.send(None)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]
    raise AssertionError("it waits for something that never comes")


class Time:
    """A wall clock and a monotonic one; the wall clock can be set wrong."""

    def __init__(self) -> None:
        self.seconds = 1000.0
        self.jumped = timedelta()

    def monotonic(self) -> float:
        """Seconds; a little later every time it is asked."""
        self.seconds += 0.001
        return self.seconds

    def true(self) -> datetime:
        """What a right clock shows."""
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.seconds)

    def local(self) -> datetime:
        """What the operator's clock shows."""
        return self.true() + self.jumped


class StandInKube:
    """The API server: CRs and Secrets by namespace and name."""

    def __init__(self, time: Time, fate: Fate) -> None:
        self.crs: dict[Ref, Body] = {}
        self.secrets: dict[tuple[str, str], Body] = {}
        self.to_be_checked: set[str] = set()
        self._time, self._fate, self._version = time, fate, 0

    @property
    def skew_seconds(self) -> float:
        """Local clock minus ours."""
        return self._time.jumped.total_seconds()

    def version(self) -> str:
        """A new resourceVersion, also good as a part of a UID."""
        self._version += 1
        return str(self._version)

    def _effect(self, done: Callable[[], T]) -> T:
        word = self._fate.next()
        if word == "unanswered, not done":
            raise KubeUnavailable("no answer")
        if word == "refused":
            raise KubeRefused("refused by a webhook", status=403)
        result = done()
        if word == "unanswered, done":
            raise KubeUnavailable("no answer")
        after(word)
        return result

    def _own(self, ref: Ref, version: str) -> Body:
        body = self.crs.get(ref)
        if body is None or body["metadata"]["resourceVersion"] != version:
            raise Conflict("the object has been modified")
        return body

    def touch(self, body: Body) -> Body:
        """Stamp a new version; a copy for the caller."""
        body["metadata"]["resourceVersion"] = self.version()
        return copy.deepcopy(body)

    async def get_object(self, ref: Ref) -> Body | None:
        return copy.deepcopy(self.crs.get(ref))

    async def add_finalizer(self, ref: Ref, meta: ObjectMeta) -> Body:
        def done() -> Body:
            body = self._own(ref, meta.resource_version)
            body["metadata"]["finalizers"] = [FINALIZER]
            return self.touch(body)

        return self._effect(done)

    async def remove_finalizer(self, ref: Ref, meta: ObjectMeta) -> None:
        def done() -> None:
            self._own(ref, meta.resource_version)
            del self.crs[ref]

        self._effect(done)

    async def write_status(
        self, ref: Ref, version: str, before: Mapping[str, Any], new: Mapping[str, Any]
    ) -> Body | None:
        if before == new:
            return None

        def done() -> Body:
            body = self._own(ref, version)
            body["status"] = copy.deepcopy(dict(new))
            return self.touch(body)

        return self._effect(done)

    async def namespace_terminating(self, _namespace: str) -> bool:
        return False

    async def emit_event(self, *_args: object, reason: str, message: str, **_more: object) -> None:
        if reason == "RevokeUnconfirmed":
            self.to_be_checked.update(message.split())

    async def read_secret(self, namespace: str, name: str) -> SecretView | None:
        if self._fate.next() not in ("ok", "crash after"):
            raise KubeUnavailable("no answer")
        body = self.secrets.get((namespace, name))
        return None if body is None else SecretView.parse(copy.deepcopy(body))

    async def create_secret(self, manifest: Body, *, dry_run: bool = False) -> SecretView:
        def done() -> SecretView:
            where = manifest["metadata"]["namespace"], manifest["metadata"]["name"]
            if where in self.secrets:
                raise Conflict("exists")
            body = copy.deepcopy(manifest)
            body["metadata"]["uid"] = f"secret-{self.version()}"
            self.touch(body)
            if not dry_run:
                self.secrets[where] = body
            return SecretView.parse(copy.deepcopy(body))

        return self._effect(done)

    async def patch_secret(
        self,
        namespace: str,
        name: str,
        patch: Body,
        *,
        uid: str,
        resource_version: str,
        dry_run: bool = False,
    ) -> SecretView:
        def done() -> SecretView:
            found = self.secrets.get((namespace, name), {"metadata": {}})
            meta = found["metadata"]
            if (meta.get("uid"), meta.get("resourceVersion")) != (uid, resource_version):
                raise Conflict("the object has been modified")
            body: Body = _merged(copy.deepcopy(found), patch)
            self.touch(body)
            if not dry_run:
                self.secrets[namespace, name] = body
            return SecretView.parse(copy.deepcopy(body))

        return self._effect(done)

    async def delete_secret(self, namespace: str, name: str, *, uid: str) -> bool:
        def done() -> bool:
            found = self.secrets.get((namespace, name))
            if found is not None and found["metadata"]["uid"] != uid:
                raise Conflict("another uid")
            return self.secrets.pop((namespace, name), None) is not None

        return self._effect(done)


def _merged(old: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    old = old if isinstance(old, dict) else {}
    for name, value in patch.items():
        if value is None:
            old.pop(name, None)
        else:
            old[name] = _merged(old.get(name), value)
    return old


class StoredKey:
    """A key at the service. ``shows``: from when a list has it, in monotonic seconds."""

    def __init__(self, issued: IssuedKey, name: str, user: str, shows: float) -> None:
        self.user, self.shows = user, shows
        self.id, self.name = issued.id, name
        self.listed = issued.named(name)


class StandInService:
    """The Amove API: keys by id, of several users."""

    def __init__(self, time: Time, fate: Fate) -> None:
        self.keys: dict[str, StoredKey] = {}
        self.user = self.listed_as = "user-1"
        self.lag = 0.0
        self.half_lists = 0
        self.creating: Callable[[NewKey], None] = lambda _new: None
        self.deleting: Callable[[StoredKey], None] = lambda _key: None
        self.listed: Callable[[list[StoredKey]], None] = lambda _shown: None
        self.unanswered: set[str] = set()
        self.created: list[tuple[float, str]] = []
        self._time, self._fate = time, fate

    async def cloud_accounts(self) -> tuple[()]:
        return ()

    async def get_storage_keys(self) -> tuple[RemoteKey, ...]:
        if self._fate.next() not in ("ok", "crash after"):
            raise TransportFault("get_storage_key: time-out")
        if self.half_lists:
            self.half_lists -= 1
            raise IncompleteListing("the pages do not add up")
        self.listed_as = self.user
        shown = [
            key
            for key in self.keys.values()
            if key.user == self.user and key.shows <= self._time.seconds
        ]
        self.listed(shown)
        return tuple(key.listed for key in shown)

    async def create_storage_key(self, new: NewKey) -> IssuedKey:
        self.creating(new)
        word = self._fate.next()
        if word == "unanswered, not done":
            raise TransportFault("create_storage_key: time-out")
        number = len(self.created) + 1
        self.created.append((self._time.seconds, new.name))
        issued = IssuedKey(
            id=f"key-{number}",
            access_key=f"AK{number}",
            secret_key=SecretStr(f"SK{number}"),
            user_id=self.user,
            create_date=self._time.true(),
        )
        self.keys[issued.id] = StoredKey(issued, new.name, self.user, self._time.seconds + self.lag)
        if word in ("unanswered, done", "refused"):
            self.unanswered.add(issued.id)
            raise TransportFault("create_storage_key: dropped")
        after(word)
        return issued

    async def delete_storage_key(self, key_id: str) -> None:
        word = self._fate.next()
        if word == "unanswered, not done":
            raise TransportFault("delete_storage_key: time-out")
        found = self.keys.get(key_id)
        if found is None or found.user != self.user:
            raise NotFound("NOT_FOUND", "no such key")
        self.deleting(found)
        del self.keys[key_id]
        if word in ("unanswered, done", "refused"):
            raise TransportFault("delete_storage_key: dropped")
        after(word)
