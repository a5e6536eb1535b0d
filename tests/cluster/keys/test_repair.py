"""A Secret that was deleted or edited is filled with a new key at once, the old one retires."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial

from amove_emulator import Emulator
from tests.cluster.fixtures import RunOperator
from tests.cluster.harness import (
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
from tests.cluster.harness_keys import another_key, live_of, mints, most_live, revoked

NONSENSE = "bm9uc2Vuc2U="
DAMAGE: dict[str, Callable[[Cluster, str], object]] = {
    "deleted": lambda cluster, name: cluster.delete("Secret", name),
    "edited": lambda cluster, name: cluster.patch(
        "Secret", name, {"data": {"AWS_SECRET_ACCESS_KEY": NONSENSE}}
    ),
    "emptied": lambda cluster, name: cluster.patch("Secret", name, {"data": None}),
    "less-one": lambda cluster, name: cluster.patch("Secret", name, {"data": {"AWS_REGION": None}}),
}


def test_a_deleted_or_edited_secret_gets_a_new_key_at_once_and_the_old_one_has_its_grace(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    run_operator(resync_interval="3600s")
    grace = {"gracePeriod": "1h"}
    cluster.apply(a_bucket("photos"))
    cluster.apply(*(a_key(name, bucketRefs=refs("photos"), rotation=grace) for name in DAMAGE))
    old = {name: cluster.ready(KEY, name)["status"]["key"] for name in DAMAGE}
    former = {name: cluster.secret(name) for name in DAMAGE}

    for name, damage in DAMAGE.items():
        before = mints(emulator)
        damage(cluster, name)
        emulator.control.wait_for_calls("create_storage_key", before + 1, arrived=True)

    for name in DAMAGE:
        status = another_key(cluster, KEY, name, old[name]["id"])["status"]
        assert [each["id"] for each in status["retiring"]] == [old[name]["id"]]
        with s3_with_only(cluster.secret(name)) as s3:
            assert refusal(s3.put_object, Bucket="photos", Key="a", Body=b"b") is None
        with s3_with_only(former[name]) as s3:
            assert refusal(s3.get_object, Bucket="photos", Key="a") is None, "its grace runs"
    ended = {"gracePeriod": "0s"}
    cluster.apply(*(a_key(name, bucketRefs=refs("photos"), rotation=ended) for name in DAMAGE))
    for name in DAMAGE:
        key = cluster.found(KEY, name)
        eventually(partial(lives_alone, emulator, key), what=f"the end of {name}'s former key")
        eventually(partial(retires_none, cluster, name), what="a status without it")
    assert mints(emulator) == 2 * len(DAMAGE)
    assert most_live(emulator) == 2


def lives_alone(emulator: Emulator, key: Manifest) -> bool:
    return live_of(emulator, key) == [key["status"]["key"]["id"]]


def retires_none(cluster: Cluster, name: str) -> bool:
    status = cluster.found(KEY, name)["status"]
    assert not status.get("retiring"), status["retiring"]
    return True


def test_a_secret_deleted_again_and_again_never_leaves_a_third_key(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    run_operator(mint_budget=10)
    rotation = {"gracePeriod": "1h"}
    cluster.apply(a_bucket("photos"), a_key("app", bucketRefs=refs("photos"), rotation=rotation))
    current = cluster.ready(KEY, "app")["status"]["key"]["id"]
    for _ in range(4):
        cluster.delete("Secret", "app")
        current = another_key(cluster, KEY, "app", current)["status"]["key"]["id"]
    assert most_live(emulator) == 2
    assert live_of(emulator, cluster.found(KEY, "app"))[-1] == current
    assert current not in revoked(emulator)


def test_past_the_budget_a_repair_waits_and_says_until_when_also_after_restarts(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    rotation = {"gracePeriod": "0s"}
    operator = run_operator(mint_budget=2)
    cluster.apply(a_bucket("photos"), a_key("app", bucketRefs=refs("photos"), rotation=rotation))
    serial = cluster.ready(KEY, "app")["status"]["key"]["serial"]
    for _ in range(2):
        cluster.delete("Secret", "app")
        serial = eventually(partial(repaired, cluster, than=serial))
    made = mints(emulator)

    seen = cluster.until(KEY, "app", "Reconciling", "MintBudgetExhausted")
    issues = [datetime.fromisoformat(one["issuedAt"]) for one in seen["status"]["recentIssues"]]
    assert len(issues) == 2
    for _ in range(2):
        operator.kill()
        key_lists = emulator.control.count("get_storage_key")
        operator = run_operator(mint_budget=2)
        emulator.control.wait_for_calls("get_storage_key", key_lists + 1)
        operator.wait_idle()
        cluster.until(KEY, "app", "Reconciling", "MintBudgetExhausted")
    assert mints(emulator) == made
    assert cluster.get("Secret", "app") is None
    eventually(lambda: operator.metric("mint_budget_exhausted") == 1, what="the metric")


def repaired(cluster: Cluster, than: int) -> int:
    """The serial after a repair; that of before where the budget forbade one."""
    seen = cluster.found(KEY, "app")
    if condition(seen, "Reconciling").get("reason") == "MintBudgetExhausted":
        return than
    found = seen["status"]["key"]["serial"]
    return int(found) if found > than and cluster.get("Secret", "app") else 0


def test_a_key_revoked_outside_is_replaced_after_the_next_listing(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    run_operator(resync_interval="2s")
    names = [f"app-{number}" for number in range(5)]
    cluster.apply(a_bucket("photos"), *(a_key(n, bucketRefs=refs("photos")) for n in names))
    lost = {name: cluster.ready(KEY, name)["status"]["key"]["id"] for name in names}

    emulator.control.revoke_key(lost["app-0"])

    key = another_key(cluster, KEY, "app-0", lost["app-0"])
    assert live_of(emulator, key) == [key["status"]["key"]["id"]]
    with s3_with_only(cluster.secret("app-0")) as s3:
        assert refusal(s3.put_object, Bucket="photos", Key="a", Body=b"b") is None
    assert mints(emulator) == 6
