"""An API server of lists and watches alone, which answers a watch with whatever a test wants."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

from amove_operator.models import GROUP, VERSION
from amove_operator.models.refs import Kind
from tests.patience import PATIENCE

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]
Body = dict[str, Any]


def refusing(status: int) -> Answer:
    """Answer with that status, as an API server does."""

    async def answer(_request: web.Request) -> web.StreamResponse:
        body = {"kind": "Status", "code": status, "message": f"it is a {status}"}
        return web.json_response(body, status=status)

    return answer


def saying(*lines: str, whole: bool = True) -> Answer:
    """Answer a watch with these lines and end it; not ``whole``: by dropping the connection."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for line in lines:
            await response.write(line.encode())
        if not whole and request.transport is not None:
            request.transport.abort()
        return response

    return answer


def error_event(code: int) -> str:
    """A line that ends a watch."""
    told = {"kind": "Status", "code": code, "message": f"it is a {code}"}
    return json.dumps({"type": "ERROR", "object": told}) + "\n"


class ApiServer:
    """Serves discovery, lists and watches of both kinds and of Secrets, at ``url``.

    ``answers``: what the next lists and watches get instead, by path and query: (text, answer).
    ``objects``: by plural, what a list shows; a watch shows what :meth:`put` adds. ``asked``: all
    paths with their queries. ``version``: of lists, and of what is put next.
    """

    def __init__(self) -> None:
        self.url = ""
        self.version = 10
        self.objects: dict[str, dict[str, Body]] = {kind.plural: {} for kind in Kind}
        self.objects["secrets"] = {}
        self.asked: list[str] = []
        self.tokens: list[str] = []
        self._answers: list[tuple[str, deque[Answer]]] = []
        self._watches: list[tuple[str, asyncio.Queue[Body]]] = []
        self._news = asyncio.Event()

    def answer_next(self, where: str, *answers: Answer) -> None:
        """The next requests whose path and query contain ``where`` get these answers."""
        self._answers.append((where, deque(answers)))

    def put(self, plural: str, name: str, namespace: str = "team", **metadata: Any) -> None:
        """Make or change an object; watches show it."""
        self.version += 1
        known = self.objects[plural].get(name)
        meta = {
            "name": name,
            "namespace": namespace,
            "uid": f"uid-of-{name}",
            "creationTimestamp": "2026-01-01T00:00:00Z",
            **metadata,
            "resourceVersion": str(self.version),
        }
        self.objects[plural][name] = {"metadata": meta, "spec": {}}
        self._show(plural, "MODIFIED" if known else "ADDED", self.objects[plural][name])

    def remove(self, plural: str, name: str) -> None:
        """Delete an object; watches show it."""
        self.version += 1
        gone = self.objects[plural].pop(name)
        gone["metadata"]["resourceVersion"] = str(self.version)
        self._show(plural, "DELETED", gone)

    def _show(self, plural: str, change: str, body: Body) -> None:
        for path, events in self._watches:
            if path.endswith(f"/{plural}"):
                events.put_nowait({"type": change, "object": body})

    def end_watches(self) -> None:
        """End each watch in good order."""
        for _, events in self._watches:
            events.put_nowait({})

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until that is true; asked anew with each request."""
        async with asyncio.timeout(PATIENCE):
            while not holds():
                self._news.clear()
                await self._news.wait()

    def count(self, where: str) -> int:
        """How many requests had that text in their path and query."""
        return sum(where in each for each in self.asked)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """One request."""
        self.asked.append(request.path_qs)
        self.tokens.append(request.headers.get("Authorization", ""))
        self._news.set()
        for where, answers in self._answers:
            if where in request.path_qs and answers:
                return await answers.popleft()(request)
        if request.path in _DISCOVERY:
            return web.json_response(_DISCOVERY[request.path])
        if "watch" in request.query:
            return await self._watched(request)
        plural = request.path.rpartition("/")[2]
        if plural not in self.objects:
            return await refusing(404)(request)
        listed = {
            "kind": "AList",
            "metadata": {"resourceVersion": str(self.version)},
            "items": list(self.objects[plural].values()),
        }
        return web.json_response(listed)

    async def _watched(self, request: web.Request) -> web.StreamResponse:
        events: asyncio.Queue[Body] = asyncio.Queue()
        watch = (request.path, events)
        self._watches.append(watch)
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while event := await events.get():
                await response.write(json.dumps(event).encode() + b"\n")
        finally:
            self._watches.remove(watch)
        return response


def _group(name: str, version: str) -> Body:
    one = {"version": version, "groupVersion": f"{name}/{version}"}
    return {"name": name, "versions": [one], "preferredVersion": one}


def _resource(plural: str, kind: str, *, namespaced: bool = True) -> Body:
    return {
        "name": plural,
        "singularName": kind.lower(),
        "kind": kind,
        "namespaced": namespaced,
        "verbs": ["list", "watch", "patch"],
    }


_DEFINITIONS = "apiextensions.k8s.io"
_DISCOVERY: dict[str, Body] = {
    "/api": {"versions": ["v1"]},
    "/api/v1": {"resources": [_resource("namespaces", "Namespace", namespaced=False)]},
    "/apis": {"groups": [_group(_DEFINITIONS, "v1"), _group(GROUP, VERSION)]},
    f"/apis/{_DEFINITIONS}/v1": {
        "resources": [
            _resource("customresourcedefinitions", "CustomResourceDefinition", namespaced=False)
        ]
    },
    f"/apis/{GROUP}/{VERSION}": {"resources": [_resource(one.plural, one.value) for one in Kind]},
}


@asynccontextmanager
async def serving() -> AsyncIterator[ApiServer]:
    """Such a server on 127.0.0.1, until the context ends."""
    server = ApiServer()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.answer)
    async with TestServer(app) as running:
        server.url = str(running.make_url("")).rstrip("/")
        yield server
