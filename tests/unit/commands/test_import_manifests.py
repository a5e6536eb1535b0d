"""The manifests of buckets that are there: valid, asking for no change, and safe in YAML."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from amove_operator.commands.import_manifests import (
    Found,
    manifest,
    object_name,
    to_yaml,
    why_not_importable,
)
from amove_operator.models import AmoveBucket, BucketFlags, spec_faults_bucket

ACCOUNT = "C0A8F7D2-5B1E-4E7A-9F36-61D2B7E4A932"
ALL = BucketFlags(
    is_public=True, encryption_enabled=True, versioning_enabled=True, object_lock_enabled=True
)


def made(name: str, flags: BucketFlags = ALL, **options: Any) -> dict[str, Any]:
    given: dict[str, Any] = {"namespace": None, "observe": False, **options}
    return manifest(Found(name, ACCOUNT, flags), **given)


def test_every_flag_is_as_it_was_found_and_the_bucket_is_adopted_and_retained() -> None:
    assert made("photos") == {
        "apiVersion": "storage.amove.io/v1alpha1",
        "kind": "AmoveBucket",
        "metadata": {"name": "photos"},
        "spec": {
            "bucketName": "photos",
            "cloudAccountId": ACCOUNT.lower(),
            "public": True,
            "encryptionEnabled": True,
            "versioningEnabled": True,
            "objectLockEnabled": True,
            "deletionPolicy": "Retain",
            "adoptionPolicy": "IfExists",
        },
    }


def test_a_flag_that_is_off_is_written_as_off() -> None:
    spec = made("photos", BucketFlags())["spec"]
    flags = ("public", "encryptionEnabled", "versioningEnabled", "objectLockEnabled")
    assert [spec[flag] for flag in flags] == [False] * 4


def test_the_namespace_and_observing_are_written_where_asked_for() -> None:
    found = made("photos", namespace="team-a", observe=True)
    assert found["metadata"] == {"name": "photos", "namespace": "team-a"}
    assert found["spec"]["managementPolicy"] == "Observe"


def test_object_lock_without_versioning_is_left_unmanaged() -> None:
    spec = made("photos", BucketFlags(object_lock_enabled=True))["spec"]
    assert spec.keys().isdisjoint({"versioningEnabled", "objectLockEnabled"})
    assert spec["public"] is False


@pytest.mark.parametrize(
    ("bucket", "name"),
    [("photos", "photos"), ("a.b", "a.b"), ("a-.b", "a-b"), ("a.-b", "a-b"), ("a-.-b.c", "a-b-c")],
)
def test_an_object_has_the_buckets_name_unless_kubernetes_does_not_allow_it(
    bucket: str, name: str
) -> None:
    assert object_name(bucket) == name
    found = made(bucket)
    assert found["metadata"]["name"] == name
    assert found["spec"]["bucketName"] == bucket
    body = {**found, "metadata": {**found["metadata"], "namespace": "n", "uid": "u"}}
    read = AmoveBucket.model_validate(body)
    assert spec_faults_bucket(name, read.spec) == []
    assert read.bucket_name == bucket


@pytest.mark.parametrize("name", ["1e5", "0123", "123", "null", "0x1f", "no1", "12e34", "1_0.a"])
def test_a_name_that_looks_like_a_number_stays_a_text(name: str) -> None:
    document = {"metadata": {"name": name}, "spec": {"public": False}}
    text = to_yaml(document)
    assert f'name: "{name}"\n' in text, (
        "quoted, as Go's YAML reads 1e5 as a number and ours does not"
    )
    assert yaml.safe_load(text) == document


@pytest.mark.parametrize("name", ["Photos", "under_score", "ab", "a" * 64, "10.0.0.1", "a..b"])
def test_a_bucket_that_no_spec_can_name_is_not_imported(name: str) -> None:
    assert why_not_importable(name) is not None
    assert why_not_importable("photos") is None
