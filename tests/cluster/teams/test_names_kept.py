"""A bucket's name is free only when no live key reaches it, whatever became of the key's object."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from amove_emulator import Emulator
from amove_operator.commands.orphans import run_orphans
from amove_operator.settings import load_settings
from tests.cluster.bucket_words import unsynced
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
    Stage,
    another_key,
    colliding_with,
    live_of,
    lives_alone,
    make_crowd,
    mask_bit,
    names_of,
)

AT_ONCE = {"gracePeriod": "0s"}
DELETED: dict[str, Any] = {"deletionPolicy": "Delete"}


@pytest.fixture
def stage(
    whole_cluster: Cluster,
    make_namespace: Callable[[], str],
    namespace: str,
    emulator: Emulator,
    run_operator: RunOperator,
) -> Stage:
    """All namespaces are watched, so that orphans can be told; the victim may take what exists."""
    victim = make_namespace()
    return Stage(
        whole_cluster,
        (victim, namespace),
        emulator,
        run_operator,
        watch_namespaces=None,
        trusted_namespaces=[victim],
        resync_interval="1s",
    )


def opens(variables: dict[str, str], bucket: str) -> str | None:
    """What S3 says to a pair that lists a bucket; None: it may."""
    with s3_with_only(variables) as s3:
        return refusal(s3.list_objects_v2, Bucket=bucket)


# ---------------------------------------------------------------- marks that collide


def test_a_key_edited_to_names_with_the_same_mark_is_issued_anew_and_the_former_one_ends(
    stage: Stage, emulator: Emulator
) -> None:
    """Else its bucket could be given up with the key to it kept, and become another team's."""
    tenant, here, victim = stage.tenant, stage.here, stage.victim
    twins = {name: colliding_with(name, "twin") for name in ("payroll", "rates")}
    assert all(mask_bit(name) == mask_bit(twin) for name, twin in twins.items())
    tenant.applies(*(a_bucket(name, **DELETED) for name in (*twins, *twins.values())))
    tenant.applies(a_key("red", bucketRefs=refs(*twins), rotation=AT_ONCE))
    wide = here.ready(KEY, "red")["status"]["key"]
    pair = here.secret("red")
    assert opens(pair, "payroll") is None

    tenant.applies(a_key("red", bucketRefs=refs(*twins.values()), rotation=AT_ONCE))

    key = another_key(here, KEY, "red", wide["id"])
    assert names_of(key["status"]["key"]["name"]) == names_of(wide["name"]) != ""
    assert key["status"]["key"]["buckets"] == sorted(twins.values())
    eventually(lambda: lives_alone(emulator, key), what="the end of the former key")
    changes_hands(stage, "payroll", pair)
    stage.unharmed()
    assert victim.found(BUCKET, "payroll")["status"]["provenance"] == "Created"


def changes_hands(stage: Stage, name: str, pair: dict[str, str]) -> None:
    """The tenant gives up a bucket, the victim makes one of that name: the old pair is dead."""
    stage.tenant.deletes(BUCKET, name)
    stage.here.gone(BUCKET, name)
    stage.victim.apply(a_bucket(name))
    stage.victim.ready(BUCKET, name)
    assert opens(pair, name) == "InvalidAccessKeyId"


def test_a_key_edited_to_names_with_the_same_mark_while_nobody_leads_is_issued_anew(
    stage: Stage, emulator: Emulator
) -> None:
    """The first look of a new process, which knows no more than status tells."""
    tenant, here = stage.tenant, stage.here
    twin = colliding_with("payroll", "twin")
    tenant.applies(*(a_bucket(name, **DELETED) for name in ("payroll", "rates", twin)))
    tenant.applies(a_key("red", bucketRefs=refs("payroll", "rates"), rotation=AT_ONCE))
    wide = here.ready(KEY, "red")["status"]["key"]
    pair = here.secret("red")
    stage.operator.kill()
    tenant.applies(a_key("red", bucketRefs=refs(twin, "rates"), rotation=AT_ONCE))

    stage.starts()

    key = another_key(here, KEY, "red", wide["id"])
    assert names_of(key["status"]["key"]["name"]) == names_of(wide["name"])
    eventually(lambda: lives_alone(emulator, key), what="the end of the former key")
    changes_hands(stage, "payroll", pair)
    stage.unharmed()


