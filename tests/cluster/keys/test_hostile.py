"""What a team does to its own objects to keep, hide or multiply keys harms nobody else."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from amove_emulator import Emulator
from tests.cluster.fixtures import RunOperator
from tests.cluster.harness import (
    BUCKET,
    GROUP,
    KEY,
    VERSION,
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
    CHECKSUM,
    KEY_ID,
    OURS,
    OWNER_UID,
    RETIRING,
    Stage,
    a_secret,
    another_key,
    forged_checksum,
    held,
    live_of,
    lives_alone,
    marker_of,
    mints,
    most_live,
    owner_of,
)
from tests.faults.crash_point import CRASHING, CrashPoint

FUTURE = "2999-01-01T00:00:00Z"
PAUSED = {f"{GROUP}/paused": "true"}
LONG_GRACE = {"gracePeriod": "24h"}


@pytest.fixture
def set_stage(
    whole_cluster: Cluster,
    make_namespace: Callable[[], str],
    namespace: str,
    emulator: Emulator,
    run_operator: RunOperator,
) -> Callable[..., Stage]:
    """A stage whose victim is trusted, so that it may take buckets that exist."""

    def setting(**settings: Any) -> Stage:
        victim = make_namespace()
        settings = {"trusted_namespaces": [victim], **settings}
        return Stage(whole_cluster, (victim, namespace), emulator, run_operator, **settings)

    return setting


@pytest.fixture
def stage(set_stage: Callable[..., Stage]) -> Stage:
    return set_stage()


def asked_for(emulator: Emulator, uid: str) -> int:
    """How often a key was asked for in the name of this CR."""
    names = (entry["body"]["name"] for entry in emulator.control.journal("create_storage_key"))
    return sum(owner_of(name) == marker_of(uid) for name in names)


def dead(emulator: Emulator, key: Manifest) -> None:
    """Wait until no key of this CR works any more."""
    what = f"the end of the keys of {key['metadata']['name']}"
    eventually(lambda: live_of(emulator, key) == [], what=what)


def opens(variables: Mapping[str, str], bucket: str) -> str | None:
    """What S3 says to a pair that lists a bucket; None: it may."""
    with s3_with_only(dict(variables)) as s3:
        return refusal(s3.list_objects_v2, Bucket=bucket)


# ---------------------------------------------------------------- finalizers, while a key is issued


def test_the_finalizer_cannot_be_stripped_while_a_key_is_issued_nor_ever_after(
    stage: Stage, emulator: Emulator
) -> None:
    tenant, here = stage.tenant, stage.here
    before = mints(emulator)
    held_back = emulator.control.fault("create_storage_key", hold="after")
    tenant.applies(a_key("late", bucketRefs=refs("photos")))
    emulator.control.wait_for_calls("create_storage_key", before + 1, arrived=True)
    assert "taken off by the operator alone" in tenant.strips(KEY, "late")
    emulator.control.clear_faults(held_back)

    key = here.ready(KEY, "late")
    assert "taken off by the operator alone" in tenant.strips(KEY, "late")

    assert live_of(emulator, key) == [key["status"]["key"]["id"]] == [held(here, "late")]
    assert mints(emulator) == before + 1
    tenant.deletes(KEY, "late")
    here.gone(KEY, "late")
    assert live_of(emulator, key) == []
    stage.unharmed()


@pytest.mark.parametrize("drop", [None, "after"], ids=["answered", "unanswered"])
def test_a_key_that_vanishes_while_it_is_issued_leaves_nothing_live_nor_does_its_successor(
    stage: Stage, emulator: Emulator, drop: str | None
) -> None:
    """Let go of by an admin and made anew under the same name, before the service answers."""
    tenant, here = stage.tenant, stage.here
    wish, before = a_key("late", bucketRefs=refs("photos")), mints(emulator)
    held_back = emulator.control.fault("create_storage_key", hold="after", drop=drop)
    tenant.applies(wish)
    emulator.control.wait_for_calls("create_storage_key", before + 1, arrived=True)
    first = here.found(KEY, "late")
    eventually(lambda: live_of(emulator, first), what="the key that nobody knows of yet")
    tenant.vanishes(KEY, "late")
    here.gone(KEY, "late")
    tenant.applies(wish)
    emulator.control.clear_faults(held_back)

    dead(emulator, first)
    second = here.ready(KEY, "late")
    assert live_of(emulator, second) == [second["status"]["key"]["id"]] == [held(here, "late")]
    assert asked_for(emulator, first["metadata"]["uid"]) == 1
    assert asked_for(emulator, second["metadata"]["uid"]) == 1
    stage.unharmed()


def test_a_paused_key_that_an_admin_lets_go_of_is_revoked(stage: Stage, emulator: Emulator) -> None:
    """A pause stops every call for an object: not for one that is not there any more."""
    tenant, here = stage.tenant, stage.here
    tenant.applies(a_key("asleep", bucketRefs=refs("photos")))
    key = here.ready(KEY, "asleep")
    tenant.does("annotate", KEY, "asleep", f"{GROUP}/paused=true")
    here.until(KEY, "asleep", "Synced", "Paused", status="False")

    tenant.vanishes(KEY, "asleep")

    here.gone(KEY, "asleep")
    dead(emulator, key)
    here.gone("Secret", "asleep")
    stage.unharmed()


def test_a_deletion_that_is_cut_short_by_stripping_is_carried_out_all_the_same(
    stage: Stage, emulator: Emulator
) -> None:
    """Also while an object made anew is served under the same name."""
    tenant, here, wish = stage.tenant, stage.here, a_key("app", bucketRefs=refs("photos"))
    pair = here.secret("app")
    refusing = emulator.control.fault("delete_storage_key", status=503, times=None)
    tenant.deletes(KEY, "app")
    emulator.control.wait_for_calls("delete_storage_key", 1)
    tenant.vanishes(KEY, "app")
    here.gone(KEY, "app")
    tenant.applies(wish)
    new = here.ready(KEY, "app")
    assert opens(pair, "photos") is None

    emulator.control.clear_faults(refusing)

    dead(emulator, stage.mine)
    assert opens(pair, "photos") == "InvalidAccessKeyId"
    assert lives_alone(emulator, new)
    assert asked_for(emulator, stage.mine["metadata"]["uid"]) == 1
    stage.unharmed()


# ---------------------------------------------------------------- a bucket that was given up


def former_team(stage: Stage, emulator: Emulator, *names: str) -> list[Manifest]:
    """The tenant had these buckets, each with a key of two pairs, and let go of the buckets."""
    tenant, here = stage.tenant, stage.here
    tenant.applies(*(a_bucket(name) for name in names))
    tenant.applies(*(a_key(n, bucketRefs=refs(n), rotation=LONG_GRACE) for n in names))
    first = {name: here.ready(KEY, name)["status"]["key"]["id"] for name in names}
    for name in names:
        tenant.does("annotate", KEY, name, f"{GROUP}/rotate-requested-at=now")
    keys = [another_key(here, KEY, name, first[name]) for name in names]
    tenant.does("delete", BUCKET, *names)
    for key in keys:
        assert len(live_of(emulator, key)) == 2, "a slip in Git costs no key"
    return keys


def given(stage: Stage, emulator: Emulator, *names: str) -> None:
    """An admin gives the victim buckets that exist, by the line that BucketExists prints."""
    buckets = stage.victim.apply(*(a_bucket(name) for name in names))
    for bucket, name in zip(buckets, names, strict=True):
        stage.victim.until(BUCKET, name, "Stalled", "BucketExists")
        status = {
            "ownerUID": bucket["metadata"]["uid"],
            "bucketName": name,
            "cloudAccountId": emulator.cloud_account_id,
            "provenance": "Adopted",
        }
        stage.victim.patch(BUCKET, name, {"status": status}, subresource="status")
    for name in names:
        stage.victim.ready(BUCKET, name)


def set_up_decoys(stage: Stage) -> None:
    """AmoveBuckets of the tenant's for buckets that it gave up: each holds the name, if it could.

    The dying one stays for as long as the tenant likes.
    """
    dying = a_bucket("dying", annotations=PAUSED)
    dying["metadata"]["finalizers"] = ["example.com/mine"]
    stage.tenant.applies(
        a_bucket("stalled"),
        a_bucket("paused", annotations=PAUSED),
        a_bucket("another", bucketName="renamed", annotations=PAUSED),
        a_bucket("refused", public=True),
        dying,
    )
    stage.here.until(BUCKET, "stalled", "Stalled", "BucketExists")
    stage.here.until(BUCKET, "refused", "Stalled", "NotPermitted")
    stage.tenant.deletes(BUCKET, "dying")


def test_no_decoy_keeps_a_former_teams_keys_on_a_bucket_that_was_given_to_another(
    stage: Stage, emulator: Emulator
) -> None:
    names = ("bare", "stalled", "paused", "renamed", "refused", "dying")
    keys = former_team(stage, emulator, *names)
    pairs = {name: stage.here.secret(name) for name in names}
    set_up_decoys(stage)
    made = mints(emulator)

    given(stage, emulator, *names)

    for key, name in zip(keys, names, strict=True):
        dead(emulator, key)
        assert opens(pairs[name], name) == "InvalidAccessKeyId"
    stage.victim.apply(a_key("new-owner", bucketRefs=refs(*names)))
    stage.victim.ready(KEY, "new-owner")
    for name in names:
        assert opens(stage.victim.secret("new-owner"), name) is None
        stage.here.until(KEY, name, "Ready", status="False")
    assert mints(emulator) == made + 1, "the former team is issued nothing in its place"
    stage.unharmed()


WRONG: dict[str, Manifest] = {
    "names": {"bucketRefs": None, "bucketNames": ["names"]},
    "every": {"bucketRefs": None, "allBuckets": True},
    "template": {"secret": {"template": {"a": "${nonsense}${secretKey}"}}},
    "grace": {"rotation": {"gracePeriod": "9999h"}},
    "kept": {"deletionPolicy": "Retain"},
    "host": {"storageDn": "evil.example.org"},
}


def test_a_spec_made_wrong_on_purpose_keeps_no_key_alive_that_another_waits_for(
    stage: Stage, emulator: Emulator
) -> None:
    """Also a spec that pretends to be of a sort that blocks nobody: bucketNames."""
    victim, here = stage.victim, stage.here
    keys = former_team(stage, emulator, *WRONG)
    pairs = {name: here.secret(name) for name in WRONG}
    for name, wrong in WRONG.items():
        change = json.dumps({"spec": wrong})
        stage.tenant.does("patch", KEY, name, "--type=merge", "--patch", change)
        here.until(KEY, name, "Stalled")
    assert all(len(live_of(emulator, key)) == 2 for key in keys)

    victim.apply(*(a_bucket(name, adoptionPolicy="IfExists") for name in WRONG))

    for key, name in zip(keys, WRONG, strict=True):
        seen = victim.ready(BUCKET, name)
        assert seen["status"]["provenance"] == "Adopted"
        assert live_of(emulator, key) == [], "nobody gets a bucket that a former key opens"
        assert opens(pairs[name], name) == "InvalidAccessKeyId"
    assert asked_for(emulator, keys[0]["metadata"]["uid"]) == 2
    stage.unharmed()


def test_edits_while_another_waits_for_the_name_do_not_save_the_key(
    stage: Stage, emulator: Emulator
) -> None:
    victim, tenant = stage.victim, stage.tenant
    (key,) = former_team(stage, emulator, "pearls")
    refusing = emulator.control.fault("delete_storage_key", status=503, times=None)
    victim.apply(a_bucket("pearls", adoptionPolicy="IfExists"))
    victim.until(BUCKET, "pearls", "Reconciling", "NameInUse")
    for change in (WRONG["names"], {"bucketNames": ["other"]}):
        patch = json.dumps({"spec": change})
        tenant.does("patch", KEY, "pearls", "--type=merge", "--patch", patch)
    tenant.does("delete", "secret", "pearls")
    tenant.applies(a_bucket("pearls", annotations=PAUSED))
    assert "provenance" not in victim.found(BUCKET, "pearls")["status"]
    assert live_of(emulator, key)

    emulator.control.clear_faults(refusing)

    victim.ready(BUCKET, "pearls")
    assert live_of(emulator, key) == []
    stage.unharmed()


def test_a_key_refused_before_a_restart_frees_the_name_after_it(
    stage: Stage, emulator: Emulator
) -> None:
    """Its Secret was never read by the process that revokes it."""
    (key,) = former_team(stage, emulator, "pearls")
    change = json.dumps({"spec": WRONG["names"]})
    stage.tenant.does("patch", KEY, "pearls", "--type=merge", "--patch", change)
    stage.here.until(KEY, "pearls", "Stalled", "NotPermitted")
    stage.operator.stop()
    stage.starts()

    stage.victim.apply(a_bucket("pearls", adoptionPolicy="IfExists"))

    stage.victim.ready(BUCKET, "pearls")
    assert live_of(emulator, key) == []
    stage.unharmed()


def test_a_pause_keeps_no_key_on_a_bucket_that_was_given_to_another(
    stage: Stage, emulator: Emulator
) -> None:
    (key,) = former_team(stage, emulator, "pearls")
    stage.tenant.does("annotate", KEY, "pearls", f"{GROUP}/paused=true")
    stage.here.until(KEY, "pearls", "Synced", "Paused", status="False")

    given(stage, emulator, "pearls")

    dead(emulator, key)
    assert stage.here.found(KEY, "pearls")["metadata"]["finalizers"]
    stage.unharmed()


def test_a_paused_key_frees_the_name_that_another_waits_for(
    stage: Stage, emulator: Emulator
) -> None:
    (key,) = former_team(stage, emulator, "pearls")
    stage.tenant.does("annotate", KEY, "pearls", f"{GROUP}/paused=true")
    stage.here.until(KEY, "pearls", "Synced", "Paused", status="False")

    stage.victim.apply(a_bucket("pearls", adoptionPolicy="IfExists"))

    stage.victim.ready(BUCKET, "pearls")
    assert live_of(emulator, key) == []
    stage.unharmed()


# ---------------------------------------------------------------- Secrets made beforehand


def test_secrets_made_beforehand_with_our_marks_are_refused_untouched_and_cost_no_key(
    stage: Stage, emulator: Emulator
) -> None:
    """One would mint a ServiceAccount's token, the other can never be written."""
    tenant, here, before = stage.tenant, stage.here, mints(emulator)
    shapes: dict[str, dict[str, Any]] = {
        "token": {"type": "kubernetes.io/service-account-token"},
        "frozen": {"immutable": True},
        "frozen-empty": {"immutable": True, "stringData": {}},
    }
    tenant.applies(*(a_key(name, bucketRefs=refs("later")) for name in shapes))
    for name, shape in shapes.items():
        notes = {
            OWNER_UID: here.found(KEY, name)["metadata"]["uid"],
            "kubernetes.io/service-account.name": "default",
        }
        tenant.applies(a_secret(name, {"a": "b"}, labels=OURS, annotations=notes) | shape)
    eventually(lambda: "token" in here.found("Secret", "token")["data"], what="its token")
    secrets = {name: here.found("Secret", name) for name in shapes}

    tenant.applies(a_bucket("later"))

    here.until(KEY, "token", "Stalled", "SecretConflict")
    for name in ("frozen", "frozen-empty"):
        seen = here.until(KEY, name, "Stalled", "SecretWriteRefused")
        assert "immutable" in condition(seen, "Stalled")["message"]
    assert {name: here.found("Secret", name) for name in shapes} == secrets
    assert mints(emulator) == before
    # It is taken at its word, once it can be written.
    tenant.does("delete", "secret", "frozen", "token")
    for name in ("frozen", "token"):
        here.ready(KEY, name)
    assert here.found("Secret", "token")["type"] == "Opaque"
    stage.unharmed()


