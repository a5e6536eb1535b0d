"""What is written into a Secret, and that Secrets of others are never touched."""

from __future__ import annotations

import configparser
import json
import threading
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

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
from tests.cluster.harness_keys import (
    MANAGED,
    OURS,
    a_secret,
    another_key,
    live_ids,
    live_of,
    mints,
    most_live,
    revoked,
)

EXAMPLES = Path(__file__).parents[3] / "examples"


def works(access_key: str, secret_key: str, endpoint: str, bucket: str) -> bool:
    """Whether the pair can write to the bucket."""
    s3 = boto3.session.Session().client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        config=Config(retries={"max_attempts": 0}),
    )
    try:
        return refusal(s3.put_object, Bucket=bucket, Key="a", Body=b"b") is None
    finally:
        s3.close()


def test_the_examples_for_rclone_cosi_and_a_credentials_file_work_as_they_are(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    run_operator()
    for example in ("template-rclone", "template-cosi", "credentials-file", "quickstart"):
        cluster.apply((EXAMPLES / f"{example}.yaml").read_text())
    for name in ("media-rclone", "reports-cosi", "logs-shipper", "photos-writer", "photos-reader"):
        cluster.ready(KEY, name)

    rclone = configparser.ConfigParser()
    rclone.read_string(cluster.secret("media-rclone")["rclone.conf"])
    remote = rclone["amove"]
    assert works(
        remote["access_key_id"], remote["secret_access_key"], remote["endpoint"], "amove-demo-media"
    )
    cosi = json.loads(cluster.secret("reports-cosi")["BucketInfo"])["spec"]
    s3 = cosi["secretS3"]
    assert works(s3["accessKeyID"], s3["accessSecretKey"], s3["endpoint"], cosi["bucketName"])
    file = configparser.ConfigParser()
    file.read_string(cluster.secret("logs-credentials")["credentials"])
    pair = file["default"]
    assert works(
        pair["aws_access_key_id"], pair["aws_secret_access_key"], emulator.s3_url, "amove-demo-logs"
    )
    written = cluster.found("Secret", "logs-credentials")
    assert written["type"] == "example.org/s3-credentials"
    assert written["metadata"]["labels"]["team"] == "platform"
    with s3_with_only(cluster.secret("photos-writer")) as writer:
        assert refusal(writer.put_object, Bucket="amove-demo-photos", Key="a", Body=b"b") is None
    with s3_with_only(cluster.secret("photos-reader")) as reader:
        assert refusal(reader.get_object, Bucket="amove-demo-photos", Key="a") is None
    assert len(live_ids(emulator)) == mints(emulator) == 5


def test_a_template_that_cannot_be_filled_is_refused_before_a_key_is_issued(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    run_operator()
    cluster.apply(
        a_bucket("photos"),
        a_bucket("films"),
        a_key(
            "unknown",
            bucketRefs=refs("photos"),
            secret={"template": {"a": "${nonsense}${secretKey}"}},
        ),
        a_key(
            "several",
            bucketRefs=refs("photos", "films"),
            secret={"template": {"a": "${bucket}${secretKey}"}},
        ),
        a_key(
            "dollar",
            bucketRefs=refs("photos"),
            secret={"template": {"a": "costs $5 ${bucket ${secretKey}"}},
        ),
    )
    for name, part in (("unknown", "nonsense"), ("several", "bucket"), ("dollar", "$")):
        seen = cluster.until(KEY, name, "Stalled", "InvalidTemplate")
        assert part in condition(seen, "Stalled")["message"]
        assert cluster.get("Secret", name) is None
    assert mints(emulator) == 0


# ---------------------------------------------------------------- Secrets of others

FOREIGN: dict[str, dict[str, Any]] = {
    "plain": {},
    "labelled": {"labels": OURS},
    "annotated": {"annotations": {"storage.amove.io/owner-uid": "f" * 8}},
    "marked": {
        "labels": OURS,
        "annotations": {"storage.amove.io/owner-uid": "00000000-0000-0000-0000-000000000000"},
    },
}


def test_a_foreign_secret_stays_as_it_is_and_no_key_is_issued(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    run_operator()
    before = {
        name: cluster.apply(a_secret(name, {"password": "theirs"}, **metadata))[0]
        for name, metadata in FOREIGN.items()
    }
    cluster.apply(a_bucket("photos"), *(a_key(n, bucketRefs=refs("photos")) for n in FOREIGN))
    cluster.ready(BUCKET, "photos")
    for name in FOREIGN:
        seen = cluster.until(KEY, name, "Stalled", "SecretConflict")
        assert condition(seen, "Ready")["status"] == "False"
    for name in FOREIGN:
        cluster.delete(KEY, name)
        cluster.gone(KEY, name)
        assert cluster.found("Secret", name) == before[name]
    assert mints(emulator) == 0


def test_a_secret_controlled_by_another_object_is_foreign_even_with_our_marks(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    run_operator()
    cluster.apply(a_bucket("photos"), a_key("app", bucketRefs=refs("photos")))
    cluster.ready(KEY, "app")
    (owner,) = cluster.apply(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "other"}}
    )
    ours = cluster.found("Secret", "app")
    reference = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "name": "other",
        "uid": owner["metadata"]["uid"],
        "controller": True,
    }
    taken = cluster.patch("Secret", "app", {"metadata": {"ownerReferences": [reference]}})
    assert taken["metadata"]["uid"] == ours["metadata"]["uid"]

    cluster.until(KEY, "app", "Stalled", "SecretConflict")
    cluster.annotate(KEY, "app", rotate_requested_at="now")
    cluster.delete(KEY, "app")

    cluster.gone(KEY, "app")
    assert cluster.found("Secret", "app") == taken
    assert mints(emulator) == 1
    assert live_ids(emulator) == set(), "nobody of ours holds it any more"


def test_a_foreign_secret_that_appears_while_a_key_is_issued_is_left_alone_and_the_key_revoked(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    run_operator()
    cluster.apply(a_bucket("photos"))
    cluster.ready(BUCKET, "photos")
    held_back = emulator.control.fault("create_storage_key", hold="after")

    cluster.apply(a_key("app", bucketRefs=refs("photos")))
    emulator.control.wait_for_calls("create_storage_key", 1, arrived=True)
    (foreign,) = cluster.apply(a_secret("app", {"password": "theirs"}))
    emulator.control.clear_faults(held_back)

    cluster.until(KEY, "app", "Stalled", "SecretConflict")
    eventually(lambda: live_ids(emulator) == set(), what="the unwritten key's end")
    assert mints(emulator) == 1
    assert cluster.found("Secret", "app") == foreign


def test_a_foreign_secret_in_place_of_ours_while_a_key_is_rotated_is_left_alone(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    run_operator()
    cluster.apply(a_bucket("photos"), a_key("app", bucketRefs=refs("photos")))
    cluster.ready(KEY, "app")
    held_back = emulator.control.fault("create_storage_key", hold="after")

    cluster.annotate(KEY, "app", rotate_requested_at="now")
    emulator.control.wait_for_calls("create_storage_key", 2, arrived=True)
    cluster.delete("Secret", "app")
    cluster.gone("Secret", "app")
    (foreign,) = cluster.apply(a_secret("app", {"password": "theirs"}))
    emulator.control.clear_faults(held_back)

    cluster.until(KEY, "app", "Stalled", "SecretConflict")
    fresh = emulator.control.journal("create_storage_key")[1]["body"]["name"]

    def no_longer_live() -> bool:
        return fresh not in {one["name"] for one in emulator.control.live_keys()}

    eventually(no_longer_live, what="the unwritten key's end")
    assert cluster.found("Secret", "app") == foreign
    assert most_live(emulator) == 2
    assert len(revoked(emulator)) <= 2


# ---------------------------------------------------------------- labels, annotations, other data


def test_edited_labels_and_annotations_are_repaired_in_place_without_a_new_key(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    run_operator()
    secret = {"labels": {"team": "web"}, "annotations": {"example.org/why": "test"}}
    cluster.apply(a_bucket("photos"), a_key("app", bucketRefs=refs("photos"), secret=secret))
    key = cluster.ready(KEY, "app")
    before = cluster.found("Secret", "app")

    edits: list[Manifest] = [
        {"labels": {"team": "ops"}, "annotations": {"example.org/why": None}},
        {"labels": {"team": None}},
        {"annotations": {"storage.amove.io/key-id": "00000000-0000-0000-0000-000000000000"}},
        {"annotations": {"storage.amove.io/checksum": "sha256:0", "storage.amove.io/format": "x"}},
        {"annotations": {"storage.amove.io/written": "[[],[],[]]"}},
        {"annotations": {"storage.amove.io/issued-at": "2001-01-01T00:00:00Z"}},
        {"ownerReferences": None},
    ]
    for edit in edits:
        cluster.patch("Secret", "app", {"metadata": edit})
        eventually(lambda: meta_of(cluster) == meta_of_(before), what=f"repair of {edit}")

    after = cluster.found("Secret", "app")
    assert after["data"] == before["data"]
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert live_of(emulator, key) == [key["status"]["key"]["id"]]
    assert mints(emulator) == 1


def test_our_own_label_taken_away_is_put_back_in_place_also_after_a_restart(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    """The watch of Secrets goes by it: without it, the Secret looks as if it were gone."""
    operator = run_operator()
    cluster.apply(a_bucket("photos"), a_key("app", bucketRefs=refs("photos")))
    key = cluster.ready(KEY, "app")
    before = cluster.found("Secret", "app")
    taken = {"metadata": {"labels": {MANAGED: None}}}

    cluster.patch("Secret", "app", taken)
    eventually(lambda: meta_of(cluster) == meta_of_(before), what="the label is back")
    operator.stop()
    cluster.patch("Secret", "app", taken)
    run_operator()
    eventually(lambda: meta_of(cluster) == meta_of_(before), what="the label is back again")

    after = cluster.found("Secret", "app")
    assert (after["data"], after["metadata"]["uid"]) == (before["data"], before["metadata"]["uid"])
    assert live_of(emulator, key) == [key["status"]["key"]["id"]]
    assert mints(emulator) == 1


def test_who_is_said_to_manage_the_secret_is_left_to_others(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    """A person's, or a policy's, app.kubernetes.io/managed-by costs no write, now or later."""
    run_operator()
    cluster.apply(a_bucket("photos"), *(a_key(n, bucketRefs=refs("photos")) for n in EDITED_BY))
    keys = {name: cluster.ready(KEY, name)["status"]["key"]["id"] for name in EDITED_BY}
    edited = {
        name: cluster.patch("Secret", name, {"metadata": {"labels": {MANAGED_BY: value}}})
        for name, value in EDITED_BY.items()
    }
    cluster.apply(a_key("beside", bucketRefs=refs("photos")))
    cluster.ready(KEY, "beside")
    for name in EDITED_BY:
        cluster.annotate(KEY, name, reconcile_requested_at="now")
        cluster.until(KEY, name, "Synced", "Settled")
    assert {name: cluster.found("Secret", name) for name in EDITED_BY} == edited
    assert mints(emulator) == len(EDITED_BY) + 1

    for name, value in EDITED_BY.items():
        cluster.annotate(KEY, name, rotate_requested_at="now")
        another_key(cluster, KEY, name, keys[name])
        if value is not None:
            assert cluster.found("Secret", name)["metadata"]["labels"][MANAGED_BY] == value


MANAGED_BY = "app.kubernetes.io/managed-by"
EDITED_BY = {"renamed": "platform", "taken-away": None}


def meta_of(cluster: Cluster) -> Manifest:
    return meta_of_(cluster.found("Secret", "app"))


def meta_of_(secret: Manifest) -> Manifest:
    """What of a Secret's metadata is the operator's."""
    meta = secret["metadata"]
    return {part: meta.get(part) for part in ("labels", "annotations", "ownerReferences")}


def test_changed_labels_and_annotations_of_the_spec_reach_the_secret_and_old_ones_go(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    run_operator()
    former = {"labels": {"team": "web", "tier": "1"}, "annotations": {"example.org/a": "1"}}
    cluster.apply(a_bucket("photos"), a_key("app", bucketRefs=refs("photos"), secret=former))
    cluster.ready(KEY, "app")
    cluster.patch("Secret", "app", {"metadata": {"labels": {"by": "hand"}}})

    wanted = {"labels": {"team": "ops"}, "annotations": {"example.org/b": "2"}}
    cluster.apply(a_key("app", bucketRefs=refs("photos"), secret=wanted))

    def ask() -> bool:
        meta = cluster.found("Secret", "app")["metadata"]
        notes = {k: v for k, v in meta["annotations"].items() if k.startswith("example.org/")}
        labels = {k: v for k, v in meta["labels"].items() if "/" not in k}
        return notes == {"example.org/b": "2"} and labels == {"team": "ops", "by": "hand"}

    eventually(ask)
    assert mints(emulator) == 1


def test_data_keys_of_others_in_our_secret_are_left_alone_also_by_a_rotation(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    run_operator()
    cluster.apply(a_bucket("photos"), a_key("app", bucketRefs=refs("photos")))
    first = cluster.ready(KEY, "app")["status"]["key"]["id"]
    cluster.patch("Secret", "app", {"data": {"extra": "aGVsbG8="}})
    seen = cluster.found("Secret", "app")
    cluster.annotate(KEY, "app", reconcile_requested_at="now")
    cluster.apply(a_key("beside", bucketRefs=refs("photos")))
    cluster.ready(KEY, "beside")
    assert cluster.found("Secret", "app") == seen, "an extra key is no reason to write"

    form = {"format": "CredentialsFile"}
    cluster.apply(a_key("app", bucketRefs=refs("photos"), secret=form))

    def rewritten() -> bool:
        return set(cluster.secret("app")) == {"credentials", "extra"}

    eventually(rewritten, what="the other format, and what was not ours")
    status = cluster.ready(KEY, "app")["status"]
    assert status["key"]["id"] != first
    assert [each["id"] for each in status["retiring"]] == [first]


def test_a_kept_secret_is_foreign_to_the_next_key_and_the_message_says_what_to_do(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator, namespace: str
) -> None:
    run_operator(trusted_namespaces=[namespace])
    kept = a_key("app", bucketRefs=refs("photos"), deletionPolicy="Retain")
    cluster.apply(a_bucket("photos"), kept)
    cluster.ready(KEY, "app")
    cluster.delete(KEY, "app")
    cluster.gone(KEY, "app")
    secret = cluster.found("Secret", "app")

    cluster.apply(kept)

    seen = cluster.until(KEY, "app", "Stalled", "SecretConflict")
    told = condition(seen, "Stalled")["message"]
    for advice in ("Retain", "delete it", "spec.secret.name"):
        assert advice in told
    assert cluster.found("Secret", "app") == secret
    assert mints(emulator) == 1


@pytest.mark.parametrize(
    "propagation",
    [
        "Foreground",
        *(pytest.param(each, marks=pytest.mark.long) for each in ("Background", "Orphan")),
    ],
)
def test_a_key_made_anew_at_once_gets_a_secret_of_its_own(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator, propagation: str
) -> None:
    run_operator()
    spec = a_key("app", bucketRefs=refs("photos"))
    cluster.apply(a_bucket("photos"), spec)
    old = cluster.ready(KEY, "app")
    again = threading.Event()

    def made_anew() -> bool:
        if cluster.get(KEY, "app") is None:
            cluster.apply(spec)
            again.set()
        return again.is_set()

    cluster.delete(KEY, "app", propagation)
    eventually(made_anew, what="room for the next")

    new = cluster.ready(KEY, "app")
    assert new["metadata"]["uid"] != old["metadata"]["uid"]
    assert live_ids(emulator) == {new["status"]["key"]["id"]}
    with s3_with_only(cluster.secret("app")) as s3:
        assert refusal(s3.put_object, Bucket="photos", Key="a", Body=b"b") is None
