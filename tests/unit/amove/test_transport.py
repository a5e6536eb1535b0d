"""What the transport promises of each request: sent once, and "never sent" said only when true."""

from __future__ import annotations

import asyncio
import socket
from base64 import b64encode
from collections.abc import Awaitable, Callable
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any

import pytest

from amove_operator.amove import AmoveClient
from amove_operator.amove.retry import RetryPolicy
from amove_operator.errors import Rejected, TransportFault
from amove_operator.models import BucketFlags
from tests.unit.amove.stand_ins import ACCOUNT, raw_server, settings, tuning
from tests.unit.amove.test_wire import NEW, WHERE, Server, read_request

_EMPTY = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
_ONCE = RetryPolicy(tries=1)


def client_at(url: str, token_file: Path, **tuned: Any) -> AmoveClient:
    given = tuning(**{"retry": _ONCE, **tuned})
    return AmoveClient(settings(token_file, api_url=url), tuning=given)


@pytest.mark.parametrize(
    "call",
    [
        lambda client: client.delete_bucket(WHERE),
        lambda client: client.update_bucket(WHERE, BucketFlags()),
        lambda client: client.delete_storage_key("7"),
        lambda client: client.cloud_accounts(),
        lambda client: client.create_bucket(WHERE, BucketFlags()),
    ],
    ids=["DELETE", "PUT", "DELETE of a key", "GET", "POST"],
)
async def test_a_request_is_sent_once_where_the_server_closes_an_idle_connection_under_it(
    token_file: Path, call: Callable[[AmoveClient], Awaitable[object]]
) -> None:
    methods: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One answer a connection; what comes after it is read, and the connection closed."""
        for answer in (_EMPTY, b""):
            methods.append((await read_request(reader)).split(b" ")[0])
            writer.write(answer)

    async with raw_server(talk) as url, aclosing(client_at(url, token_file)) as client:
        await client.update_bucket(WHERE, BucketFlags())
        with pytest.raises(TransportFault, match="ServerDisconnectedError") as raised:
            await call(client)
    assert len(methods) == 2
    assert raised.value.maybe_done is (methods[1] != b"GET")


async def test_a_handshake_that_does_not_come_had_no_effect(token_file: Path) -> None:
    async def silence(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    async with raw_server(silence) as url:
        secure = url.replace("http://127.0.0.1", "https://localhost")
        async with aclosing(client_at(secure, token_file, connect=0.05)) as client:
            with pytest.raises(TransportFault, match="ConnectTimeout") as raised:
                await client.create_storage_key(NEW)
    assert not raised.value.maybe_done


async def test_a_name_that_nobody_knows_had_no_effect(
    token_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    async with aclosing(client_at("https://amove.example", token_file)) as client:
        with pytest.raises(TransportFault, match="ConnectError") as raised:
            await client.create_storage_key(NEW)
    assert not raised.value.maybe_done


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nSeCrEt in place of a size\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nSeCrEt: of a \x00 header\r\n\r\n",
        b"HTTP/1.1 SeCrEt\r\n\r\n",
    ],
    ids=["chunk", "header", "status"],
)
async def test_no_error_repeats_a_byte_of_what_was_received(
    token_file: Path, answer: bytes
) -> None:
    server = Server(answer)
    async with raw_server(server.talk) as url, aclosing(client_at(url, token_file)) as client:
        with pytest.raises(TransportFault) as raised:
            await client.create_storage_key(NEW)
    assert "SeCrEt" not in f"{raised.value!r} {raised.value.__dict__}"
    assert raised.value.maybe_done


async def test_the_connection_of_a_cancelled_call_is_not_used_again(token_file: Path) -> None:
    connections = 0
    asked = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await read_request(reader)
        if connections == 1:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\nhalf")
            asked.set()
            await reader.read()
        writer.write(_EMPTY)
        await reader.read()

    async with raw_server(talk) as url, aclosing(client_at(url, token_file)) as client:
        first = asyncio.create_task(client.update_bucket(WHERE, BucketFlags()))
        await asked.wait()
        first.cancel()
        with suppress(asyncio.CancelledError):
            await first
        await client.update_bucket(WHERE, BucketFlags())
    assert connections == 2


class Proxy:
    """Answers each CONNECT with one status, and keeps what was asked."""

    def __init__(self, status: bytes) -> None:
        self._status = status
        self.asked: list[bytes] = []

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 " + self._status + b"\r\nContent-Length: 0\r\n\r\n")
        await reader.read()


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "ALL_PROXY"])
async def test_https_goes_by_the_proxy_of_the_environment_and_its_refusal_had_no_effect(
    token_file: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    proxy = Proxy(b"403 Forbidden")
    async with raw_server(proxy.talk) as url:
        monkeypatch.setenv(variable, url.replace("//", "//user:word@"))
        async with aclosing(client_at("https://amove.example", token_file)) as client:
            with pytest.raises(
                TransportFault, match="ProxyError: the proxy answered 403"
            ) as raised:
                await client.create_storage_key(NEW)
    assert not raised.value.maybe_done
    assert [request.split(b"\r\n")[0] for request in proxy.asked] == [
        b"CONNECT amove.example:443 HTTP/1.1"
    ]
    sent = proxy.asked[0].lower()
    assert b"proxy-authorization: basic " + b64encode(b"user:word").lower() in sent
    assert b"bearer" not in sent


async def test_a_host_that_no_proxy_names_is_asked_directly(
    token_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy, direct = Proxy(b"403 Forbidden"), Proxy(b"403 Forbidden")
    async with raw_server(proxy.talk) as by_proxy, raw_server(direct.talk) as url:
        monkeypatch.setenv("HTTPS_PROXY", by_proxy)
        monkeypatch.setenv("NO_PROXY", "localhost")
        secure = url.replace("http://127.0.0.1", "https://localhost")
        async with aclosing(client_at(secure, token_file, connect=0.2)) as client:
            with pytest.raises(TransportFault, match="Connect") as raised:
                await client.create_storage_key(NEW)
    assert not raised.value.maybe_done
    assert proxy.asked == []


async def test_a_proxy_of_another_kind_is_refused_before_anything_is_sent(
    token_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "socks5://127.0.0.1:9")
    async with aclosing(client_at("https://amove.example", token_file)) as client:
        with pytest.raises(TransportFault, match=r"UnsupportedProtocol: .*socks5") as raised:
            await client.create_storage_key(NEW)
    assert not raised.value.maybe_done


async def test_a_long_header_of_a_proxy_on_the_way_refuses_no_answer(token_file: Path) -> None:
    policy = b"X-Policy: " + b"a" * 20_000 + b"\r\n"
    server = Server(b"HTTP/1.1 200 OK\r\n" + policy + b"Content-Length: 0\r\n\r\n")
    async with raw_server(server.talk) as url, aclosing(client_at(url, token_file)) as client:
        await client.update_bucket(WHERE, BucketFlags())
    assert len(server.requests) == 1


async def test_an_answer_after_the_answer_is_not_taken_for_the_next_one(token_file: Path) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        body = b'{"data":[],"total":0}'
        whole = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        writer.write(whole + b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        await reader.read()

    async with raw_server(talk) as url, aclosing(client_at(url, token_file)) as client:
        for _ in range(2):
            assert (await client.list_buckets(ACCOUNT)) == ()


async def test_what_a_server_says_unasked_is_the_answer_to_nothing(token_file: Path) -> None:
    """Else the refusal of a revocation would be taken for that of the next call, and so on."""
    refused = b"HTTP/1.1 499 X\r\nError-Code: ACCESS\r\nContent-Length: 0\r\n\r\n"
    asked: list[bytes] = []
    said_more = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError):
            while True:
                asked.append((await read_request(reader)).split(b" ")[1])
                writer.write(refused if b"bad" in asked[-1] else _EMPTY)
                if len(asked) == 1:
                    await writer.drain()
                    await asyncio.sleep(0.05)  # the first answer is taken alone
                    writer.write(_EMPTY)
                    await writer.drain()
                    said_more.set()

    async with raw_server(talk) as url, aclosing(client_at(url, token_file)) as client:
        await client.delete_storage_key("1")
        await said_more.wait()
        await asyncio.sleep(0.05)
        with pytest.raises(TransportFault, match="nobody asked for") as raised:
            await client.delete_storage_key("bad")
        assert not raised.value.maybe_done
        assert len(asked) == 1, "it was not sent"
        with pytest.raises(Rejected):
            await client.delete_storage_key("bad")
        await client.delete_storage_key("2")
