"""Whoever may edit the two kinds and Secrets of one namespace reaches nothing of another's."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from amove_emulator import Emulator
from controlplane.launcher import ControlPlane
from tests.cluster.fixtures import RunOperator
from tests.cluster.harness import (
    BUCKET,
    GROUP,
    KEY,
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
    CHECKSUM,
    KEY_ID,
    OURS,
    OWNER_UID,
    PAST,
    RETIRING,
    Stage,
    a_secret,
    another_key,
    forged_checksum,
    live_of,
    mints,
)


@pytest.fixture
def stage(
    whole_cluster: Cluster,
    make_namespace: Callable[[], str],
    namespace: str,
    emulator: Emulator,
    run_operator: RunOperator,
) -> Stage:
    return Stage(whole_cluster, (make_namespace(), namespace), emulator, run_operator)


def test_forged_annotations_of_a_secret_revoke_no_key_of_another(
    stage: Stage, emulator: Emulator
) -> None:
    tenant, uid = stage.tenant, stage.mine["metadata"]["uid"]
    data = stage.here.found("Secret", "app")["data"]
    forgeries: list[dict[str, str]] = [
        {KEY_ID: stage.id},
        {KEY_ID: stage.id, CHECKSUM: forged_checksum(uid, stage.id, data)},
        {RETIRING: json.dumps({stage.id: PAST})},
        {KEY_ID: "../../delete", RETIRING: json.dumps({"*": PAST, "": PAST, stage.id: PAST})},
        {RETIRING: "[" * 5000, f"{GROUP}/written": '[["AWS_REGION"],[1],{}]'},
        {OWNER_UID: stage.key["metadata"]["uid"], KEY_ID: stage.id},
    ]
    for number, forgery in enumerate(forgeries):
        tenant.forges("app", **forgery)
        again = f"{GROUP}/reconcile-requested-at={number}"
        tenant.does("annotate", "--overwrite", "akey", "app", again)
        if OWNER_UID in forgery:
            stage.here.until(KEY, "app", "Stalled", "SecretConflict")
            tenant.forges("app", **{OWNER_UID: uid})
        settled_again(stage, emulator)
    tenant.forges("app", **{KEY_ID: stage.id, RETIRING: json.dumps({stage.id: PAST})})
    tenant.does("delete", "akey", "app", "--wait=false")
    stage.here.gone(KEY, "app")
    stage.unharmed()


def settled_again(stage: Stage, emulator: Emulator) -> None:
    """The tenant's own key is whole again, in a Secret that tells the truth."""

    def ask() -> bool:
        key = stage.here.ready(KEY, "app")
        current = key["status"]["key"]["id"]
        notes = stage.here.found("Secret", "app")["metadata"]["annotations"]
        assert notes[KEY_ID] == current, notes
        assert current in live_of(emulator, key)
        return True

    eventually(ask)


def test_a_secret_that_pretends_to_be_ours_gains_nothing(stage: Stage, emulator: Emulator) -> None:
    """Made before the key, with its UID, another's key id and a checksum that fits."""
    tenant = stage.tenant
    tenant.applies(a_key("late", bucketRefs=refs("later")))
    uid = stage.here.found(KEY, "late")["metadata"]["uid"]
    notes = {
        OWNER_UID: uid,
        KEY_ID: stage.id,
        f"{GROUP}/written": '[["a"],[],[]]',
        CHECKSUM: forged_checksum(uid, stage.id, {"a": "Yg=="}),
        RETIRING: json.dumps({stage.id: PAST}),
    }
    tenant.applies(a_secret("late", {"a": "b"}, labels=OURS, annotations=notes))
    tenant.applies(a_bucket("later"))
    key = stage.here.ready(KEY, "late")
    assert live_of(emulator, key) == [key["status"]["key"]["id"]]
    tenant.does("delete", "akey", "late", "--wait=false")
    stage.here.gone(KEY, "late")
    stage.unharmed()


