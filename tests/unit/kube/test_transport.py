"""Requests, tokens, time-outs and watches against a scripted server on 127.0.0.1."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from email.utils import formatdate
from types import SimpleNamespace
from typing import Any

import kubernetes.aio.client
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from amove_operator.clock import Clock
from amove_operator.errors import Conflict, KubeRefused, KubeUnavailable, NotLeading
from amove_operator.kube import Kube, SecretWatch
from amove_operator.kube.connection import Access, Bearer
from amove_operator.kube.listing import each_item
from amove_operator.kube.secret_watch import SecretMeta
from amove_operator.kube.transport import Request, Transport
from amove_operator.models.refs import Kind, Ref
from tests.patience import PATIENCE

REF = Ref(Kind.BUCKET, "team", "photos")


def _unread(_item: dict[str, Any]) -> None:
    pass


Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Scripted:
    """A server that answers with the next of ``script`` and keeps what it was asked."""

    def __init__(self) -> None:
        self.script: list[Answer | web.Response] = []
        self.asked: list[SimpleNamespace] = []
        self.url = ""
        self._news = asyncio.Event()

    async def until_asked(self, times: int) -> None:
        async with asyncio.timeout(PATIENCE):
            while len(self.asked) < times:
                self._news.clear()
                await self._news.wait()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.text()
        self.asked.append(
            SimpleNamespace(
                method=request.method,
                path=request.path,
                query=dict(request.query),
                headers=request.headers,
                body=json.loads(body) if body else None,
            )
        )
        self._news.set()
        if not self.script:
            return status(500, "the script is over")
        turn = self.script.pop(0)
        return turn if isinstance(turn, web.Response) else await turn(request)


def status(code: int, message: str = "words", **details: object) -> web.Response:
    return web.json_response(
        {"kind": "Status", "message": message, "details": details}, status=code
    )


@pytest.fixture
async def server() -> AsyncIterator[Scripted]:
    scripted = Scripted()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", scripted.answer)
    async with TestServer(app) as running:
        scripted.url = str(running.make_url("")).rstrip("/")
        yield scripted


@pytest.fixture
async def kube(server: Scripted) -> AsyncIterator[Kube]:
    client = connected(server.url)
    yield client
    await client.aclose()


def connected(url: str, bearer: Bearer | None = None) -> Kube:
    configuration: Any = kubernetes.aio.client.Configuration(host=url)
    configuration.client_session_kwargs = {"trust_env": False}
    if bearer is not None:
        configuration.refresh_api_key_hook = bearer.refresh
        configuration.api_key["BearerToken"] = ""
    transport = Transport(Access(configuration, bearer, "team"))
    return Kube(transport, namespace="team")


async def test_a_dropped_connection_is_unavailability(server: Scripted, kube: Kube) -> None:
    async def drop(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    server.script = [drop] * 3
    with pytest.raises(KubeUnavailable):
        await kube.write_status(REF, "1", {}, {"ownerUID": "u"})
    assert len(server.asked) == 1, "a write is sent once"


async def test_an_answer_that_does_not_come_is_unavailability(server: Scripted, kube: Kube) -> None:
    over = asyncio.Event()

    async def hang(_: web.Request) -> web.StreamResponse:
        await over.wait()
        return web.Response()

    server.script = [hang]
    with pytest.raises(KubeUnavailable, match="TimeoutError"):
        await kube.transport.call(Request("GET", "/version"), urgent_seconds=0.2)
    over.set()


async def test_nobody_listening_is_unavailability() -> None:
    kube = connected("http://127.0.0.1:1")
    with pytest.raises(KubeUnavailable):
        await kube.get_object(REF)
    await kube.aclose()


async def test_a_page_of_a_proxy_is_neither_object_nor_list_nor_absence(
    server: Scripted, kube: Kube
) -> None:
    page = "<html>sign in</html>"
    for code in (200, 404):
        server.script = [web.Response(status=code, text=page) for _ in range(2)]
        with pytest.raises(KubeUnavailable):
            await kube.get_object(REF)
        with pytest.raises(KubeUnavailable):
            await kube.each_object(Kind.BUCKET, _unread)
    server.script = [web.json_response({"hello": "world"}) for _ in range(2)]
    with pytest.raises(KubeUnavailable):
        await kube.get_object(REF)
    with pytest.raises(KubeUnavailable):
        await kube.each_object(Kind.BUCKET, _unread)


async def test_missing_kinds_are_named(server: Scripted, kube: Kube) -> None:
    one = {"kind": "APIResourceList", "resources": [{"name": "amovebuckets"}]}
    server.script = [
        web.Response(status=404, text="404 page not found\n"),
        web.json_response(one),
        status(503),
    ]
    assert await kube.missing_crds() == ["amovebuckets", "amovestoragekeys"]
    assert await kube.missing_crds() == ["amovestoragekeys"]
    with pytest.raises(KubeUnavailable):
        await kube.missing_crds()


async def test_the_gate_is_asked_after_waiting_for_a_free_slot(
    server: Scripted, kube: Kube
) -> None:
    asked: list[str] = []
    lead = [True]

    def gate() -> None:
        asked.append("gate")
        if not lead[0]:
            raise NotLeading("lost")

    kube.gate = gate
    free = asyncio.Event()

    async def slow(_: web.Request) -> web.StreamResponse:
        await free.wait()
        return web.json_response({"metadata": {}})

    server.script = [slow] * 32
    busy = [asyncio.create_task(kube.get_object(REF)) for _ in range(32)]
    await server.until_asked(32)
    write = asyncio.create_task(kube.write_status(REF, "1", {}, {"ownerUID": "u"}))
    await asyncio.sleep(0)
    assert asked == []
    lead[0] = False
    free.set()
    with pytest.raises(NotLeading):
        await write
    await asyncio.gather(*busy)
    assert {request.method for request in server.asked} == {"GET"}


async def test_writes_carry_what_makes_them_safe(server: Scripted, kube: Kube) -> None:
    answer = {"metadata": {"name": "s", "namespace": "team", "uid": "u", "resourceVersion": "8"}}
    server.script = [web.json_response(answer) for _ in range(3)]
    await kube.write_status(REF, "7", {"a": 1, "b": 2}, {"a": 1})
    await kube.patch_secret("team", "s", {}, uid="u", resource_version="7", dry_run=True)
    await kube.delete_secret("team", "s", uid="u")
    status_write, patch, delete = server.asked
    assert status_write.body == {"metadata": {"resourceVersion": "7"}, "status": {"b": None}}
    assert status_write.headers["Content-Type"] == "application/merge-patch+json"
    assert patch.body == {"metadata": {"uid": "u", "resourceVersion": "7"}}
    assert patch.query == {"fieldManager": "amove-operator", "dryRun": "All"}
    assert delete.body["preconditions"] == {"uid": "u"}
    assert delete.headers["User-Agent"].startswith("amove-operator/")


async def test_a_list_whose_position_expired_is_read_again_from_its_start(
    server: Scripted, kube: Kube
) -> None:
    def page(*names: str, more: str = "") -> web.Response:
        items = [{"metadata": {"name": name}} for name in names]
        meta = {"resourceVersion": "5", "continue": more}
        return web.json_response({"kind": "XList", "metadata": meta, "items": items})

    server.script = [page("a", more="m"), status(410), page("a", more="m"), page("b")]
    seen: list[str] = []
    taken = await kube.each_object(Kind.BUCKET, lambda item: seen.append(item["metadata"]["name"]))
    assert (seen, taken) == (["a", "a", "b"], "5")
    server.script = [page("a", more="m"), status(503)]
    with pytest.raises(KubeUnavailable):
        await kube.each_object(Kind.BUCKET, _unread)
    server.script = [each for _ in range(3) for each in (page("a", more="m"), status(410))]
    with pytest.raises(KubeUnavailable, match="expired"):
        await each_item(kube.transport, "/api/v1/secrets", _unread)


async def test_the_servers_date_tells_how_far_the_local_clock_is_off(
    server: Scripted,
) -> None:
    configuration: Any = kubernetes.aio.client.Configuration(host=server.url)
    wall, running = [1_000_100.5], [5.0]
    clock = Clock(now=lambda: wall[0], monotonic=lambda: running[0])
    transport = Transport(Access(configuration, None, "team"), clock=clock)
    kube = Kube(transport, namespace="team")
    dated = web.json_response({}, headers={"Date": formatdate(1_000_000, usegmt=True)})
    undated = web.json_response({}, headers={"Date": "yesterday"})
    server.script = [dated, undated]
    assert kube.skew_seconds is None
    for _ in server.script[:]:
        await kube.missing_crds()
        assert kube.skew_seconds == pytest.approx(100.0)
    running[0] += 30
    wall[0] += 30
    assert kube.skew_seconds == pytest.approx(100.0)
    wall[0] += 3600
    assert kube.skew_seconds == pytest.approx(3700.0), "a step shows before the next answer"
    await kube.aclose()


class Tokens:
    """A token file: what it holds now, and how often it was read."""

    def __init__(self) -> None:
        self.token: str | None = "Bearer one"
        self.fault: OSError | None = None
        self.reads = 0
        self.now = 0.0

    async def read(self) -> str | None:
        self.reads += 1
        if self.fault is not None:
            raise self.fault
        return self.token


async def test_a_refused_token_is_read_again_and_the_request_sent_once_more(
    server: Scripted,
) -> None:
    tokens = Tokens()
    kube = connected(server.url, Bearer(tokens.read, clock=lambda: tokens.now))
    server.script = [web.json_response({}), status(401), web.json_response({}), status(401)]
    request = Request("GET", "/version")
    await kube.transport.call(request)
    tokens.token = "Bearer two"
    await kube.transport.call(request)
    with pytest.raises(KubeUnavailable):  # no newer token: no second try
        await kube.transport.call(request)
    sent = [asked.headers["Authorization"] for asked in server.asked]
    assert sent == ["Bearer one", "Bearer one", "Bearer two", "Bearer two"]
    await kube.aclose()


async def test_a_token_is_read_once_a_minute_and_an_unreadable_one_kept(
    server: Scripted,
) -> None:
    tokens = Tokens()
    kube = connected(server.url, Bearer(tokens.read, clock=lambda: tokens.now))
    server.script = [web.json_response({}) for _ in range(4)]
    for moment, fault in ((0, None), (59, None), (61, OSError("gone")), (200, None)):
        tokens.now, tokens.fault = moment, fault
        await kube.transport.call(Request("GET", "/version"))
    assert tokens.reads == 3
    assert {asked.headers["Authorization"] for asked in server.asked} == {"Bearer one"}
    await kube.aclose()


async def test_no_error_shows_the_token(server: Scripted) -> None:
    tokens = Tokens()
    tokens.token = "Bearer not\nwell-formed-token-0123"
    kube = connected(server.url, Bearer(tokens.read))
    with pytest.raises(KubeUnavailable) as failed:
        await kube.transport.call(Request("GET", "/version"))
    assert "well-formed-token" not in str(failed.value)
    assert failed.value.__suppress_context__
    await kube.aclose()


def metadata(name: str, version: str) -> dict[str, Any]:
    meta = {"name": name, "namespace": "team", "uid": name, "resourceVersion": version}
    return {"kind": "PartialObjectMetadata", "metadata": meta}


def listing(version: str, *items: dict[str, Any], more: str = "") -> web.Response:
    kind, meta = "PartialObjectMetadataList", {"resourceVersion": version, "continue": more}
    return web.json_response({"kind": kind, "metadata": meta, "items": list(items)})


def watch_of(*events: dict[str, Any]) -> Answer:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for event in events:
            await response.write(json.dumps(event).encode() + b"\n")
        return response

    return answer


EXPIRED = {"type": "ERROR", "object": {"kind": "Status", "code": 410, "message": "too old"}}


@pytest.mark.parametrize("expiry", [watch_of(EXPIRED), status(410)], ids=["event", "answer"])
async def test_an_expired_watch_lists_anew_and_tells_what_vanished(
    server: Scripted, kube: Kube, expiry: Answer | web.Response
) -> None:
    told: list[tuple[str, str, bool]] = []
    done = asyncio.Event()

    def on_change(secret: SecretMeta, *, deleted: bool) -> None:
        told.append((secret.name, secret.resource_version, deleted))
        if secret.name == "c":
            done.set()

    server.script = [
        listing("5", metadata("a", "1"), metadata("b", "2")),
        expiry,
        listing("9", metadata("b", "2")),
        watch_of(
            {"type": "BOOKMARK", "object": metadata("", "11")},
            {"type": "ADDED", "object": metadata("c", "12")},
        ),
    ]
    watch = SecretWatch(kube, on_change, namespaces=["team"])
    task = asyncio.create_task(watch.run())
    async with asyncio.timeout(PATIENCE):
        await done.wait()
    await server.until_asked(5)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert told == [("a", "1", False), ("b", "2", False), ("a", "1", True), ("c", "12", False)]
    assert set(watch.known) == {("team", "b"), ("team", "c")}
    positions = [asked.query.get("resourceVersion") for asked in server.asked]
    assert positions == [None, "5", None, "9", "12"], "and it resumes where it was"


async def test_each_page_of_a_list_is_told_before_the_next_is_asked_for(
    server: Scripted, kube: Kube
) -> None:
    """Ten thousand Secrets told at once would hold up everybody else."""
    told: list[str] = []

    async def second_page(_request: web.Request) -> web.StreamResponse:
        assert told == ["a", "b"]
        return listing("5", metadata("c", "3"))

    server.script = [listing("5", metadata("a", "1"), metadata("b", "2"), more="c"), second_page]
    watch = SecretWatch(kube, lambda secret, *, deleted: told.append(secret.name))
    task = asyncio.create_task(watch.run())
    async with asyncio.timeout(PATIENCE):
        await watch.synced.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert told == ["a", "b", "c"]


async def test_a_secret_that_went_while_its_list_began_anew_is_known_to_be_gone(
    server: Scripted, kube: Kube
) -> None:
    """The watch goes on from the second list, and shows no deletion that came before it."""
    server.script = [
        listing("5", metadata("a", "1"), metadata("b", "2"), more="next"),
        status(410),
        listing("9", metadata("b", "2")),
    ]
    told: list[tuple[str, bool]] = []

    def on_change(secret: SecretMeta, *, deleted: bool) -> None:
        told.append((secret.name, deleted))

    watch = SecretWatch(kube, on_change)
    task = asyncio.create_task(watch.run())
    async with asyncio.timeout(PATIENCE):
        await watch.synced.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert set(watch.known) == {("team", "b")}
    assert told == [("a", False), ("b", False), ("a", True)]


async def test_a_watch_that_is_refused_says_so_and_raises_nothing(
    server: Scripted, kube: Kube, caplog: pytest.LogCaptureFixture
) -> None:
    server.script = [status(403, "no watch for you"), listing("5")]
    watch = SecretWatch(kube, lambda secret, *, deleted: None)
    task = asyncio.create_task(watch.run())
    async with asyncio.timeout(PATIENCE):
        await watch.synced.wait()
    assert "no watch for you" in caplog.text
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def half(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b'{"type":"ADDED","obj')
    return response


LOST = {"type": "ERROR", "object": {"kind": "Status", "code": 500, "message": "lost"}}


@pytest.mark.parametrize(
    ("brings", "listed_anew"),
    [
        (status(401), False),
        (status(403), False),
        (status(500), False),
        (half, False),
        (watch_of(LOST), True),
        (watch_of({"type": "ADDED"}), True),
    ],
    ids=["401", "403", "500", "half a line", "an ERROR event", "an event of nothing"],
)
async def test_a_watch_of_secrets_goes_on_and_says_when_it_is_in_sync(
    server: Scripted, kube: Kube, brings: Answer | web.Response, *, listed_anew: bool
) -> None:
    done, news = asyncio.Event(), []

    def on_sync(scope: str | None, *, in_sync: bool) -> None:
        news.append((scope, in_sync))
        if len(news) == 3:
            done.set()

    after = watch_of({"type": "BOOKMARK", "object": metadata("", "6")})
    server.script = [listing("5"), brings, listing("5") if listed_anew else after]
    watch = SecretWatch(kube, lambda _secret, *, deleted: None, on_sync)
    task = asyncio.create_task(watch.run())
    async with asyncio.timeout(PATIENCE):
        await done.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert news[:3] == [(None, True), (None, False), (None, True)]


async def test_a_stream_that_breaks_is_unavailability(server: Scripted, kube: Kube) -> None:
    async def cut(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b'{"type":"ADDED","obj')
        assert request.transport is not None
        request.transport.close()
        return response

    server.script = [cut, status(403)]
    for expected in (KubeUnavailable, KubeRefused):
        request = Request("GET", "/api/v1/secrets", {"watch": "1"})
        with pytest.raises(expected):
            async with aclosing(kube.transport.stream(request)) as events:
                await anext(events)


async def test_a_conflict_is_a_conflict_for_every_write(server: Scripted, kube: Kube) -> None:
    server.script = [status(409, name="s") for _ in range(4)]
    manifest = {"metadata": {"name": "s", "namespace": "team"}, "data": {}}
    for write in (
        kube.write_status(REF, "1", {}, {"a": 1}),
        kube.create_secret(manifest),
        kube.patch_secret("team", "s", {}, uid="u", resource_version="1"),
        kube.delete_secret("team", "s", uid="u"),
    ):
        with pytest.raises(Conflict):
            await write
