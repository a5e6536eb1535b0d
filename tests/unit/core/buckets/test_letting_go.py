"""The bucket planner beside the table: strangers, losses, pauses, deletion, and what it says."""

from __future__ import annotations

import json
import shlex
from typing import Any

import pytest

from amove_operator.core.buckets import steps
from amove_operator.core.buckets.plan import plan_bucket
from amove_operator.core.buckets.snapshot import (
    Absent,
    BucketLoss,
    Present,
    Refused,
    Unknown,
)
from amove_operator.core.conditions import deletion_begun, merge
from amove_operator.core.reasons import Reason
from amove_operator.models import FINALIZER, AmoveBucket, BucketFlags, BucketSpec
from amove_operator.models.refs import Kind, Ref
from tests.unit.core.buckets.bucket_snapshots import (
    ADOPTED,
    BEGUN,
    CREATED,
    INTENDED,
    NOW,
    UID,
    UNKNOWN,
    changed,
    conditions_of,
    of_bucket,
    proved,
    refusal,
    report,
    said,
    spec,
    stalled_for,
    told,
    vanished,
    world,
)

DELETE = BucketSpec(deletion_policy="Delete")
PLAIN = BucketFlags()


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
    status = patched.proven
    assert status == proved(**ADOPTED)
    settled = report(plan_bucket(world(status=status, seen=Present(PLAIN))))
    assert settled.conclusion.synced.status == "True"


def test_the_line_that_makes_a_bucket_ours_is_never_cut_off() -> None:
    bucket = AmoveBucket.model_validate(
        {
            "metadata": {"name": "c" * 253, "namespace": "n" * 63, "finalizers": [FINALIZER]},
            "spec": {"bucketName": "b" * 63},
        }
    )
    step = report(plan_bucket(of_bucket(bucket, seen=Present(PLAIN))))
    (ready, *_) = merge((), step.conclusion, 1, NOW)
    assert ready.message.endswith("}}'")


@pytest.mark.parametrize("management", ["Manage", "Observe"])
@pytest.mark.parametrize("now", [Present(PLAIN), Absent(confirmed=True)])
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


@pytest.mark.parametrize("management", ["Manage", "Observe"])
@pytest.mark.parametrize("now", [Present(PLAIN), Absent(confirmed=True)])
def test_no_name_is_given_before_a_list_tells_who_reaches_it(
    management: str, now: Present | Absent
) -> None:
    asked = spec(managementPolicy=management, adoptionPolicy="IfExists")
    before = world(asked, seen=now, list_needed_since=7.0)
    step = plan_bucket(before)
    if management == "Observe" and isinstance(now, Absent):
        assert said(report(step).conclusion) == stalled_for("BucketMissing")
        return
    assert isinstance(step, steps.AwaitKeyList)
    assert step.since == 7.0
    assert (step.status.provenance, step.status.create_intent) == (None, None)
    assert said(step.conclusion) == {
        "Ready": ("False", "WaitingForListing"),
        "Synced": ("False", "WaitingForListing"),
        "Reconciling": ("True", "WaitingForListing"),
    }
    in_use = changed(before, name_in_use="Waiting until key a/b is gone.")
    assert said(report(plan_bucket(in_use)).conclusion)["Reconciling"] == ("True", "NameInUse")


def test_a_strangers_bucket_needs_no_list_to_be_left_alone() -> None:
    step = report(plan_bucket(world(seen=Present(PLAIN), list_needed_since=7.0)))
    assert said(step.conclusion) == stalled_for("BucketExists")


@pytest.mark.parametrize("proof", [CREATED, ADOPTED, INTENDED])
def test_a_bucket_that_has_its_proof_needs_no_list(proof: dict[str, Any]) -> None:
    step = report(
        plan_bucket(world(status=proved(**proof), seen=Present(PLAIN), list_needed_since=7.0))
    )
    assert step.conclusion.synced.status == "True"


