"""The Amove API as typed calls, paced and tried again (docs/amove-api.md, "Pace")."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import httpx

from amove_operator.amove import calls
from amove_operator.amove.breaker import Breaker
from amove_operator.amove.credentials import Credentials, credentials_for
from amove_operator.amove.models import BucketAddress, CloudAccount, IssuedKey, NewKey
from amove_operator.amove.paging import read_complete
from amove_operator.amove.retry import spread_wait
from amove_operator.amove.session import Observer, Session, Tuning
from amove_operator.core.key_list import RemoteKey
from amove_operator.errors import IncompleteListing
from amove_operator.models import BucketFlags
from amove_operator.settings import Settings


class AmoveClient:
    """All calls to the Amove API, for the whole process: make one and share it.

    Every method raises :class:`~amove_operator.errors.ApiError` and nothing else, apart from what
    ``before_send`` raises (it is called right before each request, and stops it by raising).
    A call that is cancelled while it runs may have been done.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        credentials: Credentials | None = None,
        tuning: Tuning | None = None,
        observer: Observer | None = None,
        before_send: Callable[[], None] | None = None,
    ) -> None:
        """Raises SettingsError for a way to log in that is not there yet; reads no file yet."""
        self._tuning = tuning or Tuning()
        self._credentials = credentials or credentials_for(settings)
        self._session = Session(
            settings,
            self._credentials,
            transport=transport,
            tuning=self._tuning,
            observer=observer,
            before_send=before_send,
        )
        self._perform = self._session.perform

    @property
    def breaker(self) -> Breaker:
        """The circuit breaker: ``open``, ``state``, ``on_change(listener)``."""
        return self._session.breaker

    def check_credentials(self) -> None:
        """Raise SettingsError, one line that says what to do, where there is no usable token."""
        self._credentials.check()

    def token_expiry(self) -> datetime | None:
        """When the token at hand ends, if it says so: for a gauge."""
        return self._credentials.expires_at()

    async def aclose(self) -> None:
        """Stop probing and close the connections."""
        await self._session.aclose()

    async def __aenter__(self) -> AmoveClient:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.aclose()

    async def get_storage_keys(self) -> tuple[RemoteKey, ...]:
        """Every key of the calling user, proved complete; else IncompleteListing.

        Costs one call per 50 keys. A key made or deleted meanwhile makes it start over.
        """
        policy, sleep = self._tuning.retry, self._tuning.clock.sleep
        return await read_complete(
            lambda number: self._perform(calls.GET_STORAGE_KEY, calls.key_page(number)),
            rounds=self._tuning.listing_rounds,
            between=lambda number: sleep(spread_wait(policy, number, self._tuning.rng())),
        )

    async def create_storage_key(self, new: NewKey) -> IssuedKey:
        """Issue a key. Sent once: after an error with ``maybe_done``, search the list for it."""
        body = new.model_dump_json(by_alias=True).encode()
        return await self._perform(calls.CREATE_STORAGE_KEY, calls.Payload(body=body))

    async def delete_storage_key(self, key_id: str) -> None:
        """Revoke a key. A Rejected may mean that it is gone: only a complete list can tell."""
        await self._perform(calls.DELETE_STORAGE_KEY, calls.query(id=key_id))

    async def create_bucket(self, where: BucketAddress, flags: BucketFlags) -> None:
        """Create a bucket. Sent once, not atomic: ask ``bucket_status`` afterwards."""
        lock = {"objectLockEnabled": flags.object_lock_enabled}
        body = {**calls.address(where), **calls.changeable_flags(flags), **lock}
        await self._perform(calls.CREATE_BUCKET, calls.json_body(body))

    async def bucket_status(self, where: BucketAddress) -> BucketFlags:
        """The four flags as they are. NotFound, and nothing else, means that there is no bucket."""
        return await self._perform(calls.BUCKET_STATUS, calls.json_body(calls.address(where)))

    async def update_bucket(self, where: BucketAddress, flags: BucketFlags) -> None:
        """Set public, encryption and versioning, all three; object lock cannot be changed."""
        body = {**calls.address(where), **calls.changeable_flags(flags)}
        await self._perform(calls.UPDATE_BUCKET, calls.json_body(body))

    async def delete_bucket(self, where: BucketAddress) -> None:
        """Delete an empty bucket; NotEmpty where it is not. Confirm with ``bucket_status``."""
        await self._perform(
            calls.DELETE_BUCKET,
            calls.query(cloudAccountId=where.cloud_account_id, bucketName=where.bucket_name),
        )

    async def cloud_accounts(self) -> tuple[CloudAccount, ...]:
        """The caller's cloud accounts, usable or not; IncompleteListing where these are not all."""
        answer = await self._perform(calls.CLOUD_ACCOUNTS)
        if answer.total is not None and answer.total > len(answer.data):
            raise IncompleteListing(
                f"cloudaccount/get_all answered {len(answer.data)} of {answer.total} accounts: "
                "name the one to use in AMOVE_CLOUD_ACCOUNT_ID",
                call="cloud_accounts",
            )
        return answer.data

    async def list_buckets(self, cloud_account_id: str) -> tuple[str, ...]:
        """The names of an account's buckets; IncompleteListing where the answer is only a part."""
        body: dict[str, object] = {"cloudAccountId": cloud_account_id, "includeRegion": False}
        answer = await self._perform(calls.LIST_BUCKETS, calls.json_body(body))
        if answer.continuation_token:
            raise IncompleteListing(
                "list_buckets: there are more buckets than one answer holds, and how to ask for "
                "the rest is not documented",
                call="list_buckets",
            )
        return tuple(bucket.name for bucket in answer.data)
