"""What a resource costs: calls at the service, writes at Kubernetes (docs/promises.md)."""

from __future__ import annotations

from collections import Counter

import pytest

from amove_emulator import Emulator
from tests.cluster.fixtures import RunOperator
from tests.cluster.harness import BUCKET, KEY, Manifest, a_bucket, a_key, eventually, refs
from tests.cluster.harness_cluster import Cluster

SHARED = {"get_all", "get_storage_key"}
"""Made once for everybody: the accounts, and the key listing."""


def calls(emulator: Emulator, after: int = 0) -> list[str]:
    """The calls made for single objects, in their order."""
    made = [entry["call"] for entry in emulator.control.journal(after=after)]
    return [call for call in made if call not in SHARED]


def test_a_new_bucket_costs_three_calls_observe_create_verify(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    run_operator()
    cluster.apply(a_bucket("photos", versioningEnabled=True, encryptionEnabled=True))
    cluster.ready(BUCKET, "photos")
    assert calls(emulator) == ["bucket_status", "create_bucket", "bucket_status"]


def test_new_buckets_cost_one_key_listing_for_the_whole_leadership(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    """Whether live keys reach a name is told by one list begun since the lead was taken."""
    # So long that the list which tells what an earlier leader issued does not come in between.
    run_operator(listing_settle="1h")
    for names in (("photos", "films"), ("music",)):
        cluster.apply(*(a_bucket(name) for name in names))
        for name in names:
            cluster.ready(BUCKET, name)
        assert emulator.control.count("get_storage_key") == 1


def test_a_new_key_costs_one_call_beyond_the_shared_listing(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    run_operator()
    cluster.apply(a_bucket("photos"))
    cluster.ready(BUCKET, "photos")
    after = emulator.control.last_seq()
    cluster.apply(*(a_key(f"app-{n}", bucketRefs=refs("photos")) for n in range(3)))
    for n in range(3):
        cluster.ready(KEY, f"app-{n}")
    assert calls(emulator, after) == ["create_storage_key"] * 3
    assert len(emulator.control.journal("get_storage_key", after)) <= 1


def test_a_sweep_over_settled_objects_costs_one_call_a_bucket_and_one_shared_listing(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    run_operator(resync_interval="1s")
    buckets = [f"photos-{n}" for n in range(3)]
    cluster.apply(*(a_bucket(name) for name in buckets))
    cluster.apply(*(a_key(f"of-{name}", bucketRefs=refs(name)) for name in buckets))
    for name in buckets:
        cluster.ready(KEY, f"of-{name}")
    # What the first looks asked for has been answered after two listings more.
    start = emulator.control.count("get_storage_key")
    eventually(lambda: emulator.control.count("get_storage_key") >= start + 3)
    after, since = emulator.control.last_seq(), cluster.now()

    eventually(lambda: len(emulator.control.journal("get_storage_key", after)) >= 4)

    made = [called(entry) for entry in emulator.control.journal(after=after)]
    sweeps = made.count("get_storage_key")
    wanted = {"get_storage_key", "get_all", *(f"bucket_status {name}" for name in buckets)}
    assert set(made) == wanted
    # The window cuts through two sweeps.
    assert all(abs(made.count(call) - sweeps) <= 1 for call in wanted), Counter(made)
    assert cluster.kube_writes(since) == []


def called(entry: Manifest) -> str:
    """The call, with its bucket if it is for one."""
    name = (entry["body"] or {}).get("bucketName")
    return f"{entry['call']} {name}" if name else str(entry["call"])


def test_a_new_bucket_costs_three_kubernetes_writes(
    cluster: Cluster, run_operator: RunOperator
) -> None:
    run_operator()
    since = cluster.now()
    cluster.apply(a_bucket("photos"))
    cluster.ready(BUCKET, "photos")
    assert cluster.kube_writes(since) == [
        "patch amovebuckets photos",  # the finalizer
        "patch amovebuckets/status photos",  # the intent
        "patch amovebuckets/status photos",  # provenance, flags, conditions
    ]


def test_a_new_key_costs_three_kubernetes_writes(
    cluster: Cluster, run_operator: RunOperator
) -> None:
    run_operator()
    cluster.apply(a_bucket("photos"))
    cluster.ready(BUCKET, "photos")
    since = cluster.now()
    cluster.apply(a_key("app", bucketRefs=refs("photos")))
    cluster.ready(KEY, "app")
    assert cluster.kube_writes(since) == [
        "patch amovestoragekeys app",
        "create secrets app",
        "patch amovestoragekeys/status app",
    ]


def test_a_key_that_had_to_wait_costs_one_more(cluster: Cluster, run_operator: RunOperator) -> None:
    run_operator()
    since = cluster.now()
    cluster.apply(a_key("app", bucketRefs=refs("photos")))
    cluster.until(KEY, "app", "Reconciling", "BucketNotFound")
    cluster.apply(a_bucket("photos"))
    cluster.ready(KEY, "app")
    writes = cluster.kube_writes(since)
    of_the_bucket = [write for write in writes if "amovebuckets" in write]
    of_the_key = [write for write in writes if "amovebuckets" not in write]
    assert len(of_the_bucket) == 3
    assert of_the_key == [
        "patch amovestoragekeys app",
        "patch amovestoragekeys/status app",
        "create secrets app",
        "patch amovestoragekeys/status app",
    ]


@pytest.mark.parametrize("begun", ["before they are applied", "after"])
def test_a_bucket_and_a_key_applied_in_one_go_stay_within_their_costs(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator, begun: str
) -> None:
    since = cluster.now()
    if begun == "after":
        cluster.apply(a_bucket("photos"), a_key("app", bucketRefs=refs("photos")))
        run_operator()
    else:
        run_operator()
        cluster.apply(a_bucket("photos"), a_key("app", bucketRefs=refs("photos")))
    cluster.ready(KEY, "app")
    writes = cluster.kube_writes(since)
    assert sum("amovebuckets" in write for write in writes) <= 3, writes
    assert sum("amovebuckets" not in write for write in writes) <= 4, writes
    assert Counter(calls(emulator)) <= Counter(
        {"bucket_status": 2, "create_bucket": 1, "create_storage_key": 1}
    )
