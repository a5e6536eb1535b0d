"""``amove-operator doctor`` on a real API server: each fault of an install, and what to do."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from amove_emulator import Emulator
from amove_operator.models.fence import fence
from controlplane import ControlPlane
from tests.cluster.fixtures import RunOperator
from tests.cluster.harness import KEY, a_bucket, a_key, eventually, refs
from tests.cluster.harness_cluster import OPERATOR_USER, SYSTEM, Cluster
from tests.cluster.harness_keys import a_secret
from tests.cluster.harness_operator import environment
from tests.patience import PATIENCE

Doctor = Callable[..., tuple[int, dict[str, dict[str, str]]]]
ALL = ["settings", "service", "credentials", "account", "key list", "api user", "kubernetes"]
ALL += ["clock", "crds", "fence", "roles", "lease", "secrets"]


@pytest.fixture
def doctor(operator_variables: Callable[..., dict[str, str]]) -> Doctor:
    """Run ``doctor --json`` with the operator's settings: (exit code, check → what it says)."""

    def run(environ: dict[str, str] | None = None, **settings: Any) -> Any:
        done = subprocess.run(
            [sys.executable, "-m", "amove_operator", "doctor", "--json"],
            env=environment(**{**operator_variables(**settings), **(environ or {})}),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        said = json.loads(done.stdout)
        assert said["ok"] == (done.returncode == 0), done.stderr
        return done.returncode, {one["check"]: one for one in said["checks"]}

    return run


def failures(checks: dict[str, dict[str, str]]) -> list[str]:
    return [name for name, one in checks.items() if one["status"] == "fail"]


def test_beside_a_leader_all_is_well_and_nothing_is_written(
    doctor: Doctor, run_operator: RunOperator, cluster: Cluster, emulator: Emulator
) -> None:
    lease = {"leader_election": True, "lease_name": cluster.namespace}
    leases = {"lease_namespace": SYSTEM, **lease}
    role = f"lease-{cluster.namespace}"
    there = cluster.within(SYSTEM)
    make = ("create", "role", role, "--verb=create,get,update", "--resource=leases")
    cluster.plane.kubectl(*make, f"--namespace={SYSTEM}")
    who = f"--serviceaccount={SYSTEM}:amove-operator"
    bind = ("create", "rolebinding", role, f"--role={role}", who, f"--namespace={SYSTEM}")
    cluster.plane.kubectl(*bind)
    run_operator(**leases)
    cluster.apply(a_bucket("photos"), a_key("app", bucketRefs=refs("photos")))
    key = cluster.ready(KEY, "app")
    eventually(lambda: cluster.events("app"), what="its Event, which follows the status")
    since, secrets, before = cluster.now(), cluster.every("Secret"), emulator.control.last_seq()

    code, checks = doctor(**leases)

    assert (code, failures(checks)) == (0, []), checks
    assert list(checks) == ALL
    assert {one["status"] for one in checks.values()} == {"ok"}, checks
    assert (
        there.found("Lease", cluster.namespace)["spec"]["holderIdentity"]
        in (checks["lease"]["found"])
    )
    assert key["status"]["key"]["userId"] == checks["api user"]["found"]
    assert cluster.namespace in checks["secrets"]["found"]
    assert OPERATOR_USER in checks["kubernetes"]["found"]
    calls = {entry["call"] for entry in emulator.control.journal(after=before)}
    assert calls <= {"get_storage_key", "get_all"}
    assert cluster.every("Secret") == secrets
    wrote = [one for one in cluster.requests(since) if one.writes and one.resource != "leases"]
    reviews = {"selfsubjectaccessreviews", "selfsubjectreviews"}
    assert {one.resource for one in wrote} <= reviews
    cluster.plane.kubectl("delete", f"rolebinding/{role}", f"role/{role}", f"--namespace={SYSTEM}")


def test_a_lease_that_nobody_holds_is_a_warning_that_says_where_to_look(doctor: Doctor) -> None:
    code, checks = doctor(leader_election=True, lease_namespace=SYSTEM)
    assert code == 0, checks
    assert checks["lease"]["status"] == "warn"
    assert "nobody holds" in checks["lease"]["found"]
    assert "log" in checks["lease"]["remedy"]


def test_missing_roles_are_named_with_their_user(
    doctor: Doctor, plane: ControlPlane, namespace: str
) -> None:
    kubeconfig = plane.service_account_kubeconfig(namespace, "default")
    code, checks = doctor({"KUBECONFIG": str(kubeconfig)})
    assert code == 1
    assert checks["roles"]["status"] == "fail"
    assert f"system:serviceaccount:{namespace}:default" in checks["roles"]["found"]
    assert "attest amovebuckets/status" in checks["roles"]["found"]
    assert "more" in checks["roles"]["found"], "all the rest are counted"
    assert "chart" in checks["roles"]["remedy"]
    assert checks["secrets"]["status"] == "fail"
    assert checks["crds"]["status"] == "ok", "discovery needs no role"


def test_a_quota_that_refuses_secrets_is_found_before_a_key_is_issued(
    doctor: Doctor, cluster: Cluster
) -> None:
    where = f"--namespace={cluster.namespace}"
    cluster.plane.kubectl("create", "quota", "none", "--hard=secrets=0", where)
    # As the controller of quotas would, which does not run here.
    counted = json.dumps({"status": {"hard": {"secrets": "0"}, "used": {"secrets": "0"}}})
    patch = ("patch", "quota", "none", "--subresource=status", "--type=merge", f"--patch={counted}")
    cluster.plane.kubectl(*patch, where)
    secret = a_secret("any", {"a": "b"}, namespace=cluster.namespace)
    eventually(lambda: "quota" in cluster.refused(secret), what="the quota counts")

    code, checks = doctor()

    assert code == 1
    assert failures(checks) == ["secrets"]
    assert "quota" in checks["secrets"]["found"]


def test_a_cluster_that_cannot_be_reached_is_named_and_the_service_is_checked_all_the_same(
    doctor: Doctor, tmp_path: Path
) -> None:
    code, checks = doctor({"KUBECONFIG": str(tmp_path / "nowhere")})
    assert code == 1
    assert failures(checks) == ["kubernetes"]
    assert "nowhere" in checks["kubernetes"]["found"]
    assert checks["fence"]["status"] == "skipped"
    assert checks["credentials"]["status"] == "ok"


@pytest.fixture
def bare_plane() -> Iterator[ControlPlane]:
    """A control plane without our CRDs."""
    with ControlPlane() as plane:
        yield plane


def test_missing_and_outdated_definitions_and_a_missing_fence_say_what_to_run(
    bare_plane: ControlPlane, doctor: Doctor, tmp_path: Path
) -> None:
    as_admin = {"KUBECONFIG": str(bare_plane.kubeconfig)}
    code, checks = doctor(as_admin, watch_namespaces=None)
    assert code == 1
    assert failures(checks) == ["crds", "fence"]
    for check in ("crds", "fence"):
        assert "amove-operator crds | kubectl apply" in checks[check]["remedy"]

    printed = subprocess.run(
        [sys.executable, "-m", "amove_operator", "crds", "--output", str(tmp_path)],
        env=environment(),
        timeout=PATIENCE,
        check=True,
        capture_output=True,
    )
    assert printed.returncode == 0
    bucket = tmp_path / "storage.amove.io_amovebuckets.yaml"
    bucket.write_text(bucket.read_text().replace("managementPolicy:", "formerPolicy:"))
    policy, _ = fence()
    (tmp_path / "amove-fence-policy.yaml").write_text(
        json.dumps({**policy, "spec": {**policy["spec"], "failurePolicy": "Ignore"}})
    )
    bare_plane.kubectl("apply", "--server-side", "-f", str(tmp_path))
    for plural in ("amovebuckets", "amovestoragekeys"):
        name = f"crd/{plural}.storage.amove.io"
        bare_plane.kubectl("wait", "--for=condition=Established", name, "--timeout=120s")
    # The schemas are published a moment after the kinds are served.
    for _ in range(50):
        code, checks = doctor(as_admin, watch_namespaces=None)
        if checks["crds"]["status"] == "fail":
            break
    assert "AmoveBucket.spec.managementPolicy" in checks["crds"]["found"]
    assert "failurePolicy" in checks["fence"]["found"]
    assert code == 1

    code, checks = doctor(as_admin, watch_namespaces=None, require_fence=False)
    assert checks["fence"]["status"] == "warn"
