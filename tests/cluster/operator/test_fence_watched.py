"""An operator acts behind the fence only, and says when it was away (faults A4)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from pathlib import Path

import pytest

from amove_emulator import Emulator
from controlplane import ControlPlane
from tests.cluster.bucket_words import stalled
from tests.cluster.fixtures import RunOperator
from tests.cluster.harness import BUCKET, KEY, a_bucket, a_key, condition, eventually, refs
from tests.cluster.harness_cluster import CHART, RELEASE, SYSTEM, Cluster
from tests.cluster.harness_operator import Operator

POLICY, BINDING = (
    "validatingadmissionpolicy/amove-fence",
    "validatingadmissionpolicybinding/amove-fence",
)
LOOKS = 60.0
"""Seconds in which an operator has looked at the fence, which it does every 30."""
WATCHFUL = (str(Path(__file__).parents[1] / "watchful_operator.py"),)
"""What looks every other second, where a test waits for the look of an operator that leads."""
WITH_LEASE = {
    "leader_election": True,
    "lease_namespace": SYSTEM,
    "environ": {"DEPLOYMENT_NAME": RELEASE},
}


class Fence:
    """The fence in an admin's hands."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._kubectl = cluster.plane.kubectl
        self.touched = False

    def remove(self) -> None:
        self.touched = True
        self._kubectl("delete", POLICY, BINDING, "--ignore-not-found")
        eventually(lambda: not self._refuses(), what="an open status")

    def weaken(self) -> None:
        self.touched = True
        spec = {"spec": {"failurePolicy": "Ignore"}}
        self._kubectl("patch", POLICY, "--type=merge", f"--patch={json.dumps(spec)}")

    def install(self) -> None:
        """As ``amove-operator crds | kubectl apply`` does; the release's labels stay out."""
        for name in ("policy", "binding"):
            path = CHART / "files" / "crds" / f"amove-fence-{name}.yaml"
            self._kubectl("apply", "--server-side", "--force-conflicts", "-f", str(path))

    def restore(self) -> None:
        if self.touched:
            self.install()
            eventually(self._refuses, what="a fence that holds")

    def _refuses(self) -> bool:
        """Whether a finalizer of ours may not be taken off an object that nobody deletes."""
        held = a_bucket("probe")
        held["metadata"]["finalizers"] = ["storage.amove.io/finalizer"]
        there = self._cluster.within("default")
        there.apply(held)
        strip = ("--type=merge", '--patch={"metadata":{"finalizers":null}}')
        done = self._kubectl("patch", BUCKET, "probe", "-n=default", *strip, check=False)
        return done.returncode != 0


@pytest.fixture
def fence(cluster: Cluster) -> Iterator[Fence]:
    """The fence, which stands again afterwards for the tests that follow."""
    fence = Fence(cluster)
    yield fence
    fence.restore()
    there = cluster.within("default")
    there.delete(BUCKET, "probe")
    there.patch_if_there(BUCKET, "probe", {"metadata": {"finalizers": None}})


def stops_for_the_fence(operator: Operator) -> str:
    told = eventually(operator.unready, LOOKS, what="an operator that is not ready")
    assert "the fence amove-fence" in told
    eventually(partial(laid_down, operator), what="the lead laid down")
    return told


def laid_down(operator: Operator) -> bool:
    """It goes on running, and does not lead."""
    return operator.running and operator.metric("leader") == 0


def forged(cluster: Cluster, name: str, account: str) -> None:
    """What a tenant with a wildcard writes while nothing is in the way."""
    uid = cluster.found(BUCKET, name)["metadata"]["uid"]
    status = {
        "ownerUID": uid,
        "provenance": "Adopted",
        "bucketName": name,
        "cloudAccountId": account,
    }
    cluster.patch(BUCKET, name, {"status": status}, "status")


