"""Answers of the service that are not to be believed too easily, as stories of real reconcilers."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from amove_operator.amove import AmoveClient, CloudAccount, IssuedKey, NewKey
from amove_operator.controllers.resync import Resync
from amove_operator.controllers.shared.accounts import CloudAccounts
from amove_operator.errors import (
    ApiError,
    AuthFailed,
    IncompleteListing,
    Outdated,
    Rejected,
    ServerFault,
    Throttled,
    TransportFault,
)
from amove_operator.models import BucketFlags, ServiceId
from amove_operator.models.refs import Ref
from amove_operator.settings import Settings
from tests.stand_ins.service import StoredKey
from tests.unit.bucket_cluster import ACCOUNT, BucketCluster, on_cluster

ISSUED = {"Ready": ("True", "Issued"), "Synced": ("True", "Settled")}
FLAGS = BucketFlags()
LARGE = "8A6F3C1E-7B8E-4D0A-B7C5-{:012X}"
RENAMED = "{}-cut"


async def applied(cluster: BucketCluster, **spec: Any) -> Ref:
    """A key for a bucket of its own."""
    cluster.apply("team", "photos")
    key = cluster.apply_key("team", "app", "photos", **spec)
    await cluster.passes(60)
    return key


async def listed(cluster: BucketCluster, times: int = 1) -> None:
    """So many lists, a minute apart."""
    for _ in range(times):
        await cluster.passes(60)
        await cluster.d.key_lists.fresh()
        for item in list(cluster.d.store):
            cluster.d.queue.add(item)
    await cluster.passes(60)


def message(cluster: BucketCluster, ref: Ref, kind: str = "Synced") -> str:
    """What a condition says."""
    conditions = cluster.kube.crs[ref]["status"]["conditions"]
    return str(next(one["message"] for one in conditions if one["type"] == kind))


def edited(cluster: BucketCluster, ref: Ref, **spec: Any) -> None:
    """A person edits the spec."""
    cluster.kube.crs[ref]["spec"] |= spec
    cluster.kube.crs[ref]["metadata"]["generation"] += 1
    cluster.annotate(ref)


# ---------------------------------------------------------------- ids


def test_a_key_that_the_list_spells_in_other_letters_is_the_same_key_and_goes_by_its_first() -> (
    None
):
    async def scenario(cluster: BucketCluster) -> None:
        issue = cluster.service.issue

        def in_large(key_id: str, name: str) -> IssuedKey:
            return issue(LARGE.format(int(key_id.removeprefix("key-"))), name)

        def in_small(shown: list[StoredKey]) -> None:
            for key in shown:
                small = ServiceId(str(key.listed.id).lower())
                key.listed = replace(key.listed, id=small, user_id="USER-1")

        setattr(cluster.service, "issue", in_large)  # noqa: B010
        cluster.service.listed = in_small
        ref = await applied(cluster)
        await listed(cluster, 3)
        await cluster.restart()
        await listed(cluster, 3)
        assert cluster.says(ref) == ISSUED
        assert len(cluster.service.created) == 1
        assert cluster.kube.crs[ref]["status"]["key"]["id"] == LARGE.format(1)

        cluster.delete(ref)
        await listed(cluster, 2)
        assert cluster.service.keys == {}, "the stand-in knows the first spelling alone"

    on_cluster(scenario)


# ---------------------------------------------------------------- names


def renaming(cluster: BucketCluster) -> None:
    """From now on the service gives each key another name than was asked for."""
    create = cluster.service.create_storage_key

    async def renamed(new: NewKey) -> IssuedKey:
        issued = await create(new)
        return issued.model_copy(update={"name": RENAMED.format(new.name)})

    setattr(cluster.service, "create_storage_key", renamed)  # noqa: B010


def test_a_key_that_comes_back_under_another_name_is_revoked_and_none_is_asked_for_again() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        renaming(cluster)
        ref = await applied(cluster)
        await listed(cluster, 5)
        assert cluster.says(ref)["Stalled"] == ("True", "ApiRefused")
        (_, asked), *more = cluster.service.created
        assert more == []
        assert cluster.service.keys == {}
        assert cluster.kube.secrets == {}
        assert f"{RENAMED.format(asked)} of what was asked for as {asked}" in message(cluster, ref)

        edited(cluster, ref, keyName="plain")
        await cluster.passes()
        assert len(cluster.service.created) == 2
        assert cluster.service.keys == {}

    on_cluster(scenario)


def test_a_key_in_use_stays_so_when_its_successor_comes_back_under_another_name() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        ref = await applied(cluster)
        renaming(cluster)
        cluster.annotate(ref, rotate_requested_at="now")
        await listed(cluster, 3)
        assert cluster.says(ref)["Ready"] == ("True", "Issued")
        assert cluster.says(ref)["Synced"] == ("False", "ApiRefused")
        assert list(cluster.service.keys) == ["key-1"]

    on_cluster(scenario)


def test_a_key_that_the_list_shows_under_another_name_is_alive_and_is_revoked_in_the_end() -> None:
    """Its marker is gone, but status names its id: it is neither replaced nor forgotten."""

    async def scenario(cluster: BucketCluster) -> None:
        def nameless(shown: list[StoredKey]) -> None:
            for key in shown:
                key.listed = replace(key.listed, name="")

        cluster.service.listed = nameless
        ref = await applied(cluster)
        await listed(cluster, 3)
        await cluster.restart()
        await listed(cluster, 3)
        assert cluster.says(ref) == ISSUED
        assert list(cluster.service.keys) == ["key-1"]
        cluster.delete(ref)
        await listed(cluster, 2)
        assert cluster.service.keys == {}

    on_cluster(scenario)


# ---------------------------------------------------------------- refusals


def refusing(cluster: BucketCluster, readable: str) -> None:
    """The service refuses keys whose names begin so."""

    def creating(new: NewKey) -> None:
        if new.name.startswith(readable):
            raise Rejected("DEFAULT", "This name is not welcome.", maybe_done=True)

    cluster.service.creating = creating


def test_a_refused_create_keeps_the_services_words_and_no_budget_hides_them() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        refusing(cluster, "bad")
        ref = await applied(cluster, keyName="bad")
        assert cluster.says(ref)["Ready"] == cluster.says(ref)["Synced"] == ("False", "ApiRefused")
        await cluster.passes(3600)
        assert cluster.says(ref)["Stalled"] == ("True", "ApiRefused")
        assert "This name is not welcome." in message(cluster, ref)
        assert cluster.kube.events.count("ApiRefused") == 1

        edited(cluster, ref, keyName="good")
        await cluster.passes()
        assert cluster.says(ref) == ISSUED
        await listed(cluster, 2)  # the last refusal is given back as well
        assert len(cluster.kube.crs[ref]["status"]["recentIssues"]) == 1

    on_cluster(scenario)


def test_a_corrected_spec_is_tried_at_once_and_not_a_settle_time_later() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        refusing(cluster, "bad")
        cluster.apply("team", "photos")
        ref = cluster.apply_key("team", "app", "photos", keyName="bad")
        await cluster.passes(2)
        assert cluster.says(ref)["Synced"] == ("False", "ApiRefused")
        edited(cluster, ref, keyName="good")
        await cluster.passes(2)
        assert cluster.says(ref) == ISSUED

    on_cluster(scenario)


def test_a_key_that_a_refused_create_made_all_the_same_counts_and_is_revoked() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        create = cluster.service.create_storage_key

        async def half_done(new: NewKey) -> IssuedKey:
            await create(new)
            raise Rejected("DB_INSERT", "half-way", maybe_done=True)

        setattr(cluster.service, "create_storage_key", half_done)  # noqa: B010
        await applied(cluster)
        await cluster.passes(7200)
        assert len(cluster.service.keys) <= 1
        # One that left no note, three of the budget, then after 5, 10, 20, 40 and 60 minutes.
        assert len(cluster.service.created) <= 8

    on_cluster(scenario)


# ---------------------------------------------------------------- dates


@pytest.mark.parametrize("hours", [-7, 7])
def test_a_date_without_a_zone_rotates_nothing_early_and_puts_nothing_off(hours: int) -> None:
    async def scenario(cluster: BucketCluster) -> None:
        issue = cluster.service.issue

        def in_local_time(key_id: str, name: str) -> IssuedKey:
            date = cluster.time.true() + timedelta(hours=hours)
            dated = {"create_date": date, "zoned": False}
            issued = issue(key_id, name).model_copy(update=dated)
            cluster.service.keys[key_id].listed = issued.named(name)
            return issued

        setattr(cluster.service, "issue", in_local_time)  # noqa: B010
        ref = await applied(cluster, rotation={"interval": "6h", "gracePeriod": "10m"})
        await listed(cluster, 5)
        assert len(cluster.service.created) == 1
        await cluster.passes(6 * 3600)
        await listed(cluster)
        assert cluster.says(ref) == ISSUED
        assert len(cluster.service.created) == 2

    on_cluster(scenario)


# ---------------------------------------------------------------- lists and failures


def test_a_list_that_never_adds_up_is_told_and_nothing_is_concluded_from_it() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        ref = await applied(cluster)
        key = cluster.kube.secrets.pop(("team", "app"))
        await cluster.restart()
        cluster.service.half_lists = 10**6
        await cluster.passes(120)
        assert cluster.says(ref)["Synced"] == ("False", "ListIncomplete")
        assert cluster.d.key_lists.incomplete is not None
        assert len(cluster.service.created) == 1
        cluster.service.half_lists = 0
        cluster.kube.secrets[("team", "app")] = key
        await listed(cluster, 2)
        assert cluster.d.key_lists.incomplete is None

    on_cluster(scenario)


def test_retry_after_counts_for_a_bucket_as_for_a_key() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        busy = Throttled("429", retry_after=250.0, status=429)
        cluster.service.failing["status", "photos"] = busy
        cluster.service.failing["list", ""] = busy
        cluster.apply("team", "photos")
        cluster.apply("team", "names")
        await cluster.passes(240)
        assert cluster.service.count("status") == 2  # of either bucket one
        del cluster.service.failing["list", ""]
        await cluster.passes(5)
        assert cluster.service.count("list") == 0
        await cluster.passes(10)
        assert cluster.service.count("list") == 1

    on_cluster(scenario)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (TransportFault("no answer"), "ApiUnavailable"),
        (ServerFault("500"), "ApiUnavailable"),
        (IncompleteListing("half"), "ListIncomplete"),
    ],
)
def test_what_was_never_ready_says_why_it_is_not_now(error: ApiError, reason: str) -> None:
    async def scenario(cluster: BucketCluster) -> None:
        cluster.service.failing["status", "photos"] = AuthFailed("401")
        ref = cluster.apply("team", "photos")
        await cluster.passes()
        assert cluster.says(ref)["Ready"] == ("False", "ApiUnauthorized")
        cluster.service.failing["status", "photos"] = error
        await cluster.passes(600)
        assert cluster.says(ref)["Ready"] == cluster.says(ref)["Synced"] == ("False", reason)

    on_cluster(scenario)


# ---------------------------------------------------------------- a bucket that appears meanwhile


@pytest.mark.parametrize("seen_by", ["the create", "the next observation"])
def test_a_bucket_made_by_others_before_our_create_was_sent_is_not_ours(seen_by: str) -> None:
    async def scenario(cluster: BucketCluster) -> None:
        create, written = cluster.service.create_bucket, cluster.kube.write_status

        async def outdated(*given: Any) -> None:
            if "photos" in cluster.service.buckets:
                await create(*given)
            cluster.service.buckets["photos"] = FLAGS
            raise Outdated("it is there")

        async def slow(*given: Any) -> Any:
            cluster.service.buckets["photos"] = FLAGS
            await cluster.passes(6)
            return await written(*given)

        if seen_by == "the create":
            setattr(cluster.service, "create_bucket", outdated)  # noqa: B010
        else:
            setattr(cluster.kube, "write_status", slow)  # noqa: B010
        ref = cluster.apply("team", "photos", deletionPolicy="Delete")
        await cluster.passes(120)
        assert cluster.says(ref)["Stalled"] == ("True", "BucketExists")
        assert cluster.provenance(ref) is None
        assert "createIntent" not in cluster.kube.crs[ref]["status"]

    on_cluster(scenario)


# ---------------------------------------------------------------- accounts


def accounts(answer: ApiError | list[CloudAccount], **settings: Any) -> CloudAccounts:
    """What is known of the accounts where ``get_all`` answers so."""

    async def cloud_accounts() -> tuple[CloudAccount, ...]:
        if isinstance(answer, ApiError):
            raise answer
        return tuple(answer)

    client = cast(AmoveClient, SimpleNamespace(cloud_accounts=cloud_accounts))
    return CloudAccounts(Settings.model_validate({"token_file": "/dev/null", **settings}), client)


FAILURES: list[ApiError] = [
    ServerFault("500"),
    TransportFault("403", status=403),
    AuthFailed("499 AUTH"),
    Rejected("INTERNAL_ERROR", ""),
]
HERE = {"cloud_account_id": ACCOUNT, "storage_dn": "s3.example"}


@pytest.mark.parametrize("failure", FAILURES, ids=str)
async def test_with_account_and_host_set_the_accounts_are_not_needed(failure: ApiError) -> None:
    known = accounts(failure, **HERE)
    await known.load()
    assert not known.needed
    assert known.default_account == ACCOUNT
    assert known.storage_dn(ACCOUNT) == "s3.example"
    assert not known.is_unjudged(ACCOUNT, "s3.example")
    assert known.endpoint(ACCOUNT, "s3.example") == "https://s3.example"


@pytest.mark.parametrize("failure", FAILURES[:3], ids=str)
async def test_what_only_the_accounts_can_tell_waits_for_them(failure: ApiError) -> None:
    """Whether a spec names the default account, and where another account's storage is."""
    known = accounts(failure)
    await known.load()
    assert known.needed
    assert known.pending() is not None
    assert known.is_unjudged(ACCOUNT, None)
    other = accounts(failure, **HERE)
    await other.load()
    assert other.storage_dn("another") is None


