"""The whole life of a bucket as one table: every combination has one specified outcome.

The table says what docs/policies.md does, and is not taken from the code. Around each row all is
calm: our finalizer is on, the claim is ours, no key is in the way, nothing was refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from typing import NamedTuple

import pytest

from amove_operator.core.buckets import steps
from amove_operator.core.buckets.plan import plan_bucket
from amove_operator.core.buckets.snapshot import Absent, BucketSeen, BucketSnapshot, Present
from amove_operator.core.reasons import Reason
from amove_operator.models import BucketFlags, BucketSpec, BucketStatus
from tests.unit.core.buckets.bucket_snapshots import (
    ADOPTED,
    CREATED,
    FOREIGN,
    INTENDED,
    UNKNOWN,
    changed,
    fault_of,
    proved,
    told,
    world,
)

# What an AmoveBucket may ask for. Not asked once it is being deleted: what was taken
# while it was allowed stays ours.
PERMISSION = """
trusted  management  adoption   answer
yes      *           *          permitted
no       Manage      Never      permitted
no       Manage      IfExists   refused
no       Observe     *          refused
"""

# The life of one that is permitted. A * stands for every value.
LIFE = """
deleting  management  adoption   deletion  tie       seen      outcome

no        *           *          *         *         unknown   waits

no        Observe     *          *         *         absent    is missing
no        Observe     *          *         created   present   settles as Created
no        Observe     *          *         adopted   present   settles as Adopted
no        Observe     *          *         intended  present   settles as Created
no        Observe     *          *         foreign   present   settles as Adopted

no        Manage      *          *         created   absent    makes it again
no        Manage      *          *         adopted   absent    is missing
no        Manage      *          *         intended  absent    creates
no        Manage      *          *         foreign   absent    intends to create

no        Manage      *          *         created   present   settles as Created
no        Manage      *          *         adopted   present   settles as Adopted
no        Manage      *          *         intended  present   settles as Created
no        Manage      Never      *         foreign   present   is a stranger's
no        Manage      IfExists   *         foreign   present   settles as Adopted

yes       *           *          Retain    *         *         lets go
yes       Observe     *          Delete    *         *         lets go
yes       Manage      *          Delete    foreign   *         lets go

