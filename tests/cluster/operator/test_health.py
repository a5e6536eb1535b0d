"""/healthz and /readyz of a real operator in states that only a cluster can bring about."""

from __future__ import annotations

from pathlib import Path

from amove_emulator import Emulator
from controlplane.launcher import ControlPlane
from tests.cluster.fixtures import RunOperator
from tests.cluster.harness import a_bucket, eventually
from tests.cluster.harness_cluster import SYSTEM, Cluster
from tests.cluster.harness_operator import Operator


def says(operator: Operator, code: int, *words: str) -> None:
    """Wait until /readyz answers so, and the metric with it; /healthz is 200 all along."""

    def ask() -> bool:
        found, body = operator.readyz()
        assert operator.healthz() == (200, "ok\n")
        assert found == code, body
        assert all(word in body for word in words), body
        assert operator.metric("ready") == (code == 200)
        return True

    eventually(ask, what=f"/readyz {code} {words}")


def test_without_roles_it_is_not_ready_says_which_right_is_missing_and_stays_alive(
    plane: ControlPlane, namespace: str, run_operator: RunOperator
) -> None:
    stranger = plane.service_account_kubeconfig(namespace, "default")
    operator = run_operator(wait=False, environ={"KUBECONFIG": str(stranger)})
    says(operator, 503, "waiting for Kubernetes", "forbidden", "cannot")


def test_a_lease_that_may_not_be_read_is_not_ready_and_named(
    namespace: str, run_operator: RunOperator
) -> None:
    """The role for Leases is in the operator's own namespace, and the setting names another."""
    operator = run_operator(wait=False, leader_election=True, lease_namespace=namespace)
    says(operator, 503, "the Lease amove-operator could not be read or written", "leases")


def test_a_standby_is_ready_and_says_whose_lease_it_waits_for(run_operator: RunOperator) -> None:
    lease = {"leader_election": True, "lease_namespace": SYSTEM}
    leader = run_operator(**lease)
    standby = run_operator(wait=False, **lease)
    says(standby, 200, "ok\n", "standing by: the Lease amove-operator is held by ")
    says(leader, 200, "ok\n")
    assert "standing by" not in leader.readyz()[1]


def test_refused_credentials_leave_it_ready_so_that_a_rollout_can_mend_them(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator, tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("amv_of_yesterday")
    operator = run_operator(token_file=wrong)
    cluster.apply(a_bucket("photos"))
    says(operator, 200, "ok\n", "calls to the Amove API wait", "credentials are not accepted")
    wrong.write_text(emulator.api_token)
    eventually(lambda: operator.readyz() == (200, "ok\n"), what="nothing more to say")