def test_no_edited_annotation_keeps_a_wide_or_old_key_alive(
    stage: Stage, emulator: Emulator
) -> None:
    tenant = stage.tenant
    rotation = {"gracePeriod": "3s"}
    tenant.applies(a_key("wide", bucketRefs=refs("photos"), rotation=rotation))
    wide = stage.here.ready(KEY, "wide")["status"]["key"]["id"]

    tenant.applies(a_key("wide", bucketRefs=refs("photos"), permission="Read", rotation=rotation))
    key = another_key(stage.here, KEY, "wide", wide)
    forever = json.dumps({wide: "2999-01-01T00:00:00Z"})
    tenant.forges("wide", **{RETIRING: forever, f"{GROUP}/issued-at": "2998-01-01T00:00:00Z"})

    only = [key["status"]["key"]["id"]]
    eventually(lambda: live_of(emulator, key) == only, what="the wide key's end")


def test_other_buckets_accounts_places_and_policies_are_refused(
    stage: Stage, emulator: Emulator
) -> None:
    tenant, before = stage.tenant, mints(emulator)
    other = emulator.control.add_account()
    own = {"bucketRefs": refs("photos")}
    wishes: dict[str, dict[str, Any]] = {
        "named": {"bucketNames": ["treasure"]},
        "every": {"allBuckets": True},
        "account": {**own, "cloudAccountId": other},
        "region": {**own, "region": "elsewhere"},
        "host": {**own, "storageDn": "evil.example.org"},
        "retain": {**own, "deletionPolicy": "Retain"},
    }
    tenant.applies(*(a_key(name, **spec) for name, spec in wishes.items()))
    tenant.applies(a_bucket("public", public=True), a_bucket("adopt", adoptionPolicy="IfExists"))
    tenant.applies(a_bucket("far", cloudAccountId=other))
    for kind, names in ((KEY, wishes), (BUCKET, ("public", "adopt", "far"))):
        for name in names:
            seen = stage.here.until(kind, name, "Stalled", "NotPermitted")
            assert "AMOVE_TRUSTED_NAMESPACES" in condition(seen, "Stalled")["message"]
    assert mints(emulator) == before
    stage.unharmed()


def test_a_name_that_is_taken_or_not_yet_free_is_not_given_to_another(
    stage: Stage, emulator: Emulator
) -> None:
    tenant, here = stage.tenant, stage.here
    tenant.applies(a_bucket("mine", bucketName="treasure"))
    tenant.applies(a_key("thief", bucketRefs=refs("mine")))
    here.until(BUCKET, "mine", "Stalled", "BucketClaimed")
    stage.unharmed()
    # The victim's bucket is deleted, while its key still opens the name.
    stage.victim.patch(BUCKET, "treasure", {"spec": {"deletionPolicy": "Delete"}})
    stage.victim.delete(BUCKET, "treasure")
    stage.victim.until(BUCKET, "treasure", "Ready", "DeletionBlocked", status="False")
    assert here.get("Secret", "thief") is None
    stage.unharmed()

    emulator.control.empty_bucket("treasure")
    former = stage.victim.secret("owner")
    stage.victim.delete(KEY, "owner")

    here.ready(BUCKET, "mine")
    here.ready(KEY, "thief")
    with s3_with_only(former) as s3:
        assert refusal(s3.list_objects_v2, Bucket="treasure") == "InvalidAccessKeyId"
    made = next(e for e in emulator.control.journal("create_bucket")[::-1] if e["effect"])
    gone = [e for e in emulator.control.journal("delete_storage_key") if e["effect"]]
    assert gone[-1]["seq"] < made["seq"], "nobody gets the bucket while a former key lives"


def test_types_labels_and_annotations_that_mean_something_to_others_are_refused(
    stage: Stage, emulator: Emulator
) -> None:
    before = mints(emulator)
    token = {"type": "kubernetes.io/service-account-token"}
    account = {"kubernetes.io/service-account.name": "default"}
    for secret in (
        token,
        {"annotations": account},
        {"labels": {"storage.amove.io/owner-uid": "x"}},
        {"annotations": {KEY_ID: stage.id}},
        {"labels": OURS},
        {"labels": {"owner": "helm", "name": "shop"}},
        {"name": "../owner"},
    ):
        wish = a_key("wish", bucketRefs=refs("photos"), secret=secret)
        assert "Invalid value" in stage.tenant.tries("create", "-f", "-", given=wish)
    assert mints(emulator) == before


