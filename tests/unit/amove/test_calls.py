"""Each call against the emulator: what it sends, what it does there, what it answers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import httpx
import pytest

from amove_operator.amove import AmoveClient, BucketAddress
from amove_operator.errors import IncompleteListing, NotFound, Rejected
from amove_operator.models import BucketFlags
from tests.unit.amove.conftest import MakeClient
from tests.unit.amove.stand_ins import FakeClock, FakeService, at, new_key

if TYPE_CHECKING:
    from amove_emulator import Emulator

ALL_SET = BucketFlags(
    is_public=True, encryption_enabled=True, versioning_enabled=True, object_lock_enabled=True
)


async def test_a_bucket_is_created_with_its_flags_and_its_status_read(
    amove: AmoveClient, emulator: Emulator
) -> None:
    await amove.create_bucket(at(emulator), ALL_SET)
    assert await amove.bucket_status(at(emulator)) == ALL_SET
    created = emulator.control.journal("create_bucket")[0]
    assert created["body"] == {
        "cloudAccountId": emulator.cloud_account_id,
        "bucketName": "logs",
        "isPublic": True,
        "isEncrypted": True,
        "versioningEnabled": True,
        "objectLockEnabled": True,
    }


@pytest.mark.parametrize("changed", ["is_public", "encryption_enabled", "versioning_enabled"])
async def test_each_flag_is_changed_alone(
    amove: AmoveClient, emulator: Emulator, changed: str
) -> None:
    emulator.control.add_bucket("logs")
    wanted = BucketFlags.model_validate({changed: True})
    await amove.update_bucket(at(emulator), wanted)
    assert await amove.bucket_status(at(emulator)) == wanted


async def test_a_missing_bucket_is_not_found(amove: AmoveClient, emulator: Emulator) -> None:
    with pytest.raises(NotFound):
        await amove.bucket_status(at(emulator))


async def test_an_empty_bucket_is_deleted(amove: AmoveClient, emulator: Emulator) -> None:
    emulator.control.add_bucket("logs")
    await amove.delete_bucket(at(emulator))
    assert emulator.control.buckets() == {}


async def test_a_key_is_issued_listed_and_revoked(amove: AmoveClient, emulator: Emulator) -> None:
    issued = await amove.create_storage_key(new_key(emulator))
    assert issued.secret_key.get_secret_value() in emulator.control.issued_secrets()
    (listed,) = await amove.get_storage_keys()
    assert listed.id == issued.id
    assert (listed.name, listed.access_key) == ("team-app-1", issued.access_key)
    assert listed.created is not None
    assert abs(datetime.now(UTC) - listed.created) < timedelta(hours=1)
    await amove.delete_storage_key(issued.id)
    assert await amove.get_storage_keys() == ()
    assert emulator.control.live_keys() == []


@pytest.mark.parametrize(("permission", "number"), [("Read", 0), ("Write", 1), ("ReadWrite", 2)])
async def test_a_key_has_the_permission_and_buckets_that_were_asked_for(
    amove: AmoveClient, emulator: Emulator, permission: str, number: int
) -> None:
    wanted = new_key(emulator, permission=permission, selected_buckets=("a1b", "b2c"))
    await amove.create_storage_key(wanted)
    (made,) = emulator.control.keys()
    assert (made["permission"], made["buckets"], made["allBuckets"]) == (
        number,
        ["a1b", "b2c"],
        False,
    )


async def test_a_key_for_all_buckets_reaches_all(amove: AmoveClient, emulator: Emulator) -> None:
    await amove.create_storage_key(new_key(emulator, all_buckets=True, selected_buckets=()))
    assert emulator.control.keys()[0]["allBuckets"]


async def test_more_keys_than_fit_one_page_are_all_listed_newest_first(
    amove: AmoveClient, emulator: Emulator
) -> None:
    made = [emulator.control.add_key(f"key-{number}")["id"] for number in range(120)]
    listing = await amove.get_storage_keys()
    assert [key.id for key in listing] == made[::-1]
    asked = [entry["query"] for entry in emulator.control.journal("get_storage_key")]
    assert asked == [
        {"page": str(n), "pagesize": "50", "sortfield": "CreateDate", "descending": "true"}
        for n in (1, 2, 3)
    ]


async def test_a_listing_of_one_page_costs_one_call(amove: AmoveClient, emulator: Emulator) -> None:
    emulator.control.add_key("one")
    await amove.get_storage_keys()
    assert emulator.control.count("get_storage_key") == 1


async def test_accounts_are_listed_with_what_is_needed_to_choose(
    amove: AmoveClient, emulator: Emulator
) -> None:
    other = emulator.control.add_account(active=False, internal=False, name="old", service_url=None)
    accounts = {account.id: account for account in await amove.cloud_accounts()}
    ours = accounts[emulator.cloud_account_id]
    assert (ours.active, ours.internal_storage, ours.storage_tier) == (True, True, 2)
    assert ours.service_url == emulator.s3_url
    assert (accounts[other].active, accounts[other].internal_storage) == (False, False)
    assert (accounts[other].name, accounts[other].service_url) == ("old", None)


async def test_a_part_of_the_accounts_is_not_taken_for_all(
    amove: AmoveClient, emulator: Emulator
) -> None:
    for number in range(60):
        emulator.control.add_account(name=f"account {number}")
    with pytest.raises(IncompleteListing, match="AMOVE_CLOUD_ACCOUNT_ID"):
        await amove.cloud_accounts()


@pytest.mark.parametrize("shape", ["envelope", "array"])
async def test_buckets_are_listed_in_both_shapes(
    amove: AmoveClient, emulator: Emulator, shape: str
) -> None:
    emulator.control.behave(list_buckets=shape)
    emulator.control.add_bucket("logs")
    emulator.control.add_bucket("data")
    assert sorted(await amove.list_buckets(emulator.cloud_account_id)) == ["data", "logs"]


async def test_a_part_of_the_buckets_is_not_taken_for_all(
    amove: AmoveClient, emulator: Emulator
) -> None:
    body = '{"data": [{"name": "logs"}], "continuationToken": "more"}'
    emulator.control.fault("list_buckets", status=200, body=body)
    with pytest.raises(IncompleteListing):
        await amove.list_buckets(emulator.cloud_account_id)


async def test_another_tenants_account_is_refused_with_its_code(amove: AmoveClient) -> None:
    with pytest.raises(Rejected) as raised:
        await amove.bucket_status(BucketAddress("11111111-2222-4333-8444-555555555555", "logs"))
    assert raised.value.code == "ACCESS"


async def test_a_bucket_name_cannot_break_out_of_the_query(
    make_client: MakeClient, fake_service: FakeService, fake_clock: FakeClock
) -> None:
    client = make_client(lambda _: httpx.Response(200))
    await fake_clock.run(client.delete_bucket(BucketAddress("acc", "a&bucketName=b#c/../d é")))
    url = fake_service.requests[0].url
    assert dict(url.params) == {"cloudAccountId": "acc", "bucketName": "a&bucketName=b#c/../d é"}
    assert url.path == "/api/v1/storage/delete_bucket"
