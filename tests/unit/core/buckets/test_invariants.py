"""What no bucket plan may ever do, in whatever world hypothesis thinks of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

from amove_operator.core.buckets import steps
from amove_operator.core.buckets.plan import plan_bucket
from amove_operator.core.buckets.snapshot import (
    Absent,
    BucketLoss,
    BucketSnapshot,
    Present,
    Refused,
)
from amove_operator.core.conditions import deletion_begun
from amove_operator.core.reasons import Reason
from amove_operator.models import BucketSpec, BucketStatus
from tests.unit.core.buckets.bucket_snapshots import (
    ADOPTED,
    CREATED,
    SPECS,
    UNKNOWN,
    changed,
    proved,
    remote_call,
    worlds,
)

Rule = Callable[[BucketSnapshot], None]

thorough = settings(max_examples=200, deadline=None)
RULES: list[Rule] = []
DELETE = [
    spec
    for spec in SPECS
    if spec.deletion_policy == "Delete" and spec.management_policy == "Manage"
]


def of_every_world(rule: Rule) -> Rule:
    """Have the rule judge every world that hypothesis draws: a world costs more than a plan."""
    RULES.append(rule)
    return rule


@settings(max_examples=400, deadline=None)
@given(worlds())
def test_whatever_the_world_its_plan_keeps_every_rule(world: BucketSnapshot) -> None:
    for rule in RULES:
        rule(world)


def proof(status: BucketStatus) -> tuple[str | None, bool]:
    """By what a bucket is ours: an intent beside a provenance proves nothing more, and goes."""
    return status.provenance, status.provenance is None and bool(status.create_intent)


def is_ours(world: BucketSnapshot) -> bool:
    status = world.status
    return status.provenance is not None or bool(status.create_intent) or world.created


@of_every_world
def an_unknown_bucket_is_never_created_changed_or_deleted(world: BucketSnapshot) -> None:
    step = plan_bucket(changed(world, seen=UNKNOWN))
    assert not remote_call(step)
    assert not (isinstance(step, steps.WriteStatus) and step.status.create_intent)


@thorough
@given(
    worlds(seen=UNKNOWN, deleting=True, claimed_by=None, refusal=None),
    st.sampled_from(DELETE),
)
def test_an_unknown_bucket_that_is_to_be_deleted_keeps_its_finalizer(
    world: BucketSnapshot, spec: BucketSpec
) -> None:
    if is_ours(world):
        assert not isinstance(plan_bucket(changed(world, spec=spec)), steps.RemoveFinalizer)


@of_every_world
def a_bucket_is_deleted_only_when_everything_says_so(world: BucketSnapshot) -> None:
    if isinstance(plan_bucket(world), steps.Delete):
        assert world.meta.deleting
        assert world.meta.finalized_by_us
        assert not world.meta.paused
        assert world.spec.deletion_policy == "Delete"
        assert world.spec.management_policy == "Manage"
        assert is_ours(world)
        assert world.claimed_by is None
        assert not world.blockers
        assert world.list_needed_since is None
        assert isinstance(world.seen, Present)
        assert deletion_begun(world.status.conditions)


@of_every_world
def a_bucket_is_created_only_where_its_absence_was_seen_and_intent_written(
    world: BucketSnapshot,
) -> None:
    step = plan_bucket(world)
    if isinstance(step, steps.Create):
        assert isinstance(world.seen, Absent)
        assert world.status.create_intent or world.status.provenance == "Created"
        assert world.status.provenance != "Adopted"
        assert world.meta.finalized_by_us
        assert not world.meta.deleting
    if (
        isinstance(step, steps.WriteStatus)
        and step.status.create_intent
        and not world.meta.deleting
    ):
        assert isinstance(world.seen, Absent)
        assert world.meta.finalized_by_us


@of_every_world
def observing_never_changes_anything_at_the_service(world: BucketSnapshot) -> None:
    spec = world.spec.model_copy(update={"management_policy": "Observe"})
    step = plan_bucket(changed(world, spec=spec))
    assert not remote_call(step)
    assert not (isinstance(step, steps.WriteStatus) and step.status.create_intent)


@of_every_world
def paused_makes_no_remote_call_and_keeps_the_finalizer(world: BucketSnapshot) -> None:
    step = plan_bucket(changed(world, paused=True))
    assert not remote_call(step)
    assert not isinstance(step, steps.Observe | steps.RemoveFinalizer)


@of_every_world
def what_our_own_rules_refuse_makes_no_remote_call(world: BucketSnapshot) -> None:
    if world.fault is not None or world.claimed_by is not None:
        step = plan_bucket(changed(world, deleting=False))
        assert not remote_call(step)
        assert not isinstance(step, steps.Observe)


@of_every_world
def a_strangers_bucket_is_never_changed_or_deleted(world: BucketSnapshot) -> None:
    step = plan_bucket(world)
    if not is_ours(world):
        assert not isinstance(step, steps.Delete)
        if isinstance(step, steps.Repair):
            assert world.spec.adoption_policy == "IfExists"
            assert world.name_in_use is None


@of_every_world
def a_name_that_somebody_elses_key_reaches_is_not_taken(world: BucketSnapshot) -> None:
    world = changed(world, name_in_use="Waiting until key a/b is revoked.", deleting=False)
    if not is_ours(world):
        step = plan_bucket(world)
        assert not remote_call(step)
        if isinstance(step, steps.Finish | steps.WriteStatus):
            assert step.status.provenance is None
            assert not step.status.create_intent


@of_every_world
def a_name_of_which_no_list_tells_yet_is_neither_taken_nor_its_bucket_deleted(
    world: BucketSnapshot,
) -> None:
    world = changed(world, list_needed_since=7.0)
    step = plan_bucket(world)
    assert not isinstance(step, steps.Delete)
    if not is_ours(world) and not world.meta.deleting:
        assert not remote_call(step)
        if isinstance(step, steps.Finish | steps.WriteStatus | steps.AwaitKeyList):
            assert step.status.provenance is None
            assert not step.status.create_intent


@of_every_world
def a_list_is_waited_for_only_where_something_hangs_on_it(world: BucketSnapshot) -> None:
    """A bucket that has its proof, or that is let go of, needs none: a restart disturbs nobody."""
    step = plan_bucket(world)
    if isinstance(step, steps.AwaitKeyList):
        assert world.list_needed_since is not None
        assert step.since == world.list_needed_since
        assert not world.meta.paused
        assert world.meta.deleting or not is_ours(world)
        assert not world.meta.deleting or (
            is_ours(world) and world.spec.deletion_policy == "Delete"
        )
        assert proof(step.status) == proof(world.status)
        assert step.conclusion.synced.reason is Reason.WaitingForListing


@of_every_world
def an_orphan_changes_nothing_but_synced(world: BucketSnapshot) -> None:
    """It is told where all else is well, and keeps nothing from being done."""
    with_orphan = plan_bucket(changed(world, orphaned=True))
    without = plan_bucket(changed(world, orphaned=False))
    if with_orphan == without:
        return
    assert isinstance(with_orphan, steps.Finish)
    assert isinstance(without, steps.Finish)
    assert with_orphan.status == without.status
    assert with_orphan.conclusion.ready == without.conclusion.ready
    assert with_orphan.conclusion.stalled is without.conclusion.stalled is None
    assert without.conclusion.synced.status == "True"
    assert with_orphan.conclusion.synced.reason is Reason.ReachedByOrphan


@of_every_world
def no_status_carries_provenance_and_intent_both(world: BucketSnapshot) -> None:
    step = plan_bucket(world)
    if isinstance(step, steps.Finish | steps.WriteStatus):
        assert not (step.status.provenance and step.status.create_intent)


@of_every_world
def a_report_changes_whose_the_bucket_is_only_by_what_it_saw(world: BucketSnapshot) -> None:
    step = plan_bucket(world)
    if not isinstance(step, steps.Finish):
        return
    if step.status.provenance != world.status.provenance:
        refused = world.refusal is not None and world.refusal.what is Refused.CREATE
        assert isinstance(world.seen, Present) or (isinstance(world.seen, Absent) and refused)
    if world.status.provenance is None and step.status.provenance == "Created":
        assert world.status.create_intent or world.created
    if world.status.provenance is not None and step.status.provenance is not None:
        assert step.status.provenance == world.status.provenance


@of_every_world
def no_report_adopts_where_the_spec_does_not_ask_for_it(world: BucketSnapshot) -> None:
    step = plan_bucket(world)
    if isinstance(step, steps.Finish) and not is_ours(world) and step.status.provenance:
        assert step.status.provenance == "Adopted"
        assert world.fault is None
        assert not world.meta.paused
        assert not world.meta.deleting
        assert world.claimed_by is None
        observed = world.spec.management_policy == "Observe"
        assert observed or world.spec.adoption_policy == "IfExists"


@of_every_world
def what_is_stalled_is_not_ready(world: BucketSnapshot) -> None:
    step = plan_bucket(world)
    if isinstance(step, steps.Finish | steps.WriteStatus) and step.conclusion.stalled is not None:
        assert step.conclusion.stalled.status == "True"
        assert step.conclusion.ready is not None
        assert step.conclusion.ready.status == "False"
        assert step.conclusion.reconciling is None


@of_every_world
def ready_is_said_only_of_a_bucket_that_was_seen(world: BucketSnapshot) -> None:
    step = plan_bucket(world)
    ready = step.conclusion.ready if isinstance(step, steps.Finish) else None
    if isinstance(step, steps.Finish) and ready is not None and ready.status == "True":
        assert isinstance(world.seen, Present)
        assert step.status.provenance is not None


@thorough
@given(
    worlds(seen=Absent(confirmed=True), loss=BucketLoss.MASS, delete_sent=False, claimed_by=None),
    st.sampled_from(DELETE),
    st.sampled_from([CREATED, ADOPTED]),
)
def test_a_mass_loss_makes_and_lets_go_of_nothing_that_was_ours(
    world: BucketSnapshot, spec: BucketSpec, proof: dict[str, Any]
) -> None:
    world = changed(world, spec=spec, status=proved(**proof))
    step = plan_bucket(world)
    if world.intent_void:  # another's by now, and so no loss of ours
        assert not isinstance(step, steps.Create)
        return
    assert not isinstance(step, steps.Create | steps.RemoveFinalizer | steps.WriteStatus)
    if isinstance(step, steps.Finish) and step.conclusion.synced.reason == Reason.MassBucketLoss:
        assert step.conclusion.ready is None
        assert step.conclusion.stalled is None


@thorough
@given(
    worlds(seen=Absent(), delete_sent=False, claimed_by=None),
    st.sampled_from(DELETE),
    st.sampled_from([CREATED, ADOPTED]),
)
def test_an_absence_seen_once_takes_nothing_of_ours_for_gone(
    world: BucketSnapshot, spec: BucketSpec, proof: dict[str, Any]
) -> None:
    before = proved(**proof, conditions=world.status.conditions)
    step = plan_bucket(changed(world, spec=spec, status=before))
    assert not isinstance(step, steps.Create | steps.RemoveFinalizer)
    if isinstance(step, steps.Finish | steps.WriteStatus):
        assert step.status.provenance == before.provenance


@of_every_world
def a_repair_sends_every_managed_flag_and_leaves_the_others_as_seen(
    world: BucketSnapshot,
) -> None:
    step = plan_bucket(world)
    if isinstance(step, steps.Repair):
        assert isinstance(world.seen, Present)
        for wanted, seen, sent in (
            (world.spec.public, world.seen.flags.is_public, step.flags.is_public),
            (
                world.spec.encryption_enabled,
                world.seen.flags.encryption_enabled,
                step.flags.encryption_enabled,
            ),
        ):
            assert sent == (seen if wanted is None else wanted)


@of_every_world
def every_message_says_something_and_fits_into_a_condition(world: BucketSnapshot) -> None:
    step = plan_bucket(world)
    if isinstance(step, steps.Finish | steps.WriteStatus):
        said = step.conclusion
        for one in (said.ready, said.synced, said.stalled, said.reconciling):
            if one is not None and one.reason is not Reason.Settled:
                assert one.message
                assert len(one.message) <= 1024


@of_every_world
def a_bucket_seen_before_a_pause_is_not_adopted_by_it(world: BucketSnapshot) -> None:
    step = plan_bucket(changed(world, paused=True))
    if isinstance(step, steps.Finish):
        assert step.status.provenance == world.status.provenance


KINDS = {
    steps.Create,
    steps.Repair,
    steps.Delete,
    steps.Observe,
    steps.AwaitKeyList,
    steps.RemoveFinalizer,
    steps.WriteStatus,
    steps.Finish,
}


def test_the_strategy_reaches_every_kind_of_step() -> None:
    """A rule over worlds that never lead to a step would prove nothing of it."""
    searching = settings(
        max_examples=5000, database=None, derandomize=True, phases=[Phase.generate], deadline=None
    )
    missing = set(KINDS)

    def reaches_the_last(world: BucketSnapshot) -> bool:
        missing.discard(type(plan_bucket(world)))
        return not missing

    find(worlds(), reaches_the_last, settings=searching)
