"""The life of buckets over hours, and in an unlucky order of things."""

from __future__ import annotations

import asyncio

import pytest

from amove_operator.amove import BucketAddress
from amove_operator.controllers.resync import Resync
from amove_operator.errors import Rejected, Throttled
from amove_operator.models import BucketFlags
from tests.unit.bucket_cluster import BucketCluster, on_cluster
from tests.unit.core.buckets.bucket_snapshots import stalled_for

FLAGS = BucketFlags()
SETTLED = {"Ready": ("True", "Available"), "Synced": ("True", "Settled")}
STRANGE = Rejected("MOON_PHASE", "not today")


# ---------------------------------------------------------------- Events


def test_a_new_bucket_has_one_event_and_one_that_is_made_again_says_that_it_is_back() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        ref = cluster.apply("team", "photos")
        await cluster.passes()
        assert cluster.says(ref) == SETTLED
        assert cluster.kube.events == ["Created"]

        cluster.kube.events.clear()
        del cluster.service.buckets["photos"]
        await cluster.resync()
        await cluster.passes()
        assert cluster.says(ref) == SETTLED
        assert cluster.kube.events[-2:] == ["Recreated", "Available"]

    on_cluster(scenario)


# ---------------------------------------------------------------- losses


def test_buckets_lost_one_after_the_other_are_no_mass_loss_and_hold_nobody_up() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        names = [f"old-{number}" for number in range(5)]
        for name in names:
            cluster.service.buckets[name] = FLAGS
        old = [cluster.apply("trusted", name, adoptionPolicy="IfExists") for name in names]
        await cluster.passes()
        for name in names:
            del cluster.service.buckets[name]
            await cluster.resync()
            await cluster.passes()
        assert [cluster.says(ref) for ref in old] == [stalled_for("BucketMissing")] * 5

        new = cluster.apply("other", "new")
        await cluster.passes()
        assert cluster.says(new) == SETTLED
        await cluster.restart()
        await cluster.resync()
        assert [cluster.says(ref) for ref in old] == [stalled_for("BucketMissing")] * 5
        newer = cluster.apply("other", "newer")
        await cluster.passes()
        assert cluster.says(newer) == SETTLED

    on_cluster(scenario)


def test_in_a_mass_loss_nothing_is_made_again_until_it_is_over_or_accepted_anew() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        ours = [cluster.apply("team", f"ours-{number}") for number in range(5)]
        cluster.annotate(ours[4], accept_loss="set-long-ago")
        await cluster.passes()
        cluster.service.buckets.clear()
        await cluster.resync()
        await cluster.passes()
        assert {cluster.says(ref)["Synced"] for ref in ours} == {("False", "MassBucketLoss")}
        assert {cluster.says(ref)["Ready"] for ref in ours} == {("True", "Available")}

        new = cluster.apply("team", "new")
        await cluster.passes(7200)
        assert cluster.says(new) == SETTLED
        assert {cluster.says(ref)["Synced"] for ref in ours} == {("False", "MassBucketLoss")}
        assert list(cluster.service.buckets) == ["new"]
        for ref in ours[:2]:
            cluster.annotate(ref, accept_loss="now")
        await cluster.passes(1)
        assert [cluster.says(ref) for ref in ours] == [SETTLED] * 5, "no mass any more"
        assert len(cluster.service.buckets) == 6

    on_cluster(scenario)


def test_a_mass_loss_that_was_none_ends_by_itself_and_one_object_may_go_on_before() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        ours = [cluster.apply("team", f"ours-{number}") for number in range(5)]
        await cluster.passes()
        kept = dict(cluster.service.buckets)
        cluster.service.buckets.clear()
        await cluster.resync()
        await cluster.passes(7200)
        cluster.annotate(ours[0], accept_loss="now")
        await cluster.passes()
        assert list(cluster.service.buckets) == ["ours-0"]

        cluster.service.buckets |= kept
        await cluster.resync()
        await cluster.passes()
        assert [cluster.says(ref) for ref in ours] == [SETTLED] * 5
        assert cluster.service.count("create") == 6

    on_cluster(scenario)


