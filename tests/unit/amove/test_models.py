"""What is read leniently, what is demanded, and how .NET dates are read."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from amove_operator.amove import IssuedKey, NewKey
from amove_operator.amove.models import CloudAccount, KeyPage, parse_dotnet_date
from amove_operator.core.key_list import KeyList, RemoteKey

NEW: dict[str, Any] = {
    "name": "team-app-1",
    "region": "us-east-1",
    "storage_dn": "s3.example.com",
    "permission": "ReadWrite",
    "selected_buckets": ("a", "b"),
    "cloud_account_id": "account",
}


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-01-02T03:04:05", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2026-01-02T03:04:05Z", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2026-01-02T03:04:05.1234567", datetime(2026, 1, 2, 3, 4, 5, 123456, tzinfo=UTC)),
        ("2026-01-02T03:04:05.1234567Z", datetime(2026, 1, 2, 3, 4, 5, 123456, tzinfo=UTC)),
        ("2026-01-02T03:04:05.1", datetime(2026, 1, 2, 3, 4, 5, 100000, tzinfo=UTC)),
        ("2026-01-02T03:04:05+02:00", datetime(2026, 1, 2, 1, 4, 5, tzinfo=UTC)),
        ("0001-01-01T00:00:00", None),
        ("0001-01-01T00:00:00Z", None),
        ("0001-01-01T00:00:00+14:00", None),
        ("9999-12-31T23:59:59.9999999-14:00", None),
        ("", None),
        ("yesterday", None),
        (None, None),
        (1735787045, None),
    ],
)
def test_a_dotnet_date_is_an_aware_utc_moment_or_none(
    text: object, moment: datetime | None
) -> None:
    assert parse_dotnet_date(text) == moment


@given(st.text() | st.none() | st.integers() | st.floats() | st.binary())
def test_whatever_stands_for_a_date_it_raises_nothing(value: object) -> None:
    read = parse_dotnet_date(value)
    assert read is None or read.utcoffset() == timedelta(0)


@given(
    st.datetimes(timezones=st.just(UTC)),
    st.integers(0, 9),
    st.sampled_from(["", "Z", "+00:00"]),
)
def test_a_date_as_dotnet_prints_it_is_read_to_the_microsecond(
    moment: datetime, tick: int, zone: str
) -> None:
    seconds = moment.replace(tzinfo=None, microsecond=0).isoformat()
    text = f"{seconds}.{moment.microsecond:06d}{tick}{zone}"
    assert parse_dotnet_date(text) == (moment if moment.year > 1 else None)


@pytest.mark.parametrize(("word", "number"), [("Read", 0), ("Write", 1), ("ReadWrite", 2)])
def test_the_permission_is_sent_as_a_number(word: str, number: int) -> None:
    new = NewKey.model_validate({**NEW, "permission": word})
    assert json.loads(new.model_dump_json(by_alias=True)) == {
        "name": "team-app-1",
        "region": "us-east-1",
        "storageDn": "s3.example.com",
        "permission": number,
        "allBuckets": False,
        "selectedBuckets": ["a", "b"],
        "cloudAccountId": "account",
    }


def test_a_key_for_no_bucket_is_refused_before_it_is_sent() -> None:
    with pytest.raises(ValidationError, match="at least one bucket"):
        NewKey.model_validate({**NEW, "selected_buckets": ()})


def test_a_key_for_all_buckets_needs_none_by_name() -> None:
    assert NewKey.model_validate({**NEW, "selected_buckets": (), "all_buckets": True}).all_buckets


@pytest.mark.parametrize(
    "odd",
    [
        {},
        {"createDate": "not a date", "name": None, "userId": 7, "region": [], "storageDn": {}},
        {"createDate": 12, "name": 5, "storageTier": "?", "unheard": [1]},
    ],
)
def test_an_issued_key_needs_id_access_key_and_secret_and_minds_nothing_else(
    odd: dict[str, Any],
) -> None:
    body = {"id": "1", "accessKey": "AK", "secretKey": "SK", **odd}
    issued = IssuedKey.model_validate_json(json.dumps(body))
    assert (issued.id, issued.access_key, issued.secret_key.get_secret_value()) == ("1", "AK", "SK")


@pytest.mark.parametrize("missing", ["id", "accessKey", "secretKey"])
def test_an_issued_key_without_one_of_the_three_is_unusable(missing: str) -> None:
    body = {"id": "1", "accessKey": "AK", "secretKey": "SK"}
    for broken in ({**body, missing: ""}, {k: v for k, v in body.items() if k != missing}):
        with pytest.raises(ValidationError) as raised:
            IssuedKey.model_validate_json(json.dumps(broken))
        assert "SK" not in str(raised.value)


def test_an_issued_key_never_shows_its_secret() -> None:
    issued = IssuedKey.model_validate({"id": "1", "accessKey": "AK", "secretKey": "topsecret"})
    assert (
        "topsecret" not in f"{issued!r} {issued} {issued.model_dump()} {issued.model_dump_json()}"
    )


def test_a_listed_key_may_lack_all_but_its_id() -> None:
    sparse = {"id": "1", "name": None, "accessKey": None, "userId": None}
    page = KeyPage.model_validate({"data": [sparse], "total": 1})
    assert page.keys == (RemoteKey("1", "", "", None, None),)


@pytest.mark.parametrize(
    ("text", "sure"),
    [
        ("2026-01-02T03:04:05", False),
        ("2026-01-02T03:04:05.1234567", False),
        ("2026-01-02T03:04:05Z", True),
        ("2026-01-02T03:04:05+02:00", True),
        ("yesterday", False),
        (None, False),
    ],
)
def test_a_date_without_a_zone_is_good_only_for_sorting(text: object, sure: bool) -> None:
    page = KeyPage.model_validate({"data": [{"id": "1", "createDate": text}], "total": 1})
    (listed,) = page.keys
    issued = {"id": "1", "accessKey": "AK", "secretKey": "SK", "createDate": text}
    named = IssuedKey.model_validate(issued).named("team-app-1")
    assert listed.created == named.created == parse_dotnet_date(text)
    assert (listed.dated is not None, named.dated is not None) == (sure, sure)


def test_ids_are_compared_as_uuids_and_the_list_says_so_too() -> None:
    small = "8a6f3c1e-7b8e-4d0a-b7c5-2f7f4f1f9a21"
    for text in (small, small.upper(), f"{{{small.upper()}}}", small.replace("-", "")):
        listed = [{"id": text, "userId": text}]
        listing = KeyList.of(0.0, KeyPage.model_validate({"data": listed, "total": 1}).keys)
        assert listing.owners.keys() == {small}
        assert listing.user_ids == {small}


def test_a_listing_tells_keys_by_id_and_whose_they_are() -> None:
    listed = [{"id": one, "userId": "u"} for one in ("1", "2")]
    listing = KeyList.of(0.0, KeyPage.model_validate({"data": listed, "total": 2}).keys)
    assert listing.owners.keys() == {"1", "2"}
    assert listing.user_ids == {"u"}
    assert KeyList.of(0.0, ()).user_ids == frozenset()


def test_an_account_is_usable_only_where_it_says_so_itself() -> None:
    bare = CloudAccount.model_validate({"id": "1", "active": "yes", "internalStorage": 1})
    assert not bare.active
    assert not bare.internal_storage
    full = CloudAccount.model_validate(
        {"id": "1", "active": True, "internalStorage": True, "serviceUrl": None, "storageTier": 2}
    )
    assert full.active
    assert full.internal_storage
    assert (full.service_url, full.storage_tier) == (None, 2)
