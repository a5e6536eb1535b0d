"""Remote names: cluster, owner, names and serial read from what no tenant can write."""

from __future__ import annotations

import re
from base64 import b32decode
from itertools import count
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amove_operator.core.naming import (
    MarkedName,
    Marker,
    cluster_digest,
    key_name,
    marker_of,
    mask_bit,
    mask_bits,
    may_reach,
    names_digest,
    owner_digest,
    parse_name,
)

OURS = marker_of("cluster-uid", "cr-uid")
THEIRS = marker_of("cluster-uid", "another-cr-uid")
NAMES = names_digest(["media"])

markers = st.builds(marker_of, st.uuids().map(str), st.uuids().map(str))
bucket_names = st.from_regex(r"\A[a-z0-9][a-z0-9.-]{1,20}[a-z0-9]\Z")
digests = st.builds(names_digest, st.none() | st.lists(bucket_names, min_size=1, max_size=64))
serials = st.integers(1, 999_999_999)
hostile = st.one_of(
    st.text(max_size=80),
    st.text("abcdef0123456789-", max_size=80),
    st.from_regex(r"\A[a-z-]{0,8}[0-9a-f]{8}-[a-z2-7]{10}-[oma][a-z2-7]{8}-[1-9][0-9]{0,3}-?\Z"),
)


def test_a_name_reads_as_documented() -> None:
    name = key_name("team-reader", OURS, NAMES, 7)
    assert name == f"team-reader-{OURS.cluster}-{OURS.owner}-{NAMES}-7"
    assert (len(OURS.cluster), len(OURS.owner)) == (8, 10)


@given(hostile, markers, digests, serials)
def test_every_name_is_at_most_63_of_the_allowed_characters(
    readable: str, marker: Marker, names: str, serial: int
) -> None:
    name = key_name(readable, marker, names, serial)
    assert re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", name)
    assert len(name) <= 63


@given(hostile, markers, digests, serials)
def test_nothing_in_the_readable_part_can_forge_the_rest(
    readable: str, marker: Marker, names: str, serial: int
) -> None:
    assert parse_name(key_name(readable, marker, names, serial)) == MarkedName(
        marker, names, serial
    )


def test_another_objects_whole_name_as_readable_part_stays_our_name() -> None:
    forged = key_name("", THEIRS, NAMES, 1)
    parsed = parse_name(key_name(forged, OURS, NAMES, 2))
    assert parsed == MarkedName(OURS, NAMES, 2)


@given(st.text(max_size=100))
def test_reading_a_strangers_name_never_raises(name: str) -> None:
    parse_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "backup",
        f"a-{OURS.owner}-{NAMES}-1",
        f"reader-{OURS.cluster}-{OURS.owner}-n{NAMES[1:]}-1",
        f"reader-{OURS.cluster}-{OURS.owner}-{NAMES[:-1]}-1",
        f"reader-{OURS.cluster}-{OURS.owner}-{NAMES[:-1]}1-1",
        f"reader-{OURS.cluster}-{OURS.owner[:-1]}0-{NAMES}-1",
        f"reader-{OURS.cluster}-{OURS.owner}-{NAMES}-1234567890",
        f"reader-{OURS.cluster}-0123456789-0123abcd-1",
        f"reader-{OURS.cluster}-{OURS.owner}-{NAMES}",
        f"reader-{OURS.cluster}-{OURS.owner}-{NAMES}-0",
        f"reader-{OURS.cluster}-{OURS.owner}-{NAMES}-01",
        f"reader-{OURS.cluster}-{OURS.owner}-{NAMES}-1 ",
        f"reader-{OURS.cluster}-{OURS.owner}-{NAMES}-1\n",
        f"reader-{OURS.cluster}-{OURS.owner}-{NAMES}-\N{ARABIC-INDIC DIGIT ONE}",
        f"READER-{OURS.cluster}-{OURS.owner}-{NAMES}-1",
        f"reader{OURS.cluster}-{OURS.owner}-{NAMES}-1",
        f"reader-{OURS.cluster.upper()}x-{OURS.owner}-{NAMES}-1",
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
        ("x" * 80, "x" * 31),
    ],
)
def test_the_readable_part_is_cut_and_cleaned(readable: str, head: str | None) -> None:
    name = key_name(readable, OURS, NAMES, 1)
    tail = f"{OURS.cluster}-{OURS.owner}-{NAMES}-1"
    assert name == (f"{head}-{tail}" if head else tail)


def test_the_marker_tells_clusters_and_objects_apart() -> None:
    assert marker_of("cluster-a", "cr") != marker_of("cluster-b", "cr")
    assert marker_of("cluster", "cr-a").cluster == marker_of("cluster", "cr-b").cluster
    assert marker_of("cluster", "cr-a").owner != marker_of("cluster", "cr-b").owner


def test_the_digests_are_heads_of_a_sha256() -> None:
    assert cluster_digest("") == "e3b0c442"
    assert owner_digest("") == "4oymiquy7q"
    assert re.fullmatch("[a-z2-7]{10}", owner_digest("cr-uid"))


# ---------------------------------------------------------------- which names a key may reach


def colliding(name: str) -> str:
    """Another bucket name with the same bit in a mask."""
    others = (f"other-{number}" for number in count())
    return next(other for other in others if mask_bit(other) == mask_bit(name))


def test_the_names_read_as_documented() -> None:
    """40 bits in base32: of one name its digest, of several a bit each, of all buckets none."""
    assert names_digest([""]) == "o4oymiquy"
    assert names_digest(None) == "aaaaaaaaa"
    assert names_digest(["media", "media"]) == names_digest(["media"])
    mask = names_digest(["media", "logs"])
    assert mask[0] == "m"
    bits = int.from_bytes(b32decode(mask[1:].upper()), "big")
    assert bits == 1 << mask_bit("media") | 1 << mask_bit("logs")


@given(digests)
def test_the_names_are_nine_characters_of_base32(names: str) -> None:
    assert re.fullmatch("[oma][a-z2-7]{8}", names)


@given(st.lists(bucket_names, min_size=1, max_size=64), st.randoms())
def test_every_name_that_a_key_is_issued_for_is_kept(names: list[str], random: Random) -> None:
    shuffled = names * 2
    random.shuffle(shuffled)
    assert names_digest(shuffled) == names_digest(names)
    assert all(may_reach(names_digest(names), name) for name in names)


def test_a_name_that_collides_is_kept_as_well() -> None:
    """A digest keeps and never frees: which of the two it is, nobody can tell."""
    several = names_digest(["media", "logs"])
    assert may_reach(several, colliding("media"))
    free = next(f"free-{n}" for n in count() if mask_bit(f"free-{n}") not in mask_bits(several))
    assert not may_reach(several, free)


def test_a_key_of_one_bucket_keeps_no_name_of_the_same_bit() -> None:
    one = names_digest(["media"])
    assert may_reach(one, "media")
    assert not may_reach(one, colliding("media"))


@given(bucket_names)
def test_a_key_of_all_buckets_keeps_none(name: str) -> None:
    assert not may_reach(names_digest(None), name)
