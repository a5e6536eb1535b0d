"""Scopes: which are the same, and which take something away; how status keeps them."""

from __future__ import annotations

from datetime import UTC, datetime
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amove_operator.core.naming import names_digest
from amove_operator.core.scope import Scope, takes_away
from amove_operator.models import CurrentKey, Permission

PERMISSIONS: tuple[Permission, ...] = ("Read", "Write", "ReadWrite")
RIGHTS = {"Read": {"r"}, "Write": {"w"}, "ReadWrite": {"r", "w"}}
permissions = st.sampled_from(PERMISSIONS)
names = st.lists(st.sampled_from(["a", "b", "c", "a,b", "*"]), max_size=4)


def scope(
    *buckets: str,
    permission: Permission = "ReadWrite",
    account: str = "acc",
    region: str = "eu",
    storage_dn: str = "s3",
) -> Scope:
    return Scope.of(account, region, storage_dn, permission, buckets)


def every(permission: Permission = "ReadWrite", *, account: str = "acc") -> Scope:
    return Scope.everything(account, "eu", "s3", permission)


some_scopes = st.one_of(
    st.builds(
        Scope.of,
        st.sampled_from(["acc", "acc2"]),
        st.sampled_from(["eu", "us"]),
        st.sampled_from(["s3", "s4"]),
        permissions,
        names.filter(bool),
    ),
    st.builds(
        Scope.everything,
        st.sampled_from(["acc", "acc2"]),
        st.sampled_from(["eu", "us"]),
        st.sampled_from(["s3", "s4"]),
        permissions,
    ),
)


@given(names.filter(bool), st.randoms())
def test_order_and_duplicates_do_not_matter(buckets: list[str], random: Random) -> None:
    shuffled = buckets * 2
    random.shuffle(shuffled)
    assert scope(*buckets) == scope(*shuffled)
    assert scope(*buckets).names9 == scope(*shuffled).names9


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (scope("a", "b"), scope("a,b")),
        (scope("*"), every()),
        (scope("a", account="x", region="y"), scope("a", account="xy", region="")),
        (scope("a"), scope("a", permission="Read")),
        (scope("a"), scope("a", storage_dn="s4")),
    ],
)
def test_nothing_in_one_field_passes_for_another(one: Scope, other: Scope) -> None:
    assert one != other
    assert one.record != other.record


def test_by_which_field_the_names_were_asked_for_makes_no_other_scope() -> None:
    by_name = Scope.of("acc", "eu", "s3", "ReadWrite", ["a"], "bucketNames")
    assert by_name == scope("a")
    assert by_name.record.issued_for == "bucketNames"
    assert scope("a").record.issued_for is None


@given(names.filter(bool))
def test_the_digest_is_of_the_bucket_names_alone(buckets: list[str]) -> None:
    elsewhere = Scope.of("another", "us", "s4", "Read", buckets)
    assert scope(*buckets).names9 == elsewhere.names9 == names_digest(buckets)
    assert every().names9 == names_digest(None)


@pytest.mark.parametrize(
    ("wider", "narrower", "covers"),
    [
        (scope("a", "b"), scope("a"), True),
        (scope("a"), scope("a", "b"), False),
        (scope("a"), scope("a", permission="Read"), True),
        (scope("a", permission="Read"), scope("a"), False),
        (scope("a", permission="Read"), scope("a", permission="Write"), False),
        (every(), scope("a", "b"), True),
        (scope("a", "b"), every(), False),
        (every("Read"), scope("a"), False),
        (every(), every("Write"), True),
        (every(account="other"), scope("a"), False),
        (scope("a", storage_dn="s4"), scope("a"), False),
        (scope("a", region="us"), scope("a", region="eu"), True),
    ],
)
def test_which_scope_covers_which(wider: Scope, narrower: Scope, covers: bool) -> None:
    assert wider.covers(narrower) is covers


@given(some_scopes, some_scopes, st.sampled_from(["a", "b", "z"]), st.sampled_from("rw"))
def test_a_scope_that_covers_another_allows_all_that_it_allows(
    one: Scope, other: Scope, bucket: str, right: str
) -> None:
    def allows(some: Scope) -> bool:
        reached = some.all_buckets or bucket in some.buckets
        return reached and right in RIGHTS[some.permission]

    if one.covers(other) and allows(other):
        assert allows(one)


@given(some_scopes)
def test_every_scope_covers_itself_and_takes_nothing_from_itself(one: Scope) -> None:
    assert one.covers(one)
    assert not takes_away(one, one)


@given(some_scopes, some_scopes)
def test_a_key_is_narrowed_unless_it_is_covered(wanted: Scope, held: Scope) -> None:
    assert takes_away(wanted, held) is not wanted.covers(held)


def test_a_key_whose_scope_nobody_knows_counts_as_narrowed() -> None:
    assert takes_away(every(), None)


# ---------------------------------------------------------------- in status


@given(some_scopes)
def test_a_scope_that_status_notes_is_read_back_as_it_was_issued(one: Scope) -> None:
    read = Scope.recorded(one.record)
    assert read == one
    assert read is not None
    assert read.issued_for == one.issued_for


def current(issued: Scope) -> CurrentKey:
    return CurrentKey(
        id="1",
        name="n",
        access_key="AK",
        serial=1,
        issued_at=datetime(2026, 3, 1, tzinfo=UTC),
        cloud_account_id=issued.account,
        region=issued.region,
        storage_dn=issued.storage_dn,
        permission=issued.permission,
        issued_for=issued.issued_for,
        buckets=issued.buckets,
    )


@given(some_scopes)
def test_the_scope_of_the_key_in_status_is_read_back_as_it_was_issued(one: Scope) -> None:
    assert Scope.recorded(current(one)) == one


def test_a_dead_key_in_status_has_no_scope() -> None:
    """One without buckets would else be read as a key of every bucket."""
    dead = current(scope("a")).model_copy(update={"buckets": ()})
    assert dead.dead
    assert Scope.recorded(dead) is None
