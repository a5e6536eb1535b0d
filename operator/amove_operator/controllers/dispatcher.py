"""From what the watches show to one reconcile at a time for each object."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Set
from contextlib import suppress
from typing import Any

from amove_operator.controllers.buckets.reconciler import BucketReconciler
from amove_operator.controllers.keys.orphan_watch import OrphanWatch
from amove_operator.controllers.keys.reconciler import KeyReconciler
from amove_operator.controllers.shared.context import Context
from amove_operator.controllers.shared.departed import is_newer
from amove_operator.controllers.shared.enqueue import (
    wake_all,
    wake_buckets_of,
    wake_claimants,
    wake_keys_of,
    wake_reaching,
    wake_waiting,
)
from amove_operator.controllers.shared.loss_guard import note_missing_keys
from amove_operator.controllers.shared.memory import BucketMemory
from amove_operator.controllers.shared.store import (
    Ghost,
    Item,
    bucket_name,
    may_have_unlisted_key,
    own_bucket_status,
)
from amove_operator.core import conditions
from amove_operator.core.buckets.snapshot import Refused, Unknown
from amove_operator.core.key_list import KeyList
from amove_operator.core.refs import Kind, Ref
from amove_operator.errors import ApiError, Conflict, KubeRefused, KubeUnavailable, NotLeading
from amove_operator.kube.secret_watch import SecretMeta
from amove_operator.models import AmoveBucket
from amove_operator.telemetry import log_context

_log = logging.getLogger(__name__)
_SOON = 5.0
_LATER = 30.0


class Controller:
    """Keeps the cache, feeds the queue, and serves its items."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.leading = False
        self._buckets = BucketReconciler(context)
        self._keys = KeyReconciler(context)
        self.orphans = OrphanWatch(context)

    def lead(self) -> None:
        """From now on this process acts, and answers for what the one before it left behind.

        The cache must be true by now: what went while another led is the other's.
        """
        context = self.context
        context.cache.unserved = set()
        for ref in context.cache:
            seen = context.cache.get(ref)
            if seen is not None and ref.namespace not in context.unlisted:
                context.cache.note_unserved(seen)
        self.context.leading_since = self.context.clock()
        self.leading = True
        self.context.may_have_unlisted = frozenset(
            key.metadata.namespace
            for key in self.context.cache.keys.values()
            if may_have_unlisted_key(key)
        )

    # -- what the watches show -------------------------------------------------------------------

    def seen(self, kind: Kind, change: str | None, body: Mapping[str, Any]) -> None:
        """Take in one watch event; ``change`` is ``DELETED`` or anything else."""
        meta = body["metadata"]
        ref = Ref(kind, meta.get("namespace", ""), meta["name"])
        cache = self.context.cache
        known = cache.get(ref)
        if change == "DELETED":
            if self.leading or cache.departed.listing:  # else the list that leads to the lead tells
                cache.departed.note_gone(ref, meta["uid"])
            if known is not None and known.metadata.uid == meta["uid"]:
                self.vanished(ref)
            return
        if not cache.is_news(ref, meta):
            return
        if known is not None and known.metadata.uid != meta["uid"]:
            self.vanished(ref)
        now = cache.put(ref, body)
        if now is None:
            return
        if isinstance(now, AmoveBucket) and isinstance(known, AmoveBucket):
            self._note_new_owner(known, now)
            if now.metadata.paused != known.metadata.paused:
                wake_claimants(self.context, bucket_name(now))  # its claim comes and goes with it
        self._changed(ref)

    def _note_new_owner(self, before: AmoveBucket, now: AmoveBucket) -> None:
        """An admin, or another process, made it ours: what was seen of it then may be hours old.

        And what another team's keys still reach is theirs no more.
        """
        if own_bucket_status(before).provenance == own_bucket_status(now).provenance:
            return
        wake_reaching(self.context, bucket_name(now))
        if own_bucket_status(now).provenance is None:
            return  # we have disowned it, or it was taken away: what is known of it stays true
        memory = self.context.buckets.setdefault(now.metadata.uid, BucketMemory())
        taken = memory.refusal is not None and memory.refusal.what is Refused.EXISTS
        if taken or conditions.is_true(before.status.conditions, "Stalled"):
            memory.stale, memory.refusal = True, None

    def _changed(self, ref: Ref) -> None:
        self.context.queue.add(ref)
        if ref.kind is Kind.BUCKET:
            wake_keys_of(self.context, ref)

    def vanished(self, ref: Ref) -> None:
        """An object is not there any more, as an event or a list has it.

        If we let go of it, or had nothing to serve, it is forgotten. Else its last copy becomes a
        ghost, of which nothing is believed before a GET (:meth:`_is_gone`).
        """
        context, last = self.context, self.context.cache.get(ref)
        if last is None:
            return
        uid = last.metadata.uid
        unserved = uid in context.cache.unserved
        context.cache.drop(ref)
        if self.leading and unserved:
            ghost = Ghost(ref, uid)
            context.cache.haunt(ghost, last.as_vanished())
            context.queue.add(ghost)
        else:
            context.forget_bucket(uid)
            wake_waiting(context, context.forget_key(uid))
        context.missing_keys.discard(uid)
        context.queue.forget(ref)
        if isinstance(last, AmoveBucket):
            wake_keys_of(context, ref)
            wake_claimants(context, bucket_name(last))
        else:
            wake_buckets_of(context, last)

    def not_listed(self, ref: Ref, listed: Set[str], version: str) -> None:
        """Judge a known object by a complete list: its UIDs, and the version that it shows."""
        known = self.context.cache.get(ref)
        if known is None or known.metadata.uid in listed:
            return
        if not is_newer(known.metadata.resource_version, version):
            self.vanished(ref)

    async def _is_gone(self, ghost: Ghost) -> bool:
        """Whether a GET has shown that the ghost's object is gone; one that is there comes back.

        Raises KubeUnavailable, KubeRefused: then nobody knows, and it is asked again.
        """
        cache, ref = self.context.cache, ghost.ref
        if ghost not in cache.suspects:
            return True
        body = await self.context.kube.get_object(ref)
        if body is None or body["metadata"]["uid"] != ghost.uid:
            _log.warning("%s vanished without its finalizer's protocol; it is served now", ref)
            cache.suspects.discard(ghost)
            cache.departed.note_gone(ref, ghost.uid)
            if body is not None:
                self.seen(ref.kind, None, body)
            return True
        shown = cache.get(ref)
        if shown is None:
            cache.put_back(ref, body)
            self._changed(ref)
        if shown is None or shown.metadata.uid == ghost.uid:
            cache.lay(ghost)
            self.context.queue.forget(ghost)
        else:  # made anew since that answer: ask again
            self.context.queue.fail(ghost, cap=_SOON)
        return False

    def secret_seen(self, secret: SecretMeta, *, deleted: bool) -> None:
        """Take in one change of a Secret of ours: the key that writes to it looks again."""
        where = (secret.namespace, secret.name)
        if deleted:
            self.context.secrets.drop(where)
        else:
            self.context.secrets.put(secret)
        for ref in self.context.cache.keys_writing_to(*where):
            if deleted or not self._known_version(ref, secret):
                self.context.queue.add(ref)

    def _known_version(self, ref: Ref, secret: SecretMeta) -> bool:
        key = self.context.cache.keys.get(ref)
        memory = self.context.keys.get(key.metadata.uid) if key is not None else None
        version = (secret.uid, secret.resource_version)
        return memory is not None and memory.secret_version == version

    def listed(self, listing: KeyList) -> None:
        """Take in a new complete key listing."""
        context = self.context
        context.mass_key_loss = note_missing_keys(context, listing)
        context.metrics.mass_loss.labels("key").set(context.mass_key_loss)
        self.orphans.listed()
        for memory in context.keys.values():
            memory.expectations = memory.expectations.observe(listing, context.settle)
        for ref, key in context.cache.keys.items():
            if key.metadata.uid in context.missing_keys:
                context.queue.add(ref)
        wake_waiting(context, context.wanted_names)  # who keeps a name is told by a list

    def service_is_back(self) -> None:
        """The circuit breaker closed: what could not be asked is asked again."""
        for memory in self.context.buckets.values():
            if isinstance(memory.seen, Unknown):
                memory.retry_at = self.context.clock()
        wake_all(self.context)

    # -- serving the queue -----------------------------------------------------------------------

    async def handle(self, item: Item) -> None:
        """Serve one item; every expected failure ends here, in a back-off."""
        ref = item.ref if isinstance(item, Ghost) else item
        reconciler = self._buckets if ref.kind is Kind.BUCKET else self._keys
        with (
            log_context(kind=ref.kind.value, namespace=ref.namespace, name=ref.name),
            self.context.metrics.reconcile_duration.labels(ref.kind.value).time(),
        ):
            result = await self._guarded(item, ref, reconciler)
        self.context.metrics.reconcile.labels(ref.kind.value, result).inc()

    async def _guarded(
        self, item: Item, ref: Ref, reconciler: BucketReconciler | KeyReconciler
    ) -> str:
        queue = self.context.queue
        try:
            if isinstance(item, Ghost):
                if not await self._is_gone(item):
                    return "not_gone"
            elif ref.namespace in self.context.unlisted:
                await self._ask(ref)
            await reconciler.reconcile(item)
        except Conflict as error:
            _log.debug("%s changed meanwhile: %s", ref, error)
            queue.fail(item, cap=_SOON)
            await self._read_again(ref)
            return "conflict"
        except NotLeading as error:
            _log.warning("%s: nothing was done: %s", ref, error)
            queue.fail(item, cap=_SOON)
            return "not_leading"
        except KubeUnavailable as error:
            _log.warning("%s: Kubernetes: %s", ref, error)
            queue.fail(item, cap=_LATER)
            return "kube_unavailable"
        except KubeRefused as error:
            _log.error("%s: Kubernetes refused: %s", ref, error)
            queue.fail(item, cap=self.context.resync)
            return "kube_refused"
        except ApiError as error:
            _log.warning("%s: the service: %s", ref, error)
            queue.fail(item, cap=self.context.resync)
            return "api_error"
        return "ok"

    async def _read_again(self, ref: Ref) -> None:
        """Our copy was stale: read the object instead of waiting for its event."""
        with suppress(KubeUnavailable, KubeRefused):
            await self._ask(ref)

    async def _ask(self, ref: Ref) -> None:
        """Make our copy of an object true by a GET. Raises KubeUnavailable, KubeRefused."""
        cache = self.context.cache
        before = cache.get(ref)
        body = await self.context.kube.get_object(ref)
        if body is not None:
            self.seen(ref.kind, None, body)
        elif cache.get(ref) is before:  # not one that was made since that answer
            self.vanished(ref)
        if (seen := cache.get(ref)) is not None:
            cache.note_unserved(seen)
