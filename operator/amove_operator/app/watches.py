"""Kopf as a watcher of both kinds: each event is handed on, and nothing else is left to it.

What was found out about Kopf, and which setting follows from it, is in docs/kubernetes.md, "Kopf".
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kopf

from amove_operator.clock import backoff
from amove_operator.kube.connection import unique_identity
from amove_operator.kube.kopf_session import KopfSession
from amove_operator.kube.listing import PAGE
from amove_operator.models import GROUP, VERSION
from amove_operator.models.refs import Kind

Login = Callable[[], Awaitable[kopf.ConnectionInfo]]
OnEvent = Callable[[Kind, str | None, Mapping[str, Any]], None]

_log = logging.getLogger(__name__)
_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 30.0
_SOUND_SECONDS = 60.0
"""Watches that ran for so long broke off for a new cause: the next pause is short again."""
# An idle worker of Kopf holds the object that it served last; it ends so soon. Not 0: in Python
# 3.11 a wait of 0 seconds gets nothing from a queue that is full.
_IDLE_SECONDS = 0.1
_KOPF = Path(kopf.__file__).parent
_ENDED = RuntimeError("Kopf ended by itself")


class _Endless:
    """Back-offs without end, so that no outage of the API server ends the process."""

    def __iter__(self) -> Any:
        yield from (1, 1, 2, 3)
        while True:
            yield 5


class _NothingCompared(kopf.DiffBaseStorage):
    """No handler asks what changed, and Kopf would copy every object deeply to find out."""

    def build(self, **_: Any) -> Any:
        return {}

    def fetch(self, **_: Any) -> Any:
        return None

    def store(self, **_: Any) -> None:
        pass


def registry_for(on_event: OnEvent, login: Login) -> kopf.OperatorRegistry:
    """The two watches, each event handed to ``on_event``."""
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry, id="login")
    async def log_in(**_: Any) -> KopfSession:
        # The very cluster and user that the writes go to: Kopf must not find another by itself.
        return KopfSession(await login())

    for kind in Kind:

        @kopf.on.event(GROUP, VERSION, kind.plural, registry=registry, id=f"take-{kind.plural}")
        async def take(event: Mapping[str, Any], *, watched: Kind = kind, **_: Any) -> None:
            on_event(watched, event.get("type"), event["object"])

    return registry


def kopf_settings() -> kopf.OperatorSettings:
    """Kopf as a watcher only: no Events, no scanning, no peering, no end of patience."""
    settings = kopf.OperatorSettings()
    settings.scanning.disabled = True
    settings.posting.enabled = False
    settings.peering.standalone = True
    settings.persistence.diffbase_storage = _NothingCompared()
    settings.networking.error_backoffs = _Endless()
    settings.process.ultimate_exiting_timeout = None
    # A chunk is read whole, and each object of it is held until its worker ends.
    settings.watching.chunk_size = PAGE
    settings.queueing.idle_timeout = _IDLE_SECONDS
    settings.watching.client_timeout = 600
    settings.watching.server_timeout = 300
    return settings


@dataclass(frozen=True)
class Watches:
    """The watches of both kinds.

    ``served`` returns once the cluster serves both: Kopf asks for that only as it begins.
    ``take_signals`` is called as soon as Kopf has put its own handlers in place of ours.
    """

    on_event: OnEvent
    login: Login
    namespaces: Sequence[str]
    served: Callable[[], Awaitable[None]]
    take_signals: Callable[[], None]

    async def run(self, ready: asyncio.Event) -> None:
        """Watch until cancelled; ``ready`` is set when the watches run.

        A watch goes on by itself after an outage, a 403, a 429 or a 5xx. Anything else that the
        wire may bring (a 401, a 404, an ERROR event, half a line) ends Kopf as a whole: it is begun
        anew, with lists of all, as if the process had been.
        """
        asyncio.get_running_loop().set_exception_handler(_on_unseen_error)
        failures = 0
        while True:
            await self.served()
            began = time.monotonic()
            error = await self._until_broken(ready)
            if time.monotonic() - began >= _SOUND_SECONDS:
                failures = 0
            pause = backoff(_FIRST_PAUSE, _LONGEST_PAUSE, failures)
            failures += 1
            _log.debug("why Kopf ended", exc_info=error)
            _log.warning(
                "the watches of buckets and keys broke off and begin again in %.0f s: %s",
                pause,
                _cause(error),
            )
            await asyncio.sleep(pause)

    async def _until_broken(self, ready: asyncio.Event) -> Exception:
        """Run Kopf once; why it ended."""
        # Else Kopf asks for the user's name, and a container's user need not have one.
        identity: Any = unique_identity()
        tasks = await kopf.spawn_tasks(
            registry=registry_for(self.on_event, self.login),
            settings=kopf_settings(),
            standalone=True,
            identity=identity,
            clusterwide=not self.namespaces,
            namespaces=tuple(self.namespaces),
            ready_flag=ready,
        )
        self.take_signals()
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await _end_kopf(tasks)
        found = [task.exception() for task in done if not task.cancelled()]
        return next((one for one in found if isinstance(one, Exception)), _ENDED)


async def _end_kopf(roots: Collection[asyncio.Task[Any]]) -> None:
    """End Kopf, with what goes on although one part has failed: other watches, half a discovery.

    Not by ``kopf.run_tasks``: it takes each task that began after its own start for one of Kopf's,
    and cancels it: our workers in the middle of a call, and the Lease before they have ended.
    """
    await _end(roots)
    # The watches before what they have begun: cancelled beside it, a watch would go on.
    await _end(_of_kopf("guard"))
    await _end(_of_kopf())


async def _end(tasks: Collection[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _of_kopf(function: str | None = None) -> set[asyncio.Task[Any]]:
    """The tasks that run that function of Kopf, or any of its functions."""
    return {task for task in asyncio.all_tasks() if _is_of_kopf(task, function)}


def _is_of_kopf(task: asyncio.Task[Any], function: str | None = None) -> bool:
    code = getattr(task.get_coro(), "cr_code", None)
    if code is None or function not in (None, code.co_name):
        return False
    return _KOPF in Path(code.co_filename).parents


def _on_unseen_error(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Where one watch breaks off, Kopf leaves the errors of the others to nobody: no news."""
    task = context.get("task") or context.get("future")
    if isinstance(task, asyncio.Task) and _is_of_kopf(task):
        _log.debug("another watch ended as well", exc_info=context.get("exception"))
    else:
        loop.default_exception_handler(context)


def _cause(error: BaseException) -> str:
    """The first cause. Of a 401, Kopf says only that it has no other way to log in."""
    if isinstance(error, kopf.LoginError):
        return "HTTP 401: the API server does not accept our credentials"
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {error}"
