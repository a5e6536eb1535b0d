"""The models read what Kubernetes gives, write what it takes, and refuse what the CRDs refuse."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from amove_operator.models import (
    FINALIZER,
    GROUP,
    AmoveBucket,
    AmoveStorageKey,
    BucketFlags,
    BucketStatus,
    CurrentKey,
    KeySpec,
    KeyStatus,
    ObjectMeta,
    RecentIssue,
    parse_duration,
    parse_faults,
    spec_faults_bucket,
    spec_faults_key,
)
from amove_operator.models.bucket_rules import is_bucket_name
from amove_operator.models.key_status import IssuedScope, RetiringKey, SecretBinding
from amove_operator.models.shared import Condition

SPECS = Path(__file__).parents[2] / "specs"
EXAMPLES = sorted((Path(__file__).parents[3] / "examples").glob("*.yaml"))
PLAIN_KEY = {"bucketRefs": [{"name": "photos"}], "permission": "Read"}
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
ACCOUNT = "00000000-0000-4000-8000-000000000000"

FULL_KEY_STATUS = KeyStatus(
    owner_uid="u-1",
    key=CurrentKey(
        id="k-1",
        name="demo-photos-1",
        access_key="AKIA",
        serial=1,
        issued_at=NOON,
        user_id="user-1",
        cloud_account_id="a-1",
        region="us-east-1",
        storage_dn="s3.example.org",
        permission="Read",
        buckets=("photos",),
    ),
    retiring=(RetiringKey(id="k-0", buckets=("photos",), revoke_after=NOON),),
    recent_issues=(
        RecentIssue(
            serial=1,
            issued_at=NOON,
            scope=IssuedScope(
                cloud_account_id="a-1",
                region="us-east-1",
                storage_dn="s3.example.org",
                permission="Read",
                issued_for="bucketNames",
                buckets=("photos",),
            ),
        ),
    ),
    next_rotation=NOON,
    binding=SecretBinding(name="photos"),
    conditions=(
        Condition(
            type="Ready",
            status="True",
            observed_generation=1,
            last_transition_time=NOON,
            reason="Issued",
            message="The Secret holds the key.",
        ),
    ),
    observed_generation=1,
)
FULL_BUCKET_STATUS = BucketStatus(
    owner_uid="u-1",
    bucket_name="photos",
    cloud_account_id="a-1",
    provenance="Created",
    create_intent=True,
    observed=BucketFlags(versioning_enabled=True),
    observed_generation=1,
)


def cases(file: str) -> list[Any]:
    rows = yaml.safe_load((SPECS / file).read_text(encoding="utf-8"))
    return [pytest.param(row, id=row["it"]) for row in rows]


def faults(
    model: type[AmoveBucket] | type[AmoveStorageKey], name: str, spec: dict[str, Any] | None
) -> list[str]:
    """What the operator says of such an object."""
    manifest = {"metadata": {"name": name}} | ({} if spec is None else {"spec": spec})
    try:
        parsed = model.model_validate(manifest)
    except ValidationError as error:
        return parse_faults(error)
    if isinstance(parsed, AmoveBucket):
        return spec_faults_bucket(parsed.metadata.name, parsed.spec)
    return spec_faults_key(parsed.metadata.name, parsed.spec)


def assert_verdict(found: list[str], refused: str | None) -> None:
    if refused is None:
        assert found == []
    else:
        assert any(refused in fault for fault in found), found


@pytest.mark.parametrize("case", cases("buckets.yaml"))
def test_bucket_specs(case: dict[str, Any]) -> None:
    found = faults(AmoveBucket, case.get("name", "photos"), case["spec"])
    assert_verdict(found, case.get("refused"))


@pytest.mark.parametrize("case", cases("keys.yaml"))
def test_key_specs(case: dict[str, Any]) -> None:
    spec = case["spec"] if "spec" in case else PLAIN_KEY | case["adds"]
    assert_verdict(faults(AmoveStorageKey, "reader", spec), case.get("refused"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_is_without_fault(path: Path) -> None:
    for manifest in yaml.safe_load_all(path.read_text(encoding="utf-8")):
        model = AmoveBucket if manifest["kind"] == "AmoveBucket" else AmoveStorageKey
        assert faults(model, manifest["metadata"]["name"], manifest["spec"]) == []
        assert "namespace" not in manifest["metadata"]


def test_every_fault_of_a_spec_is_told_at_once() -> None:
    spec = {"permission": "Read", "secret": {"type": "helm.sh/x", "labels": {"k8s.io/a": "b"}}}
    assert len(faults(AmoveStorageKey, "reader", spec)) == 3


def test_a_fault_of_a_spec_read_by_itself_is_named_in_full() -> None:
    with pytest.raises(ValidationError) as caught:
        KeySpec.model_validate(PLAIN_KEY | {"bucketRefs": [{"name": "photos"}, {"name": "A"}]})
    (fault,) = parse_faults(caught.value, at="spec")
    assert fault.startswith("spec.bucketRefs[1].name: ")


def test_a_fault_never_shows_the_value() -> None:
    spec = {"bucketRefs": [{"name": "A secret"}], "permission": "A secret"}
    assert "A secret" not in " ".join(faults(AmoveStorageKey, "reader", spec))


@given(st.text(alphabet="ab09.-A_ \n", max_size=66))
def test_a_bucket_name_is_what_the_rules_of_s3_say(name: str) -> None:
    by_the_rules = (
        3 <= len(name) <= 63
        and set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789.-")
        and name[0] not in ".-"
        and name[-1] not in ".-"
        and ".." not in name
        and not (
            name.count(".") == 3
            and all(part.isdigit() and len(part) <= 3 for part in name.split("."))
        )
    )
    assert is_bucket_name(name) == by_the_rules


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("0s", timedelta()),
        ("5s", timedelta(seconds=5)),
        ("10m", timedelta(minutes=10)),
        ("720h", timedelta(hours=720)),
        ("250ms", timedelta(milliseconds=250)),
        ("1h30m", timedelta(minutes=90)),
        ("1h1m1s1ms", timedelta(hours=1, minutes=1, seconds=1, milliseconds=1)),
        ("999999h9999999m99999999s", timedelta(hours=999999, minutes=9999999, seconds=99999999)),
    ],
)
def test_a_duration_is_the_sum_of_its_parts(text: str, duration: timedelta) -> None:
    assert parse_duration(text) == duration


@pytest.mark.parametrize(
    "text",
    ["", "5", "s", "-5s", "+5s", "1.5h", "5 s", "5s\n", "1d", "30m1h", "1h1h", "\u0665s", "1e3s"],
)
def test_anything_else_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(repr(text))):
        parse_duration(text)


def test_the_key_status_has_the_names_of_the_contract() -> None:
    written = FULL_KEY_STATUS.to_kube()
    assert set(written) == {
        "ownerUID", "key", "retiring", "recentIssues", "nextRotation", "binding", "conditions",
        "observedGeneration",
    }  # fmt: skip
    assert set(written["key"]) == {
        "id", "name", "accessKey", "serial", "issuedAt", "userId", "cloudAccountId", "region",
        "storageDn", "permission", "buckets",
    }  # fmt: skip
    assert set(written["retiring"][0]) == {"id", "buckets", "revokeAfter"}
    assert written["binding"] == {"name": "photos"}
    (issue,) = written["recentIssues"]
    assert set(issue) == {"serial", "issuedAt", "scope"}
    assert set(issue["scope"]) == {
        "cloudAccountId", "region", "storageDn", "permission", "issuedFor", "buckets",
    }  # fmt: skip


def test_the_bucket_status_has_the_names_of_the_contract() -> None:
    written = FULL_BUCKET_STATUS.to_kube()
    assert set(written) == {
        "ownerUID", "bucketName", "cloudAccountId", "provenance", "createIntent", "observed",
        "conditions", "observedGeneration",
    }  # fmt: skip
    assert set(written["observed"]) == {
        "versioningEnabled", "encryptionEnabled", "isPublic", "objectLockEnabled",
    }  # fmt: skip


def test_a_condition_has_the_names_of_metav1() -> None:
    assert set(FULL_KEY_STATUS.to_kube()["conditions"][0]) == {
        "type", "status", "observedGeneration", "lastTransitionTime", "reason", "message",
    }  # fmt: skip


def test_the_specs_have_the_names_of_the_contract() -> None:
    bucket = AmoveBucket.model_json_schema()["$defs"]["BucketSpec"]["properties"]
    key = AmoveStorageKey.model_json_schema()["$defs"]
    assert set(bucket) == {
        "bucketName", "cloudAccountId", "public", "encryptionEnabled", "versioningEnabled",
        "objectLockEnabled", "deletionPolicy", "adoptionPolicy", "managementPolicy",
    }  # fmt: skip
    assert set(key["KeySpec"]["properties"]) == {
        "bucketRefs", "bucketNames", "allBuckets", "permission", "cloudAccountId", "region",
        "storageDn", "keyName", "secret", "rotation", "deletionPolicy",
    }  # fmt: skip
    assert set(key["SecretSpec"]["properties"]) == {
        "name", "format", "template", "labels", "annotations", "type",
    }  # fmt: skip
    assert set(key["RotationSpec"]["properties"]) == {"interval", "gracePeriod"}


@pytest.mark.parametrize("status", [FULL_KEY_STATUS, FULL_BUCKET_STATUS], ids=["key", "bucket"])
def test_a_status_reads_back_as_it_was_written(status: KeyStatus | BucketStatus) -> None:
    assert type(status).model_validate(status.to_kube()) == status


def test_metadata_is_read_under_the_names_of_kubernetes() -> None:
    meta = ObjectMeta.model_validate(
        {
            "name": "photos",
            "namespace": "demo",
            "uid": "u-1",
            "resourceVersion": "17",
            "generation": 2,
            "creationTimestamp": "2026-01-31T12:00:00Z",
            "deletionTimestamp": "2026-01-31T12:00:00Z",
            "finalizers": ["storage.amove.io/finalizer"],
            "annotations": {"storage.amove.io/paused": "true"},
            "ownerReferences": [
                {"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "u-2", "controller": True}
            ],
            "managedFields": [{"manager": "kubectl"}],
        }
    )
    assert (meta.uid, meta.resource_version, meta.generation) == ("u-1", "17", 2)
    assert meta.creation_timestamp == meta.deletion_timestamp == NOON
    assert meta.deleting
    assert meta.finalized_by_us
    assert meta.paused


@pytest.mark.parametrize(
    "moment",
    [
        NOON,
        NOON.replace(microsecond=999_999),
        NOON.astimezone(timezone(timedelta(hours=5, minutes=30))),
        "2026-01-31T12:00:00.123456789Z",
        "2026-01-31T13:00:00+01:00",
    ],
    ids=str,
)
def test_a_time_is_written_in_utc_and_whole_seconds(moment: Any) -> None:
    status = KeyStatus(next_rotation=moment)
    assert status.to_kube()["nextRotation"] == "2026-01-31T12:00:00Z"
    assert status == KeyStatus.model_validate(status.to_kube())


def test_a_time_put_in_by_a_copy_is_written_in_whole_seconds_too() -> None:
    status = KeyStatus().model_copy(update={"next_rotation": NOON.replace(microsecond=5)})
    assert status.to_kube()["nextRotation"] == "2026-01-31T12:00:00Z"


def test_a_time_of_year_one_is_written_with_four_digits() -> None:
    status = KeyStatus(next_rotation=datetime(1, 1, 1, tzinfo=UTC))
    assert status.to_kube()["nextRotation"] == "0001-01-01T00:00:00Z"


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValidationError, match="timezone"):
        KeyStatus(next_rotation=NOON.replace(tzinfo=None))


def test_fields_of_a_later_version_are_read_over() -> None:
    bucket = AmoveBucket.model_validate(
        {"metadata": {"name": "photos"}, "spec": {"colour": "red"}, "status": {"mood": "good"}}
    )
    assert "colour" not in bucket.spec.to_kube()


def test_a_flag_left_out_is_not_managed() -> None:
    spec = AmoveBucket.model_validate({"metadata": {"name": "photos"}, "spec": {}}).spec
    assert (spec.public, spec.encryption_enabled, spec.versioning_enabled) == (None, None, None)
    assert spec.object_lock_enabled is None


def test_the_defaults_are_the_safe_ones() -> None:
    bucket = AmoveBucket.model_validate({"metadata": {"name": "photos"}, "spec": {}}).spec
    key = AmoveStorageKey.model_validate({"metadata": {"name": "photos"}, "spec": PLAIN_KEY}).spec
    assert bucket.deletion_policy == "Retain"
    assert bucket.adoption_policy == "Never"
    assert bucket.management_policy == "Manage"
    assert key.deletion_policy == "Delete"
    assert key.rotation.interval is None
    assert key.rotation.grace_period == "1h"


def _bucket(
    owner: str = "u-1", *, of_bucket: str = "photos", account: str = ACCOUNT
) -> AmoveBucket:
    """An AmoveBucket whose status was written for ``owner``, a bucket and an account."""
    status = {
        "ownerUID": owner,
        "bucketName": of_bucket,
        "cloudAccountId": account,
        "provenance": "Created",
        "conditions": [{"type": "Ready", "status": "True", "reason": "Available"}],
    }
    return AmoveBucket.model_validate(
        {
            "metadata": {"name": "photos", "uid": "u-1"},
            "spec": {"cloudAccountId": ACCOUNT},
            "status": status,
        }
    )


@pytest.mark.parametrize(
    "copied",
    [_bucket("u-2"), _bucket(of_bucket="other"), _bucket(account=ACCOUNT.replace("0", "1"))],
    ids=["of another object", "of another bucket", "of another account"],
)
def test_a_bucket_status_proves_only_what_was_written_for_it(copied: AmoveBucket) -> None:
    own = _bucket()
    assert own.proven is own.status
    assert copied.proven == BucketStatus(conditions=own.status.conditions)


def test_a_key_status_proves_only_what_was_written_for_it() -> None:
    def key(uid: str, **metadata: object) -> AmoveStorageKey:
        return AmoveStorageKey(
            metadata=ObjectMeta.model_validate({"name": "app", "uid": uid, **metadata}),
            spec=KeySpec.model_validate(PLAIN_KEY),
            status=FULL_KEY_STATUS,
        )

    own, copied = key("u-1"), key("u-2")
    assert own.proven is own.status
    assert [one.id for one in own.named_keys] == ["k-1", "k-0"]
    assert own.reached_buckets == {"photos"}
    assert copied.proven == KeyStatus(conditions=FULL_KEY_STATUS.conditions)
    assert copied.named_keys == ()
    going = {"deletionTimestamp": "2026-01-31T12:00:00Z"}
    assert key("u-1", **going).named_keys == ()  # our finalizer is off: its keys were revoked
    assert key("u-1", **going, finalizers=[FINALIZER]).named_keys == own.named_keys


def test_a_new_status_is_judged_anew() -> None:
    """``model_copy`` does not validate: alone it would keep what the old status proved."""
    own = _bucket()
    noted = own.with_status(own.status.model_copy(update={"create_intent": True}))
    assert noted.proven is noted.status
    assert noted.proven.create_intent
    copied = own.with_status(own.status.model_copy(update={"owner_uid": "u-2"}))
    assert copied.proven.provenance is None
    assert own.proven.provenance == "Created"


def test_what_proves_is_neither_read_nor_written() -> None:
    given = {"metadata": {"name": "photos"}, "spec": {}, "proven": {"provenance": "Created"}}
    read = AmoveBucket.model_validate({**given, "_proven": {"provenance": "Created"}})
    assert read.proven == BucketStatus()
    assert set(_bucket().to_kube()) == {"metadata", "spec", "status"}


def test_a_vanished_object_is_deleting_and_never_paused() -> None:
    meta = {"name": "photos", "annotations": {f"{GROUP}/paused": "true"}, "vanished": True}
    seen = AmoveBucket.model_validate({"metadata": meta, "spec": {}})
    assert seen.metadata.paused
    assert not seen.metadata.vanished  # never on the word of who writes the object
    last = seen.as_vanished()
    assert (last.metadata.vanished, last.metadata.deleting, last.metadata.paused) == (
        True,
        True,
        False,
    )
    assert "vanished" not in last.to_kube()["metadata"]


def test_the_names_in_effect_default_to_the_objects_own() -> None:
    plain = AmoveStorageKey.model_validate({"metadata": {"name": "app"}, "spec": PLAIN_KEY})
    named = {**PLAIN_KEY, "secret": {"name": "creds"}}
    other = AmoveStorageKey.model_validate({"metadata": {"name": "app"}, "spec": named})
    assert (plain.secret_name, other.secret_name) == ("app", "creds")
    bucket = AmoveBucket.model_validate(
        {"metadata": {"name": "a-b"}, "spec": {"bucketName": "c-d"}}
    )
    assert (_bucket().bucket_name, bucket.bucket_name) == ("photos", "c-d")


def test_an_object_keeps_no_note_of_which_fields_were_given_and_a_copy_shares_none() -> None:
    one, other = _bucket(), _bucket()
    changed = one.model_copy(update={"spec": other.spec})
    assert changed == one
    assert not one.model_fields_set | other.model_fields_set | one.spec.model_fields_set
