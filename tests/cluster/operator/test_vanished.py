"""An object that was served to its end, or by another, or is there again: nothing is taken away.

Each is one of the ways in which a cache, a watch or a list once passed for a proof.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from amove_emulator import Emulator
from amove_operator.models.refs import Kind
from controlplane.launcher import ControlPlane
from tests.cluster.fixtures import RunOperator
from tests.cluster.harness import BUCKET, KEY, a_bucket, a_key, condition, eventually, refs
from tests.cluster.harness_cluster import SYSTEM, Cluster
from tests.cluster.harness_keys import live_ids, live_of, lives_alone, revoked
from tests.cluster.harness_operator import Operator

LAGGING = str(Path(__file__).parents[1] / "lagging_operator.py")
OTHERS = "example.com/other"
STRIPPED = {"metadata": {"finalizers": None}}
pytestmark = pytest.mark.timeout(600)  # several operators one after another, on a busy machine


class Gates:
    """What a lagging operator's lists wait for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def close(self, gate: str, kind: Kind) -> None:
        """``before`` a list of that kind is asked for, or ``after`` it was answered."""
        (self.folder / f"{gate}-reached").unlink(missing_ok=True)
        new = self.folder / f"{gate}-new"
        new.write_text(kind.plural)
        new.rename(self.folder / gate)

    def reached(self, gate: str) -> None:
        """Wait until a list waits there."""
        eventually((self.folder / f"{gate}-reached").exists, what=f"a list at the gate {gate}")

    def open(self, gate: str) -> None:
        (self.folder / gate).unlink()


@pytest.fixture
def gates(tmp_path: Path) -> Gates:
    folder = tmp_path / "gates"
    folder.mkdir()
    return Gates(folder)


def a_lagging(run: RunOperator, gates: Gates, **settings: object) -> Operator:
    """An operator that sweeps all the time, and whose lists can be held up."""
    environ = {"LIST_GATES": str(gates.folder)}
    return run(program=[LAGGING], environ=environ, resync_interval="1s", **settings)


def gone_through(emulator: Emulator, cluster: Cluster, run_through: Callable[[], object]) -> None:
    """What came before in the watch was served as well: a witness that vanishes is revoked."""
    cluster.apply(a_key("witness", bucketRefs=refs("photos")))
    witness = cluster.ready(KEY, "witness")
    run_through()
    cluster.annotate(KEY, "witness", paused="true")
    cluster.until(KEY, "witness", "Synced", "Paused", status="False")
    cluster.delete(KEY, "witness")
    cluster.patch(KEY, "witness", STRIPPED)
    eventually(lambda: live_of(emulator, witness) == [], what="the end of the witness")


def test_what_a_standby_did_not_see_go_is_not_served_when_it_takes_the_lead(
    cluster: Cluster,
    emulator: Emulator,
    run_operator: RunOperator,
    plane: ControlPlane,
    namespace: str,
) -> None:
    """Cut off while the API server forgets its history, it has objects that are long gone."""
    lease = {
        "leader_election": True,
        "lease_namespace": SYSTEM,
        "trusted_namespaces": [namespace],
    }
    leader = run_operator(**lease)
    cluster.apply(a_bucket("photos"), a_bucket("kept", deletionPolicy="Delete"))
    cluster.apply(*(a_key(name, bucketRefs=refs("photos")) for name in ("app", "other")))
    key = cluster.ready(KEY, "app")
    cluster.ready(KEY, "other")
    cluster.ready(BUCKET, "kept")
    standby = run_operator(wait=False, **lease)
    standby.wait_ready()
    os.kill(standby.pid, signal.SIGSTOP)
    cluster.patch(BUCKET, "kept", {"spec": {"deletionPolicy": "Retain"}})
    cluster.patch(KEY, "app", {"spec": {"deletionPolicy": "Retain"}})
    for kind, name in ((BUCKET, "kept"), (KEY, "app")):
        cluster.delete(kind, name)
        cluster.gone(kind, name)
    secret = cluster.found("Secret", "app")
    leader.kill()
    plane.stop_apiserver()
    plane.start_apiserver()
    os.kill(standby.pid, signal.SIGCONT)

    standby.wait_leading(90)
    cluster.apply(a_bucket("later"))
    cluster.ready(BUCKET, "later", 60)
    gone_through(emulator, cluster, lambda: None)
    assert set(emulator.control.buckets()) == {"photos", "kept", "later"}
    assert emulator.control.count("delete_bucket") == 0
    assert live_of(emulator, key) == [key["status"]["key"]["id"]]
    assert cluster.found("Secret", "app") == secret


def test_a_key_that_was_let_go_of_and_kept_by_another_is_not_revoked_after_a_restart(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator, namespace: str
) -> None:
    operator = run_operator(trusted_namespaces=[namespace])
    cluster.apply(a_bucket("photos"))
    cluster.apply(a_key("app", bucketRefs=refs("photos"), deletionPolicy="Retain"))
    key = cluster.ready(KEY, "app")
    ours = key["metadata"]["finalizers"]
    cluster.patch(KEY, "app", {"metadata": {"finalizers": [*ours, OTHERS]}})
    cluster.delete(KEY, "app")
    eventually(lambda: cluster.found(KEY, "app")["metadata"]["finalizers"] == [OTHERS])
    secret = cluster.found("Secret", "app")
    operator.stop()
    operator = run_operator(trusted_namespaces=[namespace])

    def the_other_goes() -> None:
        cluster.patch(KEY, "app", STRIPPED)
        cluster.gone(KEY, "app")

    gone_through(emulator, cluster, the_other_goes)
    assert live_of(emulator, key) == [key["status"]["key"]["id"]]
    assert cluster.found("Secret", "app") == secret
    assert "app vanished" not in operator.log