def test_while_the_fence_is_away_no_replica_leads_and_its_return_is_told(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator, fence: Fence
) -> None:
    emulator.control.add_bucket("theirs")
    leader = run_operator(program=WATCHFUL, **WITH_LEASE)
    standby = run_operator(program=WATCHFUL, wait=False, **WITH_LEASE)
    standby.wait_ready()
    cluster.apply(a_bucket("theirs"), a_key("app", bucketRefs=refs("theirs")))
    stalled(cluster, "theirs", "BucketExists")
    assert leader.metric("fence_intact") == 1

    fence.remove()
    for replica in (leader, standby):
        told = stops_for_the_fence(replica)
        assert "there is no ValidatingAdmissionPolicy amove-fence" in told
        assert "AMOVE_REQUIRE_FENCE" in told
    forged(cluster, "theirs", emulator.cloud_account_id)
    cluster.apply(a_bucket("meanwhile"))

    fence.install()
    eventually(
        lambda: any(one.metric("leader") == 1 for one in (leader, standby)), LOOKS, what="a leader"
    )
    (now,) = (one for one in (leader, standby) if one.metric("leader") == 1)
    assert "FenceWasAway" in now.wait_log("FenceWasAway")
    assert now.metric("fence_was_away_total") == 1
    assert now.metric("fence_intact") == 1
    there = cluster.within(SYSTEM)
    eventually(lambda: "FenceWasAway" in dict(there.events(RELEASE)), what="an Event")
    cluster.ready(BUCKET, "meanwhile")


def test_a_standby_looks_at_the_fence_before_it_leads(
    cluster: Cluster, run_operator: RunOperator, fence: Fence
) -> None:
    """The leader may have just laid the lead down for what the standby has not seen yet."""
    kubectl, where = cluster.plane.kubectl, f"--namespace={SYSTEM}"
    held = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": "amove-operator"},
        "spec": {"holderIdentity": "another", "leaseDurationSeconds": 3600},
    }
    kubectl("delete", "lease/amove-operator", where, "--ignore-not-found")
    kubectl("create", "-f-", where, input=json.dumps(held))
    cluster.apply(a_bucket("photos"))
    standby = run_operator(wait=False, **WITH_LEASE)
    standby.wait_ready()
    standby.wait_log("the Lease amove-operator is held by another")
    fence.remove()
    since = cluster.now()
    kubectl("patch", "lease/amove-operator", where, '--patch={"spec":{"holderIdentity":""}}')
    stops_for_the_fence(standby)
    assert "may not lead: the fence" in standby.wait_log("may not lead")
    assert "does not lead any more" not in standby.log
    assert cluster.kube_writes(since) == []


def test_nothing_is_done_while_the_fence_is_away(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator, fence: Fence
) -> None:
    """The release came back, and the fence did not: what was forged is not acted on."""
    fence.remove()
    emulator.control.add_bucket("theirs")
    cluster.apply(a_bucket("theirs"), a_key("app", bucketRefs=refs("theirs")))
    forged(cluster, "theirs", emulator.cloud_account_id)
    since = cluster.now()
    operator = run_operator(wait=False)
    operator.wait_log("does not stand")
    operator.wait_log("watching: 2 objects")
    stops_for_the_fence(operator)
    assert operator.metric("fence_intact") == 0
    assert emulator.control.count("create_storage_key") == 0
    assert cluster.kube_writes(since) == []
    assert not condition(cluster.found(KEY, "app"), "Ready")


def test_a_fence_made_anew_while_no_operator_ran_is_told_by_the_next_leader(
    cluster: Cluster, run_operator: RunOperator, fence: Fence
) -> None:
    first = run_operator(**WITH_LEASE)
    first.stop()
    again = run_operator(**WITH_LEASE)
    again.stop()
    fence.remove()
    fence.install()
    last = run_operator(**WITH_LEASE)
    last.wait_log("FenceWasAway")
    assert "FenceWasAway" not in again.log
    assert last.metric("fence_was_away_total") == 1


def test_status_that_is_older_than_the_first_fence_is_told(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator, fence: Fence
) -> None:
    """The definitions came before the fence, or another Lease was led: no note tells of it."""
    fence.remove()
    cluster.apply(a_bucket("theirs"))
    forged(cluster, "theirs", emulator.cloud_account_id)
    fence.install()
    lease = ("lease/amove-operator", f"--namespace={SYSTEM}", "--ignore-not-found")
    cluster.plane.kubectl("delete", *lease)
    first = run_operator(**WITH_LEASE)
    first.wait_log("FenceWasAway")
    first.stop()
    again = run_operator(**WITH_LEASE)
    again.wait_leading(LOOKS)
    assert again.metric("fence_was_away_total") == 0
    again.stop()
    # Objects that came after it tell nothing, whatever became of the Lease.
    cluster.delete(BUCKET, "theirs")
    cluster.plane.kubectl("delete", *lease)
    later = run_operator(**WITH_LEASE)
    cluster.apply(a_bucket("photos"))
    cluster.ready(BUCKET, "photos")
    later.stop()
    cluster.plane.kubectl("delete", *lease)
    last = run_operator(**WITH_LEASE)
    last.wait_leading(LOOKS)
    assert last.metric("fence_was_away_total") == 0


