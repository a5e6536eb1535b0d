"""Bare HTTP to Kubernetes and to Amove: for the floor, and for what the bench itself does."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import aiohttp

JSON, MERGE = "application/json", "application/merge-patch+json"
Body = dict[str, Any]
Item = TypeVar("Item")


class AnsweredError(Exception):
    """An answer other than 2xx; ``status`` and the body's text."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"answered {status}: {text[:500]}")
        self.status = status


class Bare:
    """One server, by aiohttp and nothing else. Made by :func:`kube` and :func:`amove`."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def send(self, method: str, path: str, body: Body | None = None, kind: str = JSON) -> Any:
        """The answer's JSON; ``None`` without a body. Raises AnsweredError."""
        data = None if body is None else json.dumps(body)
        headers = {"Content-Type": kind} if data else {}
        async with self._session.request(method, path, data=data, headers=headers) as answer:
            text = await answer.text()
            if answer.status >= 300:
                raise AnsweredError(answer.status, text)
            return json.loads(text) if text else None

    async def patch(self, path: str, body: Body) -> Any:
        """A merge patch."""
        return await self.send("PATCH", path, body, MERGE)

    async def lines(self, path: str) -> AsyncIterator[Any]:
        """The JSON of each line of an answer that does not end, such as a watch."""
        async with self._session.get(path, timeout=aiohttp.ClientTimeout(None)) as answer:
            async for line in answer.content:
                yield json.loads(line)


def kube(kubeconfig: Path) -> AbstractAsyncContextManager[Bare]:
    """The API server, as the user of a kubeconfig with a token that this project wrote."""
    config = json.loads(kubeconfig.read_text())
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
    tls = ssl.create_default_context(cadata=authority)
    return _bare(cluster["server"], user["token"], tls)


def amove(url: str, token_file: Path | None = None) -> AbstractAsyncContextManager[Bare]:
    """The Amove API, or without a token the emulator's own interface beside it."""
    return _bare(url, token_file.read_text() if token_file else "", None)


@asynccontextmanager
async def _bare(url: str, token: str, tls: ssl.SSLContext | None) -> AsyncIterator[Bare]:
    async with aiohttp.ClientSession(
        url,
        headers={"Authorization": f"Bearer {token}"} if token else {},
        connector=aiohttp.TCPConnector(ssl=tls or True, limit=64),
        read_bufsize=2**22,  # a line of a watch is an object
    ) as session:
        yield Bare(session)


async def each(
    items: Iterable[Item], act: Callable[[Item], Awaitable[object]], at_a_time: int = 32
) -> None:
    """``act`` on every item, so many at a time; the first that fails ends it."""
    left = iter(items)

    async def work() -> None:
        for item in left:
            await act(item)

    async with asyncio.TaskGroup() as group:
        for _ in range(at_a_time):
            group.create_task(work())
