"""A watch of our Secrets' metadata: never their contents, never anybody else's Secrets.

Kopf would read every Secret of the cluster, since its watches know no label selectors; the
server sends ``PartialObjectMetadata`` here, and only what the selector lets through.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Protocol

from amove_operator.core.secrets.record import WRITTEN, read_written
from amove_operator.errors import KubeRefused, KubeUnavailable
from amove_operator.kube.client import Kube
from amove_operator.kube.failures import Gone
from amove_operator.kube.listing import each_item
from amove_operator.kube.transport import Request, Transport, path_of
from amove_operator.models import GROUP
from amove_operator.models.texts import shared_text

MANAGED = f"{GROUP}/managed"
"""A label of our own, whatever its value: others may have their own mind about managed-by."""
OWNER_UID = f"{GROUP}/owner-uid"
KEY_ID = f"{GROUP}/key-id"
# What is read of anybody's Secret, with the most characters that it can have; a longer one is none.
_KEPT = {OWNER_UID: 64, KEY_ID: 64}
METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
_WATCH_SECONDS = (240, 360)
_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 10.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SecretMeta:
    """What is kept of one Secret. ``annotations``: those few that are acted on, each bounded.

    ``sole_writer``: the field manager that alone wrote all that is in it, with the data that the
    Secret says were written. A hint, by which somebody who edits is told from nobody: whoever may
    write Secrets can write in any manager's name.
    """

    namespace: str
    name: str
    uid: str
    resource_version: str
    annotations: Mapping[str, str]
    sole_writer: str | None = None

    @classmethod
    def parse(cls, item: Mapping[str, Any]) -> SecretMeta:
        """Read a PartialObjectMetadata."""
        meta = item["metadata"]
        annotations = meta.get("annotations") or {}
        ours = {
            key: shared_text(annotations[key])
            for key, most in _KEPT.items()
            if key in annotations and len(annotations[key]) <= most
        }
        place = shared_text(meta["namespace"]), shared_text(meta["name"])
        writer = _sole_writer(meta.get("managedFields") or (), annotations.get(WRITTEN, ""))
        return cls(*place, meta["uid"], meta["resourceVersion"], ours, writer)


def _sole_writer(entries: Sequence[Mapping[str, Any]], written: str) -> str | None:
    """The only manager of all fields, if it also has each data key that is said to be written.

    A data key that somebody takes out leaves no trace but that it is nobody's any more.
    """
    managers = {entry.get("manager") for entry in entries}
    if len(managers) != 1:
        return None
    data = frozenset[str]()
    for entry in entries:
        fields = (entry.get("fieldsV1") or {}).get("f:data")
        data |= fields.keys() if isinstance(fields, dict) else data
    (manager,) = managers
    expected = {f"f:{name}" for name in read_written(written).data}
    complete = expected and data - {"."} == expected
    return manager if complete and isinstance(manager, str) else None


class SecretChanged(Protocol):
    """Called for every Secret that appears, changes or disappears; must not block."""

    def __call__(self, secret: SecretMeta, *, deleted: bool) -> None: ...


class InSync(Protocol):
    """Called when the watch of a namespace (None: of all) is in sync again, or no longer is."""

    def __call__(self, scope: str | None, *, in_sync: bool) -> None: ...


class _Relist(Exception):
    """The position in the stream of changes is lost."""


async def each_managed(
    transport: Transport,
    scope: str | None,
    take: Callable[[SecretMeta], None],
    begin_anew: Callable[[], None] = lambda: None,
) -> str:
    """Hand each of our Secrets, of one namespace or of all, to ``take``; the list's version.

    ``begin_anew``: called where the list begins anew (:func:`each_item`).
    """
    return await each_item(
        transport,
        _secrets(scope),
        lambda item: take(SecretMeta.parse(item)),
        selector=MANAGED,
        accept=METADATA_LIST,
        begin_anew=begin_anew,
    )


class SecretWatch:
    """Keeps ``known`` like the cluster until cancelled.

    ``known``: (namespace, name) → metadata. ``synced``: set once every namespace was listed, or
    refused if it is one of several. ``refused``: why none can be read. ``on_sync``: a watch that
    failed shows nothing of what goes meanwhile, from its failure to the next list or event.
    """

    def __init__(
        self,
        kube: Kube,
        on_change: SecretChanged,
        on_sync: InSync = lambda _scope, *, in_sync: None,
        *,
        namespaces: Sequence[str] = (),
    ) -> None:
        self.known: dict[tuple[str, str], SecretMeta] = {}
        self.synced = asyncio.Event()
        self.refused: str | None = None
        self._kube = kube
        self._on_change = on_change
        self._on_sync = on_sync
        self._scopes: tuple[str | None, ...] = tuple(dict.fromkeys(namespaces)) or (None,)
        self._unlisted = set(self._scopes)

    async def run(self) -> None:
        """Watch all namespaces, or each of those named; ends only by cancelling."""
        async with asyncio.TaskGroup() as group:
            for scope in self._scopes:
                group.create_task(self._follow(scope), name=f"secrets {scope or '(all)'}")

    async def _follow(self, scope: str | None) -> None:
        version: str | None = None
        pause = _FIRST_PAUSE
        while True:
            try:
                if version is None:
                    version = await self._list(scope)
                async for position in self._changes(scope, version):
                    version = position
                    pause, self.refused = _FIRST_PAUSE, None
                    self._on_sync(scope, in_sync=True)
            except _Relist:
                self._on_sync(scope, in_sync=False)
                version = None
            except (KubeUnavailable, KubeRefused) as error:
                self._on_sync(scope, in_sync=False)
                log.warning("Secrets of %s are watched again soon: %s", scope or "all", error)
                if isinstance(error, KubeRefused):
                    await self._on_refused(scope, error)
            except Exception:
                self._on_sync(scope, in_sync=False)
                log.exception("Secrets of %s are listed anew", scope or "all")
                version = None
            # Also after a watch that ended in good order: a server that ends each at once.
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def _list(self, scope: str | None) -> str:
        """Report what the list shows anew and what it no longer shows; its resourceVersion.

        Page by page, each of which is true by itself: all at once would hold everybody up.
        """
        found: set[tuple[str, str]] = set()

        def take(secret: SecretMeta) -> None:
            found.add((secret.namespace, secret.name))
            self._learn(secret)

        # The watch goes on from the last beginning: no event tells of what went before it.
        version = await each_managed(self._kube.transport, scope, take, found.clear)
        for place, secret in list(self.known.items()):
            if place not in found and scope in (None, secret.namespace):
                self._forget(secret)
        self._answered(scope)
        self._on_sync(scope, in_sync=True)
        self.refused = None
        return version

    def _answered(self, scope: str | None) -> None:
        self._unlisted.discard(scope)
        if not self._unlisted:
            self.synced.set()

    async def _on_refused(self, scope: str | None, error: KubeRefused) -> None:
        """One of several that may not be listed holds up itself alone; gone, it has no Secrets."""
        if scope is None:
            self.refused = f"Secrets cannot be watched: {error}"
            return
        self._answered(scope)
        try:
            gone = await self._kube.namespace_gone(scope)
        except (KubeUnavailable, KubeRefused):
            return
        for secret in list(self.known.values()):
            if gone and secret.namespace == scope:
                self._forget(secret)

    async def _changes(self, scope: str | None, version: str) -> AsyncIterator[str]:
        """Follow one watch; yields the resourceVersion to resume from after each event."""
        query = {
            "watch": "1",
            "allowWatchBookmarks": "true",
            "labelSelector": MANAGED,
            "resourceVersion": version,
            "timeoutSeconds": str(random.randint(*_WATCH_SECONDS)),  # noqa: S311 - no secret
        }
        request = Request("GET", _secrets(scope), query, accept=METADATA)
        async with aclosing(self._kube.transport.stream(request)) as events:
            try:
                async for event in events:
                    yield self._apply(event["type"], event["object"])
            except Gone:
                raise _Relist from None

    def _apply(self, change: str, item: Mapping[str, Any]) -> str:
        if change == "ERROR":
            # Usually 410: the position was compacted away. Whatever it is, a list sets it right.
            log.info("Secrets are listed anew: %s", item.get("message"))
            raise _Relist
        if change == "DELETED":
            self._forget(SecretMeta.parse(item))
        elif change != "BOOKMARK":
            self._learn(SecretMeta.parse(item))
        return str(item["metadata"]["resourceVersion"])

    def _learn(self, secret: SecretMeta) -> None:
        place = (secret.namespace, secret.name)
        before = self.known.get(place)
        self.known[place] = secret
        if before is None or before.resource_version != secret.resource_version:
            self._report(secret, deleted=False)

    def _forget(self, secret: SecretMeta) -> None:
        if self.known.pop((secret.namespace, secret.name), None) is not None:
            self._report(secret, deleted=True)

    def _report(self, secret: SecretMeta, *, deleted: bool) -> None:
        try:
            self._on_change(secret, deleted=deleted)
        except Exception:  # a fault of the listener must not end the watch
            log.exception(
                "a change of Secret %s/%s was not taken in", secret.namespace, secret.name
            )


def _secrets(scope: str | None) -> str:
    where = ("namespaces", scope, "secrets") if scope else ("secrets",)
    return path_of("api", "v1", *where)
