"""What goes wrong below HTTP, with a server that breaks off at one exact byte, and TLS."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from amove_operator.amove import AmoveClient, BucketAddress, IssuedKey, NewKey
from amove_operator.amove.retry import RetryPolicy
from amove_operator.amove.session import Tuning
from amove_operator.errors import ApiError, TransportFault
from amove_operator.models import BucketFlags
from tests.unit.amove.stand_ins import ACCOUNT, TOKEN, raw_server, settings, tuning

WHERE = BucketAddress(ACCOUNT, "logs")
NEW = NewKey(
    name="n",
    region="us-east-1",
    storage_dn="s3.example.com",
    permission="Read",
    selected_buckets=("logs",),
    cloud_account_id=ACCOUNT,
)
ISSUED = b'{"id":"1","accessKey":"AK","secretKey":"SeCrEtSeCrEtSeCrEtSeCrEt"}'
WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nContent-Type: application/json\r\n\r\n" % len(
    ISSUED
)
WHOLE += ISSUED

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]


async def read_request(reader: asyncio.StreamReader) -> bytes:
    """The whole request, head and body."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(
        (
            int(line.split(b":")[1])
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"content-length")
        ),
        0,
    )
    return head + await reader.readexactly(length)


class Server:
    """Answers every request with the same bytes and hangs up; keeps what it was sent."""

    def __init__(self, answer: bytes, *, read: bool = True, hold: bool = False) -> None:
        self._answer = answer
        self._read = read
        self._hold = hold
        self.requests: list[bytes] = []

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.requests.append(await read_request(reader) if self._read else await reader.read(1))
        writer.write(self._answer)
        await writer.drain()
        if self._hold:
            await asyncio.Event().wait()
        if self._answer:
            # Let what was written out before the connection is cut.
            writer.write_eof()
            await reader.read()


@asynccontextmanager
async def client_of(
    token_file: Path, talk: Talk, given: Tuning | None = None
) -> AsyncIterator[AmoveClient]:
    async with (
        raw_server(talk) as url,
        aclosing(
            AmoveClient(settings(token_file, api_url=url), tuning=given or tuning())
        ) as client,
    ):
        yield client


async def mint(token_file: Path, server: Server, given: Tuning | None = None) -> IssuedKey:
    async with client_of(token_file, server.talk, given) as client:
        return await client.create_storage_key(NEW)


async def test_a_whole_answer_over_a_real_socket_is_read(token_file: Path) -> None:
    server = Server(WHOLE)
    assert (await mint(token_file, server)).id == "1"
    head = server.requests[0].split(b"\r\n\r\n")[0].lower()
    assert f"authorization: bearer {TOKEN.lower()}".encode() in head
    assert b"content-type: application/json" in head
    assert b"cookie" not in head


@pytest.mark.parametrize("cut", range(0, len(WHOLE), 9))
async def test_an_answer_cut_at_any_byte_is_a_transport_fault_and_the_create_is_not_repeated(
    token_file: Path, cut: int
) -> None:
    server = Server(WHOLE[:cut])
    with pytest.raises(TransportFault) as raised:
        await mint(token_file, server)
    assert raised.value.maybe_done
    assert len(server.requests) == 1
    assert "SeCrEt" not in repr(raised.value)


async def test_a_connection_cut_while_sending_may_have_had_its_effect(token_file: Path) -> None:
    server = Server(b"", read=False)
    with pytest.raises(TransportFault) as raised:
        await mint(token_file, server)
    assert raised.value.maybe_done
    assert len(server.requests) == 1


async def test_a_refused_connection_had_no_effect(token_file: Path) -> None:
    async with raw_server(Server(b"").talk) as url:
        pass
    async with aclosing(AmoveClient(settings(token_file, api_url=url), tuning=tuning())) as client:
        with pytest.raises(TransportFault) as raised:
            await client.create_storage_key(NEW)
    assert not raised.value.maybe_done


@pytest.mark.parametrize("answer", [b"", WHOLE[:40], WHOLE[:-5]], ids=["none", "head", "body"])
async def test_an_answer_that_never_ends_is_given_up(token_file: Path, answer: bytes) -> None:
    with pytest.raises(TransportFault, match="ReadTimeout") as raised:
        await mint(token_file, Server(answer, hold=True), tuning(read=0.05))
    assert raised.value.maybe_done


