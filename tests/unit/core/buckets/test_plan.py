"""The bucket planner beside the table: creating, refusals of it, and flags."""

from __future__ import annotations

from typing import Any

import pytest

from amove_operator.core.buckets import steps
from amove_operator.core.buckets.plan import plan_bucket
from amove_operator.core.buckets.snapshot import Absent, BucketSnapshot, Present, Refused
from amove_operator.core.conditions import merge
from amove_operator.core.reasons import Reason
from amove_operator.models import BucketFlags
from tests.unit.core.buckets.bucket_snapshots import (
    ADOPTED,
    CREATED,
    FOREIGN,
    INTENDED,
    NOW,
    UNKNOWN,
    changed,
    proved,
    refusal,
    report,
    said,
    spec,
    stalled_for,
    told,
    world,
)

PLAIN = BucketFlags()


# ---------------------------------------------------------------- creation


def test_a_new_bucket_gets_finalizer_then_a_look_then_intent_then_create() -> None:
    new = world(finalizer=False)
    assert plan_bucket(new) == steps.AddFinalizer()
    protected = changed(new, finalizer=True)
    assert plan_bucket(protected) == steps.Observe()
    absent = changed(protected, seen=Absent(confirmed=True))
    step = plan_bucket(absent)
    assert isinstance(step, steps.WriteStatus)
    assert step.status == proved(**INTENDED)
    assert plan_bucket(changed(absent, status=step.status)) == steps.Create(PLAIN)


@pytest.mark.parametrize(
    ("asked", "sent"),
    [
        ({}, BucketFlags()),
        ({"public": True}, BucketFlags(is_public=True)),
        ({"encryptionEnabled": True}, BucketFlags(encryption_enabled=True)),
        (
            {"objectLockEnabled": True},
            BucketFlags(object_lock_enabled=True, versioning_enabled=True),
        ),
        ({"versioningEnabled": False}, BucketFlags()),
    ],
)
def test_what_is_left_out_is_false_on_a_new_bucket_but_a_lock_brings_versions(
    asked: dict[str, bool], sent: BucketFlags
) -> None:
    before = world(spec(**asked), proved(**INTENDED), seen=Absent(confirmed=True))
    assert plan_bucket(before) == steps.Create(sent)


def test_a_bucket_that_vanished_is_recreated_by_its_provenance_once_its_absence_is_told() -> None:
    step = plan_bucket(world(status=proved(**CREATED, observed=PLAIN), seen=Absent(confirmed=True)))
    assert isinstance(step, steps.WriteStatus)
    assert step.status == proved(**CREATED)
    assert plan_bucket(world(status=told(step), seen=Absent(confirmed=True))) == steps.Create(PLAIN)


def test_a_lost_bucket_whose_name_another_took_is_ours_no_more() -> None:
    taken = refusal(Refused.EXISTS)
    step = plan_bucket(world(status=proved(**CREATED), seen=Absent(confirmed=True), refusal=taken))
    assert isinstance(step, steps.WriteStatus)
    assert step.status == proved()
    again = plan_bucket(world(status=told(step), refusal=taken))
    assert again == steps.Observe()


def test_a_lost_bucket_answered_as_taken_stays_ours_if_it_is_there_after_all() -> None:
    """It was absent from two looks and is not: only another two take it from us."""
    taken = world(status=proved(**CREATED), refusal=refusal(Refused.EXISTS))
    assert plan_bucket(taken) == steps.Observe()
    there = report(plan_bucket(changed(taken, seen=Present(PLAIN))))
    assert there.status == proved(**CREATED, observed=PLAIN)
    assert there.conclusion.synced.status == "True"
    once = report(plan_bucket(changed(taken, seen=Absent())))
    assert once.retry
    assert once.status == proved(**CREATED)


def test_a_lost_bucket_that_is_not_made_again_stays_ours_whatever_process_comes_next() -> None:
    refused = refusal(Refused.CREATE)
    step = report(
        plan_bucket(world(status=proved(**CREATED), seen=Absent(confirmed=True), refusal=refused))
    )
    assert step.status == proved(**CREATED)
    assert plan_bucket(world(status=told(step), seen=Absent(confirmed=True))) == steps.Create(PLAIN)


@pytest.mark.parametrize("paused", [False, True])
def test_already_exists_takes_the_intent_back_before_anything_else(paused: bool) -> None:
    before = world(
        status=proved(**INTENDED), seen=Absent(confirmed=True), refusal=refusal(Refused.EXISTS)
    )
    step = plan_bucket(changed(before, paused=paused))
    assert isinstance(step, steps.WriteStatus)
    assert step.status == proved()