# ---------------------------------------------------------------- records, across a restart


def test_forged_records_keep_no_wide_key_across_a_restart(stage: Stage, emulator: Emulator) -> None:
    """The spec is narrowed while nobody looks, and the Secret's record is edited to fit."""
    tenant, here = stage.tenant, stage.here
    tenant.applies(a_bucket("films"))
    names = ("own-id", "other-id")
    tenant.applies(*(a_key(name, bucketRefs=refs("photos", "films")) for name in names))
    wide = {name: here.ready(KEY, name) for name in names}
    stage.operator.stop()
    rotation = {"gracePeriod": "0s"}
    tenant.applies(*(a_key(n, bucketRefs=refs("photos"), rotation=rotation) for n in names))
    for name, key in wide.items():
        uid, told = key["metadata"]["uid"], key["status"]["key"]["id"]
        told = stage.mine["status"]["key"]["id"] if name == "other-id" else told
        data = here.found("Secret", name)["data"]
        forgery = {KEY_ID: told, RETIRING: json.dumps({told: FUTURE})}
        forgery[CHECKSUM] = forged_checksum(uid, told, data)
        tenant.forges(name, **forgery)

    stage.starts()

    for name, key in wide.items():
        seen = another_key(here, KEY, name, key["status"]["key"]["id"])
        eventually(partial(lives_alone, emulator, seen))
        assert seen["status"]["key"]["buckets"] == ["photos"]
    assert live_of(emulator, stage.mine) == [stage.mine["status"]["key"]["id"]]
    stage.unharmed()


