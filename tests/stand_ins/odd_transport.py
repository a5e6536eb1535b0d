"""The Amove API below the client, which answers some calls as odd_answers.py has it, each time.

Where the emulator gives its odd answers to calls over a socket, this gives them on a virtual clock.
"""

from __future__ import annotations

import copy
import json
from email.utils import formatdate
from typing import Any

import httpx

from amove_emulator import ODD_ANSWERS
from amove_emulator.answers import Answer
from amove_emulator.odd_answers import EVERY, Odd
from tests.stand_ins.amove_transport import InMemoryAmove
from tests.stand_ins.service import IDS
from tests.stand_ins.time import Time

STALE_BY = 2.0
"""How old a stale list is, in seconds."""


class OddAmove(InMemoryAmove):
    """``odd``: the answer that calls get which tell of something named with ``about``.

    A list, which tells of all, gets what only lists and creates can be answered; an answer that any
    call may get, given to all lists for ever, would be an outage. ``calls``: all calls, by name.
    """

    def __init__(self, time: Time, about: str) -> None:
        super().__init__(time, lambda: "ok")
        self.odd = ""
        self.struck = 0
        self.id_of = IDS
        self.calls: list[str] = []
        self._about = about
        self._past: list[tuple[float, dict[str, dict[str, Any]]]] = [(0.0, {})]

    async def answer(self, request: httpx.Request) -> httpx.Response:
        """One request: the handler of httpx's mock transport."""
        call = request.url.path.rpartition("/")[2]
        self.calls.append(call)
        body = json.loads(request.content) if request.content else {}
        sent = {**request.url.params, **body}
        if "id" in sent:
            sent["id"] = sent["id"].lower()
        odd = ODD_ANSWERS.get(self.odd)
        if odd is None or call not in odd.calls or not self._is_about(call, sent):
            return self._noted(self._do(call, sent))
        self.struck += 1
        return self._noted(self._oddly(odd, call, sent))

    def _is_about(self, call: str, sent: dict[str, Any]) -> bool:
        if call in ("get_storage_key", "get_all"):
            return ODD_ANSWERS[self.odd].calls != EVERY
        named = self.keys.get(sent.get("id", ""), {}).get("name", "")
        return self._about in f"{named} {json.dumps(sent)}"

    def _oddly(self, odd: Odd, call: str, sent: dict[str, Any]) -> httpx.Response:
        true = Answer()
        if odd.half is not None:
            self._half_done(odd.half, call, sent)
        elif odd.done:
            response = self._told(odd, call, sent)
            if response.status_code != 200:
                return response  # refused: there was no effect to be badly told
            true = Answer(200, response.content, response.headers.get("content-type"))
        answer = odd.answered(true)
        headers = dict(answer.headers)
        if answer.content_type:
            headers["content-type"] = answer.content_type
        if self.odd == "throttled_date":
            moment = self._time.true().timestamp() + 2  # of the virtual clock
            headers["Retry-After"] = formatdate(moment, usegmt=True)
        return httpx.Response(answer.status, content=answer.body, headers=headers)

    def _told(self, odd: Odd, call: str, sent: dict[str, Any]) -> httpx.Response:
        """The true answer to what the service takes the input for."""
        if call != "get_storage_key":
            return self._do(call, {**sent, **odd.asked(sent)})
        asked = odd.asked({"page": int(sent["page"]), "descending": True})
        keys = self._stale() if odd.stale else self.keys
        shown = [*keys.values()] if asked.get("descending") is False else [*keys.values()][::-1]
        page, size = asked.get("page", 1), int(sent["pagesize"])
        data = [_whole(key) for key in shown[(page - 1) * size : page * size]]
        content = {"data": data, "total": len(keys), "options": {"page": int(sent["page"])}}
        return httpx.Response(200, json=content)

    def _half_done(self, half: str, call: str, sent: dict[str, Any]) -> None:
        """As far as a list or a status shows it: nobody asks the storage itself here."""
        name = sent.get("bucketName", "")
        match call, half:
            case "create_storage_key", "record_only":
                self._issue(sent["name"])
            case "delete_storage_key", "record_only":
                self.keys.pop(sent["id"], None)
            case "create_bucket", _:
                self.buckets.setdefault(name, dict.fromkeys(_FLAGS, False))
            case "update_bucket", _ if name in self.buckets:
                self.buckets[name]["isPublic"] = bool(sent.get("isPublic"))

    def _noted(self, response: httpx.Response) -> httpx.Response:
        self._past.append((self._time.elapsed(), copy.copy(self.keys)))
        return response

    def _stale(self) -> dict[str, dict[str, Any]]:
        moment = self._time.elapsed() - STALE_BY
        return [keys for at, keys in self._past if at <= moment][-1]


ANYBODY = "abcdef00-0000-4000-8000-aaaaaaaaaaaa"
_FLAGS = ("isPublic", "encryptionEnabled", "versioningEnabled", "objectLockEnabled")


def _whole(key: dict[str, Any]) -> dict[str, Any]:
    """With all that the odd answers change."""
    return {**key, "accountId": ANYBODY, "userId": ANYBODY}
