"""One call through the emulator: latency, fault, authentication, effect, answer, journal."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from typing import Final

from aiohttp import web

from amove_emulator.answers import Answer, AuthenticationError, RefusalError, problem
from amove_emulator.calls import AUTH, Effect, Request
from amove_emulator.faults import Fault, FaultSpec, Moment, Strike, kill_process
from amove_emulator.journal import Entry
from amove_emulator.odd_answers import TRUTH, Odd
from amove_emulator.state import State

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
NO_FAULT: Final = FaultSpec()


class _UnansweredError(Exception):
    """The connection is to be cut."""


class Dispatcher:
    def __init__(self, state: State) -> None:
        self._state = state

    def handler(self, effect: Effect) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            return await self._handle(effect.__name__, effect, request)

        return handle

    async def unknown(self, request: web.Request) -> web.StreamResponse:
        """A route that the API does not have: 404, journaled as call "unknown"."""

        def no_such_route(state: State, call: Request) -> Answer:
            return Answer(404)

        return await self._handle("unknown", no_such_route, request)

    async def _handle(self, call: str, effect: Effect, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        journal, query = self._state.journal, dict(request.query)
        entry = journal.open(call, request.method, request.path, query, body)
        text = f"{request.path_qs}\n{body.decode('utf-8', 'replace')}"
        strike = self._state.faults.strike(call, text)
        if strike is not None:
            entry.fault, entry.odd = strike.fault.id, strike.name
        entry.user = self._caller(request)
        answer: Answer | None = None
        try:
            answer = await self._answer(entry, effect, request, body, strike)
            return await _send(request, answer, strike.fault.spec if strike else NO_FAULT)
        except _UnansweredError:
            return _cut(request)
        finally:
            code = answer.headers.get("error-code") if answer else None
            journal.close(entry, answer.status if answer else None, code)

    def _caller(self, request: web.Request) -> str | None:
        # For the journal, also where a fault answers before anything is checked.
        try:
            authorization = request.headers.get("Authorization")
            return self._state.identities.authenticate(authorization).email
        except AuthenticationError:
            return None

    async def _answer(
        self,
        entry: Entry,
        effect: Effect,
        request: web.Request,
        body: bytes,
        strike: Strike | None,
    ) -> Answer:
        """The answer as it would go out whole. Raises _UnansweredError."""
        fault, odd = (strike.fault, strike.odd) if strike else (None, TRUTH)
        spec = fault.spec if fault else NO_FAULT
        generation = self._state.generation
        await asyncio.sleep(self._state.behaviour.latency)
        await _pause(fault, spec.delay_before)
        await _hold(fault, "before")
        if spec.prevents_effect(odd):
            await _cut_off(fault, "before")
            return _instead(spec, odd, None)
        if generation != self._state.generation:
            raise _UnansweredError
        real = self._take_effect(entry, effect, request, body, odd)
        await _pause(fault, spec.delay_after)
        await _hold(fault, "after")
        await _cut_off(fault, "after")
        return _instead(spec, odd, real)

    def _take_effect(
        self, entry: Entry, effect: Effect, request: web.Request, body: bytes, odd: Odd
    ) -> Answer:
        try:
            user = None
            if not request.path.startswith(AUTH):
                user = self._state.identities.authenticate(request.headers.get("Authorization"))
            if body and request.content_type != "application/json":
                raise RefusalError("DEFAULT", "The body is not declared as application/json.")
            answer = effect(self._state, Request(user, request.query, body, odd))
        except RefusalError as refusal:
            return problem(refusal.code, refusal.message)
        except AuthenticationError:
            code = self._state.behaviour.auth_failure_code
            return problem(code, "Authentication failed.") if code else Answer(401)
        entry.effect = answer.status == 200
        return answer


async def _pause(fault: Fault | None, seconds: float) -> None:
    """Wait, but no longer than the fault is set."""
    if fault is not None and seconds:
        with suppress(TimeoutError):
            await asyncio.wait_for(fault.released.wait(), seconds)


async def _hold(fault: Fault | None, moment: Moment) -> None:
    """Wait until the fault is cleared, if this is the moment that it holds calls at."""
    if fault is not None and fault.spec.hold == moment:
        await fault.released.wait()


async def _cut_off(fault: Fault | None, moment: str) -> None:
    """Kill, hang or drop if it is the moment for it; then raise _UnansweredError."""
    if fault is None:
        return
    spec = fault.spec
    if spec.kill and spec.kill.when == moment:
        kill_process(spec.kill)
        raise _UnansweredError
    if spec.hang == moment:
        await fault.released.wait()
        raise _UnansweredError
    if spec.drop == moment:
        raise _UnansweredError


def _instead(spec: FaultSpec, odd: Odd, real: Answer | None) -> Answer:
    """What the fault makes of the real answer (None: there was no effect)."""
    if real is not None and real.status != 200:
        return real  # refused: there was no effect to be half done or badly told
    answer = odd.answered(real or Answer())
    if spec.status is not None:
        coded = spec.status == 499 and spec.code is not None
        answer = problem(spec.code or "", spec.message) if coded else Answer(spec.status)
    if spec.body is not None:
        kind = spec.content_type or answer.content_type or "application/json"
        answer = replace(answer, body=spec.body.encode(), content_type=kind)
    return replace(answer, headers={**answer.headers, **spec.headers})


async def _send(request: web.Request, answer: Answer, spec: FaultSpec) -> web.StreamResponse:
    headers = dict(answer.headers)
    if answer.content_type:
        headers["Content-Type"] = answer.content_type
    body = answer.body
    if spec.truncate_at is not None and spec.declare == "cut":
        body = body[: spec.truncate_at]
    elif spec.truncate_at is not None and spec.truncate_at < len(body):
        return await _send_part(request, answer.status, headers, body, spec.truncate_at)
    if not body:
        headers["Content-Length"] = "0"
    return web.Response(status=answer.status, body=body or None, headers=headers)


async def _send_part(
    request: web.Request, status: int, headers: dict[str, str], body: bytes, cut: int
) -> web.StreamResponse:
    response = web.StreamResponse(status=status, headers=headers)
    response.content_length = len(body)
    await response.prepare(request)
    await response.write(body[:cut])
    if request.transport is not None:
        request.transport.close()  # what was written still goes out, then the end
    return response


def _cut(request: web.Request) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)
