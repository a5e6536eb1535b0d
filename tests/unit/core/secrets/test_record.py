"""The record in a Secret's annotations: written, read back, and never believed too much."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amove_operator.core.secrets.record import (
    CHECKSUM,
    FORMAT,
    ISSUED_AT,
    KEY_ID,
    OWNER_UID,
    RETIRING,
    ROTATE_REQUEST,
    WRITTEN,
    Retiring,
    SecretRecord,
    Written,
    read_record,
    sound_record,
)
from amove_operator.core.secrets.rendering import checksum
from amove_operator.times import parse_time, rfc3339

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
MAX_GRACE = timedelta(days=7)
LIMITS = NOON, MAX_GRACE
sound = partial(sound_record, now=NOON, max_grace=MAX_GRACE)
OWNER = "owner-uid"
DATA = {"a": b"1", "b": b"2"}
RECORD = SecretRecord(
    key_id="key-1",
    issued_at=NOON,
    rotate_request="monday",
    format8="0123abcd",
    checksum=checksum(OWNER, "key-1", DATA),
    retiring=(Retiring("key-0", NOON),),
    written=Written(("a", "b"), ("label",), ("example.com/note",)),
)
ALL = (KEY_ID, ISSUED_AT, ROTATE_REQUEST, CHECKSUM, FORMAT, RETIRING, WRITTEN, OWNER_UID)

plain = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=20)
instants = st.integers(0, 6 * 365 * 86_400).map(lambda ago: NOON - timedelta(seconds=ago))
records = st.builds(
    SecretRecord,
    key_id=plain,
    issued_at=st.one_of(st.none(), instants),
    rotate_request=st.text(max_size=10),
    format8=plain,
    checksum=plain,
    retiring=st.lists(
        st.builds(Retiring, plain, instants), max_size=8, unique_by=lambda key: key.id
    ).map(tuple),
    written=st.builds(
        Written, *[st.lists(plain, max_size=4, unique=True).map(tuple) for _ in range(3)]
    ),
)


@given(records)
def test_a_record_is_read_back_as_it_was_written(record: SecretRecord) -> None:
    assert read_record(record.annotations(OWNER), *LIMITS) == record


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
hostile_values = st.one_of(
    st.text(max_size=60),
    json_values.map(json.dumps),
    st.sampled_from(
        [
            "[" * 100_000,
            '{"a":' * 5_000,
            "9" * 10_000,
            '{"\\ud800": "2026-01-01T00:00:00Z"}',
            '[["\\ud800"], ["\\u0000"], [7]]',
            "[[[]], [{}], [null]]",
            "[1, 2, 3]",
            "0001-01-01T00:00:00+23:59",
            "9999-12-31T23:59:59-23:59",
            '{"a": "0001-01-01T00:00:00+23:59", "b": 7}',
            "2026-13-45",
        ]
    ),
)


@given(
    st.dictionaries(st.sampled_from(ALL), hostile_values),
    st.sampled_from([None, RECORD]),
    st.sampled_from([None, "key-1", ""]),
)
def test_no_edited_annotation_raises_or_makes_foreign_data_sound(
    annotations: dict[str, str], remembered: SecretRecord | None, status_id: str | None
) -> None:
    edited = {"a": b"1", "b": b"edited"}
    found, data_matches = sound(
        OWNER, annotations, edited, remembered=remembered, status_key_id=status_id
    )
    assert not data_matches
    json.dumps(found.annotations(OWNER), ensure_ascii=False).encode()


@given(st.dictionaries(st.sampled_from(ALL), hostile_values))
def test_edited_annotations_of_a_secret_that_we_know_cost_no_key(
    annotations: dict[str, str],
) -> None:
    assert sound(OWNER, annotations, DATA, remembered=RECORD, status_key_id=None) == (
        RECORD,
        True,
    )


@pytest.mark.parametrize(
    ("text", "read"),
    [
        (None, None),
        ("", None),
        ("yesterday", None),
        ("2026-03-01T12:00:00Z", NOON),
        ("2026-03-01T13:00:00+01:00", NOON),
        ("2026-03-01T12:00:00", NOON),
        ("0001-01-01T00:00:00+01:00", None),
        ("0001-01-01T00:00:00Z", datetime(1, 1, 1, tzinfo=UTC)),
    ],
)
def test_a_time_that_a_person_may_have_edited(text: str | None, read: datetime | None) -> None:
    assert parse_time(text) == read


@given(instants)
def test_a_time_is_read_back_as_it_was_written(instant: datetime) -> None:
    assert parse_time(rfc3339(instant)) == instant


def test_at_most_eight_retiring_keys_are_believed() -> None:
    many = {f"key-{number}": rfc3339(NOON) for number in range(20)}
    assert len(read_record({RETIRING: json.dumps(many)}, *LIMITS).retiring) == 8


@pytest.mark.parametrize("name", ["\ud800", "", "x" * 400, "a\nb", "schlüssel"])
def test_a_name_that_kubernetes_would_never_have_is_not_read(name: str) -> None:
    annotations = {
        RETIRING: json.dumps({name: rfc3339(NOON), "key-0": rfc3339(NOON)}),
        WRITTEN: json.dumps([[name, "a"], [name], [name, "b"]]),
    }
    found = read_record(annotations, *LIMITS)
    assert [key.id for key in found.retiring] == ["key-0"]
    assert found.written == Written(("a",), (), ("b",))


# ---------------------------------------------------------------- soundness


def test_data_are_sound_while_every_key_that_we_wrote_is_there_unedited() -> None:
    assert RECORD.matches(OWNER, DATA)
    assert RECORD.matches(OWNER, {**DATA, "c": b"somebody else's"})


@pytest.mark.parametrize(
    "edited",
    [{}, {"a": b"1"}, {"a": b"1", "b": b"3"}, {"a": b"2", "b": b"1"}, {"a": b"1", "c": b"2"}],
)
def test_data_are_damaged_when_one_of_ours_is_edited_or_gone(edited: dict[str, bytes]) -> None:
    assert not RECORD.matches(OWNER, edited)


def test_a_record_that_lists_nothing_proves_nothing() -> None:
    empty = replace(RECORD, written=Written(), checksum=checksum(OWNER, "key-1", {}))
    assert not empty.matches(OWNER, {})


def test_the_data_of_another_object_are_not_sound() -> None:
    assert not RECORD.matches("another-uid", DATA)


def test_an_id_that_was_edited_away_is_found_in_status() -> None:
    annotations = RECORD.annotations(OWNER)
    del annotations[KEY_ID]
    found, data_matches = sound(OWNER, annotations, DATA, remembered=None, status_key_id="key-1")
    assert data_matches
    assert found == RECORD


def test_an_id_in_status_that_the_checksum_does_not_confirm_is_not_taken() -> None:
    annotations = RECORD.annotations(OWNER)
    del annotations[KEY_ID]
    _, data_matches = sound(OWNER, annotations, DATA, remembered=None, status_key_id="key-2")
    assert not data_matches


def test_data_and_checksum_forged_together_do_not_pass_for_what_we_wrote() -> None:
    """The checksum has no secret in it, so only what this process wrote itself can tell."""
    forged = {"a": b"1", "b": b"forged"}
    record = replace(RECORD, checksum=checksum(OWNER, "key-1", forged))
    annotations = record.annotations(OWNER)
    _, data_matches = sound(OWNER, annotations, forged, remembered=RECORD, status_key_id=None)
    assert not data_matches


def test_what_a_former_leader_wrote_is_believed_by_its_checksum() -> None:
    assert sound(OWNER, RECORD.annotations(OWNER), DATA, remembered=None, status_key_id=None) == (
        RECORD,
        True,
    )
