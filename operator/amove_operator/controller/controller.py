"""From what the watches show to one reconcile at a time for each object."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from amove_operator.controller.bucket import BucketReconciler
from amove_operator.controller.cache import (
    Ghost,
    Item,
    bucket_name,
    named_keys,
    own_bucket_status,
)
from amove_operator.controller.context import Context
from amove_operator.controller.key import KeyReconciler
from amove_operator.controller.losses import note_missing_keys
from amove_operator.controller.memory import BucketMemory
from amove_operator.controller.names import judge_doubts, note_doubt
from amove_operator.controller.orphans import OrphanWatch
from amove_operator.controller.wakeups import (
    wake_all,
    wake_buckets_of,
    wake_claimants,
    wake_keys_of,
    wake_reaching,
    wake_waiting,
)
from amove_operator.core import conditions
from amove_operator.core.bucket_world import Refused, Unknown
from amove_operator.core.ledger import Listing
from amove_operator.core.reading import Object
from amove_operator.core.refs import Kind, Ref
from amove_operator.core.secret_record import RETAINED_BUCKETS
from amove_operator.errors import ApiError, Conflict, KubeRefused, KubeUnavailable, NotLeading
from amove_operator.kube.secret_watch import SecretMeta
from amove_operator.models import AmoveBucket
from amove_operator.models.rules import is_bucket_name
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
        self._orphans = OrphanWatch(context)

    def lead(self) -> None:
        """From now on this process acts, and answers for what the one before it left behind."""
        self.context.leading_since = self.context.clock()
        self.leading = True
        for secret in self.context.secrets.values():
            note_doubt(self.context, secret)

    # -- what the watches show -------------------------------------------------------------------

    def seen(self, kind: Kind, change: str | None, body: Mapping[str, Any]) -> None:
        """Take in one watch event; ``change`` is ``DELETED`` or anything else."""
        meta = body["metadata"]
        ref = Ref(kind, meta.get("namespace", ""), meta["name"])
        known = self.context.cache.get(ref)
        if change == "DELETED":
            if known is None:
                self.context.released.discard(meta["uid"])
            if known is not None and known.metadata.uid == meta["uid"]:
                self.vanished(ref)
            return
        if known is not None and known.metadata.uid != meta["uid"]:
            self.vanished(ref)
        now = self.context.cache.put(ref, body)
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
        """An object is gone. If not by our protocol, the protocol is served from its ghost."""
        last = self.context.cache.drop(ref)
        if last is None:
            return
        uid = last.metadata.uid
        if uid in self.context.released:
            self.context.released.discard(uid)
        elif self.leading and self._left_something(last):
            ghost = Ghost(ref, uid)
            _log.warning("%s vanished without its finalizer's protocol; it is served now", ref)
            self.context.cache.haunt(ghost, last)
            self.context.queue.add(ghost)
        else:
            self.context.forget_bucket(uid)
            wake_waiting(self.context, self.context.forget_key(uid))
        self.context.missing_keys.discard(uid)
        self.context.queue.forget(ref)
        if isinstance(last, AmoveBucket):
            wake_keys_of(self.context, ref)
            wake_claimants(self.context, bucket_name(last))
        else:
            wake_buckets_of(self.context, last)

    def _left_something(self, last: Object) -> bool:
        if last.metadata.finalized_by_us:
            return True
        if isinstance(last, AmoveBucket):
            if last.metadata.deleting:
                return False  # let go of before, and kept only by somebody else's finalizer
            status = own_bucket_status(last)
            return status.provenance is not None or bool(status.create_intent)
        memory = self.context.keys.get(last.metadata.uid)
        touched = memory is not None and not memory.ledger.pristine
        return touched or bool(named_keys(last))

    def secret_seen(self, secret: SecretMeta, *, deleted: bool) -> None:
        """Take in one change of a Secret of ours: the key that writes to it looks again."""
        where = (secret.namespace, secret.name)
        self._note_retained(where, None if deleted else secret)
        if deleted:
            self.context.secrets.pop(where, None)
        else:
            self.context.secrets[where] = secret
            if self.leading:
                note_doubt(self.context, secret)
        for ref in self.context.cache.keys_writing_to(*where):
            if deleted or not self._known_version(ref, secret):
                self.context.queue.add(ref)

    def _note_retained(self, where: tuple[str, str], secret: SecretMeta | None) -> None:
        """A retained Secret counts as a live key of its buckets until it is gone (design.md §3)."""
        told = secret.annotations.get(RETAINED_BUCKETS, "") if secret is not None else ""
        names = frozenset(name for name in told.split(",")[:64] if is_bucket_name(name))
        before = self.context.retained.pop(where, frozenset())
        if names:
            self.context.retained[where] = names
        for name in before - names:
            wake_claimants(self.context, name)

    def _known_version(self, ref: Ref, secret: SecretMeta) -> bool:
        key = self.context.cache.keys.get(ref)
        memory = self.context.keys.get(key.metadata.uid) if key is not None else None
        version = (secret.uid, secret.resource_version)
        return memory is not None and memory.secret_version == version

    def listed(self, listing: Listing) -> None:
        """Take in a new complete key listing."""
        context = self.context
        context.mass_key_loss = note_missing_keys(context, listing)
        context.metrics.mass_loss.labels("key").set(context.mass_key_loss)
        self._orphans.listed(listing)
        for memory in context.keys.values():
            memory.ledger = memory.ledger.heard(listing, context.settle)
        for ref, key in context.cache.keys.items():
            if key.metadata.uid in context.missing_keys:
                context.queue.add(ref)
        judge_doubts(context, listing)
        for names in context.retained.values():
            wake_waiting(context, names)  # whether those Secrets count is told by a list

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
        try:
            body = await self.context.kube.get_object(ref)
        except (KubeUnavailable, KubeRefused):
            return
        if body is None:
            self.vanished(ref)
        else:
            self.seen(ref.kind, None, body)
