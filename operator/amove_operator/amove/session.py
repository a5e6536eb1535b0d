"""Sending one call: paced, with a bearer, within limits of time and size, again where allowed."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import httpx
from pydantic import SecretStr

from amove_operator.amove import answers, calls
from amove_operator.amove.answers import Call, T
from amove_operator.amove.breaker import Breaker, BreakerState
from amove_operator.amove.calls import Payload
from amove_operator.amove.credentials import credentials_for
from amove_operator.amove.hints import connection_failure
from amove_operator.amove.permits import LONG_PAUSE_SECONDS, CallPermits
from amove_operator.amove.retry import RetryPolicy, may_repeat, pause_asked_for, wait_before_retry
from amove_operator.amove.sent import Observer, note_sent
from amove_operator.amove.transport import AiohttpTransport
from amove_operator.clock import SYSTEM_CLOCK, Clock
from amove_operator.errors import ApiError, AuthFailed, Paused, TransportFault
from amove_operator.settings import Settings
from amove_operator.telemetry import one_line

# httpx raises these before a byte of the request is on its way to the service.
_NEVER_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
    httpx.LocalProtocolError,
    httpx.InvalidURL,
)
# There are a dozen of them and the pages of the key list; parsing one takes 0.1 ms.
_parsed = lru_cache(maxsize=64)(httpx.URL)


@dataclass(frozen=True)
class Tuning:
    """What only tests change. Times in seconds, sizes in bytes."""

    connect: float = 5.0
    read: float = 30.0
    total: float = 60.0
    pool: float = 60.0
    largest_answer: int = 4 * 1024 * 1024
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    listing_rounds: int = 4
    clock: Clock = SYSTEM_CLOCK
    rng: Callable[[], float] = random.random


class Session:
    """The one HTTP client of the process, and the limits that all calls share.

    ``before_send`` is called right before each request, and stops it by raising; ``on_retry``
    whenever a call that failed is to be sent again.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        tuning: Tuning | None = None,
        observer: Observer | None = None,
        before_send: Callable[[], None] | None = None,
    ) -> None:
        """Reads no file yet."""
        self._base, self._auth_base = settings.api_url, settings.auth_url
        self._tuning = tuning = tuning or Tuning()
        self._clock = tuning.clock
        self.credentials = credentials_for(settings, self._log_in, tuning.clock)
        self._observer = observer
        self._before_send = before_send
        self.on_retry: Callable[[], None] = lambda: None
        self.permits = CallPermits(settings.rate_limit, settings.concurrency, tuning.clock)
        timeout = httpx.Timeout(tuning.read, connect=tuning.connect, pool=tuning.pool)
        self._extensions = {"timeout": timeout.as_dict()}
        self._http = httpx.AsyncClient(
            transport=transport
            or AiohttpTransport(
                connections=settings.concurrency + 1,  # one is the probe's
                # Plain http is for loopback only, and a proxy is not loopback: it would see the
                # token, or the password.
                trust_env=not any(host.startswith("http:") for host in _hosts(settings)),
            ),
            follow_redirects=False,
        )
        self._probed_with: SecretStr | None = None
        self.breaker = Breaker(
            self._send_probe,
            lambda: self.credentials.replaced_since(self._probed_with),
            clock=tuning.clock,
            rng=tuning.rng,
        )
        self.breaker.on_change(self._on_breaker_change)

    def _on_breaker_change(self, state: BreakerState) -> None:
        if state.open:
            self.permits.dismiss_all()

    async def aclose(self) -> None:
        """Stop probing and close the connections."""
        await self.breaker.aclose()
        await self.permits.aclose()
        await self._http.aclose()

    async def perform(
        self, call: Call[T], payload: Payload, *, ready: Callable[[], Awaitable[None]] | None = None
    ) -> T:
        """Make ``call`` and return what it gives, trying again where that is safe.

        An item of the queue, which holds a permit, tries once: :meth:`retry_in` tells when it is
        to come again. ``ready`` is awaited when its turn has come, and stops it by raising.

        Raises ApiError (Paused if the breaker is open), or what ``before_send`` raises.
        ``maybe_done`` of the error speaks for all tries: a delete timed out, so that it may have
        been done, and the second try found no connection: the error still says that it may.
        """
        policy, rng, began = self._tuning.retry, self._tuning.rng, self._clock.monotonic()
        earlier: ApiError | None = None
        for attempt in itertools.count(1):
            try:
                return await self._paced(call, payload, ready)
            except Paused as paused:
                raise (earlier or paused) from None
            except ApiError as error:
                error.maybe_done = error.maybe_done or (earlier is not None and earlier.maybe_done)
                spent = self._clock.monotonic() - began
                wait = wait_before_retry(policy, error, attempt=attempt, spent=spent, rand=rng())
                error.repeatable = may_repeat(error, repeatable=call.repeatable)
                if wait is None or not error.repeatable or self.permits.is_held:
                    raise
                earlier = error
            self.on_retry()
            await self._clock.sleep(wait)
        raise AssertionError("the loop above has no end")

    def retry_in(self, error: ApiError, failures: int) -> float | None:
        """Seconds until an item of the queue repeats what failed; None when that is enough.

        ``failures``: how often it had failed in a row before. None also for what must not be sent
        again, and for a wait so long that status is to tell of it.
        """
        if not error.repeatable:
            return None
        policy, rand = self._tuning.retry, self._tuning.rng()
        wait = wait_before_retry(policy, error, attempt=failures + 1, spent=0.0, rand=rand)
        if wait is None or wait > LONG_PAUSE_SECONDS:
            return None
        self.on_retry()
        return wait

    async def at_once(self, call: Call[T], payload: Payload) -> T:
        """Make ``call``, once, within the turn of another call (its ``ready``): it waits for none.

        A turn of its own would keep the other call waiting, and what it is to show would
        be old again by then.
        """
        self.permits.charge()
        return await self._send(call, payload)

    async def _paced(
        self, call: Call[T], payload: Payload, ready: Callable[[], Awaitable[None]] | None
    ) -> T:
        """One try, when its turn has come."""
        self.breaker.check()
        async with self.permits.turn(self.breaker.check):
            try:
                if ready is not None:
                    await ready()
                result = await self._send(call, payload)
            except ApiError as error:
                self.permits.pause(pause_asked_for(self._tuning.retry, error))
                self.breaker.failed(error)
                raise
        self.breaker.succeeded()
        return result

    async def _send(self, call: Call[T], payload: Payload) -> T:
        """Send once; once more if the bearer was refused and the source has another by now.

        A refused bearer is refused before anything is done, so this holds for every call.
        """
        bearer = await self.credentials.bearer()
        try:
            return await self._exchange(call, payload, bearer)
        except AuthFailed as error:
            refusal = error
        if await self.credentials.refused(bearer):
            another = await self.credentials.bearer()
            if another != bearer:
                return await self._exchange(call, payload, another)
        raise refusal

    async def _send_probe(self) -> None:
        """The probe has a pace of its own: no permit is waited for, all may be used up."""
        self._probed_with = await self.credentials.bearer()
        await self._send(calls.PROBE, calls.key_page(1, size=1))

    async def _log_in(self, call: Call[T], payload: Payload) -> T:
        """A call of the login. It waits for no permit: the call that needs it holds one."""
        return await self._exchange(call, payload, None)

    async def _exchange(self, call: Call[T], payload: Payload, bearer: SecretStr | None) -> T:
        if self._before_send is not None:
            self._before_send()
        started, answer = self._clock.monotonic(), None
        outcome = "Cancelled"
        try:
            answer = await self._fetch(call, self._request(call, payload, bearer))
            fault = answers.fault_of(call, answer, now=self._clock.now())
            if fault is not None:
                raise fault
            result = answers.read_success(call, answer)
            outcome = "ok"
        except ApiError as error:
            outcome = type(error).__name__
            raise
        finally:
            sent = note_sent(call, outcome, self._clock.monotonic() - started, answer)
            if self._observer is not None:
                self._observer(sent)
        return result

    def _request(
        self, call: Call[Any], payload: Payload, bearer: SecretStr | None
    ) -> httpx.Request:
        """Built by hand: httpx's builder spends its time on merging what there is none of."""
        headers = {
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": "amove-operator",
        }
        if bearer is not None:
            headers["Authorization"] = f"Bearer {bearer.get_secret_value()}"
        if payload.body is not None:
            headers["Content-Type"] = "application/json"
        base = self._auth_base if call.of_login else self._base
        url = f"{base}{call.path}" + (f"?{payload.query}" if payload.query else "")
        return httpx.Request(
            call.method,
            _parsed(url),
            headers=headers,
            content=payload.body,
            extensions=self._extensions,
        )

    async def _fetch(self, call: Call[Any], request: httpx.Request) -> answers.Answer:
        """The whole answer. Raises TransportFault for whatever keeps it from coming."""
        host = request.url.netloc.decode()
        try:
            async with asyncio.timeout(self._tuning.total):
                response = await self._http.send(request, stream=True)
                try:
                    body = await self._read(call, response)
                finally:
                    await response.aclose()
        except TimeoutError:
            why = f"no complete answer within {self._tuning.total:g} s"
            raise call.failed(TransportFault, connection_failure(host, why)) from None
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError) as error:
            # The text is cleaned and its cause cut off: h11 quotes the header it does not like.
            text = one_line(str(error))
            cause = type(error).__name__ + (f": {text}" if text else "")
            why = connection_failure(host, cause)
            sent = not isinstance(error, _NEVER_SENT)
            raise call.failed(TransportFault, why, maybe_done=call.writes and sent) from None
        return answers.Answer(response.status_code, response.headers, body, host)

    async def _read(self, call: Call[Any], response: httpx.Response) -> bytes:
        chunks: list[bytes] = []
        size = 0
        async for chunk in response.aiter_bytes():
            chunks.append(chunk)
            size += len(chunk)
            if size > self._tuning.largest_answer:
                why = f"an answer of more than {self._tuning.largest_answer} bytes"
                raise call.failed(TransportFault, why, status=response.status_code)
        return b"".join(chunks)


def _hosts(settings: Settings) -> tuple[str, ...]:
    """What is called with these settings."""
    login = () if settings.username_file is None else (settings.auth_url,)
    return (settings.api_url, *login)
