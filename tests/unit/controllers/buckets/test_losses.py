"""Buckets that are not found: once in error, alone, or so many that the account may be gone."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from amove_operator.controllers.shared import bucket_losses
from amove_operator.errors import NotFound, TransportFault
from amove_operator.models import AmoveBucket, BucketFlags
from tests.unit.bucket_cluster import BucketCluster, on_cluster
from tests.unit.core.buckets.bucket_snapshots import stalled_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from amove_operator.models.refs import Ref

FLAGS = BucketFlags()
SETTLED = {"Ready": ("True", "Available"), "Synced": ("True", "Settled")}
HELD_UP = ("False", "MassBucketLoss")
OTHER_ACCOUNT = "22222222-2222-4222-8222-222222222222"


@contextmanager
def not_found(cluster: BucketCluster, *names: str) -> Iterator[None]:
    """The service says for a while that there are no such buckets, though they are there."""
    for name in names:
        cluster.service.failing["status", name] = NotFound("NOT_FOUND", "no such bucket")
    yield
    for name in names:
        del cluster.service.failing["status", name]


def several(cluster: BucketCluster, namespace: str, count: int, **spec: str) -> list[Ref]:
    return [cluster.apply(namespace, f"{namespace}-{n:03}", **spec) for n in range(count)]


def synced(cluster: BucketCluster, refs: list[Ref]) -> Counter[tuple[str, str]]:
    return Counter(cluster.says(ref)["Synced"] for ref in refs)


def lose(cluster: BucketCluster, *refs: Ref) -> None:
    for ref in refs:
        del cluster.service.buckets[ref.name]


async def look_at(cluster: BucketCluster, *refs: Ref, seconds: float = 1.0) -> None:
    for ref in refs:
        cluster.annotate(ref, reconcile_requested_at=str(cluster.loop.time()))
    await cluster.passes(seconds)


# ---------------------------------------------------------------- once in error


@pytest.mark.parametrize("policy", ["Never", "IfExists"])
def test_a_bucket_that_is_not_found_once_is_neither_made_again_nor_missing(policy: str) -> None:
    async def scenario(cluster: BucketCluster) -> None:
        if policy == "IfExists":
            cluster.service.buckets["media"] = FLAGS
        ref = cluster.apply("trusted", "media", adoptionPolicy=policy)
        await cluster.passes()
        made, proof = cluster.service.count("create"), cluster.provenance(ref)
        with not_found(cluster, "media"):
            await look_at(cluster, ref)
            assert cluster.says(ref) == {**SETTLED, "Synced": ("False", "BucketMissing")}
            await look_at(cluster, ref)  # twice, but not apart
            assert cluster.says(ref) == {**SETTLED, "Synced": ("False", "BucketMissing")}
        await cluster.passes(10)
        assert cluster.says(ref) == SETTLED
        assert cluster.service.count("create") == made
        assert cluster.provenance(ref) == proof

    on_cluster(scenario)


def test_absences_between_which_the_bucket_was_seen_do_not_add_up() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        ref = cluster.apply("team", "media")
        await cluster.passes()
        for _ in range(4):
            with not_found(cluster, "media"):
                await look_at(cluster, ref, seconds=3)
            await look_at(cluster, ref, seconds=3)
            assert cluster.says(ref) == SETTLED
        assert cluster.service.count("create") == 1

    on_cluster(scenario)


def test_a_bucket_that_is_gone_is_made_again_after_a_second_look_five_seconds_later() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        ref = cluster.apply("team", "media")
        await cluster.passes()
        lose(cluster, ref)
        await look_at(cluster, ref, seconds=4.9)
        assert cluster.service.count("create") == 1
        assert cluster.says(ref)["Ready"] == ("True", "Available")
        await cluster.passes(0.2)
        assert cluster.service.count("create") == 2
        assert cluster.says(ref) == SETTLED

    on_cluster(scenario)


def test_a_deletion_is_not_confirmed_by_one_look_that_does_not_find_the_bucket() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        ref = cluster.apply("team", "media", deletionPolicy="Delete")
        await cluster.passes()
        with not_found(cluster, "media"):
            cluster.delete(ref)
            await cluster.passes(1)
            assert ref in cluster.kube.crs
        await cluster.passes(10)
        assert ref not in cluster.kube.crs
        assert cluster.service.buckets == {}

    on_cluster(scenario)


@pytest.mark.parametrize(
    "answer",
    [TransportFault("delete_bucket: time-out"), NotFound("NOT_FOUND", "no such bucket")],
    ids=["no answer", "not found"],
)
def test_a_delete_without_a_200_is_not_confirmed_by_one_look(answer: Exception) -> None:
    async def scenario(cluster: BucketCluster) -> None:
        ref = cluster.apply("team", "media", deletionPolicy="Delete")
        await cluster.passes()
        cluster.service.failing["delete", "media"] = answer  # type: ignore[assignment]
        cluster.delete(ref)
        await cluster.passes(0)
        with not_found(cluster, "media"):
            await cluster.passes(3)
            assert ref in cluster.kube.crs
        del cluster.service.failing["delete", "media"]
        await cluster.passes(120)
        assert ref not in cluster.kube.crs
        assert cluster.service.buckets == {}

    on_cluster(scenario)


def test_a_delete_that_was_answered_200_is_confirmed_by_one_look() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        ref = cluster.apply("team", "media", deletionPolicy="Delete")
        await cluster.passes()
        cluster.delete(ref)
        await cluster.passes(0.1)
        assert ref not in cluster.kube.crs

    on_cluster(scenario)


def test_a_lost_bucket_that_is_there_after_all_stays_ours_when_its_create_is_answered_so() -> None:
    """It was absent from both looks, and the create is answered that it exists."""

    async def scenario(cluster: BucketCluster) -> None:
        ref = cluster.apply("team", "media")
        await cluster.passes()
        with not_found(cluster, "media"):
            await look_at(cluster, ref, seconds=6)
            assert cluster.service.count("create") == 2
            assert cluster.provenance(ref) == "Created"
        await cluster.passes(10)
        assert cluster.says(ref) == SETTLED
        assert cluster.provenance(ref) == "Created"

    on_cluster(scenario)


def test_a_lost_bucket_whose_name_another_account_took_is_ours_no_more() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        ref = cluster.apply("team", "media")
        await cluster.passes()
        cluster.service.hidden.add("media")
        await look_at(cluster, ref, seconds=30)
        assert cluster.service.count("create") == 2
        assert cluster.says(ref) == stalled_for("BucketExists")
        assert cluster.provenance(ref) is None

    on_cluster(scenario)


# ---------------------------------------------------------------- which are observed


def test_the_first_absence_has_twenty_others_of_its_account_observed_at_once() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        ours = several(cluster, "trusted", 50)
        elsewhere = several(cluster, "trusted-b", 30, cloudAccountId=OTHER_ACCOUNT)
        await cluster.passes(60)
        assert synced(cluster, [*ours, *elsewhere]) == {("True", "Settled"): 80}
        lose(cluster, ours[7])
        before = len(cluster.service.calls)
        await look_at(cluster, ours[7])
        asked = Counter(name for _, name in cluster.service.calls[before:])
        assert asked.pop(ours[7].name) == 1
        assert len(asked) == asked.total() == 20
        assert not asked.keys() & {ref.name for ref in elsewhere}
        await cluster.passes(6)
        assert cluster.says(ours[7]) == SETTLED

    on_cluster(scenario)


def test_others_are_of_as_many_namespaces_as_there_are() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        many = several(cluster, "many", 40)
        for number in range(10):
            several(cluster, f"few-{number}", 1)
        await cluster.passes(60)
        lose(cluster, many[0])
        before = len(cluster.service.calls)
        await look_at(cluster, many[0])
        asked = {name.rpartition("-")[0] for _, name in cluster.service.calls[before:]}
        assert asked == {"many", *(f"few-{number}" for number in range(10))}

    on_cluster(scenario)


def test_losses_seen_together_share_the_others_that_are_observed() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        refs = several(cluster, "team", 200)
        await cluster.passes(60)
        lose(cluster, *refs[:10])
        before = len(cluster.service.calls)
        await look_at(cluster, *refs[:10])
        assert len(cluster.service.calls) - before < 10 + 2 * 20

    on_cluster(scenario)


@pytest.mark.parametrize("count", [60, 240])
def test_an_absence_costs_no_work_that_grows_with_the_number_of_buckets(
    count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(cluster: BucketCluster) -> None:
        refs = several(cluster, "team", count)
        await cluster.passes(600)
        cluster.service.buckets.clear()
        await look_at(cluster, *refs[: count // 2], seconds=600)
        assert cluster.says(refs[0])["Synced"] == HELD_UP
        judged: list[AmoveBucket] = []

        def is_expected(bucket: AmoveBucket, ask: Any = bucket_losses.is_expected) -> bool:
            judged.append(bucket)
            return bool(ask(bucket))

        monkeypatch.setattr(bucket_losses, "is_expected", is_expected)
        await look_at(cluster, refs[0])
        assert cluster.says(refs[0])["Synced"] == HELD_UP
        assert 0 < len(judged) < 30

    on_cluster(scenario, resync="100h")


# ---------------------------------------------------------------- how much is too much


def test_a_fifth_of_an_account_is_made_again_whatever_those_that_are_observed_say() -> None:
    """Of twenty others five are absent too, which is more than a fifth: all the rest is asked."""

    async def scenario(cluster: BucketCluster) -> None:
        refs = several(cluster, "team", 30)
        await cluster.passes(30)
        lose(cluster, *refs[:6])
        await look_at(cluster, *refs[:6], seconds=60)
        assert synced(cluster, refs) == {("True", "Settled"): 30}
        assert "MassBucketLoss" not in cluster.kube.events

    on_cluster(scenario)


def test_nothing_is_made_again_while_the_others_that_are_observed_give_no_answer() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        refs = several(cluster, "team", 40)
        await cluster.passes(30)
        made, others = cluster.service.count("create"), refs[1:]
        cluster.service.buckets.clear()
        for ref in others:
            cluster.service.failing["status", ref.name] = TransportFault("bucket_status: time-out")
        await look_at(cluster, refs[0], seconds=60)
        assert cluster.says(refs[0])["Synced"] == ("False", "BucketMissing")
        cluster.service.failing.clear()
        await cluster.passes(600)
        assert cluster.says(refs[0])["Synced"] == HELD_UP
        assert cluster.service.count("create") == made

    on_cluster(scenario, resync="10m")


def test_an_account_that_is_switched_off_has_none_of_its_buckets_made_again() -> None:
    """Though each namespace has few of them, and nobody observes them all at once."""

    async def scenario(cluster: BucketCluster) -> None:
        refs = [ref for n in range(40) for ref in several(cluster, f"team-{n}", 3)]
        elsewhere = several(cluster, "trusted", 3, cloudAccountId=OTHER_ACCOUNT)
        await cluster.passes(60)
        kept = dict(cluster.service.buckets)
        for ref in (*refs, elsewhere[0]):
            del cluster.service.buckets[ref.name]
        made = cluster.service.count("create")
        await look_at(cluster, refs[0], elsewhere[0], seconds=1800)
        assert cluster.says(elsewhere[0]) == SETTLED
        assert cluster.service.count("create") == made + 1
        assert cluster.says(refs[0])["Synced"] == HELD_UP
        assert cluster.d.bucket_losses.is_mass

        new = cluster.apply("team-0", "new")
        await cluster.passes()
        assert cluster.says(new) == SETTLED, "what is new is no loss"

        cluster.service.buckets |= kept
        await look_at(cluster, refs[0], seconds=30)
        assert synced(cluster, refs) == {("True", "Settled"): 120}
        assert cluster.service.count("create") == made + 2

    on_cluster(scenario, resync="10h")


def test_a_team_that_deletes_its_buckets_at_the_service_holds_up_itself_alone() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        red = several(cluster, "red", 30, deletionPolicy="Delete")
        blue = several(cluster, "blue", 10)
        green = several(cluster, "green", 10, deletionPolicy="Delete")
        await cluster.passes(60)
        lose(cluster, *red, blue[0], green[0])
        cluster.delete(green[0])
        cluster.delete(red[0])
        await look_at(cluster, *red[1:], blue[0], seconds=60)
        assert cluster.says(blue[0]) == SETTLED
        assert green[0] not in cluster.kube.crs
        assert synced(cluster, red) == {HELD_UP: 30}
        assert not [name for name in cluster.service.buckets if name.startswith("red")]

    on_cluster(scenario)


def test_what_goes_on_beside_a_mass_loss_does_not_when_its_own_namespace_lost_all() -> None:
    """An account in which one team has nearly everything is switched off."""

    async def scenario(cluster: BucketCluster) -> None:
        red, blue = several(cluster, "red", 30), several(cluster, "blue", 2)
        await cluster.passes(60)
        cluster.service.buckets.clear()
        await look_at(cluster, *blue, seconds=60)
        assert synced(cluster, blue) == {HELD_UP: 2}
        assert cluster.service.buckets == {}
        assert cluster.says(red[0])["Synced"] in (HELD_UP, ("True", "Settled"))

    on_cluster(scenario)
