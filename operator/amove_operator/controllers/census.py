"""Complete lists of our own kinds, by which the cache is made true: a watch may miss a deletion."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from amove_operator.controllers.dispatcher import Controller
from amove_operator.controllers.shared.enqueue import wake_waiting
from amove_operator.core.refs import Kind
from amove_operator.errors import KubeRefused

_log = logging.getLogger(__name__)


class Census:
    """Lists every scope: each watched namespace, or all of them at once."""

    def __init__(self, controller: Controller) -> None:
        self._controller = controller
        self._context = controller.context
        namespaces = self._context.settings.watch_namespaces
        self._scopes: tuple[str | None, ...] = tuple(dict.fromkeys(namespaces)) or (None,)

    async def take(self) -> None:
        """Make the cache true, as of some moment during this call.

        A namespace that cannot be listed holds up itself alone: it keeps what is known of it, and
        its objects are asked for one by one where they are looked at (``Context.unlisted``).
        Raises KubeUnavailable, and KubeRefused where all namespaces are one scope.
        """
        refused: dict[str, KubeRefused] = {}
        for scope in self._scopes:
            try:
                for kind in Kind:
                    await self._list(kind, scope)
            except KubeRefused as error:
                if scope is None:
                    raise
                refused[scope] = error
        hidden = [namespace for namespace in refused if await self._is_there(namespace)]
        self._tell(refused)
        self._hide(frozenset(hidden))

    async def _list(self, kind: Kind, scope: str | None) -> None:
        controller, cache = self._controller, self._context.cache
        begun = cache.departed.begin_list()
        listed: set[str] = set()

        def take(body: Mapping[str, Any]) -> None:
            listed.add(body["metadata"]["uid"])
            controller.seen(kind, None, body)

        try:
            version = await self._context.kube.each_object(kind, take, scope)
        finally:
            cache.departed.drop_list()
        for ref in cache:
            if ref.kind is kind and scope in (None, ref.namespace):
                controller.not_listed(ref, listed, version)
        cache.departed.end_list(kind, scope, begun, version)

    async def _is_there(self, namespace: str) -> bool:
        """Whether Secrets that nobody shows us may be in it; one that is gone has none."""
        try:
            return not await self._context.kube.namespace_gone(namespace)
        except KubeRefused:
            return True

    def _hide(self, hidden: frozenset[str]) -> None:
        before, self._context.hidden = self._context.hidden, hidden
        if before - hidden:
            wake_waiting(self._context, self._context.wanted_names)  # no Secret there holds a key

    def _tell(self, refused: dict[str, KubeRefused]) -> None:
        before, self._context.unlisted = self._context.unlisted, frozenset(refused)
        self._context.metrics.unlisted_namespaces.set(len(refused))
        for namespace in refused.keys() - before:
            _log.error(
                "namespace %s cannot be listed; it is going, or lacks the operator's role. Others "
                "are served; of its own only what is known is let go: %s",
                namespace,
                refused[namespace],
            )
        for namespace in before - refused.keys():
            _log.info("namespace %s can be listed again", namespace)
