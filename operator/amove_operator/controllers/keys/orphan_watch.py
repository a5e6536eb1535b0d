"""Keys whose CR is gone: which Secret holds one, and which are orphans.

The leader counts and names orphans; removing them is a person's act.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Iterable

from amove_operator.controllers.shared.context import Context
from amove_operator.controllers.shared.enqueue import wake_waiting
from amove_operator.core.key_list import KeyList, RemoteKey
from amove_operator.core.keys.orphans import (
    OrphanScan,
    OrphanSuspects,
    holds,
    may_hold,
    without_owner,
)
from amove_operator.core.naming import cluster_digest
from amove_operator.core.secrets.record import OWNER_UID
from amove_operator.errors import KubeRefused, KubeUnavailable
from amove_operator.kube import Kube
from amove_operator.kube.secret_watch import SecretMeta

_log = logging.getLogger(__name__)
_NAMED = 20
_MOST_CLAIMS = 8
"""So many Secrets of one namespace that say to hold one key are read: nobody makes us read his
thousand, nor hides by them the one of another namespace that holds it."""


async def holder_of(
    kube: Kube, key: RemoteKey, claims: Iterable[SecretMeta], listing: KeyList
) -> SecretMeta | None:
    """The Secret among ``claims`` whose data carry the key.

    Raises KubeUnavailable or KubeRefused where one cannot be read.
    """
    honest = [
        secret for secret in claims if may_hold(secret.annotations.get(OWNER_UID, ""), key, listing)
    ]
    read = Counter[str]()
    for secret in honest:
        read[secret.namespace] += 1
        if read[secret.namespace] > _MOST_CLAIMS:
            continue
        view = await kube.read_secret(secret.namespace, secret.name)
        if view is not None and view.uid == secret.uid and holds(view.data, key):
            return secret
    return None


class OrphanWatch:
    """Judges every complete listing; logs only when what it finds has changed."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._judgement = OrphanSuspects()
        self._listed = asyncio.Event()

    def listed(self) -> None:
        """There is a new complete listing."""
        self._listed.set()

    async def run(self) -> None:
        """Judge each listing, until cancelled."""
        while True:
            await self._listed.wait()
            self._listed.clear()
            listing = self._context.key_lists.latest
            if listing is not None:
                await self.judge(listing)

    async def judge(self, listing: KeyList) -> None:
        """Find the holders of keys without a CR, then the keys that have neither."""
        context, before = self._context, self._judgement.orphans
        known = set(context.holders)
        look, holders = await self._look(listing)
        meanwhile = {key: where for key, where in context.holders.items() if key not in known}
        if (found := {**holders, **meanwhile}) != context.holders:
            context.holders = found
            wake_waiting(context, context.wanted_names)  # whose a key is says whom it keeps out
        if not sees_all(context):
            return
        self._judgement = self._judgement.after(look, context.settle)
        orphans = self._judgement.orphans
        context.metrics.orphan_keys.set(len(orphans))
        if {key.id for key in orphans} != {key.id for key in before}:
            _tell(orphans)

    async def _look(self, listing: KeyList) -> tuple[OrphanScan, dict[str, str]]:
        """Where the CRs and Secrets stand now, and the namespace of each key that one holds."""
        context = self._context
        # A ghost's keys are still being dealt with.
        keys = [*context.cache.keys.values(), *context.cache.ghosts.values()]
        look = OrphanScan.of(context.cluster_uid, listing, (key.metadata.uid for key in keys), ())
        held: set[str] = set()
        holders: dict[str, str] = {}
        cluster8 = cluster_digest(context.cluster_uid)
        for key in list(without_owner(listing, cluster8, look.owners)):
            claims = context.secrets.claiming(key.id)
            try:
                holder = await holder_of(context.kube, key, claims, listing)
            except (KubeUnavailable, KubeRefused) as error:
                _log.warning("whether a Secret holds key %s is not known: %s", key.name, error)
                held.add(key.id)
                continue
            if holder is not None:
                held.add(key.id)
                holders[key.id] = holder.namespace
        return OrphanScan(look.cluster8, listing, look.owners, frozenset(held)), holders


def sees_all(context: Context) -> bool:
    """Whether a CR that is not in the cache is gone."""
    return not context.settings.watch_namespaces


def _tell(orphans: tuple[RemoteKey, ...]) -> None:
    if not orphans:
        _log.info("no orphaned keys are left")
        return
    named = ", ".join(f"{key.name} (id {key.id})" for key in orphans[:_NAMED])
    more = f" and {len(orphans) - _NAMED} more" if len(orphans) > _NAMED else ""
    _log.warning(
        "%d live keys of this cluster have neither resource nor Secret: %s%s; "
        "'amove-operator orphans --revoke' lists and removes them",
        len(orphans),
        named,
        more,
    )
