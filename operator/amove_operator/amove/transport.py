"""The wire below the client: httpx's requests over aiohttp's connections, which cost a third.

What a failure means is decided here, by the class of httpx's error: the client takes some of them
for "never sent" (``session.py``), and may then send a create again. Therefore:

- a request is sent once: aiohttp by itself would send an idempotent one again where a connection
  broke, unseen by the Lease, the rate limit and ``maybe_done``;
- only what fails before there is a connection is a ``ConnectError``, ``ConnectTimeout`` or
  ``ProxyError``; an error of any other kind may have come after the request had gone out;
- what a server or a proxy says on an idle connection, unasked, is the answer to nothing: were it
  taken for that of the next request, a refused revocation could pass for done;
- no text of an error repeats what was received: it may be half an answer with a secret in it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from urllib.request import getproxies, proxy_bypass

import aiohttp
import httpx
from aiohttp.connector import Connection
from yarl import URL

# Servers close an idle connection after 5 s or later: one that is older is not used again.
_IDLE_SECONDS = 4.0
_LONGEST_HEADER = 64 * 1024  # a policy or cookie of a proxy may pass aiohttp's own 8 KiB
_NO_CONNECTION = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)


class _BrokenOff(aiohttp.ClientError):
    """The connection broke: a class that is no reason for aiohttp to send again."""


class _Surplus(aiohttp.ClientError):
    """An answer was there before the request: nothing was sent."""


class _Request(aiohttp.ClientRequest):
    async def send(self, conn: Connection) -> aiohttp.ClientResponse:
        """Send, but not on a connection on which something came that nobody asked for."""
        if conn.protocol is None or conn.protocol.should_close:
            raise _Surplus
        return await super().send(conn)


class AiohttpTransport(httpx.AsyncBaseTransport):
    """At most ``connections`` at a time; more requests wait, up to ``pool`` of their time-out.

    ``trust_env``: the proxies and the certificate authorities that the environment names count.
    """

    def __init__(self, *, connections: int, trust_env: bool) -> None:
        self._connections = connections
        self._trust_env = trust_env
        self._sessions: dict[bool, aiohttp.ClientSession] = {}
        self._proxies: dict[str, URL | None] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The answer, its body not read yet. Raises httpx.TransportError."""
        secure = request.url.scheme == "https"
        if (session := self._sessions.get(secure)) is None:
            session = self._sessions[secure] = self._open(secure=secure)
        limits = request.extensions["timeout"]
        with _as_httpx():
            answer = await session.request(
                request.method,
                URL(str(request.url), encoded=True),
                headers=request.headers.multi_items(),
                data=request.content or None,
                skip_auto_headers=("Content-Type",),
                allow_redirects=False,
                proxy=self._proxy(request.url),
                timeout=aiohttp.ClientTimeout(
                    connect=limits["pool"], sock_connect=limits["connect"], sock_read=limits["read"]
                ),
            )
        return httpx.Response(answer.status, headers=answer.raw_headers, stream=_Body(answer))

    async def aclose(self) -> None:
        """Close all connections."""
        for session in self._sessions.values():
            await session.close()

    def _open(self, *, secure: bool) -> aiohttp.ClientSession:
        """Made at the first request: it belongs to the event loop that runs then."""
        context = httpx.create_ssl_context(trust_env=self._trust_env) if secure else True
        connector = aiohttp.TCPConnector(
            limit=self._connections, keepalive_timeout=_IDLE_SECONDS, ssl=context
        )
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,  # httpx does that
            timeout=aiohttp.ClientTimeout(total=None),
            max_line_size=_LONGEST_HEADER,
            max_field_size=_LONGEST_HEADER,
            middlewares=(_send_once,),
            request_class=_Request,
        )

    def _proxy(self, url: httpx.URL) -> URL | None:
        """The proxy that the environment names for ``url``, looked up once a host."""
        if not self._trust_env:
            return None
        if url.host not in self._proxies:
            named = getproxies()
            found = named.get(url.scheme) or named.get("all")
            proxied = found and not proxy_bypass(url.host)
            self._proxies[url.host] = _proxy_url(found) if found and proxied else None
        return self._proxies[url.host]


class _Body(httpx.AsyncByteStream):
    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _as_httpx():
            async for chunk in self._answer.content.iter_any():
                yield chunk

    async def aclose(self) -> None:
        """Give the connection back, or close it where there is more to come."""
        whole = self._answer.content.at_eof()
        self._answer.release() if whole else self._answer.close()


async def _send_once(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    try:
        return await handler(request)
    except _NO_CONNECTION:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise _BrokenOff(type(error).__name__) from None


def _proxy_url(named: str) -> URL:
    url = URL(named if "://" in named else f"http://{named}")
    if url.scheme not in {"http", "https"}:
        raise httpx.UnsupportedProtocol(f"a proxy that is reached by {url.scheme}")
    return url


@contextmanager
def _as_httpx() -> Iterator[None]:
    """What aiohttp raises, as httpx's errors: a ``ConnectError``, say, was never sent."""
    try:
        yield
    except aiohttp.ConnectionTimeoutError:
        raise httpx.ConnectTimeout("no connection in time") from None
    except _Surplus:
        raise httpx.ConnectError("the connection had an answer that nobody asked for") from None
    except aiohttp.ClientProxyConnectionError as error:
        raise httpx.ProxyError(str(error)) from None
    except aiohttp.ClientHttpProxyError as error:
        raise httpx.ProxyError(f"the proxy answered {error.status}") from None
    except aiohttp.ClientConnectorError as error:
        raise httpx.ConnectError(str(error)) from None
    except TimeoutError:  # aiohttp's SocketTimeoutError is one
        raise httpx.ReadTimeout("the answer does not go on") from None
    except (aiohttp.ClientError, OSError, ValueError) as error:
        kind = str(error) if isinstance(error, _BrokenOff) else type(error).__name__
        raise httpx.RemoteProtocolError(kind) from None