async def test_an_account_is_spelt_in_calls_as_the_service_spells_it() -> None:
    large = LARGE.format(1)
    given = {
        "id": large,
        "active": True,
        "internalStorage": True,
        "serviceUrl": "http://s3.example",
    }
    known = accounts([CloudAccount.model_validate(given)])
    assert await known.load()
    assert known.default_account == large.lower()
    assert known.spelt(large.lower()) == large
    assert known.endpoint(large.lower(), "s3.example") == "http://s3.example"


def test_get_all_that_fails_holds_up_no_bucket_and_no_key_that_has_all_it_needs() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        cluster.d.accounts.loaded = False
        cluster.d.accounts.failure = ServerFault("500")
        assert cluster.says(await applied(cluster)) == ISSUED

    on_cluster(scenario)


def test_a_sweep_does_not_wait_for_the_accounts_and_asks_only_where_a_setting_is_left_out() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        asked: list[int] = []

        async def hangs() -> tuple[CloudAccount, ...]:
            asked.append(1)
            await asyncio.Event().wait()
            return ()

        setattr(cluster.service, "cloud_accounts", hangs)  # noqa: B010
        ref = cluster.apply("team", "photos")
        await cluster.passes()
        for needed, expected in ((False, 0), (True, 1)):
            cluster.d.accounts.needed = needed
            sweep = asyncio.create_task(Resync(cluster.dispatcher).run())
            before = cluster.service.count("status")
            await cluster.passes(7200)
            assert cluster.service.count("status") >= before + 2
            assert len(asked) == expected, "one that hangs is not asked for beside it"
            sweep.cancel()
        assert cluster.says(ref)["Ready"] == ("True", "Available")

    on_cluster(scenario)