@pytest.mark.parametrize(
    ("adoption", "now", "reason"),
    [
        ("Never", Present(PLAIN), Reason.BucketExists),
        ("Never", Absent(confirmed=True), Reason.BucketExists),
        ("IfExists", Present(PLAIN), Reason.Available),
        ("IfExists", Absent(confirmed=True), Reason.BucketExists),
    ],
)
def test_after_already_exists_the_bucket_is_looked_at_as_a_strangers(
    adoption: str, now: Present | Absent, reason: Reason
) -> None:
    before = world(spec(adoptionPolicy=adoption), proved(), refusal=refusal(Refused.EXISTS))
    assert plan_bucket(before) == steps.Observe()
    looked = report(plan_bucket(changed(before, seen=now)))
    assert looked.conclusion.ready is not None
    assert looked.conclusion.ready.reason == reason
    assert looked.status.provenance == ("Adopted" if reason == Reason.Available else None)


@pytest.mark.parametrize("proof", [CREATED, ADOPTED])
def test_an_old_already_exists_takes_nothing_from_a_bucket_that_became_ours(
    proof: dict[str, Any],
) -> None:
    before = world(status=proved(**proof), seen=Present(PLAIN), refusal=refusal(Refused.EXISTS))
    assert report(plan_bucket(before)).status.provenance == proof["provenance"]


def test_a_bucket_answered_as_taken_is_not_deleted_with_the_object() -> None:
    before = world(
        spec(deletionPolicy="Delete"),
        proved(**INTENDED),
        seen=Present(PLAIN),
        refusal=refusal(Refused.EXISTS),
        deleting=True,
    )
    assert plan_bucket(before) == steps.RemoveFinalizer()


def test_a_lost_answer_is_found_out_by_a_look_and_the_bucket_is_ours() -> None:
    before = world(status=proved(**INTENDED), seen=UNKNOWN)
    assert report(plan_bucket(before)).status == proved(**INTENDED)
    found = report(plan_bucket(changed(before, seen=Present(PLAIN))))
    assert found.status == proved(**CREATED, observed=PLAIN)


@pytest.mark.parametrize("in_a_row", [1, 4])
def test_a_refused_create_is_said_passed_on_and_tried_again(in_a_row: int) -> None:
    before = world(
        status=proved(**INTENDED),
        seen=Absent(confirmed=True),
        refusal=refusal(Refused.CREATE, in_a_row),
    )
    step = report(plan_bucket(before))
    assert step.retry
    assert step.status == proved()
    assert said(step.conclusion) == {
        "Ready": ("False", "ApiRefused"),
        "Synced": ("False", "ApiRefused"),
    }
    assert "QUOTA: too many buckets" in step.conclusion.synced.message


@pytest.mark.parametrize("in_a_row", [5, 9])
def test_the_fifth_refusal_in_a_row_stalls_and_the_next_try_is_the_resync_s(in_a_row: int) -> None:
    before = world(
        status=proved(**INTENDED),
        seen=Absent(confirmed=True),
        refusal=refusal(Refused.CREATE, in_a_row),
    )
    step = report(plan_bucket(before))
    assert not step.retry
    assert said(step.conclusion) == stalled_for("ApiRefused")
    assert "reconcile-requested-at" in step.conclusion.synced.message
    assert "QUOTA: too many buckets" in step.conclusion.synced.message


@pytest.mark.parametrize(
    "refused",
    [
        world(
            status=proved(**INTENDED), seen=Absent(confirmed=True), refusal=refusal(Refused.CREATE)
        ),
        world(
            status=proved(**INTENDED),
            seen=Absent(confirmed=True),
            refusal=refusal(Refused.CREATE, 5),
        ),
        world(status=proved(), seen=Absent(confirmed=True), refusal=refusal(Refused.EXISTS)),
    ],
)
def test_another_try_at_a_refused_create_changes_no_condition(refused: BucketSnapshot) -> None:
    """Or each resync of a refused bucket would write an Event."""
    told = report(plan_bucket(refused))
    conditions = merge((), told.conclusion, 1, NOW)
    status = told.status.model_copy(update={"conditions": conditions})
    step = plan_bucket(changed(refused, status=status, refusal=None))
    assert isinstance(step, steps.WriteStatus)
    assert merge(conditions, step.conclusion, 1, NOW) == conditions


# ---------------------------------------------------------------- flags

SEEN_FLAGS = BucketFlags(is_public=True, encryption_enabled=True, versioning_enabled=False)


@pytest.mark.parametrize(
    ("asked", "sent"),
    [
        ({"public": False}, {"is_public": False}),
        ({"encryptionEnabled": False}, {"encryption_enabled": False}),
        ({"versioningEnabled": True}, {"versioning_enabled": True}),
        (
            {"public": False, "versioningEnabled": True},
            {"is_public": False, "versioning_enabled": True},
        ),
    ],
)
def test_drift_is_repaired_with_all_flags_the_unmanaged_ones_as_observed(
    asked: dict[str, bool], sent: dict[str, bool]
) -> None:
    before = world(spec(**asked), proved(**CREATED), seen=Present(SEEN_FLAGS))
    assert plan_bucket(before) == steps.Repair(SEEN_FLAGS.model_copy(update=sent))


