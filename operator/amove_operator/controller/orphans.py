"""Orphaned keys as the leader counts and names them; removing them is a person's act."""

from __future__ import annotations

import logging

from amove_operator.controller.context import Context
from amove_operator.core.ledger import Listing, LiveKey
from amove_operator.core.orphans import Judgement, Look

_log = logging.getLogger(__name__)
_NAMED = 20


class OrphanWatch:
    """Judges every complete listing; logs only when what it finds has changed."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._judgement = Judgement()

    def listed(self, listing: Listing) -> None:
        """Take in a new complete listing."""
        if not sees_all(self._context):
            return
        before = self._judgement.orphans
        self._judgement = self._judgement.after(self._look(listing), self._context.settle)
        orphans = self._judgement.orphans
        self._context.metrics.orphan_keys.set(len(orphans))
        if {key.id for key in orphans} != {key.id for key in before}:
            _tell(orphans)

    def _look(self, listing: Listing) -> Look:
        cache = self._context.cache
        # A ghost's keys are still being dealt with.
        keys = [*cache.keys.values(), *cache.ghosts.values()]
        return Look.of(
            self._context.cluster_uid,
            listing,
            (key.metadata.uid for key in keys),
            (secret.annotations for secret in self._context.secrets.values()),
        )


def sees_all(context: Context) -> bool:
    """Whether a CR that is not in the cache is gone."""
    return not context.settings.watch_namespaces


def _tell(orphans: tuple[LiveKey, ...]) -> None:
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
