"""Kopf as a watcher of both kinds: each event is handed on, and nothing else is left to it.

What was found out about Kopf, and which setting follows from it, is in docs/kubernetes.md, "Kopf".
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import kopf

from amove_operator.kube.lease import unique_identity
from amove_operator.kube.listing import PAGE
from amove_operator.models import GROUP, VERSION
from amove_operator.models.refs import Kind

Login = Callable[[], Awaitable[kopf.ConnectionInfo]]
OnEvent = Callable[[Kind, str | None, Mapping[str, Any]], None]


# An idle worker of Kopf holds the object that it served last; it ends so soon. Not 0: in Python
# 3.11 a wait of 0 seconds gets nothing from a queue that is full.
_IDLE_SECONDS = 0.1


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


class _EveryTask(set[Any]):
    """The tasks that Kopf leaves alone when it ends: all but those that it keeps itself.

    It takes each task that began after its own start for one of its own, and cancels it: our
    workers in the middle of a call, and the Lease before they have ended.
    """

    def __contains__(self, task: object) -> bool:
        return True


def registry_for(on_event: OnEvent, login: Login) -> kopf.OperatorRegistry:
    """The two watches, each event handed to ``on_event``."""
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry, id="login")
    async def log_in(**_: Any) -> kopf.ConnectionInfo:
        # The very cluster and user that the writes go to: Kopf must not find another by itself.
        return await login()

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


async def watch(
    on_event: OnEvent,
    login: Login,
    namespaces: Sequence[str],
    take_signals: Callable[[], None],
    ready: asyncio.Event,
) -> None:
    """Watch both kinds until cancelled; ``ready`` is set when the watches run.

    ``take_signals`` is called as soon as Kopf has put its own handlers in place of ours.
    """
    # Else Kopf asks for the user's name, and a container's user need not have one.
    identity: Any = unique_identity()
    tasks = await kopf.spawn_tasks(
        registry=registry_for(on_event, login),
        settings=kopf_settings(),
        standalone=True,
        identity=identity,
        clusterwide=not namespaces,
        namespaces=tuple(namespaces),
        ready_flag=ready,
    )
    take_signals()
    await kopf.run_tasks(tasks, ignored=_EveryTask())
    raise RuntimeError("Kopf ended by itself")
