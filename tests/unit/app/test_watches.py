"""What the wire may bring to Kopf's watches: each is backed off and resumed, in one process."""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import kopf
import pytest

from amove_operator.app import watches
from amove_operator.app.watches import Watches
from amove_operator.models.refs import Kind
from tests.patience import PATIENCE
from tests.stand_ins.apiserver import Answer, ApiServer, error_event, refusing, saying, serving

LISTED, WATCHED = "/amovebuckets?limit", "/amovebuckets?watch"
ERROR_WITHOUT_CODE = '{"type": "ERROR", "object": {}}\n'
HALF = '{"type": "MODIFIED", "object": {"metadata": {"name": "pho'


class Watching:
    """The watches of both kinds, running."""

    def __init__(self, server: ApiServer) -> None:
        self.server = server
        self.logins = 0
        self.token = "a-token"
        self.shown: list[tuple[str, str]] = []
        self.signals = self.served = 0
        self._news = asyncio.Event()
        ready = asyncio.Event()
        both = Watches(self._on_event, self._login, [], self._served, self._take_signals)
        self.task = asyncio.create_task(both.run(ready))

    def _on_event(self, kind: Kind, _change: str | None, body: Mapping[str, Any]) -> None:
        self.shown.append((kind.value, body["metadata"]["name"]))
        self._news.set()

    async def _login(self) -> kopf.ConnectionInfo:
        self.logins += 1
        return kopf.ConnectionInfo(server=self.server.url, scheme="Bearer", token=self.token)

    async def _served(self) -> None:
        self.served += 1

    def _take_signals(self) -> None:
        self.signals += 1
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().remove_signal_handler(number)  # they are pytest's

    async def until_shown(self, kind: str, name: str) -> None:
        async with asyncio.timeout(PATIENCE):
            while (kind, name) not in self.shown:
                self._news.clear()
                await self._news.wait()


def kopfs() -> set[asyncio.Task[Any]]:
    """The tasks that Kopf has begun and that still run."""
    return {task for task in asyncio.all_tasks() if "/kopf/" in repr(task)}


@pytest.fixture
async def server() -> AsyncIterator[ApiServer]:
    async with serving() as one:
        yield one


@pytest.fixture
async def watching(server: ApiServer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Watching]:
    monkeypatch.setattr(watches, "_FIRST_PAUSE", 0.01)
    monkeypatch.setattr(watches._Endless, "__iter__", lambda _self: iter([0.01] * 1000))
    running = Watching(server)
    yield running
    assert not running.task.done()
    running.task.cancel()
    async with asyncio.timeout(PATIENCE):
        await asyncio.wait({running.task})
    assert kopfs() == set(), "each watch that broke off would leave its neighbours behind"


ROWS: list[tuple[str, str, Answer, str]] = [
    (f"{status} to a {what}", where, refusing(status), said)
    for status, said in ((401, "HTTP 401: "), (404, "404, message="), (410, "410, message="))
    for what, where in (("list", LISTED), ("watch", WATCHED))
]
ROWS += [
    (f"an ERROR event of code {code}", WATCHED, saying(error_event(code)), f"it is a {code}")
    for code in (400, 401, 403, 500, 504)
]
ROWS += [
    ("a 400 to the discovery", "/api/v1", refusing(400), "400, message="),
    ("half a line", WATCHED, saying(HALF), "JSONDecodeError"),
    ("a line that is no object", WATCHED, saying("[]\n"), "TypeError"),
    ("a page of a proxy", WATCHED, saying("<html>\n"), "JSONDecodeError"),
    ("a page of a proxy as a list", LISTED, saying("<html>"), "ContentTypeError"),
    ("an ERROR event without a code", WATCHED, saying(ERROR_WITHOUT_CODE), "KeyError: 'code'"),
]
GOES_ON = [
    (f"{status} to a {what}", where, refusing(status))
    for status in (403, 429, 500, 503)
    for what, where in (("list", LISTED), ("watch", WATCHED))
]
GOES_ON += [
    ("an ERROR event of code 410", WATCHED, saying(error_event(410))),
    ("half a line, and the connection is dropped", WATCHED, saying(HALF, whole=False)),
    ("an event of an unknown type", WATCHED, saying('{"type": "NEWS", "object": {}}\n')),
]


async def shown_after(where: str, answer: Answer, watching: Watching) -> None:
    """What is made before, while and after the server answers twice so is shown."""
    server = watching.server
    server.put("amovebuckets", "before")
    server.answer_next(where, answer, answer)
    await watching.until_shown("AmoveBucket", "before")
    await server.until(lambda: server.count(where) >= 3)
    server.put("amovebuckets", "after")
    server.put("amovestoragekeys", "after")
    await watching.until_shown("AmoveBucket", "after")
    await watching.until_shown("AmoveStorageKey", "after")


@pytest.mark.parametrize(("brings", "where", "answer", "said"), ROWS, ids=[row[0] for row in ROWS])
async def test_kopf_is_begun_anew_after(
    brings: str,
    where: str,
    answer: Answer,
    said: str,
    watching: Watching,
    caplog: pytest.LogCaptureFixture,
) -> None:
    await shown_after(where, answer, watching)
    lines = [each.getMessage() for each in caplog.records if each.name == watches.__name__]
    assert [line.partition(" broke off")[0] for line in lines] == [
        "the watches of buckets and keys"
    ] * 2
    assert all(said in line for line in lines)
    assert (watching.served, watching.signals) == (3, 3)


@pytest.mark.parametrize(("brings", "where", "answer"), GOES_ON, ids=[row[0] for row in GOES_ON])
async def test_a_watch_goes_on_by_itself_after(
    brings: str, where: str, answer: Answer, watching: Watching
) -> None:
    await shown_after(where, answer, watching)
    assert watching.served == 1


async def test_a_token_that_was_rotated_is_taken_without_an_end_of_the_watches(
    watching: Watching, server: ApiServer
) -> None:
    server.put("amovebuckets", "before")
    await watching.until_shown("AmoveBucket", "before")
    watching.token = "another-token"
    server.answer_next(WATCHED, refusing(401))
    server.end_watches()
    await server.until(lambda: server.tokens[-1] == "Bearer another-token")
    server.put("amovebuckets", "after")
    await watching.until_shown("AmoveBucket", "after")
    assert (watching.served, watching.logins) == (1, 2)


@pytest.mark.parametrize("ours", [True, False], ids=["a task of ours", "a watch of Kopf's"])
async def test_an_error_that_nobody_took_is_no_news_where_kopf_left_it(
    ours: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def breaks() -> None:
        raise ConnectionError("the wire broke")

    if not ours:
        monkeypatch.setattr(watches, "_KOPF", Path(__file__).parent)
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(watches._on_unseen_error)
    task = asyncio.create_task(breaks())
    await asyncio.wait([task])
    del task
    gc.collect()
    errors = [record for record in caplog.records if record.levelname == "ERROR"]
    assert len(errors) == (1 if ours else 0)
