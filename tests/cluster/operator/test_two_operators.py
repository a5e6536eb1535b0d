"""Two operators at once: with a Lease one of them rests, and without one nothing is overwritten."""

from __future__ import annotations

from amove_emulator import Emulator
from tests.cluster.fixtures import RunOperator
from tests.cluster.harness import (
    BUCKET,
    KEY,
    a_bucket,
    a_key,
    condition,
    eventually,
    refs,
    refusal,
    s3_with_only,
)
from tests.cluster.harness_cluster import SYSTEM, Cluster
from tests.cluster.harness_keys import a_secret, held, live_ids, live_of, owner_of

NAMES = [f"app-{number}" for number in range(6)]


def one_held_key_each(cluster: Cluster, emulator: Emulator) -> bool:
    """Every CR has one live key, which its Secret holds; nothing else lives."""
    current = set()
    for name in NAMES:
        key = cluster.found(KEY, name)
        assert condition(key, "Ready").get("status") == "True", key.get("status")
        assert condition(key, "Synced").get("status") == "True", key.get("status")
        live = live_of(emulator, key)
        assert live == [key["status"]["key"]["id"]] == [held(cluster, name)], (name, live)
        current.update(live)
    assert live_ids(emulator) == current
    return True


def usable(cluster: Cluster) -> None:
    for name in NAMES:
        with s3_with_only(cluster.secret(name)) as s3:
            assert refusal(s3.put_object, Bucket="photos", Key="a", Body=b"b") is None


def test_two_operators_without_a_lease_end_with_one_held_key_for_each_cr(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    """The worst case: both act on everything at once, and the docs forbid it."""
    settings = {"mint_budget": 20, "resync_interval": "3s"}
    run_operator(**settings)
    cluster.apply(a_bucket("photos"))
    cluster.ready(BUCKET, "photos")
    run_operator(**settings)
    rotation = {"gracePeriod": "1s"}
    foreign = cluster.apply(*(a_secret(f"theirs-{n}", {"a": "b"}) for n in range(3)))
    cluster.apply(*(a_key(n, bucketRefs=refs("photos"), rotation=rotation) for n in NAMES))
    cluster.apply(*(a_key(s["metadata"]["name"], bucketRefs=refs("photos")) for s in foreign))
    eventually(lambda: one_held_key_each(cluster, emulator))
    usable(cluster)

    for name in NAMES[:2]:
        cluster.annotate(KEY, name, rotate_requested_at="now")
    for name in NAMES[2:4]:
        cluster.delete("Secret", name)
    for name in NAMES[4:]:
        cluster.patch("Secret", name, {"data": {"AWS_REGION": "eA=="}})

    def answered() -> bool:
        for name in NAMES:
            assert cluster.found(KEY, name)["status"]["key"]["serial"] > 1, name
        return one_held_key_each(cluster, emulator)

    eventually(answered)
    usable(cluster)
    for secret in foreign:
        name = secret["metadata"]["name"]
        cluster.until(KEY, name, "Stalled", "SecretConflict")
        assert cluster.found("Secret", name) == secret

    for name in NAMES:
        cluster.delete(KEY, name)
    for name in NAMES:
        cluster.gone(KEY, name)
    eventually(lambda: live_ids(emulator) == set(), what="no key of theirs")


def test_two_operators_that_create_the_same_buckets_at_once_end_with_their_own_bucket(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    """The later is told that the bucket exists, and takes back the intent of both."""
    for _ in range(2):
        run_operator(resync_interval="3s")
    held = emulator.control.fault("create_bucket", hold="before", times=None)
    names = [f"photos-{number}" for number in range(6)]
    cluster.apply(*(a_bucket(name, versioningEnabled=True) for name in names))
    emulator.control.wait_for_calls("create_bucket", 2 * len(names), arrived=True)
    emulator.control.clear_faults(held)

    def owned() -> bool:
        for name in names:
            seen = cluster.ready(BUCKET, name)
            assert seen["status"]["provenance"] == "Created", name
            assert "createIntent" not in seen["status"], name
        return True

    eventually(owned)
    answers = [entry["status"] for entry in emulator.control.journal("create_bucket")]
    assert answers.count(200) == len(names)
    assert set(emulator.control.buckets()) == set(names)


def test_foreign_secrets_that_appear_while_two_operators_issue_keys_are_left_alone(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    """Between the look of each at the Secret's name and its write, while no Lease keeps order."""
    settings = {"mint_budget": 20, "resync_interval": "3s"}
    run_operator(**settings)
    cluster.apply(a_bucket("photos"))
    cluster.ready(BUCKET, "photos")
    run_operator(**settings)
    held = emulator.control.fault("create_storage_key", hold="after", times=None)
    cluster.apply(*(a_key(name, bucketRefs=refs("photos")) for name in NAMES))

    def all_under_way() -> bool:
        asked = emulator.control.journal("create_storage_key")
        return len({owner_of(entry["body"]["name"]) for entry in asked}) == len(NAMES)

    eventually(all_under_way, what="a key asked for in the name of each")
    foreign = cluster.apply(*(a_secret(name, {"password": "theirs"}) for name in NAMES))
    emulator.control.clear_faults(held)

    for name in NAMES:
        cluster.until(KEY, name, "Stalled", "SecretConflict")
    eventually(lambda: live_ids(emulator) == set(), what="the end of what no Secret took")
    assert [cluster.found("Secret", name) for name in NAMES] == foreign
    for name in NAMES:
        cluster.delete(KEY, name)
        cluster.gone(KEY, name)
    assert [cluster.found("Secret", name) for name in NAMES] == foreign


def test_a_standby_is_ready_and_silent_and_takes_over_when_the_leader_dies(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    lease = {"leader_election": True, "lease_namespace": SYSTEM}
    leader = run_operator(**lease)
    standby = run_operator(wait=False, **lease)
    standby.wait_ready()
    since = cluster.now()
    cluster.apply(a_bucket("photos"), *(a_key(n, bucketRefs=refs("photos")) for n in NAMES))
    for name in NAMES:
        cluster.ready(KEY, name)
    assert standby.metric("leader") == 0
    assert standby.metric("api_requests_total") == 0
    assert standby.metric("keys_minted_total") == 0
    assert standby.metric("secret_writes_total") == 0
    assert leader.metric("keys_minted_total") == len(NAMES)
    assert len(cluster.kube_writes(since)) <= 4 * len(NAMES) + 3

    cluster.annotate(KEY, NAMES[0], rotate_requested_at="now")
    leader.kill()
    cluster.apply(a_bucket("films"))

    standby.wait_leading()
    cluster.ready(BUCKET, "films")

    def rotated() -> bool:
        # Serial 3 where the leader died after its mint and before the Secret: that key is revoked.
        return int(cluster.found(KEY, NAMES[0])["status"]["key"]["serial"]) > 1

    eventually(rotated, what="the rotation that the dead leader was asked for")
    eventually(lambda: len(live_ids(emulator)) == len(NAMES) + 1, what="one key that retires")
    usable(cluster)