def crash_before_status(stage: Stage, tmp_path: Path, key: Manifest) -> dict[str, str]:
    """A key's Secret was written and its status was not; the pair in the Secret."""
    here, name = stage.here, key["metadata"]["name"]
    stage.operator.stop()
    point = CrashPoint(tmp_path / "crash", "4:before")
    point.arm(about=name)
    operator = stage.starts(program=CRASHING, environ=point.environ)
    stage.tenant.applies(key)
    assert operator.wait() == -signal.SIGKILL
    assert point.effects[2:] == [
        f"POST /api/v1/namespaces/{here.namespace}/secrets",
        f"PATCH /apis/{VERSION}/namespaces/{here.namespace}/amovestoragekeys/{name}/status",
    ]
    return here.secret(name)


def test_a_key_written_before_a_crash_whose_spec_was_edited_is_not_taken_for_what_it_says(
    stage: Stage, emulator: Emulator, tmp_path: Path
) -> None:
    """Nothing proves which buckets it opens: it is replaced, and ends with its grace."""
    tenant, here = stage.tenant, stage.here
    tenant.applies(a_bucket("harmless"))
    here.ready(BUCKET, "harmless")
    wish = a_key("hidden", bucketRefs=refs("photos"), rotation=LONG_GRACE)
    pair = crash_before_status(stage, tmp_path, wish)
    assert opens(pair, "photos") is None
    first = held(here, "hidden")
    rotation = {"gracePeriod": "0s"}
    tenant.applies(a_key("hidden", bucketRefs=refs("harmless"), rotation=rotation))

    stage.starts()

    key = another_key(here, KEY, "hidden", first)
    eventually(partial(lives_alone, emulator, key), what="the end of the first")
    assert key["status"]["key"]["buckets"] == ["harmless"]
    assert opens(pair, "photos") == "InvalidAccessKeyId"
    assert opens(here.secret("hidden"), "photos") == "AccessDenied"
    assert asked_for(emulator, key["metadata"]["uid"]) == 2
    stage.unharmed()


