"""Kubernetes below the client: answers the requests that ``Kube`` and the watch of Secrets send.

Where :class:`~tests.stand_ins.kube.InMemoryKube` stands in for the client, this keeps the client
itself: for what is to be lived through with all that a process holds. Optimistic locking,
finalizers, JSON and merge patches are as the real API server's; rules and admission are not there.
"""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import AsyncGenerator, Callable
from typing import Any, NamedTuple
from urllib.parse import unquote

from amove_operator.errors import Conflict, KubeUnavailable
from amove_operator.kube.failures import failure, is_failed_test
from amove_operator.kube.secret_watch import MANAGED
from amove_operator.kube.transport import JSON_PATCH, Request
from amove_operator.models.refs import Kind, Ref
from tests.stand_ins.kube import merged
from tests.stand_ins.ports import Body
from tests.stand_ins.time import Time

KINDS = {kind.plural: kind for kind in Kind}
_STREAM_SECONDS = 6 * 3600.0
_BOOKMARK_SECONDS = 60.0

OnChange = Callable[[Kind, str, Body], None]


class Place(NamedTuple):
    """Where an object is: the plural of its kind, its namespace and its name."""

    plural: str
    namespace: str
    name: str


class Refusal(Exception):
    """An answer that is no success."""

    def __init__(self, status: int, reason: str, name: str = "") -> None:
        super().__init__(reason)
        self.answer = status, {"kind": "Status", "message": reason, "details": {"name": name}}


class InMemoryApiServer:
    """What each operator's transport sends to.

    ``fate``: asked at each write but Events: ``ok``, ``unanswered, done``, ``unanswered, not done``
    or ``refused``. ``closed``: namespaces where the operator has no role but for its own objects.
    ``gone``: namespaces that are not there. ``on_change``: hear of each change of our own kinds.
    """

    def __init__(self, time: Time, fate: Callable[[], str]) -> None:
        self.objects: dict[Place, Body] = {}
        self.closed: set[str] = set()
        self.gone: set[str] = set()
        self.on_change: list[OnChange] = []
        self.streams: list[asyncio.Queue[Body]] = []
        self.skew_seconds = 0.0
        self._time, self._fate, self._version = time, fate, 0

    # -- people ----------------------------------------------------------------------------------

    def of(self, ref: Ref) -> Body | None:
        """An object of our own kinds."""
        return self.objects.get(_place(ref))

    def refs(self, kind: Kind) -> list[Ref]:
        """The objects of one kind that are there."""
        found = (place for place in self.objects if place.plural == kind.plural)
        return [Ref(kind, place.namespace, place.name) for place in found]

    def secrets(self) -> list[Body]:
        """Every Secret, anybody's."""
        return [body for place, body in self.objects.items() if place.plural == "secrets"]

    def make(self, place: Place, body: Body) -> Body:
        """Create an object."""
        meta = body.setdefault("metadata", {})
        meta |= {"name": place.name, "namespace": place.namespace, "generation": 1}
        meta |= {"uid": f"uid-{self._version + 1}", "creationTimestamp": self._now()}
        meta.setdefault("annotations", {})
        self.objects[place] = body
        return self.changed(place, "ADDED")

    def apply(self, ref: Ref, spec: Body) -> None:
        """A person applies a new object."""
        self.make(_place(ref), {"spec": spec, "status": {"observedGeneration": -1}})

    def edit(self, ref: Ref, change: Callable[[Body], None], *, spec: bool = False) -> None:
        """A person edits an object that is there."""
        if (body := self.of(ref)) is not None:
            change(body)
            body["metadata"]["generation"] += spec
            self.changed(_place(ref), "MODIFIED")

    def delete(self, place: Place) -> None:
        """A person deletes an object; its finalizers keep it."""
        if (body := self.objects.get(place)) is None:
            return
        meta = body["metadata"]
        if meta.get("finalizers") and "deletionTimestamp" not in meta:
            meta["deletionTimestamp"] = self._now()
            meta["generation"] += 1
            self.changed(place, "MODIFIED")
        elif not meta.get("finalizers"):
            self.changed(place, "DELETED")

    def changed(self, place: Place, change: str) -> Body:
        """A new version of an object, of which the watches hear; a copy of it."""
        body = self.objects[place]
        body["metadata"]["resourceVersion"] = self._next_version()
        if change == "MODIFIED" and _is_let_go(body):
            change = "DELETED"
        if change == "DELETED":
            del self.objects[place]
        if place.plural in KINDS:
            for hear in self.on_change:
                hear(KINDS[place.plural], change, copy.deepcopy(body))
        elif MANAGED in body["metadata"].get("labels", {}):
            for stream in self.streams:
                stream.put_nowait({"type": change, "object": copy.deepcopy(body)})
        return copy.deepcopy(body)

    def _next_version(self) -> str:
        self._version += 1
        return str(self._version)

    def _now(self) -> str:
        return self._time.true().strftime("%Y-%m-%dT%H:%M:%SZ")

    # -- the operator's transport ----------------------------------------------------------------

    async def call(
        self,
        request: Request,
        *,
        gate: Callable[[], None] | None = None,
        urgent_seconds: float | None = None,
    ) -> Body:
        """One request, as ``Transport.call`` has it."""
        if gate is not None:
            gate()
        writes = request.method != "GET" and not request.path.endswith("/events")
        word = self._fate() if writes else "ok"
        if word == "unanswered, not done":
            raise KubeUnavailable("no answer")
        try:
            if word == "refused":
                raise Refusal(403, "refused by a webhook")
            status, body = 200, self._answer(request)
        except Refusal as refusal:
            status, body = refusal.answer
        if word == "unanswered, done":
            raise KubeUnavailable("no answer")
        raw = json.dumps(body).encode()
        if request.content == JSON_PATCH and is_failed_test(status, raw):
            raise Conflict("the object changed since it was read")
        if status != 200:
            raise failure(status, raw, values=request.values)
        return json.loads(raw)  # type: ignore[no-any-return]

    async def stream(self, request: Request) -> AsyncGenerator[Body, None]:
        """The changes of our Secrets, for some hours."""
        self._may_list(_segments(request.path))
        changes: asyncio.Queue[Body] = asyncio.Queue()
        self.streams.append(changes)
        scope = _segments(request.path)[1] if "namespaces" in request.path else None
        mark = {"metadata": {"resourceVersion": self._next_version(), "namespace": scope}}
        bookmark = {"type": "BOOKMARK", "object": mark}
        asyncio.get_running_loop().call_later(_BOOKMARK_SECONDS, changes.put_nowait, bookmark)
        try:
            async with asyncio.timeout(_STREAM_SECONDS):
                while True:
                    event = await changes.get()
                    if scope in (None, event["object"]["metadata"]["namespace"]):
                        yield event
        except TimeoutError:
            return
        finally:
            self.streams.remove(changes)

    async def close(self) -> None:
        """Nothing is open."""

    def _answer(self, request: Request) -> Body:
        match _segments(request.path), request.method:
            case ["namespaces", name], "GET":
                if name in self.gone:
                    raise Refusal(404, "not found", name)
                return {"metadata": {"name": name, "uid": f"uid-of-{name}"}}
            case [*_, "events"], "POST":
                return {}
            case ["namespaces", namespace, plural], "POST":
                return self._create(Place(plural, namespace, ""), request)
            case ["namespaces", _, plural] | [plural], "GET":
                return self._list(plural, request)
            case ["namespaces", namespace, plural, name, *_], _:
                return self._one(Place(plural, namespace, name), request)
        raise Refusal(404, "not found", request.path.rpartition("/")[2])

    def _may_list(self, segments: list[str]) -> None:
        if segments[0] == "namespaces" and segments[1] in self.closed | self.gone:
            raise failure(403, b'{"kind": "Status", "message": "forbidden"}')

    def _list(self, plural: str, request: Request) -> Body:
        segments = _segments(request.path)
        self._may_list(segments)
        scope = segments[1] if segments[0] == "namespaces" else None
        found = [
            copy.deepcopy(body)
            for place, body in self.objects.items()
            if place.plural == plural and scope in (None, place.namespace)
        ]
        if selector := request.query.get("labelSelector"):
            found = [body for body in found if selector in body["metadata"].get("labels", {})]
        version = self._next_version()
        return {"kind": "List", "metadata": {"resourceVersion": version}, "items": found}

    def _create(self, place: Place, request: Request) -> Body:
        sent: Any = request.body
        body: Body = copy.deepcopy(sent)
        place = place._replace(name=body["metadata"]["name"])
        if place.namespace in self.closed | self.gone:
            raise Refusal(403, "forbidden")
        if place in self.objects:
            raise Refusal(409, "exists", place.name)
        if "dryRun" not in request.query:
            return self.make(place, body)
        body["metadata"] |= {"uid": "none", "resourceVersion": "0"}
        return body

    def _one(self, place: Place, request: Request) -> Body:
        foreign = place.plural not in KINDS or request.path.endswith("/status")
        if place.namespace in self.closed | self.gone and foreign:
            raise Refusal(403, "forbidden")
        body = self.objects.get(place)
        if body is None:
            raise Refusal(404, "not found", place.name)
        if request.method == "GET":
            return copy.deepcopy(body)
        if request.method == "DELETE":
            sent: Any = request.body
            if sent["preconditions"]["uid"] != body["metadata"]["uid"]:
                raise Refusal(409, "another uid", place.name)
            self.delete(place)
            return {}
        json_patch = request.content == JSON_PATCH
        patched = (_patched if json_patch else merged)(copy.deepcopy(body), request.body)
        if _version(patched) != _version(body):
            raise Refusal(409, "the object has been modified", place.name)
        if "dryRun" in request.query or patched == body:
            return patched
        self.objects[place] = patched
        return self.changed(place, "MODIFIED")


