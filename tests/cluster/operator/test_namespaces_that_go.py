"""A release with roles in some namespaces only, and one of these that goes, its roles first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import pytest

from amove_emulator import Emulator
from controlplane.launcher import ControlPlane
from tests.cluster.fixtures import RunOperator
from tests.cluster.harness import BUCKET, KEY, a_bucket, a_key, eventually, refs
from tests.cluster.harness_cluster import (
    CHART,
    CHART_OPTIONS,
    OPERATOR_USER,
    RELEASE,
    SYSTEM,
    Cluster,
)
from tests.cluster.harness_keys import live_ids
from tests.cluster.harness_operator import Operator

Confine = Callable[..., None]
pytestmark = pytest.mark.timeout(600)  # two operators and a namespace's end, on a busy machine


@pytest.fixture
def confine(plane: ControlPlane) -> Iterator[Confine]:
    """Confine the release of the run to namespaces; afterwards it has the whole cluster again."""

    def upgrade(*options: str) -> None:
        where = f"--namespace={SYSTEM}"
        # The fence may be another test's by now, who put it back by hand.
        forced = "--force-conflicts"
        plane.helm("upgrade", RELEASE, str(CHART), where, forced, *CHART_OPTIONS, *options)

    def confined(*namespaces: str) -> None:
        upgrade(f"--set=settings.watchNamespaces={{{','.join(namespaces)}}}")
        for namespace in namespaces:
            eventually(partial(may_list, plane, namespace), what="its role")
        eventually(lambda: not may_list(plane, "default"), what="no role elsewhere")

    yield confined
    upgrade()
    eventually(lambda: may_list(plane, "default"), what="the role for the whole cluster")


def may_list(plane: ControlPlane, namespace: str) -> bool:
    """Whether the operator may list its kinds and Secrets there."""
    who = (f"--namespace={namespace}", f"--as={OPERATOR_USER}")
    answers = [
        plane.kubectl("auth", "can-i", "list", what, *who, check=False).returncode == 0
        for what in ("amovebuckets.storage.amove.io", "secrets")
    ]
    return all(answers)


def sweeps_go_on(emulator: Emulator) -> None:
    """Two more key listings are begun: each sweep has one."""
    before = emulator.control.count("get_storage_key")
    eventually(lambda: emulator.control.count("get_storage_key") >= before + 4, 60, what="sweeps")


def test_a_namespace_that_goes_holds_up_itself_alone_and_is_served_when_it_is_made_again(
    whole_cluster: Cluster,
    plane: ControlPlane,
    make_namespace: Callable[[], str],
    confine: Confine,
    emulator: Emulator,
    run_operator: RunOperator,
) -> None:
    stays, goes = make_namespace(), make_namespace()
    here, there = whole_cluster.within(stays), whole_cluster.within(goes)
    confine(stays, goes)

    def starts() -> Operator:
        return run_operator(watch_namespaces=[stays, goes], resync_interval="2s")

    operator = starts()
    here.apply(a_bucket("photos"), a_key("app", bucketRefs=refs("photos")))
    there.apply(
        a_bucket("kept"),
        a_bucket("doomed", deletionPolicy="Delete"),
        a_key("app", bucketRefs=refs("kept", "doomed")),
    )
    mine = here.ready(KEY, "app", 60)["status"]["key"]["id"]
    there.ready(KEY, "app", 60)

    plane.kubectl("delete", "rolebinding", RELEASE, f"--namespace={goes}")
    eventually(lambda: not may_list(plane, goes), what="no role any more")
    whole_cluster.delete("Namespace", goes)
    whole_cluster.gone("Namespace", goes, 120)
    assert live_ids(emulator) == {mine}
    assert set(emulator.control.buckets()) == {"photos", "kept"}
    eventually(lambda: operator.metric("unlisted_namespaces") == 1, 60)
    here.apply(a_bucket("later"))
    here.ready(BUCKET, "later", 60)
    sweeps_go_on(emulator)

    operator.stop()
    operator = starts()
    here.apply(a_bucket("after"))
    here.ready(BUCKET, "after", 60)
    assert operator.metric("unlisted_namespaces") == 1
    sweeps_go_on(emulator)

    whole_cluster.create_namespace(goes)
    confine(stays, goes)
    there.apply(a_bucket("again"), a_key("app", bucketRefs=refs("again")))
    there.ready(KEY, "app", 60)
    eventually(lambda: operator.metric("unlisted_namespaces") == 0, 60)
