"""What may come over the wire from the API server: it ends no process, and holds up nobody long."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from amove_emulator import Emulator
from controlplane import ControlPlane
from tests.cluster.fixtures import RunOperator
from tests.cluster.harness import BUCKET, KEY, a_bucket, a_key, eventually, refs
from tests.cluster.harness_cluster import SYSTEM, Cluster
from tests.cluster.harness_operator import Operator
from tests.cluster.harness_wire import LEASES, Wire, breaks

pytestmark = pytest.mark.timeout(900)  # a dozen breaks one after another, on a busy machine


@pytest.fixture
def wire(plane: ControlPlane, operator_kubeconfig: Path, tmp_path: Path) -> Iterator[Wire]:
    """What the operator of this test reaches the API server through."""
    with Wire(plane, operator_kubeconfig, tmp_path).running() as running:
        yield running


def through(wire: Wire, run: RunOperator, **settings: object) -> Operator:
    return run(environ={"KUBECONFIG": str(wire.kubeconfig)}, **settings)


def all_watch(wire: Wire) -> bool:
    """Whether both kinds and the Secrets are watched."""
    kinds = ("/amovebuckets", "/amovestoragekeys", "/secrets")
    return all(wire.watches(kind) == 1 for kind in kinds)


def renewed(wire: Wire, before: int) -> bool:
    """Whether the Lease was renewed more often than that."""
    return wire.done("PUT", LEASES) > before


def key_of(cluster: Cluster, name: str) -> str:
    """The id of its key, once it is ready."""
    return str(cluster.ready(KEY, name)["status"]["key"]["id"])


def another_key(cluster: Cluster, name: str, former: str) -> None:
    """Wait until a key was issued in place of the former."""
    eventually(lambda: key_of(cluster, name) != former, what=f"another key of {name}")


def test_whatever_a_watch_the_lease_or_the_fence_brings_is_got_over_in_one_process(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator, wire: Wire
) -> None:
    operator = through(wire, run_operator, leader_election=True, lease_namespace=SYSTEM)
    for number, (what, act) in enumerate(breaks(wire).items()):
        eventually(lambda: all_watch(wire), what=f"all watches before {what}")
        renewals = wire.done("PUT", LEASES)
        act()
        bucket, key = f"bucket-{number}", f"key-{number}"
        cluster.apply(a_bucket(bucket), a_key(key, bucketRefs=refs(bucket)))
        former = key_of(cluster, key)
        eventually(lambda: all_watch(wire), what=f"all watches after {what}")
        cluster.delete("Secret", key)
        another_key(cluster, key, former)
        # Breaks that come faster than the Lease is renewed would add up to its loss, rightly so.
        eventually(partial(renewed, wire, renewals + 1), what=f"the Lease after {what}")
        assert operator.running, what
    assert operator.metric("leader") == 1
    assert "ended unexpectedly" not in operator.log
    assert "the watches of buckets and keys broke off" in operator.log


def test_a_secret_that_is_deleted_while_secrets_cannot_be_listed_is_missed_all_the_same(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator, wire: Wire
) -> None:
    through(wire, run_operator, resync_interval="2s")
    cluster.apply(a_bucket("photos"), a_key("app", bucketRefs=refs("photos")))
    former = key_of(cluster, "app")
    eventually(lambda: all_watch(wire), what="all watches")
    refused = wire.refuse("/secrets?", "labelSelector", status=403, times=float("inf"))
    wire.end_watches("/secrets?")

    cluster.delete("Secret", "app")

    another_key(cluster, "app", former)
    assert wire.watches("/secrets?") == 0
    refused.left = 0
    eventually(lambda: all_watch(wire), what="the watch of Secrets")
    cluster.ready(KEY, "app")
    cluster.ready(BUCKET, "photos")
