"""Complete lists of our own kinds, by which the store is made true: a watch may miss a deletion."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from amove_operator.controllers.dispatcher import Dispatcher
from amove_operator.engine.slices import in_slices
from amove_operator.errors import KubeRefused
from amove_operator.models.refs import Kind

_log = logging.getLogger(__name__)


class Census:
    """Lists every scope: each watched namespace, or all of them at once."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher
        self._d = dispatcher.d
        namespaces = self._d.settings.watch_namespaces
        self._scopes: tuple[str | None, ...] = tuple(dict.fromkeys(namespaces)) or (None,)

    async def take(self) -> None:
        """Make the store true, as of some moment during this call.

        A namespace that cannot be listed holds up itself alone: it keeps what is known of it, and
        its objects are read one by one when they are reconciled.
        Raises KubeUnavailable, and KubeRefused where all namespaces are one scope.
        """
        refused: dict[str, KubeRefused] = {}
        for scope in self._scopes:
            try:
                for kind in Kind:
                    await self._list(kind, scope)
            except KubeRefused as error:
                if scope is None:
                    self._d.namespaces.refused = f"buckets and keys cannot be listed: {error}"
                    raise
                refused[scope] = error
        self._d.namespaces.refused = None
        hidden = [namespace for namespace in refused if await self._is_there(namespace)]
        self._note(refused, frozenset(hidden))

    async def _list(self, kind: Kind, scope: str | None) -> None:
        store = self._d.store
        begun, seen_before = store.departed.begin_list(), store.history.newest(kind)
        listed: set[str] = set()

        def take(body: Mapping[str, Any]) -> None:
            listed.add(body["metadata"]["uid"])
            self._dispatcher.on_object_read(kind, body, seen_before)

        try:
            version = await self._d.kube.each_object(kind, take, scope)
        finally:
            store.departed.drop_list()
        store.history.check_list(kind, version, seen_before)
        async for item in in_slices(store):
            if item.ref.kind is kind and scope in (None, item.ref.namespace):
                self._dispatcher.on_not_listed(item, listed, version)
        store.departed.end_list(kind, scope, begun, version)

    async def _is_there(self, namespace: str) -> bool:
        """Whether Secrets that nobody shows us may be in it; one that is gone has none."""
        try:
            return not await self._d.kube.namespace_gone(namespace)
        except KubeRefused:
            return True

    def _note(self, refused: dict[str, KubeRefused], hidden: frozenset[str]) -> None:
        namespaces = self._d.namespaces
        before, shown = namespaces.unlisted, namespaces.hidden - hidden
        namespaces.found(frozenset(refused), hidden)
        self._d.metrics.unlisted_namespaces.set(len(refused))
        for namespace in refused.keys() - before:
            _log.error(
                "namespace %s cannot be listed; it is going, or lacks the operator's role. Others "
                "are served; of its own only what is known is let go: %s",
                namespace,
                refused[namespace],
            )
        for namespace in before - refused.keys():
            _log.info("namespace %s can be listed again", namespace)
        if shown:
            self._d.enqueue.waiting(self._d.names.wanted)  # no Secret there holds a key
