"""Remote names: cluster, owner, scope and serial read from what no tenant can write (§5)."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amove_operator.core.naming import (
    MarkedName,
    Marker,
    digest,
    key_name,
    marker_of,
    parse_name,
)

OURS = marker_of("cluster-uid", "cr-uid")
THEIRS = marker_of("cluster-uid", "another-cr-uid")
SCOPE = "0123abcd"

markers = st.builds(marker_of, st.uuids().map(str), st.uuids().map(str))
scopes = st.text("0123456789abcdef", min_size=8, max_size=8)
serials = st.integers(1, 999_999_999)
hostile = st.one_of(
    st.text(max_size=80),
    st.text("abcdef0123456789-", max_size=80),
    st.from_regex(r"\A[a-z-]{0,8}[0-9a-f]{8}-[0-9a-f]{10}-[0-9a-f]{8}-[1-9][0-9]{0,3}-?\Z"),
)


def test_a_name_reads_as_documented() -> None:
    name = key_name("team-reader", OURS, SCOPE, 7)
    assert name == f"team-reader-{OURS.cluster}-{OURS.owner}-{SCOPE}-7"
    assert (len(OURS.cluster), len(OURS.owner)) == (8, 10)


@given(hostile, markers, scopes, serials)
def test_every_name_is_at_most_63_of_the_allowed_characters(
    readable: str, marker: Marker, scope: str, serial: int
) -> None:
    name = key_name(readable, marker, scope, serial)
    assert re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", name)
    assert len(name) <= 63


@given(hostile, markers, scopes, serials)
def test_nothing_in_the_readable_part_can_forge_the_rest(
    readable: str, marker: Marker, scope: str, serial: int
) -> None:
    assert parse_name(key_name(readable, marker, scope, serial)) == MarkedName(
        marker, scope, serial
    )


def test_another_objects_whole_name_as_readable_part_stays_our_name() -> None:
    forged = key_name("", THEIRS, SCOPE, 1)
    parsed = parse_name(key_name(forged, OURS, SCOPE, 2))
    assert parsed == MarkedName(OURS, SCOPE, 2)


@given(st.text(max_size=100))
def test_reading_a_strangers_name_never_raises(name: str) -> None:
    parse_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "backup",
        "a-0123456789-0123abcd-1",
        f"reader-{OURS.cluster}-{OURS.owner}-{SCOPE}",
        f"reader-{OURS.cluster}-{OURS.owner}-{SCOPE}-0",
        f"reader-{OURS.cluster}-{OURS.owner}-{SCOPE}-01",
        f"reader-{OURS.cluster}-{OURS.owner}-{SCOPE}-1 ",
        f"reader-{OURS.cluster}-{OURS.owner}-{SCOPE}-1\n",
        f"reader-{OURS.cluster}-{OURS.owner}-{SCOPE}-\N{ARABIC-INDIC DIGIT ONE}",
        f"READER-{OURS.cluster}-{OURS.owner}-{SCOPE}-1",
        f"reader{OURS.cluster}-{OURS.owner}-{SCOPE}-1",
        f"reader-{OURS.cluster.upper()}x-{OURS.owner}-{SCOPE}-1",
    ],
)
def test_a_name_that_is_not_wholly_of_the_form_carries_no_marker(name: str) -> None:
    assert parse_name(name) is None


@pytest.mark.parametrize(
    ("readable", "head"),
    [
        ("team-reader", "team-reader"),
        ("Team_Reader", "team-reader"),
        ("--team--", "team"),
        ("", None),
        ("---", None),
        ("日本", None),
        ("x" * 80, "x" * 32),
    ],
)
def test_the_readable_part_is_cut_and_cleaned(readable: str, head: str | None) -> None:
    name = key_name(readable, OURS, SCOPE, 1)
    tail = f"{OURS.cluster}-{OURS.owner}-{SCOPE}-1"
    assert name == (f"{head}-{tail}" if head else tail)


def test_the_marker_tells_clusters_and_objects_apart() -> None:
    assert marker_of("cluster-a", "cr") != marker_of("cluster-b", "cr")
    assert marker_of("cluster", "cr-a").cluster == marker_of("cluster", "cr-b").cluster
    assert marker_of("cluster", "cr-a").owner != marker_of("cluster", "cr-b").owner


def test_a_digest_is_the_head_of_a_sha256() -> None:
    assert digest("", 8) == "e3b0c442"
    assert digest("", 10) == "e3b0c44298"
