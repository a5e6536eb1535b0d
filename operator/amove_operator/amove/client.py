"""The Amove API as typed calls, paced and tried again (docs/amove-api.md, "Pace")."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress

from amove_operator.amove import calls
from amove_operator.amove.models import BucketAddress, CloudAccount, IssuedKey, NewKey, Observed
from amove_operator.amove.paging import read_complete
from amove_operator.amove.retry import spread_wait
from amove_operator.amove.session import Session
from amove_operator.core.key_list import RemoteKey
from amove_operator.errors import IncompleteListing, NotFound, Outdated
from amove_operator.models import BucketFlags, spelling_of

FRESH_SECONDS = 5.0
"""So old an observation may be that something is done on the strength of it."""


class AmoveClient(Session):
    """All calls to the Amove API, for the whole process: make one and share it.

    Every method raises :class:`~amove_operator.errors.ApiError` and nothing else, apart from what
    ``before_send`` raises. A call that is cancelled while it runs may have been done.
    """

    readings_failed = 0
    """How often the key list that is being read did not add up; 0 while none is."""

    async def probe(self) -> None:
        """The cheapest call that shows whether the service answers and accepts our credentials."""
        await self.perform(calls.PROBE, calls.key_page(1, size=1))

    async def get_storage_keys(self) -> tuple[RemoteKey, ...]:
        """Every key of the calling user, proved complete; else IncompleteListing.

        Costs one call per 50 keys. A key made or deleted meanwhile makes it start over.
        """
        try:
            return await read_complete(
                lambda number: self.perform(calls.GET_STORAGE_KEY, calls.key_page(number)),
                rounds=self._tuning.listing_rounds,
                between=self._before_reading_again,
            )
        finally:
            self.readings_failed = 0

    async def _before_reading_again(self, number: int) -> None:
        self.readings_failed = number
        wait = spread_wait(self._tuning.retry, number, self._tuning.rng())
        await self._tuning.clock.sleep(wait)

    async def create_storage_key(self, new: NewKey) -> IssuedKey:
        """Issue a key. Sent once: after an error with ``maybe_done``, search the list for it."""
        body = new.model_dump_json(by_alias=True).encode()
        return await self.perform(calls.CREATE_STORAGE_KEY, calls.Payload(body=body))

    async def delete_storage_key(self, key_id: str) -> None:
        """Revoke a key. A Rejected may mean that it is gone: only a complete list can tell."""
        await self.perform(calls.DELETE_STORAGE_KEY, calls.query(id=spelling_of(key_id)))

    async def create_bucket(
        self, where: BucketAddress, flags: BucketFlags, observed: Observed | None = None
    ) -> None:
        """Create a bucket. Sent once, not atomic: ask ``bucket_status`` afterwards.

        With ``observed`` it raises Outdated, and sends nothing, if the bucket is otherwise by now.
        """
        lock = {"objectLockEnabled": flags.object_lock_enabled}
        body = {**calls.address(where), **calls.changeable_flags(flags), **lock}
        ready = self._unless_changed(where, observed)
        await self.perform(calls.CREATE_BUCKET, calls.json_body(body), ready=ready)

    async def bucket_status(self, where: BucketAddress) -> BucketFlags:
        """The four flags as they are. NotFound, and nothing else, means that there is no bucket."""
        return await self.perform(calls.BUCKET_STATUS, calls.json_body(calls.address(where)))

    async def update_bucket(
        self, where: BucketAddress, flags: BucketFlags, observed: Observed | None = None
    ) -> None:
        """Set public, encryption and versioning, all three; object lock cannot be changed.

        With ``observed`` as for the create: flags that nobody manages are sent as they were seen.
        """
        body = {**calls.address(where), **calls.changeable_flags(flags)}
        ready = self._unless_changed(where, observed)
        await self.perform(calls.UPDATE_BUCKET, calls.json_body(body), ready=ready)

    def _unless_changed(
        self, where: BucketAddress, observed: Observed | None
    ) -> Callable[[], Awaitable[None]]:
        """Observe a bucket again where a call about it had to wait; raises Outdated."""

        async def ready() -> None:
            now = self._tuning.clock.monotonic()
            if observed is None or now - observed.at <= FRESH_SECONDS:
                return
            body = calls.json_body(calls.address(where))
            flags: BucketFlags | None = None
            with suppress(NotFound):
                flags = await self.at_once(calls.BUCKET_STATUS, body)
            if flags != observed.flags:
                raise Outdated(f"bucket {where.bucket_name} changed since it was observed")

        return ready

    async def delete_bucket(self, where: BucketAddress) -> None:
        """Delete an empty bucket; NotEmpty where it is not. Confirm with ``bucket_status``."""
        await self.perform(calls.DELETE_BUCKET, calls.query(**calls.address(where)))

    async def cloud_accounts(self) -> tuple[CloudAccount, ...]:
        """The caller's cloud accounts, usable or not; IncompleteListing where these are not all."""
        answer = await self.perform(calls.CLOUD_ACCOUNTS, calls.Payload())
        if answer.total is not None and answer.total > len(answer.data):
            raise IncompleteListing(
                f"cloudaccount/get_all answered {len(answer.data)} of {answer.total} accounts: "
                "name the one to use in AMOVE_CLOUD_ACCOUNT_ID"
            )
        return answer.data

    async def list_buckets(self, cloud_account_id: str) -> tuple[str, ...]:
        """The names of an account's buckets; IncompleteListing where the answer is only a part."""
        body: dict[str, object] = {"cloudAccountId": cloud_account_id, "includeRegion": False}
        answer = await self.perform(calls.LIST_BUCKETS, calls.json_body(body))
        if answer.continuation_token:
            raise IncompleteListing(
                "list_buckets: there are more buckets than one answer holds, and how to ask for "
                "the rest is not documented"
            )
        return tuple(bucket.name for bucket in answer.data)
