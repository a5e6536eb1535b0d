"""One request to the API server: limits, time-outs, tokens, errors and the server's clock."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

import aiohttp
import kopf
import kubernetes.aio.client

from amove_operator import __version__
from amove_operator.clock import SYSTEM_CLOCK, Clock, parse_http_date
from amove_operator.errors import Conflict, KubeUnavailable
from amove_operator.kube.connection import Access
from amove_operator.kube.failures import failure, is_failed_test, read_json

_client: Any = kubernetes.aio.client

JSON = "application/json"
JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
FIELD_MANAGER = "amove-operator"
"""Of the Lease and of Events. What is written for a release's own objects says of which Lease."""
_AGENT = f"amove-operator/{__version__}"
CONCURRENCY = 32
SECONDS = 30.0
CONNECT_SECONDS = 5.0
SILENCE_SECONDS = 90.0
"""A watch that says nothing for so long is dead: the server sends a bookmark every minute."""


def path_of(*segments: str) -> str:
    """An URL path of quoted segments.

    Raises ValueError for a segment that would make the path mean another resource: deleting
    the Secret named "" would be deleting the collection.
    """
    if any(segment in ("", ".", "..") for segment in segments):
        raise ValueError(f"not a name of anything in Kubernetes: {segments!r}")
    return "/" + "/".join(quote(segment, safe="") for segment in segments)


def resource_of(path: str) -> str:
    """The resource of an URL path, ``amovebuckets/status``; ``discovery`` where it names none."""
    parts = path.strip("/").split("/")
    parts = parts[2:] if parts[0] == "api" else parts[3:]
    if len(parts) > 2 and parts[0] == "namespaces":
        parts = parts[2:]
    return "/".join(parts[::2][:2]) or "discovery"


def namespace_path(name: str) -> str:
    """The path of a namespace."""
    return path_of("api", "v1", "namespaces", name)


def secret_path(namespace: str, name: str) -> str:
    """The path of a Secret."""
    return namespace_path(namespace) + path_of("secrets", name)


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request. ``values``: texts (of a Secret) that no error may repeat."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: object = field(default=None, repr=False)
    content: str = JSON
    accept: str = JSON
    values: Sequence[str] = field(default=(), repr=False)


@contextmanager
def _unreachable(host: str) -> Iterator[None]:
    try:
        yield
    except (aiohttp.ClientError, OSError, ValueError) as error:  # OSError includes TimeoutError
        # The cause is cut off: aiohttp's errors carry the request with its headers.
        reason = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        raise KubeUnavailable(
            f"the Kubernetes API server {host} gave no answer: {reason}"
        ) from None