def secret_place(namespace: str, name: str) -> Place:
    return Place("secrets", namespace, name)


def _place(ref: Ref) -> Place:
    return Place(ref.kind.plural, ref.namespace, ref.name)


def _is_let_go(body: Body) -> bool:
    meta = body["metadata"]
    return "deletionTimestamp" in meta and not meta.get("finalizers")


def _version(body: Body) -> tuple[str, str]:
    return body["metadata"]["uid"], body["metadata"]["resourceVersion"]


def _segments(path: str) -> list[str]:
    """What follows the group and version."""
    parts = [unquote(part) for part in path.strip("/").split("/")]
    return parts[2:] if parts[0] == "api" else parts[3:]


def _patched(body: Body, steps: Any) -> Body:
    """A JSON patch, as far as we send any."""
    for step in steps:
        *way, last = step["path"].strip("/").split("/")
        where: Any = body
        for part in way:
            where = where.setdefault(part, []) if isinstance(where, dict) else where[int(part)]
        at = int(last) if isinstance(where, list) and last != "-" else last
        match step["op"]:
            case "test":
                try:
                    same = where[at] == step["value"]
                except (KeyError, IndexError):
                    same = False
                if not same:
                    refusal = Refusal(422, "a test failed")
                    del refusal.answer[1]["details"]
                    raise refusal
            case "add" if isinstance(where, list):
                where.append(step["value"])
            case "add":
                where[at] = step["value"]
            case _:
                del where[at]
    return body
