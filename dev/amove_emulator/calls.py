"""The calls by name: route, input, effect. Each effect is synchronous, hence atomic."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from amove_emulator.answers import Answer, AuthenticationError, as_json
from amove_emulator.inputs import (
    BucketQuery,
    BucketRef,
    CreateBucket,
    CreateStorageKey,
    KeyId,
    ListBuckets,
    Login,
    Page,
    UpdateBucket,
    parse_body,
    parse_query,
)
from amove_emulator.keys import page_of
from amove_emulator.odd_answers import Odd
from amove_emulator.settings import User
from amove_emulator.state import State


@dataclass(frozen=True, slots=True)
class Request:
    """What an effect gets to see. ``user`` is None on the auth host."""

    user: User | None
    query: Mapping[str, str]
    body: bytes
    odd: Odd

    @property
    def caller(self) -> User:
        if self.user is None:
            raise AuthenticationError
        return self.user


Effect = Callable[[State, Request], Answer]


def get_storage_key(state: State, request: Request) -> Answer:
    page = _page_asked_for(request)
    seconds_ago = state.behaviour.stale_by if request.odd.stale else 0.0
    keys = state.keys.listed(request.caller, page, seconds_ago)
    shown = [state.keys.shown(key) for key in page_of(keys, page)]
    return as_json({"data": shown, "total": len(keys), "options": _options(page)})


def _page_asked_for(request: Request) -> Page:
    page = parse_query(Page, request.query)
    return Page.model_validate(request.odd.asked(page.model_dump()))


def _options(page: Page) -> dict[str, Any]:
    return {
        "page": page.page,
        "pageSize": page.pagesize,
        "sortField": page.sortfield,
        "descending": page.descending,
    }


def create_storage_key(state: State, request: Request) -> Answer:
    call = parse_body(CreateStorageKey, request.body)
    taken_for = CreateStorageKey.model_validate(request.odd.asked(call.model_dump()))
    key, secret = state.keys.create(request.caller, taken_for, request.odd.half)
    state.secrets.append(secret)
    return as_json(state.keys.shown_once(key, secret))


def delete_storage_key(state: State, request: Request) -> Answer:
    call = parse_query(KeyId, request.query)
    state.keys.delete(request.caller, call.id, request.odd.half)
    return Answer()


def create_bucket(state: State, request: Request) -> Answer:
    call = parse_body(CreateBucket, request.body)
    state.buckets.create(request.caller, call, request.odd.half)
    return Answer()


def bucket_status(state: State, request: Request) -> Answer:
    return as_json(state.buckets.status(request.caller, parse_body(BucketRef, request.body)))


def update_bucket(state: State, request: Request) -> Answer:
    call = parse_body(UpdateBucket, request.body)
    state.buckets.update(request.caller, call, request.odd.half)
    return Answer()


def delete_bucket(state: State, request: Request) -> Answer:
    state.buckets.delete(request.caller, parse_query(BucketQuery, request.query))
    return Answer()


def get_all(state: State, request: Request) -> Answer:
    page = _page_asked_for(request)
    accounts = state.accounts.shown_to(request.caller)
    shown = page_of(accounts, page)
    return as_json({"data": shown, "total": len(accounts), "options": _options(page)})


def list_buckets(state: State, request: Request) -> Answer:
    found = state.buckets.listed(request.caller, parse_body(ListBuckets, request.body))
    if state.behaviour.list_buckets == "array":
        return as_json(found)
    return as_json({"data": found, "continuationToken": ""})


def request_token(state: State, request: Request) -> Answer:
    return as_json(state.identities.request_token())


def login(state: State, request: Request) -> Answer:
    return as_json(state.identities.login(parse_body(Login, request.body)))


MAIN: Final = "/api/v1"
AUTH: Final = "/api/authentication"
ROUTES: Final[dict[tuple[str, str], Effect]] = {
    ("GET", f"{MAIN}/storage/get_storage_key"): get_storage_key,
    ("POST", f"{MAIN}/storage/create_storage_key"): create_storage_key,
    ("DELETE", f"{MAIN}/storage/delete_storage_key"): delete_storage_key,
    ("POST", f"{MAIN}/storage/create_bucket"): create_bucket,
    ("POST", f"{MAIN}/storage/bucket_status"): bucket_status,
    ("PUT", f"{MAIN}/storage/update_bucket"): update_bucket,
    ("DELETE", f"{MAIN}/storage/delete_bucket"): delete_bucket,
    ("GET", f"{MAIN}/cloudaccount/get_all"): get_all,
    ("POST", f"{MAIN}/cloudaccount/list_buckets"): list_buckets,
    ("POST", f"{AUTH}/request_token"): request_token,
    ("POST", f"{AUTH}/login"): login,
}
CALL_NAMES: Final = frozenset(effect.__name__ for effect in ROUTES.values())