def test_a_lock_whose_versions_are_missing_has_them_switched_on() -> None:
    locked = BucketFlags(object_lock_enabled=True)
    before = world(spec(objectLockEnabled=True), proved(**CREATED), seen=Present(locked))
    assert plan_bucket(before) == steps.Repair(
        locked.model_copy(update={"versioning_enabled": True})
    )


def test_flags_that_are_left_out_stay_as_found_on_an_adopted_bucket() -> None:
    before = world(spec(adoptionPolicy="IfExists"), seen=Present(SEEN_FLAGS))
    step = report(plan_bucket(before))
    assert step.status == proved(**ADOPTED, observed=SEEN_FLAGS)
    assert step.conclusion.synced.status == "True"


def test_a_flag_that_does_not_move_after_two_tries_leaves_the_bucket_ready() -> None:
    before = world(spec(public=False), proved(**CREATED), seen=Present(SEEN_FLAGS))
    for tries_left in (2, 1):
        assert isinstance(plan_bucket(changed(before, repairs_left=tries_left)), steps.Repair)
    step = report(plan_bucket(changed(before, repairs_left=0)))
    assert not step.retry
    assert said(step.conclusion) == {
        "Ready": ("True", "Available"),
        "Synced": ("False", "FlagRejected"),
    }
    assert "public is true, the spec says false" in step.conclusion.synced.message


def test_an_observed_bucket_shows_its_drift_and_is_not_repaired() -> None:
    watched = spec(managementPolicy="Observe", public=False, objectLockEnabled=True)
    step = report(plan_bucket(world(watched, seen=Present(SEEN_FLAGS))))
    assert said(step.conclusion) == {
        "Ready": ("True", "Available"),
        "Synced": ("False", "DriftObserved"),
    }
    message = step.conclusion.synced.message
    assert "public is true, the spec says false" in message
    assert "objectLockEnabled is false, the spec says true" in message
    assert step.status.provenance == "Adopted"


@pytest.mark.parametrize(("in_a_row", "is_stalled"), [(1, False), (4, False), (5, True)])
def test_a_refused_update_leaves_the_bucket_ready_until_the_fifth(
    in_a_row: int, is_stalled: bool
) -> None:
    before = world(
        spec(public=False),
        proved(**CREATED),
        seen=Present(SEEN_FLAGS),
        refusal=refusal(Refused.UPDATE, in_a_row),
    )
    step = report(plan_bucket(before))
    assert step.retry is not is_stalled
    assert "QUOTA: too many buckets" in step.conclusion.synced.message
    if is_stalled:
        assert said(step.conclusion) == stalled_for("ApiRefused")
    else:
        assert said(step.conclusion) == {
            "Ready": ("True", "Available"),
            "Synced": ("False", "ApiRefused"),
        }


@pytest.mark.parametrize("wanted", [True, False])
@pytest.mark.parametrize("proof", [CREATED, ADOPTED, FOREIGN])
def test_another_object_lock_stalls_repairs_nothing_and_adopts_nothing(
    wanted: bool, proof: dict[str, Any]
) -> None:
    asked = spec(objectLockEnabled=wanted, public=True, adoptionPolicy="IfExists")
    seen = BucketFlags(object_lock_enabled=not wanted, versioning_enabled=True)
    step = report(plan_bucket(world(asked, proved(**proof), seen=Present(seen))))
    assert said(step.conclusion) == stalled_for("ObjectLockMismatch")
    assert step.status.provenance == proof.get("provenance")


# ---------------------------------------------------------------- an orphan


def test_a_bucket_that_an_orphan_may_reach_is_ready_and_says_so() -> None:
    step = report(plan_bucket(world(status=proved(**CREATED), seen=Present(PLAIN), orphaned=True)))
    assert said(step.conclusion) == {
        "Ready": ("True", "Available"),
        "Synced": ("False", "ReachedByOrphan"),
    }
    assert "amove-operator orphans" in step.conclusion.synced.message
    assert not step.retry


def test_drift_is_repaired_and_told_before_an_orphan_is() -> None:
    drifted = world(spec(public=False), proved(**CREATED), seen=Present(SEEN_FLAGS), orphaned=True)
    assert isinstance(plan_bucket(drifted), steps.Repair)
    step = report(plan_bucket(changed(drifted, repairs_left=0)))
    assert said(step.conclusion)["Synced"] == ("False", "FlagRejected")


# ---------------------------------------------------------------- changed defaults


def test_a_changed_default_account_moves_nothing_and_is_told() -> None:
    settled = world(status=proved(**CREATED), seen=Present(PLAIN))
    same = report(plan_bucket(changed(settled, default_account=settled.account)))
    assert same.conclusion.synced.message == ""
    moved = report(plan_bucket(changed(settled, default_account="another")))
    assert moved.conclusion.synced.status == "True"
    assert f"Pinned to cloud account {settled.account}" in moved.conclusion.synced.message
    assert moved.status.cloud_account_id == settled.account
    named = changed(settled, spec=spec(cloudAccountId=settled.account), default_account="another")
    assert report(plan_bucket(named)).conclusion.synced.message == ""
