"""Trust that is taken away: live keys stay and work, nothing is issued or written any more."""

from __future__ import annotations

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
from tests.cluster.harness_keys import another_key, live_ids, live_of, mints

SPECS: dict[str, Manifest] = {
    "named": {"bucketNames": ["photos"]},
    "every": {"allBuckets": True},
    "place": {"bucketRefs": refs("photos"), "region": "elsewhere"},
    "kept": {"bucketRefs": refs("photos"), "deletionPolicy": "Retain"},
}
ROTATED = "named"
PLAIN = "plain"


def works(cluster: Cluster, name: str) -> bool:
    with s3_with_only(cluster.secret(name)) as s3:
        return refusal(s3.put_object, Bucket="photos", Key="a", Body=b"b") is None


def current(cluster: Cluster, name: str) -> str:
    return str(cluster.found(KEY, name)["status"]["key"]["id"])


def issued(cluster: Cluster) -> dict[str, str]:
    """A key of each sort that needs trust and one that does not; one of them was rotated."""
    cluster.apply(a_bucket("photos"), a_key(PLAIN, bucketRefs=refs("photos")))
    for name, spec in SPECS.items():
        rotation = {"gracePeriod": "3s" if name == ROTATED else "24h"}
        cluster.apply(a_key(name, **spec, rotation=rotation))
    for name in (*SPECS, PLAIN):
        cluster.ready(KEY, name)
    replaced = current(cluster, ROTATED)
    cluster.annotate(KEY, ROTATED, rotate_requested_at="now")
    another_key(cluster, KEY, ROTATED, replaced)
    return {name: current(cluster, name) for name in (*SPECS, PLAIN)}


def says_so(cluster: Cluster, keys: dict[str, str]) -> None:
    for name in SPECS:
        seen = cluster.until(KEY, name, "Stalled", "NotPermitted")
        told = condition(seen, "Ready")["message"]
        assert "AMOVE_TRUSTED_NAMESPACES" in told
        assert cluster.namespace in told
        assert seen["status"]["key"]["id"] == keys[name]
    cluster.ready(KEY, PLAIN)


def goes_unanswered(cluster: Cluster, emulator: Emulator) -> None:
    """Each of these would else be answered by a new key, or at least by a write."""
    made, since = mints(emulator), cluster.now()
    cluster.delete("Secret", "every")
    cluster.patch("Secret", "place", {"data": {"AWS_SECRET_ACCESS_KEY": "eA=="}})
    cluster.patch("Secret", "kept", {"metadata": {"labels": {"app.kubernetes.io/part-of": "x"}}})
    cluster.patch("Secret", "named", {"metadata": {"ownerReferences": None}})
    cluster.annotate(KEY, "kept", rotate_requested_at="now")
    edited = {name: cluster.get("Secret", name) for name in SPECS}
    key_lists = emulator.control.count("get_storage_key")
    emulator.control.wait_for_calls("get_storage_key", key_lists + 2)
    assert {name: cluster.get("Secret", name) for name in SPECS} == edited
    assert [write for write in cluster.kube_writes(since) if " secrets " in write] == []
    assert mints(emulator) == made


def test_when_trust_is_taken_away_live_keys_stay_nothing_is_issued_and_it_can_be_given_back(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator, namespace: str
) -> None:
    trusting = {"trusted_namespaces": [namespace], "resync_interval": "1s"}
    operator = run_operator(**trusting)
    keys = issued(cluster)
    assert operator.metric("untrusted_live_keys") == 0
    operator.stop()

    operator = run_operator(resync_interval="1s")

    says_so(cluster, keys)
    assert operator.metric("untrusted_live_keys") == len(SPECS)
    eventually(lambda: live_ids(emulator) == set(keys.values()), what="the retiring key's end")
    goes_unanswered(cluster, emulator)
    for name in ("named", "kept", PLAIN):
        assert works(cluster, name)
    assert live_ids(emulator) == set(keys.values())
    assert operator.metric("untrusted_live_keys") == len(SPECS)
    operator.stop()

    made = mints(emulator)
    operator = run_operator(**trusting)

    for name in ("every", "place", "kept"):
        another_key(cluster, KEY, name, keys[name])
    for name in (*SPECS, PLAIN):
        key = cluster.ready(KEY, name)
        assert condition(key, "Stalled") == {}
        assert works(cluster, name)
        live = live_of(emulator, key)
        former = [] if name in (ROTATED, PLAIN) else [keys[name]]
        assert live == [*former, key["status"]["key"]["id"]], "the former ones have their grace"
    assert current(cluster, "named") == keys["named"], "what needed nothing was left alone"
    assert operator.metric("untrusted_live_keys") == 0
    assert mints(emulator) == made + 3


def test_a_key_that_was_never_issued_counts_as_no_live_key_of_an_untrusted_namespace(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    operator = run_operator()
    cluster.apply(a_key("named", bucketNames=["photos"]))
    cluster.until(KEY, "named", "Stalled", "NotPermitted")
    assert operator.metric("untrusted_live_keys") == 0
    assert mints(emulator) == 0
