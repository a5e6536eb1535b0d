"""The operator, killed right before or right after its n-th effect about one object.

Run as a program: ``crashing_operator.py run``. An effect is a call to the Amove API or a write to
Kubernetes; a dry run is none, nor is an Event. By environment:

``CRASH_AT``      ``3:before`` or ``3:after``: SIGKILL before the 3rd is sent, or with its answer
                  in hand and nothing done with it; empty: effects are only listed
``CRASH_FOLDER``  effects count while a file ``armed`` is there, and only those with its text in
                  their path, query or body; a file ``effects`` gets one line for each of them,
                  when it is about to be sent

A second observation of an absence is due after half a second, so that no crash waits for it long.
Else the product is not changed: its two seams, ``Session._exchange`` and ``Transport.call``, are
wrapped from outside.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from functools import wraps
from pathlib import Path
from typing import Any

from amove_operator.amove.answers import Call
from amove_operator.amove.calls import Payload
from amove_operator.amove.session import Session
from amove_operator.cli import main
from amove_operator.controllers.shared import memory
from amove_operator.kube.transport import Request, Transport


class Crash:
    """Counts effects, lists them, and ends the process at the one that was asked for."""

    def __init__(self, at: str, folder: Path) -> None:
        number, _, self._when = at.partition(":")
        self._number = int(number or 0)
        self._armed, self._listed = folder / "armed", folder / "effects"
        self._count = 0

    async def around(self, what: str, text: str, send: Callable[[], Awaitable[Any]]) -> Any:
        """Send one effect, and die where it was asked for."""
        if not self._counts(what, text):
            return await send()
        self._count += 1
        mine = self._count == self._number
        with self._listed.open("a") as listed:
            listed.write(f"{what}\n")
        if mine and self._when == "before":
            self._die()
        try:
            return await send()
        finally:
            if mine:
                self._die()

    def _counts(self, what: str, text: str) -> bool:
        return "/events" not in what and self._armed.exists() and self._armed.read_text() in text

    def _die(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


def wrap_the_seams(crash: Crash) -> None:
    """Every call to the service, and every write to Kubernetes, goes through ``crash``."""
    exchange, call = Session._exchange, Transport.call

    @wraps(exchange)
    async def _exchange(self: Session, what: Call[Any], payload: Payload, bearer: Any) -> Any:
        text = f"{what.path}?{payload.query} {(payload.body or b'').decode()}"
        return await crash.around(what.name, text, lambda: exchange(self, what, payload, bearer))

    @wraps(call)
    async def _call(self: Transport, request: Request, **options: Any) -> Any:
        if request.method == "GET" or "dryRun" in request.query:
            return await call(self, request, **options)
        text = f"{request.path} {json.dumps(request.body)}"
        return await crash.around(
            f"{request.method} {request.path}", text, lambda: call(self, request, **options)
        )

    setattr(Session, "_exchange", _exchange)  # noqa: B010 - mypy knows no other signature
    setattr(Transport, "call", _call)  # noqa: B010


if __name__ == "__main__":
    memory.APART = 0.5
    wrap_the_seams(Crash(os.environ["CRASH_AT"], Path(os.environ["CRASH_FOLDER"])))
    sys.exit(main())
