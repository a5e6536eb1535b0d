"""The Amove API below the client: answers its HTTP requests from memory.

Where :class:`~tests.stand_ins.service.InMemoryService` stands in for the client, this keeps the
client itself, with its pace, its retries and its breaker.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx

from tests.stand_ins.time import Time

_FLAGS = ("isPublic", "encryptionEnabled", "versioningEnabled", "objectLockEnabled")


class InMemoryAmove:
    """The HTTP side of the API.

    ``fate``: asked at each call but the key list's: ``ok``, ``unanswered, done``,
    ``unanswered, not done``, ``refused`` or ``slow down``. ``down``: nothing works.
    ``id_of``: the id of its first key, its second …
    """

    def __init__(self, time: Time, fate: Callable[[], str]) -> None:
        self.buckets: dict[str, dict[str, bool]] = {}
        self.keys: dict[str, dict[str, Any]] = {}
        self.down = False
        self.id_of: Callable[[int], str] = "key-{}".format
        self._time, self._fate, self._issued = time, fate, 0

    async def answer(self, request: httpx.Request) -> httpx.Response:
        """One request: the handler of httpx's mock transport."""
        call = request.url.path.rpartition("/")[2]
        word = "ok" if call == "get_storage_key" else self._fate()
        if self.down:
            return httpx.Response(503, text="down")
        match word:
            case "unanswered, not done":
                raise httpx.ReadTimeout("no answer", request=request)
            case "refused":
                return _refused("ACCESS", "not today")
            case "slow down":
                return httpx.Response(429, headers={"retry-after": "7"})
        body = json.loads(request.content) if request.content else {}
        answer = self._do(call, {**request.url.params, **body})
        if word == "unanswered, done":
            raise httpx.ReadError("dropped", request=request)
        return answer

    def _do(self, call: str, sent: dict[str, Any]) -> httpx.Response:
        name = sent.get("bucketName", "")
        match call:
            case "get_all":
                return httpx.Response(200, json={"data": [], "total": 0})
            case "get_storage_key":
                return self._page(int(sent["page"]), int(sent["pagesize"]))
            case "create_storage_key":
                return self._issue(sent["name"])
            case "delete_storage_key":
                found = self.keys.pop(sent["id"], None)
                return httpx.Response(200) if found else _refused("NOT_FOUND", "no such key")
            case "create_bucket" if name in self.buckets:
                return _refused("DUPLICATE", "it exists")
            case "create_bucket":
                self.buckets[name] = {flag: bool(sent.get(flag)) for flag in _FLAGS}
            case _ if name not in self.buckets:
                return _refused("NOT_FOUND", "no such bucket")
            case "bucket_status":
                return httpx.Response(200, json=self.buckets[name])
            case "update_bucket":
                encrypted = {"encryptionEnabled": sent["isEncrypted"]}
                asked = {flag: sent[flag] for flag in _FLAGS if flag in sent}
                self.buckets[name] |= asked | encrypted
            case "delete_bucket":
                del self.buckets[name]
        return httpx.Response(200)

    def _page(self, number: int, size: int) -> httpx.Response:
        newest_first = list(reversed(self.keys.values()))
        shown = newest_first[(number - 1) * size : number * size]
        return httpx.Response(200, json={"data": shown, "total": len(newest_first)})

    def _issue(self, name: str) -> httpx.Response:
        self._issued += 1
        key = {
            "id": self.id_of(self._issued),
            "name": name,
            "accessKey": f"AK{self._issued:018}",
            "userId": "user-1",
            "createDate": self._time.true().strftime("%Y-%m-%dT%H:%M:%S.%f"),
        }
        self.keys[key["id"]] = key
        return httpx.Response(200, json={**key, "secretKey": f"SK{self._issued:038}"})


def _refused(code: str, message: str) -> httpx.Response:
    return httpx.Response(499, headers={"error-code": code}, json={"errors": {code: [message]}})