def test_a_bucket_that_cannot_be_read_holds_up_neither_the_rescue_nor_the_end_of_another() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        lost, gone = cluster.apply("team", "lost"), cluster.apply("team", "gone")
        unreadable = [cluster.apply("other", f"odd-{number}") for number in range(6)]
        cluster.kube.crs[gone]["spec"]["deletionPolicy"] = "Delete"
        await cluster.passes()
        for ref in unreadable:
            cluster.service.failing["status", ref.name] = STRANGE
        del cluster.service.buckets["lost"], cluster.service.buckets["gone"]
        cluster.delete(gone)
        await cluster.resync()
        await cluster.passes(60)
        assert cluster.says(lost) == SETTLED
        assert gone not in cluster.kube.crs
        assert {cluster.says(ref)["Synced"] for ref in unreadable} == {("False", "ApiRefused")}

    on_cluster(scenario)


def test_many_deletions_that_a_crash_cut_short_end_by_themselves() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        going = [cluster.apply("team", f"b-{n}", deletionPolicy="Delete") for n in range(8)]
        await cluster.passes()
        cluster.service.hidden.clear()
        cluster.service.pause = asyncio.Event()
        for ref in going:
            cluster.delete(ref)
        await cluster.passes()
        assert cluster.service.count("status") > 0
        cluster.service.pause = None
        for ref in going[:6]:
            # Deleted at the service by the process that is killed now, its answer unheard.
            told = cluster.kube.crs[ref]["status"]["conditions"]
            told.append(
                {
                    "type": "Reconciling",
                    "status": "True",
                    "reason": "Deleting",
                    "message": "The bucket is being deleted.",
                }
            )
            del cluster.service.buckets[ref.name]
        await cluster.restart()
        await cluster.passes(60)
        assert cluster.kube.crs == {}
        assert cluster.service.buckets == {}

    on_cluster(scenario)


# ---------------------------------------------------------------- creating


def test_a_bucket_that_shows_only_after_a_while_is_created_once_and_is_ours() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        cluster.service.hidden.add("slow")
        slow = cluster.apply("team", "slow")
        await cluster.passes(20)
        assert cluster.says(slow)["Reconciling"] == ("True", "Progressing")
        cluster.service.hidden.clear()
        await cluster.passes(60)
        assert cluster.says(slow) == SETTLED
        assert cluster.provenance(slow) == "Created"
        assert cluster.service.count("create") == 1

    on_cluster(scenario)


def test_a_bucket_that_shows_after_the_settle_time_is_still_ours() -> None:
    """The second create is answered "already exists": by our own first one."""

    async def scenario(cluster: BucketCluster) -> None:
        cluster.service.hidden.add("slower")
        slow = cluster.apply("team", "slower")
        await cluster.passes(100)
        assert cluster.service.count("create") > 1
        assert cluster.says(slow)["Reconciling"] == ("True", "Progressing")
        cluster.service.hidden.clear()
        await cluster.passes(120)
        assert cluster.provenance(slow) == "Created"

    on_cluster(scenario)


def test_a_taken_name_is_only_looked_at_until_a_person_asks_again() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        cluster.service.buckets["taken"] = FLAGS
        cluster.service.hidden.add("taken")
        ref = cluster.apply("team", "taken")
        await cluster.passes()
        assert cluster.says(ref) == stalled_for("BucketExists")
        assert cluster.provenance(ref) is None
        calls, writes = len(cluster.service.calls), cluster.kube.writes
        for _ in range(3):
            await cluster.resync()
        assert cluster.service.calls[calls:] == [("status", "taken")] * 3
        assert cluster.kube.writes == writes

        del cluster.service.buckets["taken"]
        cluster.service.hidden.clear()
        cluster.annotate(ref, reconcile_requested_at="now")
        await cluster.passes()
        assert cluster.says(ref) == SETTLED

    on_cluster(scenario)


def test_a_create_that_is_throttled_for_an_hour_tells_it_once() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        busy = Throttled("429", maybe_done=False, status=429)
        cluster.service.failing["create", "busy"] = busy
        ref = cluster.apply("team", "busy")
        await cluster.passes(3600)
        assert 2 < cluster.service.count("create") < 20
        assert cluster.kube.events == ["ApiUnavailable"]
        assert "createIntent" not in cluster.kube.crs[ref]["status"]

    on_cluster(scenario, resync="10m")