def test_a_key_that_was_made_again_after_the_resync_s_list_is_not_served_as_vanished(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator, gates: Gates
) -> None:
    operator = a_lagging(run_operator, gates)
    cluster.apply(a_bucket("photos"), a_key("app", bucketRefs=refs("photos")))
    cluster.ready(KEY, "app")
    gates.close("before", Kind.KEY)
    gates.reached("before")  # with the first one in the cache
    gates.close("after", Kind.KEY)
    cluster.delete(KEY, "app")
    cluster.gone(KEY, "app")
    gates.open("before")
    gates.reached("after")  # a list without either
    cluster.apply(a_key("app", bucketRefs=refs("photos")))
    second = cluster.ready(KEY, "app")
    secret = cluster.found("Secret", "app")
    gates.open("after")

    gone_through(emulator, cluster, lambda: _swept(gates))
    assert lives_alone(emulator, second)
    assert cluster.found("Secret", "app") == secret
    assert "app vanished" not in operator.log


def _swept(gates: Gates) -> None:
    """Another whole list is taken in, and one more is under way."""
    for _ in range(2):
        gates.close("before", Kind.KEY)
        gates.reached("before")
        gates.open("before")


def test_a_key_that_was_replaced_while_the_resync_reads_its_list_keeps_key_and_secret(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator, gates: Gates
) -> None:
    operator = a_lagging(run_operator, gates)
    cluster.apply(a_bucket("photos"), a_key("app", bucketRefs=refs("photos")))
    cluster.ready(KEY, "app")
    gates.close("after", Kind.KEY)
    gates.reached("after")  # a list that shows the first one
    cluster.delete(KEY, "app")
    cluster.gone(KEY, "app")
    cluster.apply(a_key("app", bucketRefs=refs("photos")))
    second = cluster.ready(KEY, "app")
    secret = cluster.found("Secret", "app")
    gates.open("after")

    gone_through(emulator, cluster, lambda: _swept(gates))
    assert lives_alone(emulator, second)
    assert cluster.found("Secret", "app") == secret
    assert "app vanished" not in operator.log


@pytest.mark.parametrize("kind", Kind, ids=lambda kind: kind.value)
def test_what_was_let_go_of_while_the_resync_reads_its_list_is_no_ghost_in_the_next(
    cluster: Cluster,
    emulator: Emulator,
    run_operator: RunOperator,
    namespace: str,
    gates: Gates,
    kind: Kind,
) -> None:
    """Its old copy in that list asks for deletion; the one that was served asked to retain."""
    operator = a_lagging(run_operator, gates, trusted_namespaces=[namespace])
    cluster.apply(
        a_bucket("photos"),
        a_bucket("kept", deletionPolicy="Delete"),
        a_key("kept", bucketRefs=refs("photos")),
    )
    cluster.ready(BUCKET, "kept")
    key = cluster.ready(KEY, "kept")
    gates.close("after", kind)
    gates.reached("after")
    cluster.patch(kind.value, "kept", {"spec": {"deletionPolicy": "Retain"}})
    cluster.delete(kind.value, "kept")
    cluster.gone(kind.value, "kept")
    gates.open("after")

    gone_through(emulator, cluster, lambda: _swept(gates))
    assert set(emulator.control.buckets()) == {"photos", "kept"}
    assert key["status"]["key"]["id"] in live_ids(emulator)
    assert key["status"]["key"]["id"] not in revoked(emulator)
    assert cluster.get("Secret", "kept") is not None
    assert "kept vanished" not in operator.log


@pytest.mark.parametrize("policy", ["Retain", "Delete"])
def test_a_key_that_vanished_before_our_eyes_is_served_by_its_own_policy(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator, namespace: str, policy: str
) -> None:
    operator = run_operator(trusted_namespaces=[namespace])
    cluster.apply(a_bucket("photos"))
    cluster.apply(a_key("app", bucketRefs=refs("photos"), deletionPolicy=policy))
    key = cluster.ready(KEY, "app")
    os.kill(operator.pid, signal.SIGSTOP)  # else it would put the finalizer back in between
    cluster.delete(KEY, "app")
    cluster.patch(KEY, "app", STRIPPED)
    cluster.gone(KEY, "app")
    os.kill(operator.pid, signal.SIGCONT)
    operator.wait_log("app vanished")
    if policy == "Delete":
        eventually(lambda: live_of(emulator, key) == [], what="the key's end")
        cluster.gone("Secret", "app")
        return
    gone_through(emulator, cluster, lambda: None)
    assert live_of(emulator, key) == [key["status"]["key"]["id"]]
    assert cluster.secret("app")
    assert condition(cluster.found(BUCKET, "photos"), "Ready")["status"] == "True"