yes       Manage      *          Delete    created   absent    lets go
yes       Manage      *          Delete    created   present   deletes
yes       Manage      *          Delete    created   unknown   waits
yes       Manage      *          Delete    adopted   absent    lets go
yes       Manage      *          Delete    adopted   present   deletes
yes       Manage      *          Delete    adopted   unknown   waits
yes       Manage      *          Delete    intended  absent    lets go
yes       Manage      *          Delete    intended  present   deletes
yes       Manage      *          Delete    intended  unknown   waits
"""

VALUES = {
    "seen": ("absent", "present", "unknown"),
    "tie": ("created", "adopted", "intended", "foreign"),
    "adoption": ("Never", "IfExists"),
    "management": ("Manage", "Observe"),
    "deletion": ("Retain", "Delete"),
    "deleting": ("no", "yes"),
    "trusted": ("no", "yes"),
}


class Rule(NamedTuple):
    """One line of a table: what it asks for, and its answer."""

    asks: dict[str, str]
    answer: str

    def matches(self, row: dict[str, str]) -> bool:
        return all(wanted in ("*", row[name]) for name, wanted in self.asks.items())


def read_table(text: str) -> list[Rule]:
    """The lines below the heads of the columns; the last column may hold several words."""
    head, *lines = (line.split() for line in text.splitlines() if line.strip())
    *names, _ = head
    return [
        Rule(dict(zip(names, line, strict=False)), " ".join(line[len(names) :])) for line in lines
    ]


PERMISSION_RULES, LIFE_RULES = read_table(PERMISSION), read_table(LIFE)


def every_row() -> Iterator[dict[str, str]]:
    for values in product(*VALUES.values()):
        yield dict(zip(VALUES, values, strict=True))


def the_answer(rules: list[Rule], row: dict[str, str]) -> str:
    """The answer of the one rule that matches: two would be a contradiction, none a gap."""
    (answer,) = [rule.answer for rule in rules if rule.matches(row)]
    return answer


def outcome_of(row: dict[str, str]) -> str:
    if row["deleting"] == "no" and the_answer(PERMISSION_RULES, row) == "refused":
        return "is not permitted"
    return the_answer(LIFE_RULES, row)


# ---------------------------------------------------------------- a row as a world

SEEN: dict[str, BucketSeen] = {
    "absent": Absent(confirmed=True),
    "present": Present(BucketFlags()),
    "unknown": UNKNOWN,
}
TIES: dict[str, BucketStatus] = {
    "created": proved(**CREATED, observed=BucketFlags()),
    "adopted": proved(**ADOPTED),
    "intended": proved(**INTENDED),
    "foreign": proved(**FOREIGN),
}


def world_of(row: dict[str, str], seen: BucketSeen | None) -> BucketSnapshot:
    spec = BucketSpec.model_validate(
        {
            "adoptionPolicy": row["adoption"],
            "managementPolicy": row["management"],
            "deletionPolicy": row["deletion"],
        }
    )
    return world(
        spec,
        TIES[row["tie"]],
        seen=seen,
        deleting=row["deleting"] == "yes",
        fault=fault_of(spec, trusted=row["trusted"] == "yes"),
    )


# ---------------------------------------------------------------- what an outcome is


def proof(status: BucketStatus) -> tuple[str | None, bool]:
    return status.provenance, bool(status.create_intent)


def lets_go(step: steps.BucketStep, _: BucketSnapshot) -> None:
    assert step == steps.RemoveFinalizer()


def deletes(step: steps.BucketStep, before: BucketSnapshot) -> None:
    """Status says first that the deletion is begun: a crash after the call leaves no riddle."""
    assert isinstance(step, steps.WriteStatus)
    assert proof(step.status) == proof(before.status)
    assert plan_bucket(changed(before, status=told(step))) == steps.Delete()


def creates(step: steps.BucketStep, _: BucketSnapshot) -> None:
    assert step == steps.Create(BucketFlags())


def intends(step: steps.BucketStep, _: BucketSnapshot) -> None:
    assert isinstance(step, steps.WriteStatus)
    assert proof(step.status) == (None, True)
    assert step.conclusion.reconciling is not None
    assert step.conclusion.stalled is None


def makes_again(step: steps.BucketStep, before: BucketSnapshot) -> None:
    """Its provenance is intent enough, and stays; what was observed is no more."""
    assert isinstance(step, steps.WriteStatus)
    assert proof(step.status) == ("Created", False)
    assert step.status.observed is None
    assert step.conclusion.ready is not None
    assert step.conclusion.ready.status == "False"
    assert plan_bucket(changed(before, status=told(step))) == steps.Create(BucketFlags())


def waits(step: steps.BucketStep, before: BucketSnapshot) -> None:
    """Nothing but Synced says so; it is tried again with back-off."""
    assert isinstance(step, steps.Finish)
    assert (step.status, step.retry) == (before.status, True)
    said = step.conclusion
    assert (said.ready, said.stalled, said.reconciling) == (None, None, None)
    assert (said.synced.status, said.synced.reason) == ("False", Reason.ApiUnavailable)


def settles(provenance: str) -> Callable[[steps.BucketStep, BucketSnapshot], None]:
    def check(step: steps.BucketStep, _: BucketSnapshot) -> None:
        assert isinstance(step, steps.Finish)
        assert (proof(step.status), step.retry) == ((provenance, False), False)
        assert step.status.observed == BucketFlags()
        said = step.conclusion
        assert said.ready is not None
        assert (said.ready.status, said.ready.reason) == ("True", Reason.Available)
        assert said.synced.status == "True"
        assert (said.stalled, said.reconciling) == (None, None)

    return check


def stalls(reason: Reason) -> Callable[[steps.BucketStep, BucketSnapshot], None]:
    """No call, whose the bucket is stays as it was, and nothing is tried until a change."""

    def check(step: steps.BucketStep, before: BucketSnapshot) -> None:
        assert isinstance(step, steps.Finish)
        assert (proof(step.status), step.retry) == (proof(before.status), False)
        said = step.conclusion
        assert said.ready is not None
        assert said.stalled is not None
        assert [one.reason for one in (said.ready, said.synced, said.stalled)] == [reason] * 3
        assert (said.ready.status, said.synced.status) == ("False", "False")
        assert said.stalled.status == "True"

    return check


OUTCOMES: dict[str, Callable[[steps.BucketStep, BucketSnapshot], None]] = {
    "lets go": lets_go,
    "deletes": deletes,
    "creates": creates,
    "intends to create": intends,
    "makes it again": makes_again,
    "waits": waits,
    "settles as Created": settles("Created"),
    "settles as Adopted": settles("Adopted"),
    "is missing": stalls(Reason.BucketMissing),
    "is a stranger's": stalls(Reason.BucketExists),
    "is not permitted": stalls(Reason.NotPermitted),
}


# ---------------------------------------------------------------- the tests


def test_the_table_covers_every_combination_exactly_once() -> None:
    rows = list(every_row())
    assert len(rows) == 3 * 4 * 2 * 2 * 2 * 2 * 2
    assert {outcome_of(row) for row in rows} == set(OUTCOMES)
    for rule in LIFE_RULES + PERMISSION_RULES:
        assert any(rule.matches(row) for row in rows), rule


@pytest.mark.parametrize("row", list(every_row()), ids=lambda row: "-".join(row.values()))
def test_every_combination_ends_as_the_table_says(row: dict[str, str]) -> None:
    before = world_of(row, SEEN[row["seen"]])
    OUTCOMES[outcome_of(row)](plan_bucket(before), before)


@pytest.mark.parametrize(
    "row",
    [row for row in every_row() if row["seen"] == "absent"],
    ids=lambda row: "-".join(row.values()),
)
def test_the_service_is_asked_only_where_its_answer_matters(row: dict[str, str]) -> None:
    """Unlooked-at, each row ends as in the table, or with a look if the table needs one."""
    outcomes = {outcome_of({**row, "seen": seen}) for seen in VALUES["seen"]}
    before = world_of(row, None)
    step = plan_bucket(before)
    if len(outcomes) > 1:
        assert step == steps.Observe()
    else:
        OUTCOMES[outcomes.pop()](step, before)
