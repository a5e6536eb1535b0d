"""Keys whose CR is gone: which Secret holds one, and which are orphans.

The leader counts and names orphans; removing them is a person's act.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from amove_operator.controllers.shared.dependencies import Dependencies
from amove_operator.core.key_list import KeyList, RemoteKey
from amove_operator.core.keys.orphans import OrphanScan, OrphanSuspects, holds, may_hold
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

    def __init__(self, dependencies: Dependencies) -> None:
        self._d = dependencies
        self._suspects = OrphanSuspects()
        self._listed = asyncio.Event()

    def on_key_list(self) -> None:
        """There is a new complete list."""
        self._listed.set()

    async def run(self) -> None:
        """Judge each list, until cancelled."""
        while True:
            await self._listed.wait()
            self._listed.clear()
            listing = self._d.key_lists.latest
            if listing is not None:
                await self.judge(listing)

    async def judge(self, listing: KeyList) -> None:
        """Find the holders of keys without a CR, then the keys that have neither."""
        d, before, known = self._d, self._suspects.orphans, set(self._d.names.holders)
        if d.watches_all and not d.secrets.all_in_sync:
            return  # a Secret that the watch does not show yet may hold one
        scan, judged = await self._scan(listing)
        if d.names.holders_found(judged, known, listing):
            d.enqueue.waiting(d.names.wanted)  # whose a key is says whom it keeps out
        if not d.watches_all:
            return
        self._suspects = self._suspects.after(scan, d.settle)
        orphans = self._suspects.orphans
        d.metrics.orphan_keys.set(len(orphans))
        if {key.id for key in orphans} != {key.id for key in before}:
            _log_orphans(orphans)

    async def _scan(self, listing: KeyList) -> tuple[OrphanScan, dict[str, str | None]]:
        """Where the CRs and Secrets stand now; of each key without a CR, which namespace has it."""
        d = self._d
        # With vanished objects, whose keys are still being dealt with.
        owners = d.store.key_index.owners()
        scan = OrphanScan(cluster_digest(d.cluster_uid), listing, owners, frozenset())
        unread: set[str] = set()
        judged: dict[str, str | None] = {}
        for key in scan.unowned().values():
            try:
                holder = await holder_of(d.kube, key, d.secrets.claiming(key.id), listing)
            except (KubeUnavailable, KubeRefused) as error:
                _log.warning("whether a Secret holds key %s is not known: %s", key.name, error)
                unread.add(key.id)
            else:
                judged[key.id] = holder.namespace if holder is not None else None
        held = {key_id for key_id, where in judged.items() if where is not None}
        return replace(scan, held=frozenset(held | unread)), judged


def _log_orphans(orphans: tuple[RemoteKey, ...]) -> None:
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