def test_a_key_that_no_status_names_keeps_its_buckets_name_until_it_is_revoked(
    stage: Stage, emulator: Emulator, tmp_path: Path
) -> None:
    """Killed before status named it; its bucket's object is gone when the next process starts."""
    tenant, here, victim = stage.tenant, stage.here, stage.victim
    tenant.applies(a_bucket("gallery"))
    here.ready(BUCKET, "gallery")
    pair = crash_before_status(stage, tmp_path, a_key("visits", bucketRefs=refs("gallery")))
    assert opens(pair, "gallery") is None
    key = here.found(KEY, "visits")
    tenant.vanishes(BUCKET, "gallery")
    here.gone(BUCKET, "gallery")
    victim.apply(a_bucket("gallery", adoptionPolicy="IfExists"))

    no_list_yet = emulator.control.fault("get_storage_key", hold="before", times=None)
    stage.starts()

    victim.until(BUCKET, "gallery", "Reconciling", "WaitingForListing")
    emulator.control.clear_faults(no_list_yet)
    waiting = victim.until(BUCKET, "gallery", "Reconciling", "NameInUse")
    told = condition(waiting, "Reconciling")["message"]
    assert f"a key of namespace {here.namespace} " in told
    assert "visits" not in told
    tenant.deletes(KEY, "visits")
    victim.ready(BUCKET, "gallery")
    assert live_of(emulator, key) == []
    assert opens(pair, "gallery") == "InvalidAccessKeyId"
    stage.unharmed()