def test_a_lost_bucket_that_cannot_be_made_again_stays_ours_across_a_restart() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        ref = cluster.apply("team", "lost")
        await cluster.passes()
        flags = cluster.service.buckets.pop("lost")
        cluster.service.failing["create", "lost"] = Rejected("QUOTA", "no")
        await cluster.resync()
        await cluster.restart()
        await cluster.passes(30)
        assert cluster.says(ref)["Synced"] == ("False", "ApiRefused")
        assert cluster.provenance(ref) == "Created"
        cluster.service.buckets["lost"] = flags  # the account was switched on again
        await cluster.resync()
        assert cluster.says(ref) == SETTLED

    on_cluster(scenario)


def test_a_sweep_that_begins_while_a_look_is_under_way_asks_for_no_other() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        cluster.service.pause = asyncio.Event()
        ref = cluster.apply("team", "media")
        sweep = asyncio.create_task(Resync(cluster.dispatcher).run())
        await cluster.passes(1)
        assert cluster.service.calls == [("status", "media")]
        cluster.service.pause.set()
        await cluster.passes(60)
        assert cluster.says(ref) == SETTLED
        asked = [call for call, _ in cluster.service.calls if call != "list"]
        assert asked == ["status", "create", "status"]
        await cluster.passes(3600)
        assert cluster.service.count("status") == 3, "the next sweep looks again"
        sweep.cancel()

    on_cluster(scenario)


# ---------------------------------------------------------------- deleting


@pytest.mark.parametrize("reason", ["BucketNotEmpty", "DeleteRefused"])
def test_a_deletion_that_is_refused_for_an_hour_tells_it_once(reason: str) -> None:
    async def scenario(cluster: BucketCluster) -> None:
        ref = cluster.apply("team", "media", deletionPolicy="Delete")
        await cluster.passes()
        if reason == "BucketNotEmpty":
            cluster.service.full.add("media")
        else:
            cluster.service.failing["delete", "media"] = Rejected("LOCKED", "no")
        before = cluster.kube.writes
        cluster.delete(ref)
        await cluster.passes(3600)
        assert cluster.says(ref) == stalled_for(reason)
        assert cluster.kube.writes - before == 2
        assert 2 < cluster.service.count("delete") < 20
        cluster.service.full.clear()
        cluster.service.failing.clear()
        await cluster.passes(600)
        assert cluster.kube.crs == {}

    on_cluster(scenario, resync="10m")


def test_a_bucket_that_still_shows_after_its_deletion_is_not_deleted_over_and_over() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        ref = cluster.apply("team", "slow", deletionPolicy="Delete")
        await cluster.passes()
        cluster.service.lingering["slow"] = FLAGS
        cluster.delete(ref)
        await cluster.passes(25)
        assert cluster.service.count("delete") == 1
        assert cluster.says(ref)["Reconciling"] == ("True", "Deleting")
        await cluster.passes(100)
        assert 1 < cluster.service.count("delete") < 6
        cluster.service.lingering.clear()
        await cluster.passes(120)
        assert cluster.kube.crs == {}
        assert cluster.kube.events.count("Deleted") == 1

    on_cluster(scenario)


def test_a_deletion_told_by_a_restored_status_is_not_this_objects() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        told = {"type": "Reconciling", "status": "True", "reason": "Deleting", "message": "x"}
        ref = cluster.apply("team", "media")
        cluster.kube.crs[ref]["status"] = {"ownerUID": "before", "conditions": [told]}
        cluster.annotate(ref, reconcile_requested_at="now")
        await cluster.passes()
        assert cluster.says(ref) == SETTLED

    on_cluster(scenario)


@pytest.mark.parametrize(("names", "left"), [("media", ["media"]), ("other", [])])
def test_a_ghost_lets_go_of_a_bucket_only_where_its_heir_has_the_same(
    names: str, left: list[str]
) -> None:
    async def scenario(cluster: BucketCluster) -> None:
        ref = cluster.apply("team", "media", deletionPolicy="Delete")
        await cluster.passes()
        cluster.strip(ref)
        # Applied again, though its event has not come yet.
        cluster.kube.crs[ref] = {
            "metadata": {"name": "media", "uid": "heir"},
            "spec": {"bucketName": names},
        }
        await cluster.passes()
        assert list(cluster.service.buckets) == left
        assert cluster.d.store.vanished == {}
        assert cluster.d.memories.buckets == {}

    on_cluster(scenario)


