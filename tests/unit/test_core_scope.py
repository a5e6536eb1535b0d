"""Scopes: which are the same, and which take something away (design.md §5)."""

from __future__ import annotations

from datetime import UTC, datetime
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amove_operator.core.naming import digest
from amove_operator.core.scope import Scope, scope_of, takes_away
from amove_operator.models.key import CurrentKey, Permission

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
    assert scope(*buckets).digest == scope(*shuffled).digest


@given(some_scopes, some_scopes)
def test_digests_are_the_same_only_for_the_same_scope(one: Scope, other: Scope) -> None:
    assert (one.digest == other.digest) == (one == other)
    assert len(one.digest) == 8


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
    assert one.digest != other.digest


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
    assert not takes_away(one, one.digest, one.buckets)


@given(some_scopes, some_scopes)
def test_a_key_known_by_digest_and_buckets_is_narrowed_unless_proved_covered(
    wanted: Scope, held: Scope
) -> None:
    same_place = (wanted.account, wanted.region, wanted.storage_dn) == (
        held.account,
        held.region,
        held.storage_dn,
    )
    expected = not (same_place and wanted.covers(held))
    assert takes_away(wanted, held.digest, held.buckets) is expected


def test_a_key_of_which_nothing_can_be_proved_counts_as_narrowed() -> None:
    assert takes_away(every(), "deadbeef", ["a"])
    assert takes_away(scope("a"), scope("a", "b").digest, ["a"])


def test_the_scope_in_status_is_read_back_as_it_was_issued() -> None:
    for issued in (scope("b", "a"), every("Read")):
        key = CurrentKey(
            id="1",
            name="n",
            access_key="AK",
            serial=1,
            issued_at=datetime(2026, 3, 1, tzinfo=UTC),
            cloud_account_id=issued.account,
            region=issued.region,
            storage_dn=issued.storage_dn,
            permission=issued.permission,
            buckets=issued.buckets,
        )
        assert scope_of(key) == issued


@given(some_scopes)
def test_a_recorded_scope_is_read_back_by_the_digest_in_the_keys_name(one: Scope) -> None:
    assert Scope.proven(one.text, one.digest) == one
    assert Scope.proven(one.text, scope("another").digest) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        "[" * 5000,
        '["a", "r", "d", "Read", 7]',
        '["a", "r", "d", "Read", [7]]',
        '["a", "r", "d", "Read", [["b"]]]',
        '[null, "r", "d", "Read", ["b"]]',
        '["a", "r", "d", "Everything", ["b"]]',
        '["a",  "r", "d", "Read", ["b"]]',
    ],
)
def test_a_text_that_records_no_scope_proves_nothing_even_with_its_own_digest(text: str) -> None:
    assert Scope.proven(text, digest(text, 8)) is None