def test_no_secret_holds_another_teams_name(stage: Stage, emulator: Emulator) -> None:
    """Neither one with a live key of the tenant's own in it, nor one with the victim's."""
    tenant, here, victim = stage.tenant, stage.here, stage.victim
    own = here.found("Secret", "app")["metadata"]["annotations"]
    theirs = victim.found("Secret", "owner")["metadata"]["annotations"]
    notes = {
        "own": dict(own),
        "theirs": dict(theirs),
        "mixed": {**theirs, OWNER_UID: own[OWNER_UID]},
        "nobody": {OWNER_UID: "x", KEY_ID: "y"},
    }
    former = {f"{GROUP}/retained-buckets": "gems,pebbles,treasure"}
    for name, forged in notes.items():
        secret = a_secret(name, {"a": "b"}, labels=OURS, annotations={**forged, **former})
        tenant.applies(secret)

    victim.apply(a_bucket("gems"))
    victim.ready(BUCKET, "gems")
    stage.operator.stop()
    stage.starts()
    victim.apply(a_bucket("pebbles"))
    victim.ready(BUCKET, "pebbles")

    victim.patch(BUCKET, "treasure", {"spec": {"deletionPolicy": "Delete"}})
    victim.delete(KEY, "owner")
    victim.delete(BUCKET, "treasure")
    victim.gone(BUCKET, "treasure")
    assert "treasure" not in emulator.control.buckets()
    assert lives_alone(emulator, stage.mine)