class Transport:
    """Requests by the Kubernetes client library, without its models.

    ``skew_seconds`` may be off by half a second: a ``Date`` header has whole ones. ``on_request``
    is called after each request: its method, its resource, and the HTTP status if there is one.
    """

    def __init__(self, access: Access, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self.configuration = access.configuration
        self._server_ahead: float | None = None
        self._bearer = access.bearer
        self._clock = clock
        self._slots = asyncio.Semaphore(CONCURRENCY)
        self._api = _client.ApiClient(access.configuration)
        self.on_request: Callable[[str, str, int | None], None] = lambda *_: None

    @property
    def skew_seconds(self) -> float | None:
        """The local clock minus the server's, by its last answer; None before the first.

        A step of the local clock shows at once, and not with the next answer: what was measured is
        how far the server is ahead of the monotonic clock, which makes no steps.
        """
        if self._server_ahead is None:
            return None
        return self._clock.now() - (self._clock.monotonic() + self._server_ahead)

    async def close(self) -> None:
        """Close all connections."""
        await self._api.close()

    async def login(self) -> kopf.ConnectionInfo:
        """The address and credentials in use, for Kopf's own client: the token read afresh."""
        if self._bearer is not None:
            self._bearer.expire()
        found = self.configuration
        header = await found.get_api_key_with_prefix("BearerToken", "authorization")
        scheme, token = (header or "").rpartition(" ")[::2]
        return kopf.ConnectionInfo(
            server=found.host,
            ca_path=found.ssl_ca_cert,
            scheme=scheme or None,
            token=token or None,
            certificate_path=found.cert_file,
            private_key_path=found.key_file,
        )

    async def call(
        self,
        request: Request,
        *,
        gate: Callable[[], None] | None = None,
        urgent_seconds: float | None = None,
    ) -> dict[str, Any]:
        """Send one request and return the JSON object it answers.

        ``gate`` is called right before sending. ``urgent_seconds``: an own time-out for a
        request that waits for no other. Raises Conflict, KubeRefused or KubeUnavailable.
        """
        if urgent_seconds is not None:
            status, raw = await self._exchange(request, urgent_seconds, gate)
        else:
            async with self._slots:
                status, raw = await self._exchange(request, SECONDS, gate)
        if request.content == JSON_PATCH and is_failed_test(status, raw):
            raise Conflict("the object changed since it was read")
        if not 200 <= status < 300:
            raise failure(status, raw, values=request.values)
        if (parsed := read_json(raw)) is None:
            raise KubeUnavailable(f"HTTP {status} without JSON: not an answer of the API server")
        return parsed

    async def _exchange(
        self, request: Request, seconds: float, gate: Callable[[], None] | None
    ) -> tuple[int, bytes]:
        """Status and body. A second try only after a 401, which did nothing, with a newer token."""
        with _unreachable(self.configuration.host):
            headers = await self._headers(request)
            if gate is not None:
                gate()
            answer = await self._send(request, headers, seconds)
            if answer[0] != 401 or self._bearer is None:
                return answer
            self._bearer.expire()
            if (newer := await self._headers(request)) == headers:
                return answer
            if gate is not None:
                gate()
            return await self._send(request, newer, seconds)

    async def _headers(self, request: Request) -> dict[str, str]:
        token = await self.configuration.get_api_key_with_prefix("BearerToken", "authorization")
        headers = {"Accept": request.accept, "Content-Type": request.content, "User-Agent": _AGENT}
        return headers | ({"Authorization": token} if token else {})

    async def _send(
        self, request: Request, headers: dict[str, str], seconds: float
    ) -> tuple[int, bytes]:
        started = self._clock.monotonic()
        limits = aiohttp.ClientTimeout(total=seconds, sock_connect=min(seconds, CONNECT_SECONDS))
        response = await self._open(request, headers, limits)
        if (server := parse_http_date(response.headers.get("Date"))) is not None:
            # Its Date is cut to the second.
            self._server_ahead = (server + 0.5) - (started + self._clock.monotonic()) / 2
        return response.status, await response.read()

    async def _open(
        self, request: Request, headers: dict[str, str], limits: aiohttp.ClientTimeout
    ) -> Any:
        """The answer, its body not read yet."""
        status: int | None = None
        try:
            response = await self._api.rest_client.request(
                request.method,
                self._url(request),
                headers=dict(headers),
                body=request.body,
                _request_timeout=limits,
            )
            status = response.status
            return response
        finally:
            self.on_request(request.method, resource_of(request.path), status)

    async def stream(self, request: Request) -> AsyncGenerator[dict[str, Any], None]:
        """The events of one watch until the server ends it.

        Use with ``contextlib.aclosing``. Raises KubeRefused or KubeUnavailable.
        """
        limits = aiohttp.ClientTimeout(
            total=None, sock_connect=CONNECT_SECONDS, sock_read=SILENCE_SECONDS
        )
        with _unreachable(self.configuration.host):
            answer = await self._open(request, await self._headers(request), limits)
        response: aiohttp.ClientResponse = answer.response
        try:
            if response.status == 401 and self._bearer is not None:
                self._bearer.expire()
            with _unreachable(self.configuration.host):
                if response.status != 200:
                    raise failure(response.status, await response.read())
                async for line in response.content:
                    yield json.loads(line)
        finally:
            response.close()

    def _url(self, request: Request) -> str:
        url = f"{self.configuration.host}{request.path}"
        return f"{url}?{urlencode(request.query)}" if request.query else url