def test_a_weakened_fence_stops_the_leader_until_it_is_whole_again(
    cluster: Cluster, run_operator: RunOperator, fence: Fence
) -> None:
    operator = run_operator(program=WATCHFUL)
    fence.weaken()
    assert "failurePolicy is Ignore" in stops_for_the_fence(operator)
    fence.install()
    eventually(operator.unready, what="the time in which it does not count yet")
    operator.wait_leading(LOOKS)
    operator.wait_log("FenceWasAway")
    cluster.apply(a_bucket("photos"))
    cluster.ready(BUCKET, "photos")


def test_who_does_not_require_the_fence_leads_without_it_and_is_told(
    cluster: Cluster, run_operator: RunOperator, fence: Fence
) -> None:
    fence.remove()
    operator = run_operator(require_fence=False)
    operator.wait_log("does not stand")
    cluster.apply(a_bucket("photos"))
    cluster.ready(BUCKET, "photos")
    assert operator.metric("fence_intact") == 0


# ---------------------------------------------------------------- several releases


Release = Callable[..., Operator]


@pytest.fixture
def run_release(plane: ControlPlane, run_operator: RunOperator) -> Iterator[Release]:
    """Install a further release, and run its operator: ``run_release("blue", SYSTEM, [ns])``."""
    installed: list[tuple[str, str]] = []

    def run(name: str, home: str, namespaces: list[str]) -> Operator:
        watched = ",".join(namespaces)
        values = f"crds.install=false,replicas=0,settings.watchNamespaces={{{watched}}}"
        credentials = "credentials.existingSecret=amove-credentials,image.repository=unused"
        options = (f"--namespace={home}", f"--set={values},{credentials}")
        plane.helm("install", name, str(CHART), *options)
        installed.append((name, home))
        account = f"{name}-amove-operator"
        kubeconfig = plane.service_account_kubeconfig(home, account)
        environ = {"KUBECONFIG": str(kubeconfig), "POD_NAMESPACE": home}
        operator = run_operator(
            wait=False,
            environ=environ,
            watch_namespaces=namespaces,
            leader_election=True,
            lease_name=account,
        )
        operator.wait_ready()
        operator.wait_leading()
        return operator

    yield run
    for name, home in installed:
        plane.helm("uninstall", name, f"--namespace={home}")


@pytest.mark.parametrize("apart", [True, False], ids=["in-two-namespaces", "in-one-namespace"])
def test_two_releases_with_namespaces_of_their_own_both_work(
    cluster: Cluster,
    run_release: Release,
    make_namespace: Callable[[], str],
    *,
    apart: bool,
) -> None:
    teams = [make_namespace(), make_namespace()]
    homes = [make_namespace(), make_namespace()] if apart else [make_namespace()] * 2
    operators = [
        run_release(f"{home}-{number}", home, [team])
        for number, (home, team) in enumerate(zip(homes, teams, strict=True))
    ]
    for number, team in enumerate(teams):
        there = cluster.within(team)
        name = f"photos-{number}"
        there.apply(a_bucket(name, deletionPolicy="Delete"), a_key("app", bucketRefs=refs(name)))
        there.ready(BUCKET, name)
        there.ready(KEY, "app")
        there.delete(KEY, "app")
        there.gone(KEY, "app")
        there.delete(BUCKET, name)
        there.gone(BUCKET, name)
    for operator in operators:
        assert operator.metric("leader") == 1
        assert operator.unready() == ""


def test_of_two_releases_on_one_namespace_who_sees_the_others_writes_stops_and_says_whose(
    cluster: Cluster,
    run_release: Release,
    make_namespace: Callable[[], str],
    namespace: str,
) -> None:
    homes = {name: make_namespace() for name in ("red", "blue")}
    leases = {name: f"{homes[name]}/{name}-amove-operator" for name in homes}
    operators = {name: run_release(name, homes[name], [namespace]) for name in homes}
    number = count()

    def stopped() -> list[str]:
        # What is written in the first two seconds of a lead proves nothing: so there is more.
        cluster.apply(a_bucket(f"photos-{next(number)}"))
        return [name for name, one in operators.items() if "another operator" in one.unready()]

    for name in eventually(stopped, what="one that stops"):
        (other,) = homes.keys() - {name}
        assert f"that of Lease {leases[other]}:" in operators[name].unready()
        operators[name].wait_log("does not lead any more")
        eventually(partial(laid_down, operators[name]), what="the lead laid down")