# ---------------------------------------------------------------- spam


def test_edits_without_end_during_an_issue_cost_no_more_than_the_budget(
    set_stage: Callable[..., Stage], emulator: Emulator
) -> None:
    stage = set_stage(mint_budget=3)
    tenant, here = stage.tenant, stage.here
    before = mints(emulator)
    answers = emulator.control.fault("create_storage_key", hold="after", times=None)
    tenant.applies(a_key("busy", bucketRefs=refs("photos"), rotation={"gracePeriod": "0s"}))
    emulator.control.wait_for_calls("create_storage_key", before + 1, arrived=True)
    uid = here.found(KEY, "busy")["metadata"]["uid"]
    for number in range(12):
        permission = ("Read", "Write", "ReadWrite")[number % 3]
        change = {
            "metadata": {"annotations": {f"{GROUP}/rotate-requested-at": str(number)}},
            "spec": {"permission": permission, "keyName": f"name-{number}"},
        }
        patch = json.dumps(change)
        tenant.does("patch", KEY, "busy", "--type=merge", "--patch", patch)
        tenant.tries("delete", "secret", "busy", "--ignore-not-found", "--wait=false")
        if number % 3 == 2:  # what is asked for has its answer after some edits more
            emulator.control.clear_faults(answers)
            answers = emulator.control.fault("create_storage_key", hold="after", times=None)
    emulator.control.clear_faults()

    def at_rest() -> bool:
        seen = here.found(KEY, "busy")
        synced = condition(seen, "Synced")
        assert synced["observedGeneration"] == seen["metadata"]["generation"]
        if synced["status"] == "True":
            return lives_alone(emulator, seen)
        return bool(synced["reason"] == "MintBudgetExhausted")

    eventually(at_rest)
    assert asked_for(emulator, uid) <= 1 + 3
    assert most_live(emulator) <= 2
    stage.unharmed()
