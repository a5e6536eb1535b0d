"""From what the watches show to one pass at a time for each object."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Set
from contextlib import suppress
from functools import partial
from math import inf
from typing import Any

from amove_operator.controllers.buckets.reconciler import BucketReconciler
from amove_operator.controllers.keys.orphan_watch import OrphanWatch
from amove_operator.controllers.keys.reconciler import KeyReconciler
from amove_operator.controllers.keys.secret_events import SecretEvents
from amove_operator.controllers.reconciler import SOON_AGAIN
from amove_operator.controllers.shared.departed import is_newer
from amove_operator.controllers.shared.dependencies import Dependencies
from amove_operator.controllers.shared.key_losses import JudgedKeys
from amove_operator.core.conditions import is_true
from amove_operator.core.key_list import KeyList
from amove_operator.core.outcomes import Outcome, Result
from amove_operator.errors import (
    Conflict,
    KubeInternalError,
    KubeRefused,
    KubeUnavailable,
    NotLeading,
)
from amove_operator.models import AmoveBucket
from amove_operator.models.refs import Kind, ObjectId, Ref
from amove_operator.telemetry import reconcile_context

_log = logging.getLogger(__name__)
_SOON = 5.0
_RENEWAL = 2.0


class Dispatcher:
    """Keeps the store true, feeds the queue, and serves its items."""

    def __init__(self, dependencies: Dependencies) -> None:
        self.d = dependencies
        self.orphans = OrphanWatch(dependencies)
        self.secret_events = SecretEvents(dependencies)
        self._buckets = BucketReconciler(dependencies)
        self._keys = KeyReconciler(dependencies)
        dependencies.key_lists.subscribe(self.judge_key_list)

    async def on_leading(self) -> None:
        """From now on this process acts, and answers for what the one before it left behind.

        The store must be true by now: what went while another led is the other's.
        """
        await self.d.store.lead_begins(self.d.namespaces.unlisted)
        await self.d.names.lead_begins()
        self.d.queue.begin()
        self.d.leadership.begin(self.d.clock())

    # -- what the watches show -------------------------------------------------------------------

    def on_object_event(self, kind: Kind, change: str | None, body: Mapping[str, Any]) -> None:
        """Take in one watch event; ``change`` is ``DELETED`` or anything else."""
        meta, store = body["metadata"], self.d.store
        ref = Ref.of(kind, meta)
        known = store.get(ref)
        if change == "DELETED":
            store.history.note(kind, meta.get("resourceVersion", ""))
            # Before this process leads, the list that leads to the lead shows what is gone.
            if self.d.leadership.leading or store.departed.listing:
                store.departed.note_gone(ref, meta["uid"])
            if known is not None and known.metadata.uid == meta["uid"]:
                self.on_object_gone(ref)
            return
        if not store.is_news(ref, meta):
            return
        if known is not None and known.metadata.uid != meta["uid"]:
            self.on_object_gone(ref)
        now = store.put(kind, body)
        if now is None:
            return
        if isinstance(now, AmoveBucket) and isinstance(known, AmoveBucket):
            self._note_new_owner(known, now)
            if now.metadata.paused != known.metadata.paused:
                self.d.enqueue.claimants(now.bucket_name)  # its claim comes and goes with it
        self._enqueue_changed(now.object_id)

    def on_object_read(self, kind: Kind, body: Mapping[str, Any], seen_before: int) -> None:
        """Take in what a consistent read shows; ``seen_before``: how far, when it was begun.

        Raises HistoryWentBack.
        """
        meta, store = body["metadata"], self.d.store
        known = store.get(ref := Ref.of(kind, meta))
        store.history.check_object(ref, meta, known.metadata if known else None, seen_before)
        self.on_object_event(kind, None, body)

    def _note_new_owner(self, before: AmoveBucket, now: AmoveBucket) -> None:
        """An admin, or another process, made it ours: what was observed then may be hours old.

        And what another team's keys still reach is theirs no more.
        """
        if before.proven.provenance == now.proven.provenance:
            return
        self.d.enqueue.keys_reaching(now.bucket_name)
        if now.proven.provenance is None:
            return  # we have disowned it, or it was taken away: what is known of it stays true
        memory = self.d.memories.bucket(now.metadata.uid)
        if memory.name_is_taken or is_true(before.status.conditions, "Stalled"):
            memory.stale, memory.refusal = True, None

    def _enqueue_changed(self, item: ObjectId) -> None:
        self.d.queue.add(item)
        if item.ref.kind is Kind.BUCKET:
            self.d.enqueue.keys_of(item.ref)

    def on_object_gone(self, ref: Ref) -> None:
        """An object is not there any more, as an event or a list has it.

        If we let go of it, or had nothing to serve, it is forgotten. Else its last copy is kept as
        a vanished object, of which nothing is believed before a GET (:meth:`_confirm`).
        """
        store, last = self.d.store, self.d.store.get(ref)
        if last is None:
            return
        item = last.object_id
        unserved = item.uid in store.unserved or item in store.unconfirmed
        store.drop(ref)
        if self.d.leadership.leading and unserved:
            self.d.key_losses.missing.pop(item.uid, None)
            self.d.queue.forget(item)
            store.keep_vanished(last)
            self.d.queue.add(item)
        else:
            self.d.forget(item)
        if isinstance(last, AmoveBucket):
            self.d.enqueue.keys_of(ref)
        self.d.enqueue.freed_by(last)

    def on_not_listed(self, item: ObjectId, listed: Set[str], version: str) -> None:
        """Judge a known object by a complete list: its UIDs, and the version that it shows."""
        known = self.d.store.get(item.ref)
        if known is None or known.metadata.uid in listed:
            return
        if not is_newer(known.metadata.resource_version, version):
            self.on_object_gone(item.ref)

    async def _confirm(self, item: ObjectId) -> Result | None:
        """Read an object that seems to have vanished: serve its last copy, or the object itself.

        Returns how the pass ends where nobody knows yet, such as where it was made anew since the
        answer: it is read again. Raises KubeUnavailable, KubeRefused: it is read again as well.
        """
        store, ref = self.d.store, item.ref
        body = await self.d.kube.get_object(ref)
        if body is None or body["metadata"]["uid"] != item.uid:
            if not await self._is_history_whole(item):
                return Result(Outcome.NOT_GONE, after=_RENEWAL)
            _log.warning("%s vanished without its finalizer's protocol; it is served now", ref)
            store.departed.note_gone(ref, item.uid)
            store.confirm_vanished(item)
            if body is not None:
                self.on_object_event(ref.kind, None, body)
            return None
        shown = store.get(ref)
        if shown is not None and shown.metadata.uid != item.uid:
            return Result(Outcome.NOT_GONE, retry=True, longest=_SOON)
        store.unconfirmed.pop(item, None)
        self.d.queue.forget(item)
        if shown is None:
            store.put_back(ref.kind, body)
            self._enqueue_changed(item)
        return None

    async def _is_history_whole(self, item: ObjectId) -> bool:
        """Whether an object that is gone was deleted, and not lost with a part of the history.

        The Lease must have been renewed since: it would have come back older with all else. Until
        then the object is read again. And a list, of any namespace, must be as new as what was
        seen; where none can be had, the Lease suffices. Raises HistoryWentBack, and as a read.
        """
        d, (kind, namespace, _) = self.d, item.ref
        since = d.store.unconfirmed[item] = min(d.store.unconfirmed.get(item, inf), d.clock())
        renewed_at = d.leadership.renewed_at()
        if renewed_at < since:
            return False
        where = d.namespaces.listable(namespace, *d.settings.watch_namespaces)
        if where is not None or renewed_at == inf:
            seen_before = d.store.history.newest(kind)
            version = await d.kube.list_version(kind, where or namespace)
            d.store.history.check_list(kind, version, seen_before)
        return True

    async def judge_key_list(self, listing: KeyList) -> Callable[[], None]:
        """Judge a new complete key list; what is returned takes it in, as everybody goes by it."""
        judged = await self.d.key_losses.judge(listing)
        return partial(self._on_key_list, listing, judged)

    def _on_key_list(self, listing: KeyList, judged: JudgedKeys) -> None:
        losses = self.d.key_losses
        losses.conclude(judged)
        self.orphans.on_key_list()
        for memory in self.d.memories.keys.values():
            memory.expectations = memory.expectations.observe(listing, self.d.settle)
        missing = filter(None, map(self.d.store.find, losses.missing))
        self.d.enqueue.each([*judged.resurfaced, *(key.object_id for key in missing)])
        self.d.enqueue.waiting(self.d.names.wanted)  # a list shows who keeps a name

    # -- serving the queue -----------------------------------------------------------------------

    async def handle(self, item: ObjectId) -> None:
        """Serve one item; every expected failure ends here, in a back-off."""
        (kind, namespace, name), metrics = item.ref, self.d.metrics
        with (
            reconcile_context(kind.value, namespace, name),
            metrics.reconcile_duration.labels(kind.value).time(),
        ):
            try:
                result = await self._guarded(item)
                self._come_again(item, result)
            finally:
                self.d.permits.release(item.uid)
                self.secret_events.pass_ended(item)
                self._forget_if_gone(item)
        metrics.reconcile.labels(kind.value, result.outcome).inc()

    def _come_again(self, item: ObjectId, result: Result) -> None:
        if result.retry:
            delay = self.d.queue.fail(item, cap=result.longest, at_least=result.at_least)
            if result.backed_off is not None:
                result.backed_off(delay)
        elif result.retry is not None:
            self.d.queue.forget(item)
        if result.after is not None:
            self.d.queue.add_after(item, result.after)

    def _forget_if_gone(self, item: ObjectId) -> None:
        """Of an object that left while it was served, nothing that its pass noted may stay.

        Example: a bucket is observed that turns out to be absent, and its AmoveBucket is let go of
        by an event meanwhile: the loss is noted after that.
        """
        if self.d.store.find(item.uid) is None:
            self.d.forget(item)

    async def _guarded(self, item: ObjectId) -> Result:
        ref = item.ref
        if self.d.store.find(item.uid) is None:
            return Result(Outcome.OK)
        try:
            if item in self.d.store.unconfirmed and (end := await self._confirm(item)) is not None:
                return end
            if ref.namespace in self.d.namespaces.unlisted and item not in self.d.store.vanished:
                await self._read(ref)
            run = self.d.queue.run(item)
            if ref.kind is Kind.BUCKET:
                return await self._buckets.reconcile(item, run)
            return await self._keys.reconcile(item, run)
        except Conflict as error:
            _log.debug("%s changed meanwhile: %s", ref, error)
            with suppress(KubeUnavailable, KubeRefused):
                await self._read(ref)  # our copy was stale: do not wait for its event
            return Result(Outcome.CONFLICT, retry=True, longest=_SOON)
        except NotLeading as error:
            _log.warning("%s: nothing was done: %s", ref, error)
            return Result(Outcome.NOT_LEADING, retry=True, longest=_SOON)
        except (KubeRefused, KubeInternalError) as error:
            _log.error("%s: Kubernetes refused: %s", ref, error)
            if (seen := self.d.store.find(item.uid)) is not None:
                await self.d.status.emit_refused(seen, error)
            longest = self.d.resync if isinstance(error, KubeRefused) else SOON_AGAIN
            return Result(Outcome.KUBE_REFUSED, retry=True, longest=longest)
        except KubeUnavailable as error:
            _log.warning("%s: Kubernetes: %s", ref, error)
            return Result(Outcome.KUBE_UNAVAILABLE, retry=True, longest=SOON_AGAIN)

    async def _read(self, ref: Ref) -> None:
        """Make our copy of an object true by a GET. Raises KubeUnavailable, KubeRefused."""
        store = self.d.store
        before, seen_before = store.get(ref), store.history.newest(ref.kind)
        body = await self.d.kube.get_object(ref)
        if body is not None:
            self.on_object_read(ref.kind, body, seen_before)
        elif before is not None and store.get(ref) is before:  # not one made since that answer
            store.departed.note_gone(ref, before.metadata.uid)
            self.on_object_gone(ref)
        if (seen := store.get(ref)) is not None:
            store.note_unserved(seen)