def test_a_bucket_is_not_deleted_before_a_list_tells_who_reaches_it() -> None:
    unheard = world(DELETE, proved(**CREATED), deleting=True, list_needed_since=7.0)
    step = plan_bucket(unheard)
    assert isinstance(step, steps.AwaitKeyList)
    assert step.status == unheard.status
    assert step.conclusion.synced.reason is Reason.WaitingForListing
    assert plan_bucket(changed(unheard, list_needed_since=None)) == steps.Observe()
    blocked = report(plan_bucket(changed(unheard, blockers=("a key of namespace other",))))
    assert said(blocked.conclusion) == stalled_for("DeletionBlocked")
    kept = changed(unheard, spec=BucketSpec(deletion_policy="Retain"))
    assert plan_bucket(kept) == steps.RemoveFinalizer()


@pytest.mark.parametrize(
    ("holder", "told", "untold"),
    [
        (Ref(Kind.BUCKET, "other", "theirs"), "an AmoveBucket of other;", "theirs"),
        (Ref(Kind.BUCKET, "team", "sibling"), "AmoveBucket sibling;", "team"),
    ],
    ids=["another team's by its namespace only", "one of the same team by its name"],
)
def test_a_claim_that_is_lost_tells_who_has_it_and_calls_nothing(
    holder: Ref, told: str, untold: str
) -> None:
    step = report(plan_bucket(world(claimed_by=holder, finalizer=False)))
    assert said(step.conclusion) == stalled_for("BucketClaimed")
    assert told in step.conclusion.synced.message
    assert untold not in step.conclusion.synced.message


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
    before = world(
        DELETE,
        proved(**proof),
        seen=Absent(confirmed=True),
        loss=BucketLoss.MASS,
        deleting=deleting,
    )
    step = report(plan_bucket(before))
    assert step.retry
    assert said(step.conclusion) == {"Synced": ("False", "MassBucketLoss")}
    assert step.status == before.status
    assert "storage.amove.io/accept-loss" in step.conclusion.synced.message


@pytest.mark.parametrize("deleting", [False, True])
def test_one_that_is_gone_waits_until_the_others_were_looked_at(deleting: bool) -> None:
    before = world(
        DELETE,
        proved(**CREATED),
        seen=Absent(confirmed=True),
        loss=BucketLoss.UNCONFIRMED,
        deleting=deleting,
    )
    step = report(plan_bucket(before))
    assert step.retry
    assert said(step.conclusion) == {"Synced": ("False", "BucketMissing")}


@pytest.mark.parametrize("loss", [BucketLoss.MASS, BucketLoss.UNCONFIRMED])
@pytest.mark.parametrize("seen", [Absent(), Absent(confirmed=True)])
def test_a_new_bucket_is_no_loss_and_waits_neither_for_others_nor_for_a_second_look(
    loss: BucketLoss, seen: Absent
) -> None:
    step = plan_bucket(world(seen=seen, loss=loss))
    assert isinstance(step, steps.WriteStatus)
    assert plan_bucket(world(status=told(step), seen=seen, loss=loss)) == steps.Create(PLAIN)


@pytest.mark.parametrize("proof", [CREATED, ADOPTED])
@pytest.mark.parametrize("deleting", [False, True])
def test_a_bucket_that_is_not_found_once_is_looked_for_again_before_anything_is_done(
    proof: dict[str, Any], deleting: bool
) -> None:
    before = world(DELETE, proved(**proof, observed=PLAIN), seen=Absent(), deleting=deleting)
    step = report(plan_bucket(before))
    assert step.retry
    assert said(step.conclusion) == {"Synced": ("False", "BucketMissing")}
    assert step.status == before.status


@pytest.mark.parametrize(
    "deleted", [{"delete_sent": True}, {"status": proved(**CREATED, conditions=BEGUN)}]
)
def test_one_absence_does_not_confirm_a_deletion_that_got_no_answer(
    deleted: dict[str, Any],
) -> None:
    before = changed(world(DELETE, proved(**CREATED), deleting=True, seen=Absent()), **deleted)
    assert report(plan_bucket(before)).retry
    twice = changed(before, seen=Absent(confirmed=True))
    assert plan_bucket(twice) == steps.RemoveFinalizer()


def test_a_bucket_long_known_as_missing_says_nothing_new_when_it_is_looked_for_again() -> None:
    gone = report(plan_bucket(world(status=proved(**ADOPTED), seen=Absent(confirmed=True))))
    status = told(gone)
    step = report(plan_bucket(world(status=status, seen=Absent())))
    assert merge(status.conditions, step.conclusion, 1, NOW) == status.conditions