def test_status_cannot_be_written_with_edit_rights_nor_with_a_role_for_everything(
    stage: Stage, plane: ControlPlane, namespace: str
) -> None:
    status = {"status": {"ownerUID": "x", "key": None}}
    patch = ("patch", "akey", "app", "--subresource=status", "--type=merge")
    assert "forbidden" in stage.tenant.tries(*patch, "--patch", json.dumps(status)).lower()
    where = f"--namespace={namespace}"
    plane.kubectl("create", "role", "all", "--verb=*", "--resource=*.storage.amove.io", where)
    plane.kubectl(
        "patch",
        "role",
        "all",
        where,
        "--type=json",
        "--patch",
        '[{"op":"replace","path":"/rules/0/resources","value":["*"]}]',
    )
    who = f"--user=tenant-{namespace}"
    plane.kubectl("create", "rolebinding", "all", who, "--role=all", where)

    def fenced() -> bool:
        complaint = stage.tenant.tries(*patch, "--patch", json.dumps(status))
        return "proves whose a bucket or key is" in complaint

    eventually(fenced, what="the policy's refusal in place of the role's")
    forged = a_key("born", bucketRefs=refs("photos")) | {"status": stage.key["status"]}
    stage.tenant.applies(forged)
    assert stage.here.ready(KEY, "born")["status"]["key"]["id"] != stage.id
    stage.unharmed()


def test_a_clone_of_anothers_key_even_with_its_status_proves_nothing(
    stage: Stage, emulator: Emulator
) -> None:
    """As a backup restores it: the administrator's rights, another namespace, the old status."""
    clone = {**stage.key, "metadata": {"name": "clone"}}
    clone["spec"] = {**clone["spec"], "bucketRefs": refs("photos")}
    stage.here.apply(clone)
    stage.here.patch(KEY, "clone", {"status": stage.key["status"]}, subresource="status")
    secret = stage.victim.found("Secret", "owner")
    notes = secret["metadata"]["annotations"]
    key = another_key(stage.here, KEY, "clone", stage.id)
    assert live_of(emulator, key) == [key["status"]["key"]["id"]]
    stage.tenant.applies(a_secret("copied", {"a": "b"}, labels=OURS, annotations=notes))
    stage.tenant.applies(a_key("copied", bucketRefs=refs("photos")))
    stage.here.until(KEY, "copied", "Stalled", "SecretConflict")
    for name in ("clone", "copied"):
        stage.tenant.does("delete", "akey", name, "--wait=false")
        stage.here.gone(KEY, name)
    stage.unharmed()


def test_ones_own_finalizer_stays_on_and_a_deletion_leaves_no_live_key(
    stage: Stage, emulator: Emulator
) -> None:
    tenant = stage.tenant
    tenant.forges("app", **{KEY_ID: stage.id, RETIRING: json.dumps({stage.id: PAST})})
    assert "taken off by the operator alone" in tenant.strips(KEY, "app")
    tenant.deletes(KEY, "app")
    tenant.strips(KEY, "app")
    eventually(lambda: live_of(emulator, stage.mine) == [], what="the end of the tenant's keys")
    stage.unharmed()


def test_a_secret_that_says_to_hold_anothers_key_does_not_hold_its_bucket(
    stage: Stage, emulator: Emulator
) -> None:
    notes = {OWNER_UID: "x", KEY_ID: stage.id}
    stage.tenant.applies(a_secret("note", {"a": "b"}, labels=OURS, annotations=notes))
    stage.victim.patch(BUCKET, "treasure", {"spec": {"deletionPolicy": "Delete"}})
    stage.victim.delete(KEY, "owner")
    stage.victim.gone(KEY, "owner")
    stage.victim.delete(BUCKET, "treasure")
    stage.victim.gone(BUCKET, "treasure")
    assert "treasure" not in emulator.control.buckets()