@pytest.mark.parametrize(("paused", "left"), [(None, []), ("true", ["media"])])
def test_a_ghost_deletes_its_empty_bucket_unless_it_was_paused(
    paused: str | None, left: list[str]
) -> None:
    async def scenario(cluster: BucketCluster) -> None:
        ref = cluster.apply("team", "media", deletionPolicy="Delete")
        await cluster.passes()
        cluster.annotate(ref, paused=paused)
        await cluster.passes()
        cluster.strip(ref)
        await cluster.passes(60)
        assert list(cluster.service.buckets) == left
        assert cluster.d.store.vanished == {}

    on_cluster(scenario)


# ---------------------------------------------------------------- claims


def test_the_loser_takes_over_on_a_look_of_its_own_and_not_on_one_from_before() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        cluster.service.buckets["media"] = FLAGS
        loser = cluster.apply("first", "media")
        await cluster.passes()
        assert cluster.says(loser) == stalled_for("BucketExists")
        winner = cluster.apply(
            "trusted", "media", adoptionPolicy="IfExists", deletionPolicy="Delete"
        )
        await cluster.passes()
        assert cluster.provenance(winner) == "Adopted"
        assert cluster.says(loser) == stalled_for("BucketClaimed")
        cluster.delete(winner)
        await cluster.passes(1)
        assert winner not in cluster.kube.crs
        assert cluster.says(loser) == SETTLED
        assert cluster.provenance(loser) == "Created"

    on_cluster(scenario)


def test_a_paused_object_without_proof_keeps_nobody_from_a_bucket() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        cluster.service.buckets["media"] = FLAGS
        squatter = cluster.apply("first", "media")
        cluster.annotate(squatter, paused="true")
        rightful = cluster.apply("trusted", "media", adoptionPolicy="IfExists")
        await cluster.passes()
        assert cluster.provenance(rightful) == "Adopted"
        cluster.annotate(squatter, paused=None)
        await cluster.passes()
        assert cluster.says(squatter) == stalled_for("BucketClaimed")

    on_cluster(scenario)


def test_an_outage_gives_no_claim_back_to_one_that_is_stalled() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        cluster.service.buckets["media"] = FLAGS
        older = cluster.apply("first", "media")
        await cluster.passes()
        cluster.service.failing["status", "media"] = STRANGE
        await cluster.resync()
        assert cluster.says(older) == {
            **stalled_for("BucketExists"),
            "Synced": ("False", "ApiRefused"),
        }
        younger = cluster.apply("trusted", "media", adoptionPolicy="IfExists")
        await cluster.passes()
        assert cluster.says(younger)["Synced"] == ("False", "ApiRefused")
        cluster.service.failing.clear()
        await cluster.resync()
        assert cluster.provenance(younger) == "Adopted"

    on_cluster(scenario)


def test_rivals_behind_a_hanging_call_hold_no_worker() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        cluster.service.pause = asyncio.Event()
        for number in range(12):
            cluster.apply(f"team-{number}", "same")
        await cluster.passes()
        assert cluster.service.calls == [("status", "same")]
        hanging, cluster.service.pause = cluster.service.pause, None
        other = cluster.apply("other", "free")
        await cluster.passes()
        assert cluster.says(other) == SETTLED
        hanging.set()
        await cluster.passes()
        assert cluster.service.count("create") == 2

    on_cluster(scenario)


def test_nobody_takes_a_bucket_over_while_a_call_to_delete_it_is_under_way() -> None:
    """The younger one would adopt a bucket that is gone a moment later."""

    async def scenario(cluster: BucketCluster) -> None:
        former = cluster.apply("team", "media", deletionPolicy="Delete")
        await cluster.passes()
        delete, answered = cluster.service.delete_bucket, asyncio.Event()

        async def hanging(where: BucketAddress) -> None:
            await answered.wait()
            await delete(where)

        setattr(cluster.service, "delete_bucket", hanging)  # noqa: B010
        cluster.delete(former)
        await cluster.passes()
        cluster.strip(former)
        younger = cluster.apply("trusted", "media", adoptionPolicy="IfExists")
        await cluster.passes()
        assert cluster.provenance(younger) is None
        answered.set()
        await cluster.passes()
        assert cluster.provenance(younger) == "Created"
        assert list(cluster.service.buckets) == ["media"]

    on_cluster(scenario)
