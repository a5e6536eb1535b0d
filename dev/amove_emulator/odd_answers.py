"""The odd answers by name: what a service, or a proxy before it, might say instead of the truth.

Each is a small pure function of the true answer, with two words on what became of the effect.
README.md lists them; a fault strikes with one of them, or with one drawn from several (faults.py).
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from email.utils import formatdate
from typing import Any, Final, Literal

from amove_emulator.answers import Answer, as_json, problem

Half = Literal["backing_only", "record_only", "bare", "first_flag"]
Content = dict[str, Any]

LISTS: Final = frozenset({"get_storage_key", "get_all"})
KEY_LIST: Final = frozenset({"get_storage_key"})
CREATE_KEY: Final = frozenset({"create_storage_key"})
DELETE_KEY: Final = frozenset({"delete_storage_key"})
CREATE_BUCKET: Final = frozenset({"create_bucket"})
UPDATE_BUCKET: Final = frozenset({"update_bucket"})
BUCKET_STATUS: Final = frozenset({"bucket_status"})
CREATES: Final = CREATE_KEY | CREATE_BUCKET
READS: Final = LISTS | BUCKET_STATUS | {"list_buckets"}
EVERY: Final = READS | CREATES | DELETE_KEY | UPDATE_BUCKET | {"delete_bucket"}
SHOW_KEYS: Final = KEY_LIST | CREATE_KEY
SHOW_IDS: Final = LISTS | CREATE_KEY
_IDS: Final = frozenset({"id", "userId", "accountId"})


@dataclass(frozen=True, slots=True)
class Odd:
    """One odd answer.

    ``calls``: those that it may be given to. ``answered``: what becomes of the true answer, which
    is an empty 200 where the effect is not ``done``. ``asked``: what the service takes the input
    for. ``half``: how much of the effect is done. ``stale``: whether a list is that of a while ago.
    """

    calls: frozenset[str]
    answered: Callable[[Answer], Answer] = lambda true: true
    asked: Callable[[Content], Content] = lambda content: content
    done: bool = True
    half: Half | None = None
    stale: bool = False


TRUTH: Final = Odd(EVERY)
"""What a call gets that meets no odd answer."""


# --- answers of nobody in particular


def _bodiless(status: int) -> Callable[[Answer], Answer]:
    return lambda _: Answer(status)


def _page(status: int, title: str) -> Callable[[Answer], Answer]:
    page = f"<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>\r\n"
    return lambda _: Answer(status, page.encode(), "text/html")


def _text(status: int, text: str) -> Callable[[Answer], Answer]:
    return lambda _: Answer(status, text.encode(), "text/plain")


def _refusal(code: str, message: str) -> Callable[[Answer], Answer]:
    return lambda _: problem(code, message)


def _refusal_in_200(_: Answer) -> Answer:
    refused = problem("INTERNAL_ERROR", "Something went wrong.")
    return replace(refused, status=200, headers={})


def _cut(true: Answer) -> Answer:
    """A whole answer by its length, half a JSON text by its content."""
    text = true.body or as_json({"succeeded": True, "message": None}).body
    return replace(as_json(None), body=text[: len(text) // 2])


def _throttled(_: Answer) -> Answer:
    return Answer(429, headers={"Retry-After": "1"})


def _throttled_until(_: Answer) -> Answer:
    return Answer(429, headers={"Retry-After": formatdate(time.time() + 2, usegmt=True)})


# --- another reading of what was asked


def _first_page(_: Content) -> Content:
    return {}


def _page_before(asked: Content) -> Content:
    return {**asked, "page": max(1, asked["page"] - 1)}


def _oldest_first(asked: Content) -> Content:
    return {**asked, "descending": False}


def _short_name(asked: Content) -> Content:
    return {**asked, "name": asked["name"][:16]}


def _other_name(asked: Content) -> Content:
    return {**asked, "name": asked["name"].replace("-", "_")}


# --- another telling of what is so


def _told(change: Callable[[Content], Content]) -> Callable[[Answer], Answer]:
    """The true answer with its content changed."""
    return lambda true: replace(true, body=as_json(change(json.loads(true.body))).body)


def _of_each(change: Callable[[Content], Content]) -> Callable[[Answer], Answer]:
    """The same for each thing that the answer shows: of a list, or the one of a create."""

    def changed(content: Content) -> Content:
        if "data" not in content:
            return change(content)
        return {**content, "data": [change(one) for one in content["data"]]}

    return _told(changed)


def _in_capitals(shown: Content) -> Content:
    return {name: one.upper() if name in _IDS else one for name, one in shown.items()}


def _dated(hours: int) -> Callable[[Content], Content]:
    """``createDate`` as a clock shows it that is so many hours ahead, without a zone."""

    def shifted(shown: Content) -> Content:
        whole, _, rest = shown["createDate"].removesuffix("Z").partition(".")
        moment = datetime.fromisoformat(whole)
        if moment.year > 1:
            moment += timedelta(hours=hours)
        return {**shown, "createDate": f"{moment.isoformat()}.{rest or '0000000'}"}

    return shifted


def _undated(shown: Content) -> Content:
    return {**shown, "createDate": "0001-01-01T00:00:00"}


def _somebody_elses(shown: Content) -> Content:
    """A key of another user, the same one each time."""
    other = uuid.uuid5(uuid.UUID(shown["id"]), "another user's")
    name, user = f"somebody-elses-{other.hex[:8]}", str(uuid.UUID(int=7))
    return {**shown, "id": str(other), "userId": user, "name": name, "accessKey": other.hex[:20]}


def _mixed(content: Content) -> Content:
    """The token went to another user after the first page."""
    if content["options"]["page"] == 1:
        return content
    return {**content, "data": [_somebody_elses(one) for one in content["data"]]}


def _data(change: Callable[[list[Content]], list[Content] | None]) -> Callable[[Answer], Answer]:
    return _told(lambda content: {**content, "data": change(content["data"])})


def _total(change: Callable[[Content], int]) -> Callable[[Answer], Answer]:
    return _told(lambda content: {**content, "total": change(content)})


# --- the list of them


def _done_or_not(name: str, answered: Callable[[Answer], Answer]) -> dict[str, Odd]:
    return {
        f"{name}_done": Odd(EVERY, answered),
        f"{name}_not_done": Odd(EVERY, answered, done=False),
    }


def _undone(calls: frozenset[str], answered: Callable[[Answer], Answer]) -> Odd:
    return Odd(calls, answered, done=False)


def _half(calls: frozenset[str], half: Half) -> Odd:
    return Odd(calls, _bodiless(500), half=half)


ODD_ANSWERS: Final[dict[str, Odd]] = {
    # 200, and no success
    "problem_in_200": _undone(EVERY, _refusal_in_200),
    **_done_or_not("text_200", _text(200, "OK")),
    **_done_or_not("html_200", _page(200, "Sign in to the network")),
    **_done_or_not("cut_json", _cut),
    "empty_200": Odd(READS | CREATE_KEY, _bodiless(200)),
    # no answers of the service, or none with a reason
    **_done_or_not("bodiless_499", _bodiless(499)),
    **_done_or_not("client_closed", _text(499, "Client Closed Request")),
    **_done_or_not("html_499", _page(499, "499 Bucket not found")),
    **_done_or_not("html_502", _page(502, "502 Bad Gateway")),
    "html_404": _undone(EVERY, _page(404, "404 Not Found")),
    "forbidden": _undone(EVERY, _bodiless(403)),
    **_done_or_not("server_error", _bodiless(500)),
    # refusals
    "throttled_seconds": _undone(EVERY, _throttled),
    "throttled_date": _undone(EVERY, _throttled_until),
    "auth_refused": _undone(EVERY, _refusal("AUTH", "Authentication failed.")),
    "name_refused": _undone(CREATES, _refusal("DEFAULT", "The name is not allowed.")),
    "bucket_absent": _undone(BUCKET_STATUS, _refusal("NOT_FOUND", "Object not found.")),
    # spelling
    "ids_in_capitals": Odd(SHOW_IDS, _of_each(_in_capitals)),
    "name_cut": Odd(CREATE_KEY, asked=_short_name),
    "name_changed": Odd(CREATE_KEY, asked=_other_name),
    "dates_early": Odd(SHOW_KEYS, _of_each(_dated(-7))),
    "dates_late": Odd(SHOW_KEYS, _of_each(_dated(3))),
    "dates_not_set": Odd(SHOW_KEYS, _of_each(_undated)),
    # lists
    "data_null_if_empty": Odd(LISTS, _data(lambda data: data or None)),
    "data_null": Odd(LISTS, _data(lambda _: None)),
    "page_lost": Odd(LISTS, _data(lambda _: [])),
    "page_cut": Odd(LISTS, _data(lambda data: data[:-1])),
    "page_repeated": Odd(LISTS, asked=_page_before),
    "page_parameters_ignored": Odd(LISTS, asked=_first_page),
    "oldest_first": Odd(LISTS, asked=_oldest_first),
    "total_of_page": Odd(LISTS, _total(lambda content: len(content["data"]))),
    "total_too_high": Odd(LISTS, _total(lambda content: content["total"] + 1)),
    "total_too_low": Odd(LISTS, _total(lambda content: content["total"] - 1)),
    "users_mixed": Odd(KEY_LIST, _told(_mixed)),
    "stale_list": Odd(KEY_LIST, stale=True),
    # half done, and then a bodiless 500
    "key_made_unlisted": _half(CREATE_KEY, "backing_only"),
    "key_made_dead": _half(CREATE_KEY, "record_only"),
    "key_deleted_unlisted": _half(DELETE_KEY, "record_only"),
    "key_deleted_listed": _half(DELETE_KEY, "backing_only"),
    "bucket_made_bare": _half(CREATE_BUCKET, "bare"),
    "bucket_updated_by_one_flag": _half(UPDATE_BUCKET, "first_flag"),
}
