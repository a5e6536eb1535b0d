"""A proxy on loopback between the operator and the API server, which answers what a test wants."""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestServer

from controlplane import ControlPlane
from tests.patience import PATIENCE

T = TypeVar("T")
WATCHED = "watch="
LEASES, FENCE = "/leases", "/validatingadmissionpolic"
HALF = '{"type": "MODIFIED", "object": {"metadata": {"name": "pho'
LOST = {"kind": "Status", "code": 500, "message": "the storage was lost"}
_HOP_BY_HOP = {"connection", "host", "transfer-encoding", "content-length", "keep-alive"}


@dataclass
class Fault:
    """Requests whose path and query contain all of ``words`` get ``status``, ``left`` times."""

    words: tuple[str, ...]
    status: int
    left: float

    def takes(self, request: web.Request) -> bool:
        """Whether it is this one's to answer."""
        if self.left <= 0 or not all(word in request.path_qs for word in self.words):
            return False
        self.left -= 1
        return True


class Wire:
    """What comes between; its methods are called from the test's thread."""

    def __init__(self, plane: ControlPlane, kubeconfig: Path, folder: Path) -> None:
        self._config = json.loads(kubeconfig.read_text())
        self._tls = ssl.create_default_context(cafile=plane.ca_file)
        self._server = plane.server
        self._faults: list[Fault] = []
        self._done: list[str] = []
        self._watches: dict[web.StreamResponse, tuple[str, asyncio.Task[Any]]] = {}
        self._loop: asyncio.AbstractEventLoop
        self._over: asyncio.Event
        self.kubeconfig = folder / "through-the-wire"

    # -- what the test wants ---------------------------------------------------------------------

    def refuse(self, *words: str, status: int, times: float = 1) -> Fault:
        """The next requests with all these words in path and query get that status."""
        fault = Fault(words, status, times)
        self._faults.append(fault)
        return fault

    def end_watches(self, *words: str, last: str = "") -> int:
        """Say ``last`` to every open watch with these words, and end it; how many there were."""
        return self._run(self._ended(words, last.encode()))

    def watches(self, *words: str) -> int:
        """How many watches with these words are open."""
        return len(self._matching(words))

    def done(self, *words: str) -> int:
        """How many requests with these words in method and path the API server has granted."""
        return sum(all(word in one for word in words) for one in [*self._done])

    def _matching(self, words: tuple[str, ...]) -> list[web.StreamResponse]:
        found = list(self._watches.items())
        return [one for one, (path, _) in found if all(word in path for word in words)]

    async def _ended(self, words: tuple[str, ...], last: bytes) -> int:
        ended = self._matching(words)
        for response in ended:
            _, task = self._watches.pop(response)
            if last:
                await response.write(last)
            task.cancel()
        return len(ended)

    # -- passing on ------------------------------------------------------------------------------

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        done: Future[T] = asyncio.run_coroutine_threadsafe(work, self._loop)
        return done.result(PATIENCE)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        for fault in self._faults:
            if fault.takes(request):
                body = {"kind": "Status", "code": fault.status, "message": "the test wants it so"}
                return web.json_response(body, status=fault.status)
        try:
            return await self._passed_on(request)
        except aiohttp.ClientConnectionError:
            return web.Response(status=502, text="the API server is away")

    async def _passed_on(self, request: web.Request) -> web.StreamResponse:
        headers = {k: v for k, v in request.headers.items() if k.lower() not in _HOP_BY_HOP}
        async with self._client.request(
            request.method,
            f"{self._server}{request.path_qs}",
            headers=headers,
            data=await request.read() or None,
            skip_auto_headers=("Content-Type",),
        ) as answer:
            kept = {k: v for k, v in answer.headers.items() if k.lower() not in _HOP_BY_HOP}
            if answer.ok:
                self._done.append(f"{request.method} {request.path_qs}")
            response = web.StreamResponse(status=answer.status, headers=kept)
            await response.prepare(request)
            copying = asyncio.create_task(self._copied(answer, response))
            if "watch" in request.query and answer.status == 200:
                self._watches[response] = (request.path_qs, copying)
            try:
                await asyncio.wait({copying})
            finally:
                copying.cancel()
                self._watches.pop(response, None)
                if answer.connection is not None and answer.connection.transport is not None:
                    answer.connection.transport.abort()
            return response

    async def _copied(self, answer: aiohttp.ClientResponse, response: web.StreamResponse) -> None:
        async for chunk in answer.content.iter_any():
            await response.write(chunk)

    @asynccontextmanager
    async def _serving(self) -> AsyncIterator[None]:
        connector = aiohttp.TCPConnector(ssl=self._tls, limit=0)
        app = web.Application(client_max_size=8 * 2**20)
        app.router.add_route("*", "/{path:.*}", self._answer)
        timeout = aiohttp.ClientTimeout(total=None)
        async with (
            aiohttp.ClientSession(
                connector=connector, timeout=timeout, auto_decompress=False, trust_env=False
            ) as self._client,
            TestServer(app) as server,
        ):
            self._config["clusters"][0]["cluster"] = {
                "server": str(server.make_url("")).rstrip("/")
            }
            self.kubeconfig.write_text(json.dumps(self._config))
            yield

    async def _serve(self, ready: Callable[[], None]) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        async with self._serving():
            ready()
            await self._over.wait()
            await self._ended((), b"")

    @contextmanager
    def running(self) -> Iterator[Wire]:
        """Serve in a thread of its own."""
        ready = threading.Event()
        thread = threading.Thread(target=lambda: asyncio.run(self._serve(ready.set)))
        thread.start()
        assert ready.wait(PATIENCE)
        try:
            yield self
        finally:
            self._loop.call_soon_threadsafe(self._over.set)
            thread.join(PATIENCE)


def breaks(wire: Wire) -> dict[str, Callable[[], object]]:
    """What is done to the watches, and to what is read beside them."""

    def refused(status: int, times: int) -> Callable[[], object]:
        def act() -> None:
            wire.refuse(WATCHED, status=status, times=times)
            wire.refuse(LEASES, status=status)
            wire.refuse(FENCE, status=status)
            wire.end_watches()

        return act

    error = json.dumps({"type": "ERROR", "object": LOST}) + "\n"
    return {
        "a 401 with the token unchanged": refused(401, 4),
        "a 403": refused(403, 4),
        "a 404": refused(404, 4),
        "a 500": refused(500, 4),
        "an ERROR event": lambda: wire.end_watches(last=error),
        "half a line": lambda: wire.end_watches(last=HALF),
    }
