"""Buckets gone behind our back: how many at once, since when, and what is held up."""

from __future__ import annotations

from functools import partial
from typing import Any

from amove_emulator import Emulator
from tests.cluster.bucket_words import CHANGING, about, calls, stalled, unsynced
from tests.cluster.fixtures import RunOperator
from tests.cluster.harness import BUCKET, a_bucket, condition, eventually
from tests.cluster.harness_cluster import Cluster


def settled(cluster: Cluster, *names: str, **spec: Any) -> None:
    """Apply these buckets, and wait until nothing is left to do."""
    cluster.apply(*(a_bucket(name, **spec) for name in names))
    for name in names:
        cluster.until(BUCKET, name, "Synced", "Settled")


def look_again(cluster: Cluster, *names: str, why: str = "now") -> None:
    for name in names:
        cluster.annotate(BUCKET, name, reconcile_requested_at=why)


def several(count: int) -> list[str]:
    return [f"photos-{number}" for number in range(count)]


def not_found_once(emulator: Emulator, name: str) -> int:
    """The next look does not find a bucket that is there."""
    return emulator.control.fault(
        "bucket_status", contains=f'"{name}"', status=499, code="NOT_FOUND", message="Not found."
    )


def test_a_bucket_that_is_not_found_once_is_not_made_again(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    operator = run_operator()
    settled(cluster, "photos")
    emulator.control.put_object("photos", "a.txt", "kept")
    after = emulator.control.last_seq()
    not_found_once(emulator, "photos")
    look_again(cluster, "photos")
    seen = unsynced(cluster, "photos", "BucketMissing")
    assert condition(seen, "Ready")["status"] == "True"
    assert "looking once more" in condition(seen, "Synced")["message"]

    seen = cluster.until(BUCKET, "photos", "Synced", "Settled")
    assert seen["status"]["provenance"] == "Created"
    made = [call["call"] for call in emulator.control.journal(after=after)]
    assert [call for call in made if call != "get_storage_key"] == ["bucket_status"] * 2
    assert operator.metric("buckets_lost_total") == 0


def test_a_deletion_is_not_confirmed_by_one_answer_that_does_not_find_the_bucket(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    run_operator()
    settled(cluster, "photos", deletionPolicy="Delete")
    not_found_once(emulator, "photos")
    cluster.delete(BUCKET, "photos")
    unsynced(cluster, "photos", "BucketMissing")
    assert "photos" in emulator.control.buckets()
    cluster.gone(BUCKET, "photos")
    assert emulator.control.buckets() == {}
    assert calls(emulator, "photos", "delete_bucket") == 1


def test_while_a_mass_of_buckets_is_lost_what_is_new_goes_on(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    """What stalled before stays stalled; and when one is back, all look again at once."""
    run_operator()
    names = several(4)
    settled(cluster, *names)
    emulator.control.add_bucket("theirs")
    cluster.apply(a_bucket("theirs"))
    stalled(cluster, "theirs", "BucketExists")
    for name in (*names, "theirs"):
        emulator.control.hide_bucket(name)
    look_again(cluster, *names)
    for name in names:
        seen = unsynced(cluster, name, "MassBucketLoss")
        assert "no lost one is created again" in condition(seen, "Synced")["message"]

    settled(cluster, "new")
    look_again(cluster, "theirs")
    stalled(cluster, "theirs", "BucketExists")
    for name in names:
        unsynced(cluster, name, "MassBucketLoss")
        assert calls(emulator, name, "create_bucket") == 1

    for name in (*names, "theirs"):
        emulator.control.hide_bucket(name, hidden=False)
    look_again(cluster, names[0], why="back again")
    for name in names:
        cluster.until(BUCKET, name, "Synced", "Settled")
    stalled(cluster, "theirs", "BucketExists")
    assert all(calls(emulator, name, "create_bucket") == 1 for name in names)


def test_losses_that_were_told_one_after_the_other_are_no_mass_loss(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator, namespace: str
) -> None:
    operator = run_operator(trusted_namespaces=[namespace])
    adopted = several(4)
    for name in adopted:
        emulator.control.add_bucket(name)
    settled(cluster, *adopted, adoptionPolicy="IfExists")
    settled(cluster, "created")

    for name in adopted:
        emulator.control.drop_bucket(name)
        look_again(cluster, name)
        assert "was not created here" in stalled(cluster, name, "BucketMissing")
    emulator.control.drop_bucket("created")
    look_again(cluster, "created")

    eventually(lambda: "created" in emulator.control.buckets())
    cluster.until(BUCKET, "created", "Synced", "Settled")
    settled(cluster, "new")
    for name in adopted:
        stalled(cluster, name, "BucketMissing")
    assert operator.metric("buckets_lost_total") == 5
    assert operator.metric("mass_loss", kind=BUCKET) == 0
    assert emulator.control.count("create_bucket") == 3


def test_losses_that_were_accepted_count_no_more(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    """With one of four accepted, three are left: few enough to be made again."""
    run_operator()
    names = several(4)
    settled(cluster, *names)
    for name in names:
        emulator.control.drop_bucket(name)
    look_again(cluster, *names)
    for name in names:
        unsynced(cluster, name, "MassBucketLoss")
    assert emulator.control.count("create_bucket") == len(names)
    cluster.annotate(BUCKET, names[0], accept_loss="yes")
    for name in names:
        cluster.until(BUCKET, name, "Synced", "Settled")
    assert set(emulator.control.buckets()) == set(names)
    assert emulator.control.count("create_bucket") == 2 * len(names)


def test_buckets_that_cannot_be_read_hold_up_another_only_if_they_could_make_a_mass_loss(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    operator = run_operator()
    few, many = ("few-0", "few-1"), ("many-0", "many-1")
    settled(cluster, "lost", "gone", *few, *many)
    unreadable = [
        emulator.control.fault("bucket_status", contains=f'"{each}-', times=None, status=500)
        for each in ("many", "few")
    ]
    emulator.control.drop_bucket("lost")
    look_again(cluster, "lost")

    # With the four that cannot be read it could be five.
    seen = unsynced(cluster, "lost", "BucketMissing")
    assert "looking at the others" in condition(seen, "Synced")["message"]
    assert condition(seen, "Ready")["status"] == "True"
    for name in (*few, *many):
        unsynced(cluster, name, "ApiUnavailable")
    assert calls(emulator, "lost", "create_bucket") == 1

    emulator.control.clear_faults(unreadable[0])
    look_again(cluster, *many)
    eventually(lambda: "lost" in emulator.control.buckets())
    cluster.until(BUCKET, "lost", "Synced", "Settled")

    # The two that still cannot be read are not enough for one.
    emulator.control.drop_bucket("gone")
    look_again(cluster, "gone")
    eventually(lambda: "gone" in emulator.control.buckets())
    cluster.until(BUCKET, "gone", "Synced", "Settled")
    for name in few:
        unsynced(cluster, name, "ApiUnavailable")
    assert operator.metric("buckets_recreated_total") == 2


def test_a_mass_loss_outlasts_restarts(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    """Buckets that vanish while nobody watches; one that is being deleted among them."""
    names = several(5)
    first = run_operator()
    settled(cluster, *names, deletionPolicy="Delete")
    first.kill()
    for name in names:
        emulator.control.hide_bucket(name)
    cluster.delete(BUCKET, names[0])
    after = emulator.control.last_seq()

    for _ in range(2):
        began = emulator.control.last_seq()
        operator = run_operator(resync_interval="1s")
        eventually(partial(looked_at_twice, emulator, began, names))
        for name in names:
            seen = unsynced(cluster, name, "MassBucketLoss")
            assert condition(seen, "Ready")["status"] == "True"
        assert operator.metric("mass_loss", kind=BUCKET) == 1
        operator.kill()

    made = {call["call"] for call in emulator.control.journal(after=after)}
    assert not made & set(CHANGING)
    for name in names:
        emulator.control.hide_bucket(name, hidden=False)
    run_operator(resync_interval="1s")
    cluster.gone(BUCKET, names[0])
    for name in names[1:]:
        cluster.until(BUCKET, name, "Synced", "Settled")
    assert set(emulator.control.buckets()) == set(names[1:])
    assert emulator.control.count("create_bucket") == len(names)


def looked_at_twice(emulator: Emulator, after: int, names: list[str]) -> bool:
    looks = [about(call) for call in emulator.control.journal("bucket_status", after)]
    return all(looks.count(name) >= 2 for name in names)
