"""Stand-ins for time, for the service and for the network, entered through the client's seams."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import httpx
import pytest

from amove_operator.amove import BucketAddress, NewKey
from amove_operator.amove.retry import RetryPolicy
from amove_operator.amove.session import Tuning
from amove_operator.clock import Clock
from amove_operator.errors import ApiError
from amove_operator.settings import Settings

if TYPE_CHECKING:
    from amove_emulator import Emulator

T = TypeVar("T")

TOKEN = "amv_first-token-0123456789"
ACCOUNT = "c0a8f7d2-5b1e-4e7a-9f36-61d2b7e4a932"
USER = "8a6f3c1e-7b8e-4d0a-b7c5-2f7f4f1f9a21"
# Steps of the event loop within which whatever can happen without time passing has happened.
_SETTLING = 60


class FakeClock:
    """Time that passes only when nothing else can happen, and then at once."""

    def __init__(self, start: float = 1_000.0) -> None:
        self.time = start
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = itertools.count()

    @property
    def clock(self) -> Clock:
        return Clock(monotonic=lambda: self.time, now=lambda: self.time, sleep=self._sleep)

    async def _sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.time + seconds, next(self._order), woken))
        await woken

    async def settle(self) -> None:
        """Let everything happen that needs no time."""
        for _ in range(_SETTLING):
            await asyncio.sleep(0)

    async def pass_by(self, seconds: float) -> None:
        """Let ``seconds`` pass, waking each sleeper at its moment."""
        end = self.time + seconds
        await self.settle()
        while self._sleepers and self._sleepers[0][0] <= end:
            await self._wake_next()
        self.time = end

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run ``work`` to its end, letting time pass whenever it waits."""
        task = asyncio.ensure_future(work)
        try:
            await self.settle()
            while not task.done():
                assert self._sleepers, "the work waits for something that is not time"
                await self._wake_next()
            return task.result()
        finally:
            task.cancel()

    async def _wake_next(self) -> None:
        moment, _, woken = heapq.heappop(self._sleepers)
        self.time = max(self.time, moment)
        if not woken.done():
            woken.set_result(None)
        await self.settle()


Responder = Callable[[httpx.Request], httpx.Response]


class FakeService:
    """Answers by a function that a test may change, and notes every request with its time."""

    def __init__(self, responder: Responder, clock: FakeClock | None = None) -> None:
        self.responder = responder
        self.requests: list[httpx.Request] = []
        self.times: list[float] = []
        self._clock = clock

    @property
    def transport(self) -> httpx.MockTransport:
        return httpx.MockTransport(self._answer)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        self.times.append(self._clock.time if self._clock else 0.0)
        return self.responder(request)

    def paths(self) -> list[str]:
        """The last part of each request's path, in order."""
        return [request.url.path.rsplit("/", 1)[-1] for request in self.requests]

    def bodies(self) -> list[Any]:
        return [
            json.loads(request.content) if request.content else None for request in self.requests
        ]


class Answers:
    """A responder that gives one answer after the other; the last one again and again."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self._answers = list(answers)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)


def is_probe(request: httpx.Request) -> bool:
    return b"pagesize=1&" in request.url.query


def problem(code: str, message: str = "", *, header: bool = True) -> httpx.Response:
    """A 499 as the service gives it."""
    return httpx.Response(
        499,
        headers={"error-code": code} if header else {},
        json={"type": code, "status": 499, "errors": {code: [message]}},
    )


def key(number: int, **changes: Any) -> dict[str, Any]:
    """A listed key; a higher number is a younger key."""
    return {
        "id": f"key-{number}",
        "userId": USER,
        "name": f"name-{number}",
        "accessKey": f"AK{number}",
        "createDate": f"2026-01-01T{number // 3600:02d}:{number // 60 % 60:02d}:{number % 60:02d}",
        **changes,
    }


def key_page(*keys: dict[str, Any], total: int | None = None) -> httpx.Response:
    return httpx.Response(200, json={"data": keys, "total": len(keys) if total is None else total})


def flags(**changes: Any) -> httpx.Response:
    """A complete ``bucket_status`` answer."""
    names = ("isPublic", "encryptionEnabled", "versioningEnabled", "objectLockEnabled")
    return httpx.Response(200, json={**dict.fromkeys(names, False), **changes})


def swap_in(path: Path, content: str | bytes) -> None:
    """Replace a file as Kubernetes does: another inode under the same name, at once."""
    fresh = path.with_suffix(".fresh")
    fresh.write_bytes(content.encode() if isinstance(content, str) else content)
    fresh.replace(path)


def take_away(path: Path) -> None:
    path.unlink()


def at(emulator: Emulator, name: str = "logs") -> BucketAddress:
    """A bucket of the emulator's first account."""
    return BucketAddress(emulator.cloud_account_id, name)


def new_key(emulator: Emulator, name: str = "team-app-1", **changes: Any) -> NewKey:
    """What to ask the emulator for."""
    given = {
        "name": name,
        "region": "us-east-1",
        "storage_dn": emulator.storage_dn,
        "permission": "ReadWrite",
        "selected_buckets": ("logs",),
        "cloud_account_id": emulator.cloud_account_id,
    }
    return NewKey.model_validate({**given, **changes})


async def error_of(work: Awaitable[object]) -> ApiError:
    """The error that ``work`` must end in."""
    with pytest.raises(ApiError) as raised:
        await work
    return raised.value


def settings(token_file: Path, **changes: Any) -> Settings:
    return Settings.model_validate(
        {"api_url": "http://127.0.0.1:9", "token_file": token_file, "rate_limit": 1000.0, **changes}
    )


def tuning(clock: FakeClock | None = None, **changes: Any) -> Tuning:
    """Without a fake clock: real time, but no wait between tries."""
    given: dict[str, Any] = {"rng": lambda: 0.0, "retry": RetryPolicy(slow_down=0.0)}
    if clock is not None:
        given = {"rng": lambda: 0.999, "clock": clock.clock}
    return Tuning(**{**given, **changes})


@asynccontextmanager
async def raw_server(
    talk: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]],
) -> AsyncIterator[str]:
    """A server that does to each connection what ``talk`` says; gives its base URL."""

    talking: set[asyncio.Task[Any]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if (task := asyncio.current_task()) is not None:
            talking.add(task)
        try:
            await talk(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client left, or the test is over
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.close()
        await server.wait_closed()
        for task in talking:
            task.cancel()
        await asyncio.gather(*talking, return_exceptions=True)