def test_a_bucket_long_known_as_missing_says_nothing_new_while_others_are_looked_at() -> None:
    gone = report(plan_bucket(world(status=proved(**ADOPTED), seen=Absent(confirmed=True))))
    conditions = conditions_of(gone.conclusion)
    status = gone.status.model_copy(update={"conditions": conditions})
    step = report(
        plan_bucket(world(status=status, seen=Absent(confirmed=True), loss=BucketLoss.UNCONFIRMED))
    )
    assert merge(conditions, step.conclusion, 1, NOW) == conditions


def test_an_absence_that_we_made_ourselves_is_no_loss() -> None:
    before = world(
        DELETE, proved(**CREATED), seen=Absent(confirmed=True), loss=BucketLoss.MASS, deleting=True
    )
    assert plan_bucket(changed(before, delete_sent=True)) == steps.RemoveFinalizer()


def test_an_absence_that_an_earlier_process_was_making_is_no_loss() -> None:
    begun = proved(**CREATED, conditions=BEGUN)
    before = world(DELETE, begun, seen=Absent(confirmed=True), loss=BucketLoss.MASS, deleting=True)
    assert plan_bucket(before) == steps.RemoveFinalizer()


@pytest.mark.parametrize("seen", [UNKNOWN, Present(PLAIN)])
def test_a_deletion_that_was_begun_stays_told_until_it_is_refused(seen: Unknown | Present) -> None:
    begun = proved(**CREATED, conditions=BEGUN)
    before = world(DELETE, begun, seen=seen, deleting=True)
    slow = changed(before, effect_pending=True)
    assert deletion_begun(told(report(plan_bucket(slow))).conditions)
    refused = changed(before, seen=Present(PLAIN), refusal=refusal(Refused.NOT_EMPTY))
    assert not deletion_begun(told(report(plan_bucket(refused))).conditions)


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
    assert plan_bucket(changed(before, spec=BucketSpec())) == steps.RemoveFinalizer()


def test_a_refused_deletion_passes_the_services_words_on() -> None:
    before = world(DELETE, proved(**CREATED), deleting=True, seen=Present(PLAIN))
    step = report(plan_bucket(changed(before, refusal=refusal(Refused.DELETE))))
    assert "QUOTA: too many buckets" in step.conclusion.synced.message


@pytest.mark.parametrize("what", [Refused.CREATE, Refused.UPDATE])
def test_an_earlier_refusal_of_something_else_does_not_stand_for_the_deletions(
    what: Refused,
) -> None:
    begun = proved(**CREATED, conditions=BEGUN)
    before = world(DELETE, begun, deleting=True, seen=Present(PLAIN))
    assert plan_bucket(changed(before, refusal=refusal(what))) == steps.Delete()


def test_the_finalizer_goes_only_after_the_bucket_was_seen_absent() -> None:
    before = world(DELETE, proved(**CREATED), deleting=True, delete_sent=True)
    assert plan_bucket(before) == steps.Observe()
    assert isinstance(plan_bucket(changed(before, seen=UNKNOWN)), steps.Finish)
    assert plan_bucket(changed(before, seen=Absent(confirmed=True))) == steps.RemoveFinalizer()


def test_who_lost_the_claim_lets_go_without_deleting() -> None:
    before = world(
        DELETE,
        proved(**CREATED),
        deleting=True,
        seen=Present(PLAIN),
        claimed_by=Ref(Kind.BUCKET, "other", "theirs"),
    )
    assert plan_bucket(before) == steps.RemoveFinalizer()


def test_without_our_finalizer_a_going_object_is_left_alone() -> None:
    step = report(plan_bucket(world(DELETE, proved(**CREATED), deleting=True, finalizer=False)))
    assert step.conclusion.synced.reason == Reason.Deleting


def test_a_vanished_bucket_is_served_by_its_policy_but_stays_where_it_was_paused() -> None:
    before = world(DELETE, proved(**CREATED), finalizer=False)
    assert plan_bucket(vanished(before)) == steps.Observe()
    paused = changed(before, paused=True)
    assert plan_bucket(vanished(paused)) == steps.RemoveFinalizer()