async def test_an_answer_that_drips_is_given_up_after_the_total_time(token_file: Path) -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.01)

    async with client_of(token_file, drip, tuning(read=30.0, total=0.2)) as client:
        with pytest.raises(TransportFault, match=r"no complete answer within 0\.2 s") as raised:
            await client.create_storage_key(NEW)
    assert raised.value.maybe_done


async def test_an_answer_without_end_in_size_is_cut_off(token_file: Path) -> None:
    sent = 0

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n[")
        while True:
            writer.write(b"0," * 32_768)
            await writer.drain()
            sent += 65_536

    once = tuning(retry=RetryPolicy(tries=1))
    async with client_of(token_file, flood, once) as client:
        with pytest.raises(TransportFault, match="more than 4194304 bytes"):
            await client.list_buckets(ACCOUNT)
    assert sent < 64 * 1024 * 1024


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -4\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\n1234",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nabcd",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 200_000 + b"\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
    ],
)
async def test_what_is_not_http_is_a_transport_fault(token_file: Path, garbage: bytes) -> None:
    with pytest.raises(TransportFault) as raised:
        await mint(token_file, Server(garbage))
    assert raised.value.maybe_done
    assert str(raised.value).isprintable()


async def test_a_redirect_is_not_followed_with_our_token(token_file: Path) -> None:
    elsewhere = Server(WHOLE)
    async with raw_server(elsewhere.talk) as url:
        moved = f"HTTP/1.1 307 Moved\r\nLocation: {url}/x\r\nContent-Length: 0\r\n\r\n"
        with pytest.raises(TransportFault, match="status 307"):
            await mint(token_file, Server(moved.encode()))
    assert elsewhere.requests == []


async def test_cookies_are_not_kept(token_file: Path) -> None:
    answer = b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b; Path=/\r\nContent-Length: 0\r\n\r\n"
    server = Server(answer)
    async with client_of(token_file, server.talk) as client:
        await client.update_bucket(WHERE, BucketFlags())
        await client.update_bucket(WHERE, BucketFlags())
    assert len(server.requests) == 2
    assert all(b"cookie" not in request.lower() for request in server.requests)


async def test_one_connection_serves_many_calls(token_file: Path) -> None:
    connections = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        while True:
            await read_request(reader)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    async with client_of(token_file, talk) as client:
        for _ in range(5):
            await client.update_bucket(WHERE, BucketFlags())
    assert connections == 1


async def test_a_proxy_of_the_environment_never_sees_a_call_to_loopback(
    token_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy, service = Server(WHOLE), Server(WHOLE)
    async with raw_server(proxy.talk) as url:
        monkeypatch.setenv("HTTP_PROXY", url)
        monkeypatch.setenv("ALL_PROXY", url)
        await mint(token_file, service)
    assert proxy.requests == []
    assert len(service.requests) == 1


async def test_no_log_line_and_no_error_shows_the_token(
    token_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    echo = b'{"errors":{"DEFAULT":["you sent %s"]}}' % TOKEN.encode()
    answer = b"HTTP/1.1 499 X\r\nContent-Length: %d\r\n\r\n" % len(echo) + echo
    for content in (answer, b"HTTP/1.1 200 " + TOKEN.encode() + b"\x00\r\n\r\n", b"", WHOLE[:-4]):
        with pytest.raises(ApiError) as raised:
            await mint(token_file, Server(content))
        assert TOKEN not in f"{raised.value!r} {raised.value.__dict__}"
    assert TOKEN not in caplog.text


async def test_a_certificate_nobody_vouches_for_is_refused_before_anything_is_sent(
    token_file: Path, self_signed: ssl.SSLContext
) -> None:
    seen: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        seen.append(await reader.read(1))

    server = await asyncio.start_server(talk, "127.0.0.1", 0, ssl=self_signed)
    port = server.sockets[0].getsockname()[1]
    url = f"https://localhost:{port}"
    async with (
        server,
        aclosing(AmoveClient(settings(token_file, api_url=url), tuning=tuning())) as client,
    ):
        with pytest.raises(TransportFault, match="CERTIFICATE_VERIFY_FAILED") as raised:
            await client.create_storage_key(NEW)
    assert not raised.value.maybe_done
    assert [data for data in seen if data] == []
