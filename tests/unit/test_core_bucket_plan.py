"""The bucket planner beside the table: flags, refusals, losses, deletion, and what it says."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from typing import Any

import pytest

from amove_operator.controller.cache import own_bucket_status
from amove_operator.core.bucket_plan import plan_bucket
from amove_operator.core.bucket_world import (
    Absent,
    BucketReport,
    BucketStep,
    BucketWorld,
    ClaimLost,
    Create,
    Delete,
    Observe,
    Present,
    ProtectBucket,
    Refusal,
    Refused,
    ReleaseBucket,
    Repair,
    WriteIntent,
)
from amove_operator.core.conditions import Conclusion, merge
from amove_operator.core.reasons import Reason
from amove_operator.models import AmoveBucket
from amove_operator.models.bucket import BucketFlags, BucketSpec
from tests.unit.bucket_worlds import (
    ADOPTED,
    CREATED,
    FOREIGN,
    INTENDED,
    NOW,
    UID,
    UNKNOWN,
    conditions_of,
    proved,
    world,
)

DELETE = BucketSpec(deletion_policy="Delete")
PLAIN = BucketFlags()


def spec(**fields: Any) -> BucketSpec:
    return BucketSpec.model_validate(fields)


def refusal(what: Refused, in_a_row: int = 1) -> Refusal:
    return Refusal(what, "The service answered QUOTA: too many buckets", in_a_row)


def report(step: BucketStep) -> BucketReport:
    assert isinstance(step, BucketReport), step
    return step


def said(conclusion: Conclusion) -> dict[str, tuple[str, str]]:
    """The conditions that a conclusion sets, as ``type: (status, reason)``."""
    verdicts = {
        "Ready": conclusion.ready,
        "Synced": conclusion.synced,
        "Reconciling": conclusion.reconciling,
        "Stalled": conclusion.stalled,
    }
    return {kind: (one.status, one.reason) for kind, one in verdicts.items() if one is not None}


def stalled_for(reason: str) -> dict[str, tuple[str, str]]:
    return {"Ready": ("False", reason), "Synced": ("False", reason), "Stalled": ("True", reason)}


# ---------------------------------------------------------------- creation


def test_a_new_bucket_gets_finalizer_then_a_look_then_intent_then_create() -> None:
    new = world(finalizer=False)
    assert plan_bucket(new) == ProtectBucket()
    protected = replace(new, finalizer=True)
    assert plan_bucket(protected) == Observe()
    absent = replace(protected, seen=Absent())
    step = plan_bucket(absent)
    assert isinstance(step, WriteIntent)
    assert step.status == proved(**INTENDED)
    assert plan_bucket(replace(absent, status=step.status)) == Create(PLAIN)


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
    before = world(spec(**asked), proved(**INTENDED), seen=Absent())
    assert plan_bucket(before) == Create(sent)


def test_a_bucket_that_vanished_is_recreated_by_intent_without_the_old_provenance() -> None:
    step = plan_bucket(world(status=proved(**CREATED, observed=PLAIN), seen=Absent()))
    assert isinstance(step, WriteIntent)
    assert step.status == proved(**INTENDED)


@pytest.mark.parametrize("paused", [False, True])
def test_already_exists_takes_the_intent_back_before_anything_else(paused: bool) -> None:
    before = world(status=proved(**INTENDED), seen=Absent(), refusal=refusal(Refused.EXISTS))
    step = plan_bucket(replace(before, paused=paused))
    assert isinstance(step, WriteIntent)
    assert step.status == proved()


@pytest.mark.parametrize(
    ("adoption", "now", "reason"),
    [
        ("Never", Present(PLAIN), Reason.BucketExists),
        ("Never", Absent(), Reason.BucketExists),
        ("IfExists", Present(PLAIN), Reason.Available),
        ("IfExists", Absent(), Reason.BucketExists),
    ],
)
def test_after_already_exists_the_bucket_is_looked_at_as_a_strangers(
    adoption: str, now: Present | Absent, reason: Reason
) -> None:
    before = world(spec(adoptionPolicy=adoption), proved(), refusal=refusal(Refused.EXISTS))
    assert plan_bucket(before) == Observe()
    looked = report(plan_bucket(replace(before, seen=now)))
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
        DELETE,
        proved(**INTENDED),
        seen=Present(PLAIN),
        refusal=refusal(Refused.EXISTS),
        deleting=True,
    )
    assert plan_bucket(before) == ReleaseBucket()


def test_a_lost_answer_is_found_out_by_a_look_and_the_bucket_is_ours() -> None:
    before = world(status=proved(**INTENDED), seen=UNKNOWN)
    assert report(plan_bucket(before)).status == proved(**INTENDED)
    found = report(plan_bucket(replace(before, seen=Present(PLAIN))))
    assert found.status == proved(**CREATED, observed=PLAIN)


@pytest.mark.parametrize("in_a_row", [1, 4])
def test_a_refused_create_is_said_passed_on_and_tried_again(in_a_row: int) -> None:
    before = world(
        status=proved(**INTENDED), seen=Absent(), refusal=refusal(Refused.CREATE, in_a_row)
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
def test_the_fifth_refusal_in_a_row_stalls_but_is_still_tried_again(in_a_row: int) -> None:
    before = world(
        status=proved(**INTENDED), seen=Absent(), refusal=refusal(Refused.CREATE, in_a_row)
    )
    step = report(plan_bucket(before))
    assert step.retry
    assert said(step.conclusion) == stalled_for("ApiRefused")
    assert "reconcile-requested-at" in step.conclusion.synced.message
    assert "QUOTA: too many buckets" in step.conclusion.synced.message


@pytest.mark.parametrize(
    "refused",
    [
        world(status=proved(**INTENDED), seen=Absent(), refusal=refusal(Refused.CREATE)),
        world(status=proved(**INTENDED), seen=Absent(), refusal=refusal(Refused.CREATE, 5)),
        world(status=proved(), seen=Absent(), refusal=refusal(Refused.EXISTS)),
    ],
)
def test_another_try_at_a_refused_create_changes_no_condition(refused: BucketWorld) -> None:
    """Or each resync of a refused bucket would write an Event."""
    told = report(plan_bucket(refused))
    conditions = merge((), told.conclusion, 1, NOW)
    status = told.status.model_copy(update={"conditions": conditions})
    step = plan_bucket(replace(refused, status=status, refusal=None))
    assert isinstance(step, WriteIntent)
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
    assert plan_bucket(before) == Repair(SEEN_FLAGS.model_copy(update=sent))


def test_flags_that_are_left_out_stay_as_found_on_an_adopted_bucket() -> None:
    before = world(spec(adoptionPolicy="IfExists"), seen=Present(SEEN_FLAGS))
    step = report(plan_bucket(before))
    assert step.status == proved(**ADOPTED, observed=SEEN_FLAGS)
    assert step.conclusion.synced.status == "True"


def test_a_flag_that_does_not_move_after_two_tries_leaves_the_bucket_ready() -> None:
    before = world(spec(public=False), proved(**CREATED), seen=Present(SEEN_FLAGS))
    for tries_left in (2, 1):
        assert isinstance(plan_bucket(replace(before, repairs_left=tries_left)), Repair)
    step = report(plan_bucket(replace(before, repairs_left=0)))
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
    assert step.retry
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


# ---------------------------------------------------------------- not ours, not now


def test_the_exists_message_prints_the_line_that_makes_the_bucket_ours() -> None:
    step = report(plan_bucket(world(seen=Present(PLAIN))))
    _, _, line = step.conclusion.synced.message.partition("let an admin run: ")
    words = shlex.split(line)
    assert words[:3] == ["kubectl", "patch", "amovebucket"]
    assert words[3:8] == ["media", "-n", "team", "--subresource=status", "--type=merge"]
    patch = json.loads(words[words.index("-p") + 1])
    metadata = {"name": "media", "namespace": "team", "uid": UID}
    patched = AmoveBucket.model_validate({"metadata": metadata, "spec": {}, **patch})
    status = own_bucket_status(patched)
    assert status == proved(**ADOPTED)
    settled = report(plan_bucket(world(status=status, seen=Present(PLAIN))))
    assert settled.conclusion.synced.status == "True"


def test_the_line_that_makes_a_bucket_ours_is_never_cut_off() -> None:
    longest = replace(
        world(seen=Present(PLAIN)), name="b" * 63, namespace="n" * 63, cr_name="c" * 253
    )
    step = report(plan_bucket(longest))
    (ready, *_) = merge((), step.conclusion, 1, NOW)
    assert ready.message.endswith("}}'")


@pytest.mark.parametrize("management", ["Manage", "Observe"])
@pytest.mark.parametrize("now", [Present(PLAIN), Absent()])
def test_a_name_that_others_keys_reach_is_waited_for(
    management: str, now: Present | Absent
) -> None:
    asked = spec(managementPolicy=management, adoptionPolicy="IfExists")
    step = report(plan_bucket(world(asked, seen=now, name_in_use="Waiting until key a/b is gone.")))
    if management == "Observe" and isinstance(now, Absent):
        assert said(step.conclusion) == stalled_for("BucketMissing")
    else:
        assert step.conclusion.reconciling is not None
        assert step.conclusion.reconciling.reason == Reason.NameInUse
        assert step.conclusion.reconciling.message == "Waiting until key a/b is gone."
    assert step.status == proved()


def test_the_keys_of_others_do_not_disturb_a_bucket_that_is_ours() -> None:
    step = report(
        plan_bucket(world(status=proved(**CREATED), seen=Present(PLAIN), name_in_use="Waiting."))
    )
    assert step.conclusion.synced.status == "True"


def test_a_claim_that_is_lost_names_the_holder_and_calls_nothing() -> None:
    step = report(plan_bucket(world(claim=ClaimLost("other/media"), finalizer=False)))
    assert said(step.conclusion) == stalled_for("BucketClaimed")
    assert "other/media" in step.conclusion.synced.message


@pytest.mark.parametrize("deleting", [False, True])
def test_a_pause_changes_only_synced_and_stops_even_the_looking(deleting: bool) -> None:
    before = world(DELETE, proved(**CREATED), paused=True, deleting=deleting)
    step = report(plan_bucket(before))
    assert said(step.conclusion) == {"Synced": ("False", "Paused")}
    assert step.status == before.status


# ---------------------------------------------------------------- losses


@pytest.mark.parametrize("proof", [CREATED, ADOPTED])
@pytest.mark.parametrize("deleting", [False, True])
def test_a_mass_loss_changes_only_synced_and_says_how_to_accept_it(
    proof: dict[str, Any], deleting: bool
) -> None:
    before = world(DELETE, proved(**proof), seen=Absent(), mass_loss=True, deleting=deleting)
    step = report(plan_bucket(before))
    assert step.retry
    assert said(step.conclusion) == {"Synced": ("False", "MassBucketLoss")}
    assert step.status == before.status
    assert "storage.amove.io/accept-loss" in step.conclusion.synced.message


@pytest.mark.parametrize("deleting", [False, True])
def test_one_that_is_gone_waits_until_the_others_were_looked_at(deleting: bool) -> None:
    before = world(
        DELETE, proved(**CREATED), seen=Absent(), loss_unclear=True, deleting=deleting
    )
    step = report(plan_bucket(before))
    assert step.retry
    assert said(step.conclusion) == {"Synced": ("False", "BucketMissing")}


def test_new_buckets_are_still_made_while_others_are_lost() -> None:
    step = plan_bucket(world(seen=Absent(), mass_loss=True))
    assert isinstance(step, WriteIntent)


def test_a_bucket_long_known_as_missing_says_nothing_new_while_others_are_looked_at() -> None:
    gone = report(plan_bucket(world(status=proved(**ADOPTED), seen=Absent())))
    conditions = conditions_of(gone.conclusion)
    status = gone.status.model_copy(update={"conditions": conditions})
    step = report(plan_bucket(world(status=status, seen=Absent(), loss_unclear=True)))
    assert merge(conditions, step.conclusion, 1, NOW) == conditions


def test_an_absence_that_we_made_ourselves_is_no_loss() -> None:
    before = world(DELETE, proved(**CREATED), seen=Absent(), mass_loss=True, deleting=True)
    assert plan_bucket(replace(before, delete_sent=True)) == ReleaseBucket()


# ---------------------------------------------------------------- deletion


def test_keys_that_reach_the_bucket_block_its_deletion_and_are_named() -> None:
    keys = tuple(f"AmoveStorageKey key-{number}" for number in range(7))
    before = world(DELETE, proved(**CREATED), deleting=True, blockers=keys)
    step = report(plan_bucket(before))
    assert step.retry
    assert said(step.conclusion) == stalled_for("DeletionBlocked")
    assert "AmoveStorageKey key-4 and 2 more" in step.conclusion.synced.message
    assert "key-5" not in step.conclusion.synced.message


@pytest.mark.parametrize(
    ("what", "reason"),
    [(Refused.NOT_EMPTY, "BucketNotEmpty"), (Refused.DELETE, "DeleteRefused")],
)
def test_a_refused_deletion_stalls_and_is_released_by_retain(what: Refused, reason: str) -> None:
    before = world(
        DELETE,
        proved(**CREATED),
        deleting=True,
        seen=Present(PLAIN),
        refusal=refusal(what),
    )
    step = report(plan_bucket(before))
    assert step.retry
    assert said(step.conclusion) == stalled_for(reason)
    assert "deletionPolicy: Retain" in step.conclusion.synced.message
    assert plan_bucket(replace(before, spec=BucketSpec())) == ReleaseBucket()


def test_a_refused_deletion_passes_the_services_words_on() -> None:
    before = world(DELETE, proved(**CREATED), deleting=True, seen=Present(PLAIN))
    step = report(plan_bucket(replace(before, refusal=refusal(Refused.DELETE))))
    assert "QUOTA: too many buckets" in step.conclusion.synced.message


@pytest.mark.parametrize("what", [Refused.CREATE, Refused.UPDATE])
def test_an_earlier_refusal_of_something_else_does_not_stand_for_the_deletions(
    what: Refused,
) -> None:
    before = world(DELETE, proved(**CREATED), deleting=True, seen=Present(PLAIN))
    assert plan_bucket(replace(before, refusal=refusal(what))) == Delete()


def test_the_finalizer_goes_only_after_the_bucket_was_seen_absent() -> None:
    before = world(DELETE, proved(**CREATED), deleting=True, delete_sent=True)
    assert plan_bucket(before) == Observe()
    assert isinstance(plan_bucket(replace(before, seen=UNKNOWN)), BucketReport)
    assert plan_bucket(replace(before, seen=Absent())) == ReleaseBucket()


def test_who_lost_the_claim_lets_go_without_deleting() -> None:
    before = world(
        DELETE,
        proved(**CREATED),
        deleting=True,
        seen=Present(PLAIN),
        claim=ClaimLost("other/media"),
    )
    assert plan_bucket(before) == ReleaseBucket()


def test_without_our_finalizer_a_going_object_is_left_alone() -> None:
    step = report(plan_bucket(world(DELETE, proved(**CREATED), deleting=True, finalizer=False)))
    assert step.conclusion.synced.reason == Reason.Deleting
