"""A client of the admin interface, for tests. It shares no state with the server."""

from __future__ import annotations

import ssl
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import httpx

_PATIENCE: Final = 120.0
"""Seconds: a busy machine may be slow."""
_POLL: Final = 0.02


class ControlError(Exception):
    """The emulator refused an admin request; the message says why."""


class EmulatorControl:
    """All of /_emulator/. Durations are seconds; objects are the admin interface's JSON."""

    def __init__(self, base_url: str, *, authority: Path | None = None) -> None:
        verify = ssl.create_default_context(cafile=authority) if authority else True
        # trust_env=False: a proxy of the developer's must not come between.
        self._http = httpx.Client(
            base_url=base_url.rstrip("/") + "/_emulator/",
            trust_env=False,
            timeout=_PATIENCE,
            verify=verify,
        )

    def _call(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        wanted = {name: value for name, value in query.items() if value is not None}
        response = self._http.request(method, path, json=body, params=wanted)
        if response.status_code == 400:
            raise ControlError(response.json()["error"])
        response.raise_for_status()
        return response.json()

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def facts(self) -> dict[str, Any]:
        """``{url, s3Url, storageDn, cloudAccountId, apiToken, username, password, loginType}``."""
        return dict(self._call("GET", "facts"))

    def reset(self) -> None:
        """Back to the state at the start; journal, faults and moto's state included."""
        self._call("POST", "reset")

    # --- behaviour and faults

    def behave(self, **changes: Any) -> dict[str, Any]:
        """Set switches of ``settings.Behaviour``, e.g. ``behave(latency=0.02)``."""
        return dict(self._call("PATCH", "behaviour", changes))

    def fault(self, call: str, **spec: Any) -> int:
        """Set a fault (``faults.FaultSpec``, README.md). Answers its id."""
        return int(self._call("POST", "faults", {"call": call, **spec})["id"])

    def faults(self) -> list[dict[str, Any]]:
        """``[{id, matched, struck, spec}]``."""
        return list(self._call("GET", "faults"))

    def clear_faults(self, fault_id: int | None = None) -> None:
        """Clear one fault or all; calls that are held go on, those that hang are cut off."""
        self._call("DELETE", "faults", id=fault_id)

    # --- journal

    def journal(self, call: str | None = None, after: int = 0) -> list[dict[str, Any]]:
        """The calls in order of arrival (``journal.Entry``), those with ``seq`` > ``after``."""
        return list(self._call("GET", "journal", call=call, after=after))

    def last_seq(self) -> int:
        """The number of the latest call, to be given to ``journal(after=…)``."""
        return max((entry["seq"] for entry in self.journal()), default=0)

    def counts(self) -> dict[str, dict[str, int]]:
        """``{call: {"arrived": n, "done": n}}``."""
        return dict(self._call("GET", "journal/counts"))

    def count(self, *calls: str) -> int:
        """How many calls (of these names, or all) have arrived."""
        counts = self.counts()
        return sum(counts[c]["arrived"] for c in (calls or counts) if c in counts)

    def clear_journal(self) -> None:
        self._call("DELETE", "journal")

    def wait_for_calls(
        self, call: str, n: int, deadline: float = _PATIENCE, *, arrived: bool = False
    ) -> list[dict[str, Any]]:
        """Wait until ``n`` such calls are over (or have ``arrived``); answer their entries.

        Raises TimeoutError after ``deadline`` seconds, saying how many there were.
        """
        end = time.monotonic() + deadline
        stage = "arrived" if arrived else "done"
        while True:
            seen = self.counts().get(call, {}).get(stage, 0)
            if seen >= n:
                return self.journal(call)
            if time.monotonic() > end:
                raise TimeoutError(f"{seen} of {n} calls {call} {stage} after {deadline} s")
            time.sleep(_POLL)

    # --- keys on the backing storage

    def key_events(self) -> list[dict[str, Any]]:
        """``[{seq, time, wall, event: created|revoked, key_id, access_key, name, user, tier}]``."""
        return list(self._call("GET", "keys/events"))

    def max_live_keys(self, group: Callable[[str], str] = str) -> dict[str, int]:
        """For each group of key names: the most keys that were ever live at one moment."""
        return most_live(self.key_events(), group)

    def max_live_keys_per_name_prefix(self, prefix: str) -> int:
        """The most keys whose name starts so that were ever live at one moment."""
        return most_live(
            (e for e in self.key_events() if e["name"].startswith(prefix)), lambda _: prefix
        ).get(prefix, 0)

    def live_keys(self, prefix: str = "") -> list[dict[str, Any]]:
        """The keys that work now, whether listed or not."""
        return [k for k in self.keys() if k["live"] and k["name"].startswith(prefix)]

    def credentials(self) -> dict[str, list[str]]:
        """``{secretKeys, others}``: everything that must never show up in a log."""
        return dict(self._call("GET", "credentials"))

    def issued_secrets(self) -> list[str]:
        """Every secret key ever issued, resets included."""
        return self.credentials()["secretKeys"]

    # --- state and vandalism

    def state(self) -> dict[str, Any]:
        """``{buckets, keys, accounts, users}``."""
        return dict(self._call("GET", "state"))

    def buckets(self) -> dict[str, dict[str, Any]]:
        """By name: flags as ``bucket_status`` has them, ``objects``, ``hidden``, ``stuck`` …"""
        return {bucket["name"]: bucket for bucket in self.state()["buckets"]}

    def keys(self) -> list[dict[str, Any]]:
        """Each with ``listed`` and ``live``, permission and buckets; never a secret."""
        return list(self.state()["keys"])

    def add_bucket(self, name: str, *, account: str | None = None, **flags: bool) -> None:
        self._call("POST", "buckets", {**_at(name, account), "flags": flags})

    def set_flags(self, name: str, *, account: str | None = None, **flags: bool) -> None:
        """Flags as in ``bucket_status``: versioningEnabled, encryptionEnabled, isPublic …"""
        self._call("PATCH", "buckets", {**_at(name, account), "flags": flags})

    def hide_bucket(self, name: str, *, hidden: bool = True, account: str | None = None) -> None:
        self._call("PATCH", "buckets", {**_at(name, account), "hidden": hidden})

    def stick_flags(self, name: str, *flags: str, account: str | None = None) -> None:
        """Updates no longer move these flags; called without flags, all move again."""
        self._call("PATCH", "buckets", {**_at(name, account), "stuck": flags})

    def drop_bucket(self, name: str, *, account: str | None = None) -> None:
        """Remove it with its objects."""
        self._call("DELETE", "buckets", _at(name, account))

    def put_object(
        self, bucket: str, key: str, text: str = "", *, account: str | None = None
    ) -> None:
        self._call("PUT", "objects", {**_at(bucket, account), "key": key, "text": text})

    def empty_bucket(self, name: str, *, account: str | None = None) -> None:
        self._call("DELETE", "objects", _at(name, account))

    def add_key(
        self,
        name: str,
        *,
        permission: int = 2,
        buckets: Iterable[str] | None = None,
        account: str | None = None,
        user_id: str | None = None,
    ) -> dict[str, Any]:
        """A foreign key (``buckets`` None: all), as create_storage_key answers, secret included."""
        body: dict[str, Any] = {"name": name, "permission": permission}
        body |= {"buckets": None if buckets is None else list(buckets)}
        body |= {"cloudAccountId": account} if account else {}
        return dict(self._call("POST", "keys", body | ({"userId": user_id} if user_id else {})))

    def revoke_key(self, key_id: str, part: str = "both") -> None:
        """From outside: ``both``, only the ``backing`` key, or only the ``record``."""
        self._call("PATCH", "keys", {"id": key_id, "revoke": part})

    def change_key(self, key_id: str, **changes: Any) -> None:
        """``name`` or ``created_seconds_ago``."""
        self._call("PATCH", "keys", {"id": key_id, **changes})

    def add_account(self, **account: Any) -> str:
        """``settings.CloudAccount``: tier, active, internal, service_url, name. Answers its id."""
        return str(self._call("POST", "accounts", account)["id"])

    def change_account(self, account_id: str | None = None, **changes: Any) -> None:
        """``active``, ``internal`` or ``service_url``."""
        self._call("PATCH", "accounts", changes | ({"id": account_id} if account_id else {}))

    def add_user(self, **user: Any) -> str:
        """``settings.User``: email, role, password, totp, max_sessions. Answers its id."""
        return str(self._call("POST", "users", user)["id"])

    def set_token(self, token: str | None = None, user_id: str | None = None) -> str:
        """A new API token, or an existing one handed to another user. Answers the token."""
        body = {"token": token} | ({"userId": user_id} if user_id else {})
        return str(self._call("PUT", "tokens", body)["token"])

    def revoke_token(self, token: str) -> None:
        self._call("DELETE", "tokens", {"token": token})

    def end_sessions(self) -> None:
        """Every JWT given out so far answers 401 from now on."""
        self._call("DELETE", "sessions")


def most_live(events: Iterable[dict[str, Any]], group: Callable[[str], str]) -> dict[str, int]:
    """Per group of key names, the largest number of keys live at one moment."""
    live: Counter[str] = Counter()
    most: dict[str, int] = {}
    for event in events:
        name = group(event["name"])
        live[name] += 1 if event["event"] == "created" else -1
        most[name] = max(most.get(name, 0), live[name])
    return most


def _at(name: str, account: str | None) -> dict[str, Any]:
    return {"name": name} | ({"cloudAccountId": account} if account else {})
