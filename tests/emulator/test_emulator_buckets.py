"""Buckets: creation, flags, deletion, what S3 makes of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from amove_emulator import Emulator, EmulatorControl
from amove_emulator.plain_client import PlainClient

S3Factory = Callable[..., Any]
AsUser = Callable[[str | None], PlainClient]
PLAIN = {
    "versioningEnabled": False,
    "encryptionEnabled": False,
    "isPublic": False,
    "objectLockEnabled": False,
}


def test_a_bucket_made_without_flags_has_none(api: PlainClient) -> None:
    api.create_bucket()
    assert api.bucket_status().json() == PLAIN


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ({"versioningEnabled": True}, {"versioningEnabled": True}),
        ({"isEncrypted": True}, {"encryptionEnabled": True}),
        ({"isPublic": True}, {"isPublic": True}),
        (
            {"objectLockEnabled": True, "versioningEnabled": True},
            {"objectLockEnabled": True, "versioningEnabled": True},
        ),
    ],
)
def test_a_flag_asked_for_at_creation_is_answered_by_the_status(
    api: PlainClient, asked: dict[str, bool], answered: dict[str, bool]
) -> None:
    assert api.create_bucket(**asked).status_code == 200
    assert api.bucket_status().json() == PLAIN | answered


def test_object_lock_needs_versioning(api: PlainClient) -> None:
    assert api.create_bucket(objectLockEnabled=True).status_code == 499
    assert api.bucket_status().headers["error-code"] == "NOT_FOUND"


def test_under_object_lock_versioning_stays(api: PlainClient) -> None:
    api.create_bucket(objectLockEnabled=True, versioningEnabled=True)
    assert api.update_bucket(isEncrypted=True).status_code == 499
    assert api.update_bucket(isEncrypted=True, versioningEnabled=True).status_code == 200


def test_an_update_moves_the_flags_and_one_left_out_means_false(api: PlainClient) -> None:
    api.create_bucket(isEncrypted=True, isPublic=True)
    api.update_bucket(versioningEnabled=True)
    assert api.bucket_status().json() == PLAIN | {"versioningEnabled": True}


def test_an_update_touches_only_flags_that_differ(api: PlainClient, s3: S3Factory) -> None:
    api.create_bucket()
    api.update_bucket(isEncrypted=True)
    client = s3(api.create_storage_key().json())
    # Never enabled is not the same as suspended: S3 shows whether versioning was touched.
    assert "Status" not in client.get_bucket_versioning(Bucket="one-bucket")
    api.update_bucket(isEncrypted=True, versioningEnabled=True)
    api.update_bucket(isEncrypted=True)
    assert client.get_bucket_versioning(Bucket="one-bucket")["Status"] == "Suspended"


def test_s3_sees_the_flags(api: PlainClient, s3: S3Factory) -> None:
    api.create_bucket(versioningEnabled=True, isEncrypted=True)
    client = s3(api.create_storage_key().json())
    put = client.put_object(Bucket="one-bucket", Key="k", Body=b"x")
    assert put["ServerSideEncryption"] == "AES256"
    assert put["VersionId"] != "null"


def test_anyone_may_get_an_object_exactly_while_the_bucket_is_public(
    api: PlainClient, control: EmulatorControl, emulator: Emulator, as_user: AsUser
) -> None:
    api.create_bucket()
    control.put_object("one-bucket", "k", "hello")
    anyone, where = as_user(None).http, f"{emulator.s3_url}/one-bucket/k"
    assert anyone.get(where).status_code == 403
    api.update_bucket(isPublic=True)
    assert anyone.get(where).text == "hello"
    assert anyone.head(where).headers["content-length"] == "5"
    assert anyone.put(where, content=b"x").status_code == 403
    assert anyone.get(f"{emulator.s3_url}/one-bucket").status_code == 403
    assert anyone.get(f"{emulator.s3_url}/one-bucket/absent").status_code == 403
    api.update_bucket(isPublic=False)
    assert anyone.get(where).status_code == 403


def test_a_bucket_that_exists_is_a_duplicate(api: PlainClient) -> None:
    api.create_bucket()
    answer = api.create_bucket()
    assert answer.headers["error-code"] == "DUPLICATE"
    assert "already exists" in answer.text


def test_a_bucket_that_exists_may_be_told_by_a_message_alone(
    api: PlainClient, control: EmulatorControl
) -> None:
    api.create_bucket()
    control.behave(exists="message")
    answer = api.create_bucket()
    assert answer.headers["error-code"] == "DEFAULT"
    assert "already exists" in answer.text


def test_a_bucket_that_exists_may_be_a_200_to_its_owner_and_keeps_its_flags(
    api: PlainClient, control: EmulatorControl
) -> None:
    api.create_bucket(isEncrypted=True)
    control.behave(exists="ok")
    assert api.create_bucket(versioningEnabled=True).status_code == 200
    assert api.bucket_status().json() == PLAIN | {"encryptionEnabled": True}
    twin = control.add_account()
    assert api.create_bucket(cloudAccountId=twin).status_code == 499


@pytest.mark.parametrize("call", ["bucket_status", "update_bucket", "delete_bucket"])
@pytest.mark.parametrize("code", ["NOT_FOUND", "Global", "DEFAULT"])
def test_an_absent_bucket_is_told_by_the_code_one_likes(
    api: PlainClient, control: EmulatorControl, call: str, code: str
) -> None:
    control.behave(absent_code=code)
    answer = getattr(api, call)()
    assert answer.headers["error-code"] == code
    assert "not found" in answer.text


@pytest.mark.parametrize("versioned", [True, False])
def test_a_bucket_with_objects_is_not_deleted(
    api: PlainClient, control: EmulatorControl, versioned: bool
) -> None:
    api.create_bucket(versioningEnabled=versioned)
    control.put_object("one-bucket", "k", "x")
    answer = api.delete_bucket()
    assert answer.status_code == 499
    assert "not empty" in answer.text
    assert control.buckets()["one-bucket"]["objects"] == 1
    control.empty_bucket("one-bucket")
    assert api.delete_bucket().status_code == 200
    assert api.bucket_status().headers["error-code"] == "NOT_FOUND"


def test_a_bucket_of_nothing_but_deleted_objects_is_not_deleted_until_it_is_emptied(
    api: PlainClient, control: EmulatorControl, s3: S3Factory
) -> None:
    api.create_bucket(versioningEnabled=True)
    client = s3(api.create_storage_key().json())
    client.put_object(Bucket="one-bucket", Key="k", Body=b"x")
    client.delete_object(Bucket="one-bucket", Key="k")
    assert "not empty" in api.delete_bucket().text
    control.empty_bucket("one-bucket")
    assert api.delete_bucket().status_code == 200


def test_a_deleted_bucket_takes_nothing_along_when_its_name_is_used_again(
    api: PlainClient, s3: S3Factory
) -> None:
    api.create_bucket(isEncrypted=True, versioningEnabled=True)
    api.delete_bucket()
    client = s3(api.create_storage_key().json())
    with pytest.raises(client.exceptions.NoSuchBucket):
        client.put_object(Bucket="one-bucket", Key="k", Body=b"x")
    api.create_bucket()
    assert api.bucket_status().json() == PLAIN
