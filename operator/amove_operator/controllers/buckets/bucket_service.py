"""Observes, creates, repairs and deletes buckets at the service, and notes what came of it."""

from __future__ import annotations

import logging

from amove_operator.amove import BucketAddress, Observed
from amove_operator.controllers.shared.dependencies import Dependencies
from amove_operator.controllers.shared.memory import BucketMemory
from amove_operator.core.buckets.snapshot import Refusal, Refused
from amove_operator.core.reasons import EventReason
from amove_operator.errors import (
    AlreadyExists,
    ApiError,
    NotEmpty,
    NotFound,
    Outdated,
    Rejected,
)
from amove_operator.models import AmoveBucket, BucketFlags

_log = logging.getLogger(__name__)


class BucketService:
    """The service's side of the bucket reconciler."""

    def __init__(self, dependencies: Dependencies) -> None:
        self._d = dependencies

    async def observe(
        self, bucket: AmoveBucket, memory: BucketMemory, where: BucketAddress
    ) -> None:
        """Ask ``bucket_status``, and take in whether the bucket is there."""
        memory.asked_at = self._d.clock()
        try:
            flags = await self._d.api.bucket_status(where)
        except NotFound:
            memory.observed_absent(self._d.clock())
            self._d.bucket_losses.observed_absent(bucket, memory)
        else:
            memory.observed_present(flags, self._d.clock())
            if memory.intent_unused:
                # Made by somebody between our observation and the create, which we did not send.
                memory.refusal = Refusal(Refused.UNSENT, "The bucket is there by now.", 0)
            self._d.bucket_losses.observed_present(bucket.metadata.uid)

    async def create(
        self, bucket: AmoveBucket, memory: BucketMemory, where: BucketAddress, flags: BucketFlags
    ) -> None:
        """Send ``create_bucket``, unless the bucket is there by now. Raises ApiError too."""
        unused, memory.intent_unused = memory.intent_unused, False
        try:
            await self._d.api.create_bucket(where, flags, Observed(None, memory.seen_at))
        except Outdated:
            memory.seen, memory.intent_unused = None, unused
        except AlreadyExists as error:
            if memory.awaits_effect:  # our own, by a 200 before this: it only does not show yet
                memory.effect_began(self._d.clock())
            elif self._proven_meanwhile(bucket):
                memory.accepted()  # and so it exists: observe
            else:
                memory.refused(Refused.EXISTS, error)
                if bucket.proven.provenance is not None:
                    memory.disprove()  # ours stays ours if it is there after all: observe
        except Rejected as error:
            memory.refused(Refused.CREATE, error)
            memory.seen = None
        except ApiError as error:
            if not error.maybe_done:
                memory.refusal = Refusal(Refused.UNSENT, str(error), 0)
            raise
        else:
            memory.effect_began(self._d.clock())
            memory.created = True
            await self._emit_created(bucket)

    def _proven_meanwhile(self, before: AmoveBucket) -> bool:
        """Another process wrote, while our create was under way, that the bucket is the CR's."""
        now = self._d.store.find(before.metadata.uid)
        gained = isinstance(now, AmoveBucket) and now.proven.provenance is not None
        return gained and before.proven.provenance is None

    async def _emit_created(self, bucket: AmoveBucket) -> None:
        name, metrics = bucket.bucket_name, self._d.metrics
        self._d.bucket_losses.concluded(bucket.metadata.uid)
        if bucket.proven.provenance is None:
            metrics.buckets_created.inc()
            _log.info("created bucket %s", name)
            await self._d.status.emit_event(bucket, EventReason.Created, f"Created bucket {name}.")
            return
        metrics.buckets_recreated.inc()
        message = f"Bucket {name} was gone from the service and was created again, empty."
        _log.warning("%s", message)
        await self._d.status.emit_event(bucket, EventReason.Recreated, message, warning=True)

    async def repair(
        self, memory: BucketMemory, where: BucketAddress, flags: BucketFlags, seen: BucketFlags
    ) -> None:
        """Send ``update_bucket``, unless its flags are others by now. Raises ApiError too."""
        try:
            await self._d.api.update_bucket(where, flags, Observed(seen, memory.seen_at))
        except Outdated:
            memory.seen = None
        except Rejected as error:
            memory.refused(Refused.UPDATE, error)
        else:
            memory.accepted()
            memory.repairs_left -= 1
            _log.info("updated bucket %s: %s, were %s", where.bucket_name, flags, seen)

    async def delete(self, bucket: AmoveBucket, memory: BucketMemory, where: BucketAddress) -> None:
        """Send ``delete_bucket``. Raises ApiError where the answer is no refusal."""
        try:
            await self._d.api.delete_bucket(where)
        except NotFound:
            memory.effect_began(self._d.clock())
            memory.delete_sent = True  # an absence as any other, to be seen twice
        except NotEmpty as error:
            memory.refused(Refused.NOT_EMPTY, error)
        except Rejected as error:
            memory.refused(Refused.DELETE, error)
        except ApiError as error:
            memory.delete_sent = memory.delete_sent or error.maybe_done
            raise
        else:
            memory.effect_began(self._d.clock())
            memory.delete_sent = memory.delete_answered = True
            self._d.metrics.buckets_deleted.inc()
            message = f"Deleted bucket {where.bucket_name}."
            _log.info("deleted bucket %s", where.bucket_name)
            await self._d.status.emit_event(bucket, EventReason.Deleted, message)
