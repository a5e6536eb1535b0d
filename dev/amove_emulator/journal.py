"""What happened, in order: the calls, and the births and deaths of keys on the backing storage."""

from __future__ import annotations

import json
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any, Final

_MASKED: Final = frozenset({"password", "requestToken"})


@dataclass(slots=True)
class Entry:
    """One call. ``status`` None: no answer was given (hung, dropped), or not yet.

    ``time`` is ``time.monotonic()`` of this process, ``wall`` seconds since the epoch. ``effect``
    says whether the call changed or read what it was meant to; ``done`` whether it is over.
    ``odd`` is the name of the odd answer that it was given.
    """

    seq: int
    time: float
    wall: float
    call: str
    method: str
    path: str
    query: dict[str, str]
    body: Any
    user: str | None = None
    status: int | None = None
    code: str | None = None
    effect: bool = False
    fault: int | None = None
    odd: str | None = None
    done: bool = False
    duration: float | None = None


@dataclass(slots=True)
class KeyEvent:
    """A key became live on the backing storage ("created") or ceased to be ("revoked")."""

    seq: int
    time: float
    wall: float
    event: str
    key_id: str
    access_key: str
    name: str
    user: str
    tier: int


def readable_body(body: bytes) -> Any:
    """The body as JSON (or text) without what must not be kept."""
    if not body:
        return None
    try:
        content = json.loads(body)
    except ValueError:
        return body.decode("utf-8", "replace")
    if isinstance(content, dict):
        return {name: "***" if name in _MASKED else value for name, value in content.items()}
    return content


@dataclass(slots=True)
class Journal:
    """Grows until cleared. ``seq`` numbers calls and key events in one row, never starting anew."""

    entries: list[Entry] = field(default_factory=list)
    events: list[KeyEvent] = field(default_factory=list)
    _arrived: Counter[str] = field(default_factory=Counter)
    _done: Counter[str] = field(default_factory=Counter)
    _last: int = 0
    _cleared: int = 0

    def _next(self) -> int:
        self._last += 1
        return self._last

    def open(self, call: str, method: str, path: str, query: dict[str, str], body: bytes) -> Entry:
        entry = Entry(
            self._next(), time.monotonic(), time.time(), call, method, path, query,
            readable_body(body),
        )  # fmt: skip
        self.entries.append(entry)
        self._arrived[call] += 1
        return entry

    def close(self, entry: Entry, status: int | None, code: str | None) -> None:
        entry.status, entry.code, entry.done = status, code, True
        entry.duration = time.monotonic() - entry.time
        if entry.seq > self._cleared:  # else the call began before the journal was cleared
            self._done[entry.call] += 1

    def key_event(
        self, event: str, *, key_id: str, access_key: str, name: str, user: str, tier: int
    ) -> None:
        now, wall = time.monotonic(), time.time()
        self.events.append(
            KeyEvent(self._next(), now, wall, event, key_id, access_key, name, user, tier)
        )

    def counts(self) -> dict[str, dict[str, int]]:
        """``{call: {"arrived": n, "done": n}}``."""
        return {
            call: {"arrived": arrived, "done": self._done[call]}
            for call, arrived in self._arrived.items()
        }

    def select(self, call: str | None, after: int) -> list[dict[str, Any]]:
        return [
            asdict(entry)
            for entry in self.entries
            if entry.seq > after and call in (None, entry.call)
        ]

    def clear(self) -> None:
        self.entries.clear()
        self.events.clear()
        self._arrived.clear()
        self._cleared = self._last
        self._done.clear()