# ---------------------------------------------------------------- orphans


def orphaned(stage: Stage, emulator: Emulator, name: str) -> tuple[Manifest, dict[str, str]]:
    """A key of the tenant's whose object went while nobody led; and the pair that she kept."""
    tenant, here = stage.tenant, stage.here
    tenant.applies(a_bucket(name, **DELETED), a_key("visits", bucketRefs=refs(name)))
    key, pair = here.ready(KEY, "visits"), here.secret("visits")
    stage.operator.kill()
    tenant.deletes(KEY, "visits")
    here.patch(KEY, "visits", {"metadata": {"finalizers": None}})
    here.gone(KEY, "visits")
    here.gone("Secret", "visits")
    assert len(live_of(emulator, key)) == 1
    stage.starts()
    return key, pair


@pytest.mark.parametrize("policy", ["Delete", "Retain"])
def test_an_orphan_keeps_its_buckets_name_until_an_admin_revokes_it(
    stage: Stage,
    emulator: Emulator,
    policy: str,
    operator_variables: Callable[..., dict[str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By ``amove-operator orphans``; who waits for the name then has it without a restart."""
    tenant, here, victim = stage.tenant, stage.here, stage.victim
    make_crowd(emulator)
    key, pair = orphaned(stage, emulator, "gallery")
    seen = unsynced(here, "gallery", "ReachedByOrphan")
    assert condition(seen, "Ready")["status"] == "True"
    assert "amove-operator orphans" in condition(seen, "Synced")["message"]

    tenant.deletes(BUCKET, "gallery")
    blocked = here.until(BUCKET, "gallery", "Stalled", "DeletionBlocked")
    assert "amove-operator orphans" in condition(blocked, "Stalled")["message"]
    victim.apply(a_bucket("gallery", adoptionPolicy="IfExists"))
    victim.until(BUCKET, "gallery", "Stalled", "BucketClaimed")
    if policy == "Retain":
        tenant.applies(a_bucket("gallery", deletionPolicy=policy))
        here.gone(BUCKET, "gallery")
        waiting = victim.until(BUCKET, "gallery", "Reconciling", "NameInUse")
        assert "amove-operator orphans" in condition(waiting, "Synced")["message"]
    assert opens(pair, "gallery") is None, "what all this is about"

    variables = operator_variables(watch_namespaces=None)
    monkeypatch.setenv("KUBECONFIG", variables["KUBECONFIG"])
    assert run_orphans(load_settings(variables), revoke=True, yes=True) == 0

    victim.ready(BUCKET, "gallery")
    here.gone(BUCKET, "gallery")
    assert live_of(emulator, key) == []
    assert opens(pair, "gallery") == "InvalidAccessKeyId"
    stage.unharmed()


def test_a_bucket_is_no_longer_reached_by_an_orphan_once_that_is_revoked(
    stage: Stage, emulator: Emulator
) -> None:
    key, _ = orphaned(stage, emulator, "gallery")
    unsynced(stage.here, "gallery", "ReachedByOrphan")
    (orphan,) = live_of(emulator, key)

    emulator.control.revoke_key(orphan)

    stage.here.until(BUCKET, "gallery", "Synced", "Settled")
    stage.unharmed()


def test_a_key_kept_by_retain_is_no_orphan_to_its_own_teams_bucket(
    stage: Stage, emulator: Emulator
) -> None:
    """Not for a moment: its Secret has it."""
    victim = stage.victim
    victim.apply(a_bucket("archive"))
    victim.apply(a_key("kept", bucketRefs=refs("archive"), deletionPolicy="Retain"))
    victim.ready(KEY, "kept")
    since = victim.now()
    victim.delete(KEY, "kept")
    victim.gone(KEY, "kept")
    key_lists = emulator.control.count("get_storage_key")
    emulator.control.wait_for_calls("get_storage_key", key_lists + 3)
    victim.until(BUCKET, "archive", "Synced", "Settled")
    assert [write for write in victim.kube_writes(since) if "amovebuckets" in write] == []
    assert stage.operator.metric("orphan_keys") == 0
