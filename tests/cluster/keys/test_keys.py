"""AmoveStorageKeys from manifest to a Secret that an unmodified S3 client uses, and back."""

from __future__ import annotations

from typing import Any

import pytest

from amove_emulator import Emulator
from tests.cluster.fixtures import RunOperator
from tests.cluster.harness import (
    BUCKET,
    KEY,
    Manifest,
    a_bucket,
    a_key,
    condition,
    eventually,
    refs,
    refusal,
    s3_with_only,
)
from tests.cluster.harness_cluster import Cluster


def live(emulator: Emulator) -> list[str]:
    """The ids of all keys that work."""
    return [key["id"] for key in emulator.control.live_keys()]


def test_the_secret_has_all_that_an_aws_sdk_wants_and_belongs_to_its_key(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    run_operator()
    labels = {"team": "platform"}
    secret = {"name": "credentials", "labels": labels, "annotations": {"example.org/why": "test"}}
    cluster.apply(a_bucket("photos"), a_key("app", bucketRefs=refs("photos"), secret=secret))
    key = cluster.ready(KEY, "app")
    (issued,) = emulator.control.keys()

    data = cluster.secret("credentials")
    assert data.pop("AWS_SECRET_ACCESS_KEY") in emulator.control.issued_secrets()
    assert data == {
        "AWS_ACCESS_KEY_ID": issued["accessKey"],
        "AWS_ENDPOINT_URL_S3": emulator.s3_url,
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "BUCKET_NAME": "photos",
    }
    written = cluster.found("Secret", "credentials")
    assert written["type"] == "Opaque"
    assert written["metadata"]["labels"].items() >= labels.items()
    assert written["metadata"]["annotations"]["example.org/why"] == "test"
    (owner,) = written["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["uid"]) == (KEY, "app", key["metadata"]["uid"])

    status = key["status"]
    assert status["binding"] == {"name": "credentials"}
    assert (
        status["key"].items()
        >= {
            "id": issued["id"],
            "name": issued["name"],
            "accessKey": issued["accessKey"],
            "userId": issued["userId"],
            "cloudAccountId": emulator.cloud_account_id,
            "region": "us-east-1",
            "storageDn": emulator.storage_dn,
            "permission": "ReadWrite",
            "buckets": ["photos"],
            "serial": 1,
        }.items()
    )


def test_the_key_can_do_what_its_permission_says_and_other_buckets_are_closed(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    run_operator()
    permissions = ("Read", "Write", "ReadWrite")
    cluster.apply(a_bucket("photos"), a_bucket("private"))
    cluster.apply(*(a_key(p.lower(), permission=p, bucketRefs=refs("photos")) for p in permissions))
    for permission in permissions:
        cluster.ready(KEY, permission.lower())
    for name in ("photos", "private"):
        emulator.control.put_object(name, "there.txt", "hello")

    allowed = {p: doings(cluster.secret(p.lower())) for p in permissions}

    assert allowed == {
        "Read": {"read", "list"},
        "Write": {"write", "delete"},
        "ReadWrite": {"read", "list", "write", "delete"},
    }


def doings(secret: dict[str, str]) -> set[str]:
    """What S3 lets the holder of the Secret do in its bucket; every refusal is AccessDenied.

    In another bucket it must be able to do nothing at all.
    """
    with s3_with_only(secret) as s3:
        done = {name: attempt(s3, name, secret["BUCKET_NAME"]) for name in CALLS}
        elsewhere = {name: attempt(s3, name, "private") for name in CALLS}
    assert set(elsewhere.values()) == {"AccessDenied"}
    assert set(done.values()) <= {None, "AccessDenied"}
    return {name for name, refused in done.items() if refused is None}


CALLS: dict[str, tuple[str, dict[str, Any]]] = {
    "read": ("get_object", {"Key": "there.txt"}),
    "list": ("list_objects_v2", {}),
    "write": ("put_object", {"Key": "new.txt", "Body": b"hello"}),
    "delete": ("delete_object", {"Key": "new.txt"}),
}


def attempt(s3: Any, what: str, bucket: str) -> str | None:
    call, arguments = CALLS[what]
    return refusal(getattr(s3, call), Bucket=bucket, **arguments)


def test_a_key_of_several_buckets_names_them_all_and_reaches_them(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    run_operator()
    cluster.apply(a_bucket("photos"), a_bucket("films"))
    cluster.apply(a_key("app", bucketRefs=refs("photos", "films")))
    cluster.ready(KEY, "app")
    secret = cluster.secret("app")
    assert secret["BUCKET_NAMES"] == "films,photos"
    assert "BUCKET_NAME" not in secret
    with s3_with_only(secret) as s3:
        for name in ("photos", "films"):
            assert refusal(s3.put_object, Bucket=name, Key="a", Body=b"b") is None


def test_formats_other_than_aws_are_written_as_asked(
    cluster: Cluster, run_operator: RunOperator
) -> None:
    run_operator()
    template = {"url": "s3://${accessKey}:${secretKey}@${storageDn}/${bucket}?cost=$$5"}
    cluster.apply(
        a_bucket("photos"),
        a_key("file", bucketRefs=refs("photos"), secret={"format": "CredentialsFile"}),
        a_key("own", bucketRefs=refs("photos"), secret={"template": template}),
    )
    file = cluster.ready(KEY, "file")["status"]["key"]
    own = cluster.ready(KEY, "own")["status"]["key"]
    assert f"aws_access_key_id = {file['accessKey']}" in cluster.secret("file")["credentials"]
    url = cluster.secret("own")["url"]
    assert url.startswith(f"s3://{own['accessKey']}:")
    assert url.endswith(f"@{own['storageDn']}/photos?cost=$5")


def test_a_deleted_key_no_longer_works_and_its_secret_is_gone(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    run_operator()
    cluster.apply(a_bucket("photos"), a_key("app", bucketRefs=refs("photos")))
    cluster.ready(KEY, "app")
    secret = cluster.secret("app")
    with s3_with_only(secret) as s3:
        assert refusal(s3.put_object, Bucket="photos", Key="a", Body=b"b") is None

        cluster.delete(KEY, "app")
        cluster.gone(KEY, "app")

        assert refusal(s3.get_object, Bucket="photos", Key="a") == "InvalidAccessKeyId"
    assert cluster.get("Secret", "app") is None
    assert live(emulator) == []
    assert "photos" in emulator.control.buckets()


def test_a_key_before_its_bucket_waits_and_goes_on_when_the_bucket_is_ready(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    run_operator(resync_interval="3600s")
    cluster.apply(a_key("app", bucketRefs=refs("photos")))
    seen = cluster.until(KEY, "app", "Reconciling", "BucketNotFound")
    assert "photos" in condition(seen, "Reconciling")["message"]
    assert emulator.control.count("create_storage_key") == 0

    cluster.apply(a_bucket("photos"))

    cluster.ready(BUCKET, "photos")
    cluster.ready(KEY, "app")
    assert cluster.secret("app")["BUCKET_NAME"] == "photos"


def test_a_bucket_of_another_account_than_the_keys_is_refused(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator, namespace: str
) -> None:
    other = emulator.control.add_account()
    # A second active account leaves no default: it must be told.
    run_operator(trusted_namespaces=[namespace], cloud_account_id=emulator.cloud_account_id)
    cluster.apply(a_bucket("here"), a_bucket("there", cloudAccountId=other))
    cluster.ready(BUCKET, "here")
    cluster.ready(BUCKET, "there")

    cluster.apply(
        a_key("crossing", bucketRefs=refs("there"), cloudAccountId=emulator.cloud_account_id),
        a_key("mixed", bucketRefs=refs("here", "there")),
        a_key("follows", bucketRefs=refs("there")),
    )

    for name in ("crossing", "mixed"):
        seen = cluster.until(KEY, name, "Stalled", "AccountMismatch")
        assert condition(seen, "Ready")["status"] == "False"
        assert cluster.get("Secret", name) is None
    follows = cluster.ready(KEY, "follows")["status"]["key"]
    assert follows["cloudAccountId"] == other
    assert live(emulator) == [follows["id"]]


def test_an_account_without_a_storage_host_is_named_as_such(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    emulator.control.change_account(service_url="")
    run_operator()
    cluster.apply(a_bucket("photos"), a_key("app", bucketRefs=refs("photos")))
    cluster.ready(BUCKET, "photos")
    seen = cluster.until(KEY, "app", "Stalled", "AccountUnknown")
    assert "AMOVE_STORAGE_DN" in condition(seen, "Stalled")["message"]
    assert emulator.control.count("create_storage_key") == 0


def test_free_names_need_a_trusted_namespace(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator, namespace: str
) -> None:
    untrusting = run_operator()
    emulator.control.add_bucket("legacy")
    cluster.apply(
        a_key("named", bucketNames=["legacy"]), a_key("all", allBuckets=True, permission="Read")
    )
    for name in ("named", "all"):
        seen = cluster.until(KEY, name, "Stalled", "NotPermitted")
        assert "AMOVE_TRUSTED_NAMESPACES" in condition(seen, "Stalled")["message"]
    assert emulator.control.count("create_storage_key") == 0

    untrusting.stop()
    run_operator(trusted_namespaces=["test-*"])

    for name in ("named", "all"):
        cluster.ready(KEY, name)
    with s3_with_only(cluster.secret("named")) as s3:
        assert refusal(s3.put_object, Bucket="legacy", Key="a", Body=b"b") is None
    with s3_with_only(cluster.secret("all")) as s3:
        assert refusal(s3.get_object, Bucket="legacy", Key="a") is None
        assert refusal(s3.put_object, Bucket="legacy", Key="a", Body=b"b") == "AccessDenied"


def test_a_changed_scope_is_served_by_a_new_key_and_the_old_one_retires(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    run_operator()
    cluster.apply(a_bucket("photos"))
    cluster.apply(a_key("app", bucketRefs=refs("photos"), permission="Read"))
    old = cluster.ready(KEY, "app")["status"]["key"]
    former = cluster.secret("app")

    cluster.apply(a_key("app", bucketRefs=refs("photos"), permission="ReadWrite"))

    status = cluster.until(KEY, "app", "Synced")["status"]
    assert status["key"]["serial"] == 2
    assert status["key"]["permission"] == "ReadWrite"
    assert [each["id"] for each in status["retiring"]] == [old["id"]]
    with s3_with_only(cluster.secret("app")) as s3:
        assert refusal(s3.put_object, Bucket="photos", Key="a", Body=b"b") is None
    with s3_with_only(former) as s3:
        assert refusal(s3.get_object, Bucket="photos", Key="a") is None, "its grace runs"
        cluster.patch(KEY, "app", {"spec": {"rotation": {"gracePeriod": "0s"}}})
        eventually(lambda: live(emulator) == [status["key"]["id"]], what="the old key's end")
        assert refusal(s3.get_object, Bucket="photos", Key="a") == "InvalidAccessKeyId"
    eventually(lambda: retired(cluster.found(KEY, "app")), what="the status without it")
    assert emulator.control.max_live_keys_per_name_prefix("") == 2


def retired(key: Manifest) -> bool:
    """Whether no key is left that waits for the end of its grace."""
    assert not key["status"].get("retiring"), key["status"]
    return True


@pytest.mark.parametrize("order", ["key first", "bucket first"])
def test_bucket_and_key_deleted_together_leave_nothing(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator, order: str
) -> None:
    run_operator()
    cluster.apply(a_bucket("photos", deletionPolicy="Delete"))
    cluster.apply(a_key("app", bucketRefs=refs("photos")))
    cluster.ready(KEY, "app")

    kinds = ((KEY, "app"), (BUCKET, "photos"))
    for kind, name in kinds if order == "key first" else kinds[::-1]:
        cluster.delete(kind, name)

    cluster.gone(KEY, "app")
    cluster.gone(BUCKET, "photos")
    assert emulator.control.state()["buckets"] == []
    assert live(emulator) == []


def test_a_secret_of_somebody_else_is_not_touched(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    run_operator()
    (foreign,) = cluster.apply(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "app"},
            "stringData": {"password": "theirs"},
        }
    )
    cluster.apply(a_bucket("photos"), a_key("app", bucketRefs=refs("photos")))
    cluster.ready(BUCKET, "photos")
    cluster.until(KEY, "app", "Stalled", "SecretConflict")
    assert cluster.found("Secret", "app") == foreign
    assert emulator.control.count("create_storage_key") == 0

    cluster.delete("Secret", "app")
    cluster.annotate(KEY, "app", reconcile_requested_at="now")

    cluster.ready(KEY, "app")
    cluster.delete(KEY, "app")
    cluster.gone(KEY, "app")


def test_no_credential_is_ever_logged_or_shown(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    operator = run_operator(log_level="DEBUG")
    cluster.apply(a_bucket("photos"), a_key("app", bucketRefs=refs("photos")))
    cluster.ready(KEY, "app")
    cluster.delete(KEY, "app")
    cluster.gone(KEY, "app")
    operator.stop()
    known = emulator.control.credentials()
    for credential in [*known["secretKeys"], *known["others"]]:
        assert credential not in operator.log
