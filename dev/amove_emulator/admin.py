"""The admin interface under /_emulator/: state, journal, faults, vandalism. See README.md."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, Final

from aiohttp import web
from pydantic import BaseModel, ConfigDict, ValidationError

from amove_emulator import vandalism as v
from amove_emulator.answers import RefusalError
from amove_emulator.calls import CALL_NAMES
from amove_emulator.faults import ANY_CALL, FaultSpec
from amove_emulator.state import State

PREFIX: Final = "/_emulator"
Facts = Callable[[], dict[str, Any]]
Handler = Callable[[web.Request], Any]


def _bad(message: str) -> web.Response:
    return web.json_response({"error": message}, status=400)


def _set_fault(state: State, spec: FaultSpec) -> dict[str, Any]:
    if spec.call not in CALL_NAMES | {ANY_CALL, "unknown"}:
        raise v.NoSuchError(f"call {spec.call!r}; the calls are {', '.join(sorted(CALL_NAMES))}")
    return state.faults.add(spec).shown()


class Token(BaseModel):
    model_config = ConfigDict(extra="forbid")

    token: str


def _drop_token(state: State, call: Token) -> None:
    state.identities.tokens.pop(call.token, None)


_COMMANDS: Final[dict[tuple[str, str], tuple[type[BaseModel], Callable[[State, Any], Any]]]] = {
    ("POST", "faults"): (FaultSpec, _set_fault),
    ("POST", "buckets"): (v.AddBucket, v.add_bucket),
    ("PATCH", "buckets"): (v.ChangeBucket, v.change_bucket),
    ("DELETE", "buckets"): (v.DropBucket, v.drop_bucket),
    ("PUT", "objects"): (v.PutObject, v.put_object),
    ("DELETE", "objects"): (v.BucketAt, v.empty_bucket),
    ("POST", "keys"): (v.AddKey, v.add_key),
    ("PATCH", "keys"): (v.ChangeKey, v.change_key),
    ("POST", "accounts"): (v.AddAccount, v.add_account),
    ("PATCH", "accounts"): (v.ChangeAccount, v.change_account),
    ("POST", "users"): (v.AddUser, v.add_user),
    ("PUT", "tokens"): (v.SetToken, v.set_token),
    ("DELETE", "tokens"): (Token, _drop_token),
}


class Admin:
    def __init__(self, state: State, facts: Facts) -> None:
        self._state = state
        self._facts = facts

    def add_routes(self, app: web.Application) -> None:
        for (method, name), (model, act) in _COMMANDS.items():
            app.router.add_route(method, f"{PREFIX}/{name}", self._command(model, act))
        reads: dict[str, Callable[[web.Request], Any]] = {
            "facts": lambda _: self._facts(),
            "state": lambda _: self._state.shown(),
            "journal": self._journal,
            "journal/counts": lambda _: self._state.journal.counts(),
            "keys/events": lambda _: [asdict(event) for event in self._state.journal.events],
            "credentials": lambda _: self._state.credentials(),
            "behaviour": lambda _: self._state.behaviour.model_dump(),
            "faults": lambda _: self._state.faults.shown(),
        }
        for name, read in reads.items():
            app.router.add_get(f"{PREFIX}/{name}", self._read(read))
        app.router.add_patch(f"{PREFIX}/behaviour", self._change_behaviour)
        app.router.add_delete(f"{PREFIX}/journal", self._act(lambda _: self._clear_journal()))
        app.router.add_delete(f"{PREFIX}/sessions", self._act(lambda _: self._end_sessions()))
        app.router.add_delete(f"{PREFIX}/faults", self._act(self._clear_faults))
        app.router.add_post(f"{PREFIX}/reset", self._act(lambda _: self._state.reset()))

    def _command(self, model: type[BaseModel], act: Callable[[State, Any], Any]) -> Handler:
        async def handle(request: web.Request) -> web.Response:
            try:
                call = model.model_validate_json(await request.read() or b"{}")
                return web.json_response(act(self._state, call))
            except ValidationError as error:
                return _bad(str(error))
            except v.NoSuchError as error:
                return _bad(f"no such thing: {error}")
            except RefusalError as error:
                return _bad(str(error))

        return handle

    def _read(self, read: Callable[[web.Request], Any]) -> Handler:
        async def handle(request: web.Request) -> web.Response:
            return web.json_response(read(request))

        return handle

    def _act(self, act: Callable[[web.Request], None]) -> Handler:
        async def handle(request: web.Request) -> web.Response:
            act(request)
            return web.json_response(None)

        return handle

    def _journal(self, request: web.Request) -> list[dict[str, Any]]:
        after = int(request.query.get("after", "0"))
        return self._state.journal.select(request.query.get("call"), after)

    def _clear_journal(self) -> None:
        self._state.journal.clear()

    def _end_sessions(self) -> None:
        self._state.identities.end_sessions()

    def _clear_faults(self, request: web.Request) -> None:
        fault_id = request.query.get("id")
        self._state.faults.clear(int(fault_id) if fault_id else None)

    async def _change_behaviour(self, request: web.Request) -> web.Response:
        behaviour = self._state.behaviour
        try:
            changes = json.loads(await request.read())
            type(behaviour).model_validate({**behaviour.model_dump(), **changes})
        except (ValueError, TypeError) as error:
            return _bad(str(error))
        for name, value in changes.items():
            setattr(behaviour, name, value)
        return web.json_response(behaviour.model_dump())
