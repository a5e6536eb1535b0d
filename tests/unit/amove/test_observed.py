"""What is sent only if the bucket is as it was when the call was decided on, in fake time."""

from __future__ import annotations

import httpx

from amove_operator.amove import BucketAddress, Observed
from amove_operator.errors import Outdated, ServerFault
from amove_operator.models import BucketFlags, ServiceId
from tests.unit.amove.conftest import MakeClient
from tests.unit.amove.stand_ins import FakeClock, FakeService, error_of, flags, problem


def bucket_there(request: httpx.Request) -> httpx.Response:
    return flags() if request.url.path.endswith("bucket_status") else httpx.Response(200)


def bucket_absent(request: httpx.Request) -> httpx.Response:
    there = problem("NOT_FOUND") if request.url.path.endswith("bucket_status") else None
    return there or httpx.Response(200)


async def test_a_create_that_had_to_wait_looks_again_right_before_it_is_sent(
    make_client: MakeClient, fake_service: FakeService, fake_clock: FakeClock
) -> None:
    """One who slows us down for 300 s: somebody else may have made the bucket meanwhile."""
    client = make_client(bucket_absent, rate_limit=0.1)
    where, seen = BucketAddress("account", "logs"), Observed(None, fake_clock.time)
    await fake_clock.run(client.create_bucket(where, BucketFlags(), seen))
    await fake_clock.run(client.create_bucket(where, BucketFlags(), seen))
    assert fake_service.paths() == ["create_bucket", "bucket_status", "create_bucket"]
    looked, sent = fake_service.times[1:]
    assert looked == sent > seen.at + 5

    fake_service.responder = bucket_there
    error = await fake_clock.run(error_of(client.create_bucket(where, BucketFlags(), seen)))
    assert isinstance(error, Outdated)
    assert not error.maybe_done
    assert fake_service.paths().count("create_bucket") == 2


async def test_flags_that_changed_while_an_update_waited_are_not_overwritten(
    make_client: MakeClient, fake_service: FakeService, fake_clock: FakeClock
) -> None:
    client = make_client(bucket_there)
    where = BucketAddress("account", "logs")
    seen = Observed(BucketFlags(is_public=True), fake_clock.time - 6)
    error = await fake_clock.run(error_of(client.update_bucket(where, BucketFlags(), seen)))
    assert isinstance(error, Outdated)
    fresh = Observed(BucketFlags(), fake_clock.time - 6)
    await fake_clock.run(client.update_bucket(where, BucketFlags(), fresh))
    assert fake_service.paths() == ["bucket_status", "bucket_status", "update_bucket"]


async def test_a_create_whose_look_fails_is_not_sent_and_surely_not_done(
    make_client: MakeClient, fake_service: FakeService, fake_clock: FakeClock
) -> None:
    client = make_client(lambda _: httpx.Response(500))
    seen = Observed(None, fake_clock.time - 6)
    where = BucketAddress("account", "logs")
    error = await fake_clock.run(error_of(client.create_bucket(where, BucketFlags(), seen)))
    assert isinstance(error, ServerFault)
    assert not error.maybe_done
    assert "create_bucket" not in fake_service.paths()


async def test_a_call_within_the_turn_of_another_is_paid_for_by_those_who_come_after(
    make_client: MakeClient, fake_service: FakeService, fake_clock: FakeClock
) -> None:
    client = make_client(bucket_absent, rate_limit=1.0)
    where, seen = BucketAddress("account", "logs"), Observed(None, fake_clock.time - 60)
    for _ in range(3):
        await fake_clock.run(client.create_bucket(where, BucketFlags(), seen))
    gaps = [round(at - fake_service.times[0], 3) for at in fake_service.times]
    assert gaps == [0.0, 0.0, 1.0, 1.0, 3.0, 3.0]


async def test_a_key_is_revoked_by_the_spelling_of_its_id_that_was_read_first(
    make_client: MakeClient, fake_service: FakeService, fake_clock: FakeClock
) -> None:
    client = make_client(lambda _: httpx.Response(200))
    large = "8A6F3C1E-7B8E-4D0A-B7C5-2F7F4F1F9A21"
    await fake_clock.run(client.delete_storage_key(ServiceId(large)))
    assert fake_service.requests[0].url.params["id"] == large
