"""Who may ask for what (docs/policies.md, "Trust"), and which rotations the settings allow."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from amove_operator.core.policy import (
    Defaults,
    bucket_not_permitted,
    invalid,
    key_not_permitted,
    rotation_faults,
)
from amove_operator.core.reasons import Reason
from amove_operator.models import BucketSpec, KeySpec

OURS = "11111111-1111-4111-8111-111111111111"
OTHER = "22222222-2222-4222-8222-222222222222"
DEFAULTS = Defaults(account=OURS, storage_dn="s3.example.com", region="us-east-1")
UNSET = Defaults(account=None, storage_dn=None, region="us-east-1")

BUCKET_WISHES: list[tuple[dict[str, Any], str]] = [
    ({"adoptionPolicy": "IfExists"}, "adoptionPolicy: IfExists"),
    ({"managementPolicy": "Observe"}, "managementPolicy: Observe"),
    ({"public": True}, "public: true"),
    ({"cloudAccountId": OTHER}, "another cloudAccountId"),
]
BUCKET_RIGHTS: list[dict[str, Any]] = [
    {},
    {"public": False},
    {"adoptionPolicy": "Never", "managementPolicy": "Manage"},
    {"deletionPolicy": "Delete"},
    {"cloudAccountId": OURS},
    {"encryptionEnabled": True, "versioningEnabled": True, "objectLockEnabled": True},
    {"bucketName": "somebody-elses"},
]
REFS = {"bucketRefs": [{"name": "media"}]}
KEY_WISHES: list[tuple[dict[str, Any], str]] = [
    ({"bucketNames": ["media"]}, "bucketNames"),
    ({"allBuckets": True}, "allBuckets"),
    ({**REFS, "deletionPolicy": "Retain"}, "deletionPolicy: Retain"),
    ({**REFS, "cloudAccountId": OTHER}, "another cloudAccountId"),
    ({**REFS, "region": "eu-west-1"}, "another region"),
    ({**REFS, "storageDn": "s3.evil.example"}, "another storageDn"),
]
KEY_RIGHTS: list[dict[str, Any]] = [
    REFS,
    {**REFS, "deletionPolicy": "Delete"},
    {**REFS, "cloudAccountId": OURS, "region": "us-east-1", "storageDn": "s3.example.com"},
    {**REFS, "rotation": {"interval": "720h"}, "keyName": "reader"},
]


def bucket(fields: dict[str, Any]) -> BucketSpec:
    return BucketSpec.model_validate(fields)


def key(fields: dict[str, Any]) -> KeySpec:
    return KeySpec.model_validate({"permission": "Read", **fields})


@pytest.mark.parametrize(("fields", "named"), BUCKET_WISHES)
def test_an_untrusted_namespace_may_not_have_its_bucket(fields: dict[str, Any], named: str) -> None:
    found = bucket_not_permitted(bucket(fields), "team", DEFAULTS, trusted=False)
    assert found is not None
    assert found.stalled is not None
    assert found.ready is not None
    assert (found.synced.reason, found.ready.status) == (Reason.NotPermitted, "False")
    message = found.synced.message
    assert message.startswith(f"{named}: ")
    assert "AMOVE_TRUSTED_NAMESPACES" in message
    assert "add team " in message


@pytest.mark.parametrize(("fields", "named"), KEY_WISHES)
def test_an_untrusted_namespace_may_not_have_its_key(fields: dict[str, Any], named: str) -> None:
    found = key_not_permitted(key(fields), "team", DEFAULTS, trusted=False)
    assert found is not None
    assert found.stalled is not None
    assert found.synced.reason == Reason.NotPermitted
    assert found.synced.message.startswith(f"{named}: ")
    assert "AMOVE_TRUSTED_NAMESPACES" in found.synced.message


def test_all_that_is_not_permitted_is_named_at_once() -> None:
    wishes = {name: value for fields, _ in BUCKET_WISHES for name, value in fields.items()}
    found = bucket_not_permitted(bucket(wishes), "team", DEFAULTS, trusted=False)
    assert found is not None
    for _, named in BUCKET_WISHES:
        assert named in found.synced.message


@pytest.mark.parametrize("fields", [fields for fields, _ in BUCKET_WISHES])
def test_a_trusted_namespace_may_ask_for_any_bucket(fields: dict[str, Any]) -> None:
    assert bucket_not_permitted(bucket(fields), "team", DEFAULTS, trusted=True) is None


@pytest.mark.parametrize("fields", [fields for fields, _ in KEY_WISHES])
def test_a_trusted_namespace_may_ask_for_any_key(fields: dict[str, Any]) -> None:
    assert key_not_permitted(key(fields), "team", DEFAULTS, trusted=True) is None


@pytest.mark.parametrize("fields", BUCKET_RIGHTS)
def test_what_every_namespace_may_ask_of_a_bucket(fields: dict[str, Any]) -> None:
    assert bucket_not_permitted(bucket(fields), "team", DEFAULTS, trusted=False) is None


@pytest.mark.parametrize("fields", KEY_RIGHTS)
def test_what_every_namespace_may_ask_of_a_key(fields: dict[str, Any]) -> None:
    assert key_not_permitted(key(fields), "team", DEFAULTS, trusted=False) is None


def test_where_the_operator_has_no_default_every_explicit_place_is_another() -> None:
    asked = bucket({"cloudAccountId": OURS})
    assert bucket_not_permitted(asked, "team", UNSET, trusted=False) is not None
    for place in ({"cloudAccountId": OURS}, {"storageDn": "s3.example.com"}):
        assert key_not_permitted(key({**REFS, **place}), "team", UNSET, trusted=False) is not None
    assert key_not_permitted(key(REFS), "team", UNSET, trusted=False) is None


def test_a_wrong_spec_stalls_with_every_fault_named() -> None:
    assert invalid([]) is None
    found = invalid(["spec.a: wrong", "spec.b: too long"])
    assert found is not None
    assert found.stalled is not None
    assert (found.synced.reason, found.synced.message) == (
        Reason.InvalidSpec,
        "spec.a: wrong; spec.b: too long",
    )


# ---------------------------------------------------------------- rotation

LIMITS = {"min_interval": timedelta(hours=1), "max_grace": timedelta(hours=168)}


@pytest.mark.parametrize(
    ("rotation", "faults"),
    [
        ({}, []),
        ({"gracePeriod": "0s"}, []),
        ({"gracePeriod": "168h"}, []),
        ({"gracePeriod": "168h1s"}, ["gracePeriod: at most"]),
        ({"interval": "2h"}, []),
        ({"interval": "1h", "gracePeriod": "59m"}, []),
        ({"interval": "59m59s", "gracePeriod": "1m"}, ["interval: at least"]),
        ({"interval": "2h", "gracePeriod": "2h"}, ["must be longer"]),
        ({"interval": "30m"}, ["interval: at least", "must be longer"]),
        (
            {"interval": "30m", "gracePeriod": "169h"},
            ["gracePeriod: at most", "interval: at least", "must be longer"],
        ),
    ],
)
def test_a_rotation_is_held_to_the_settings(rotation: dict[str, str], faults: list[str]) -> None:
    found = rotation_faults(key({**REFS, "rotation": rotation}), **LIMITS)
    assert len(found) == len(faults)
    for message, expected in zip(found, faults, strict=True):
        assert expected in message
        assert message.startswith("spec.rotation.")


@pytest.mark.parametrize(
    ("limit", "shown"),
    [
        (timedelta(hours=168), "168h"),
        (timedelta(minutes=90), "1h30m"),
        (timedelta(seconds=3605), "1h5s"),
        (timedelta(0), "0s"),
    ],
)
def test_a_rotation_fault_names_the_setting_and_its_value_as_users_write_it(
    limit: timedelta, shown: str
) -> None:
    asked = key({**REFS, "rotation": {"interval": "1s", "gracePeriod": "9000h"}})
    grace, interval, _ = rotation_faults(asked, min_interval=timedelta(hours=9), max_grace=limit)
    assert grace == f"spec.rotation.gracePeriod: at most {shown} (setting AMOVE_MAX_GRACE)"
    assert interval == ("spec.rotation.interval: at least 9h (setting AMOVE_MIN_ROTATION_INTERVAL)")
