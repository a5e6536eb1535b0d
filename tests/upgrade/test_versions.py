"""Objects and operators of several versions: all heals, nothing is lost, nothing issued anew."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from amove_emulator import Emulator
from controlplane import ControlPlane
from tests.cluster.fixtures import RunOperator
from tests.cluster.harness import BUCKET, KEY, Manifest, a_bucket, a_key, eventually, refs
from tests.cluster.harness_cluster import CHART, RELEASE, SYSTEM, Cluster
from tests.cluster.harness_operator import Operator, environment
from tests.upgrade.restoring import Edit, Restored, read

HERE = Path(__file__).parent
BEFORE, TODAY = HERE / "v0_1_0/crds", CHART / "files/crds"
LATER_OPERATOR = str(HERE / "later_operator.py")
WATCHFUL = str(HERE.parent / "cluster/watchful_operator.py")
ISSUING = ("create_storage_key", "delete_storage_key", "create_bucket", "delete_bucket")
WITH_LEASE: dict[str, Any] = {
    "leader_election": True,
    "lease_namespace": SYSTEM,
    "lease_name": RELEASE,
    "environ": {"DEPLOYMENT_NAME": RELEASE},
}
Restore = Callable[..., Restored]


class Definitions:
    """The CRDs and the fence, as an upgrade or a rollback writes them over those that are there."""

    def __init__(self, plane: ControlPlane) -> None:
        self._plane = plane

    def of(self, folder: Path) -> None:
        self._apply("---\n".join(path.read_text() for path in sorted(folder.glob("*.yaml"))))

    def later(self) -> None:
        """Today's, with a field more in each spec and each status."""
        texts = []
        for path in sorted(TODAY.glob("storage*.yaml")):
            crd = yaml.safe_load(path.read_text())
            schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
            for part in ("spec", "status"):
                schema[part]["properties"]["later"] = {"type": "string"}
            texts.append(yaml.safe_dump(crd))
        self._apply("---\n".join(texts))

    def fence(self, manifests: str) -> None:
        self._apply(manifests)

    def _apply(self, text: str) -> None:
        command = ("apply", "--server-side", "--force-conflicts", "--filename=-")
        self._plane.kubectl(*command, input=text)
        # An API server whose definitions change answers 429 for a moment.
        eventually(self._served, what="both kinds")

    def _served(self) -> bool:
        command = ("get", f"{BUCKET},{KEY}", "--all-namespaces")
        return self._plane.kubectl(*command, check=False).returncode == 0


@pytest.fixture
def definitions(plane: ControlPlane) -> Iterator[Definitions]:
    """Today's again afterwards."""
    definitions = Definitions(plane)
    yield definitions
    definitions.of(TODAY)


@pytest.fixture
def restore(cluster: Cluster, emulator: Emulator) -> Restore:
    """Put a copy of what 0.1.0 left into the test's namespace and the service."""
    objects = read(HERE / "v0_1_0/objects.json", datetime.now(UTC))

    def restored(number: int = 0, edit: Edit = lambda each: each) -> Restored:
        return Restored(cluster, emulator.control, objects, number, edit)

    return restored


def all_ready(cluster: Cluster) -> None:
    for kind in (BUCKET, KEY):
        for each in cluster.every(kind):
            cluster.ready(kind, each["metadata"]["name"])


def compared(cluster: Cluster, emulator: Emulator, operator: Operator) -> None:
    """Return when each object was looked at again, because that was asked for."""
    before = emulator.control.last_seq()
    buckets = {each["metadata"]["name"] for each in cluster.every(BUCKET)}
    now = datetime.now(UTC).isoformat()
    for kind in (BUCKET, KEY):
        for each in cluster.every(kind):
            cluster.annotate(kind, each["metadata"]["name"], reconcile_requested_at=now)

    def asked() -> bool:
        calls = emulator.control.journal("bucket_status", after=before)
        return len(calls) >= len(buckets)

    eventually(asked, what="each bucket asked for")
    eventually(lambda: emulator.control.journal("get_storage_key"), what="a list of the keys")
    operator.wait_idle()
    all_ready(cluster)


def test_objects_of_0_1_0_go_through_all_definitions_and_back(
    cluster: Cluster,
    emulator: Emulator,
    definitions: Definitions,
    restore: Restore,
    run_operator: RunOperator,
) -> None:
    definitions.of(BEFORE)
    restored = restore()
    secrets, seq = restored.secrets(), emulator.control.last_seq()
    operator = run_operator()
    all_ready(cluster)
    named = [each["status"]["key"] for each in cluster.every(KEY)]
    for install in (
        partial(definitions.of, TODAY),
        definitions.later,
        partial(definitions.of, BEFORE),
    ):
        install()
        compared(cluster, emulator, operator)
        assert [each["status"]["key"] for each in cluster.every(KEY)] == named
        rotating = cluster.found(KEY, restored.named("old-rotating"))
        assert len(rotating["status"]["retiring"]) == 1

    assert restored.secrets() == secrets, "not even written"
    calls = {each["call"] for each in emulator.control.journal(after=seq)}
    assert calls.isdisjoint(ISSUING)
    assert len(emulator.control.live_keys()) == 3


def test_what_a_later_version_wrote_is_left_alone_while_its_definitions_stand(
    cluster: Cluster,
    emulator: Emulator,
    definitions: Definitions,
    restore: Restore,
    run_operator: RunOperator,
) -> None:
    definitions.later()
    mark = {"later": "of the later version"}

    def marked(each: Manifest) -> Manifest:
        more = {"type": "Later", "status": "True", "reason": "Later", "message": ""}
        more["lastTransitionTime"] = each["status"]["conditions"][0]["lastTransitionTime"]
        status = each["status"] | mark
        return each | {"status": status | {"conditions": [*status["conditions"], more]}}

    def written() -> bool:
        patch = partial(cluster.patch, BUCKET, bucket)
        return bool(patch({"spec": mark})["spec"].get("later"))

    bucket = restore(edit=marked).named("old-photos")
    eventually(written, what="an API server that knows the later definitions")
    restored = restore(1, edit=marked)
    secrets, seq = restored.secrets(), emulator.control.last_seq()
    run_operator()
    all_ready(cluster)
    copy = restored.named("old-photos")
    for name in (bucket, copy):
        cluster.patch(BUCKET, name, {"spec": {"versioningEnabled": False}})
        status = cluster.ready(BUCKET, name)["status"]
        assert status["observed"]["versioningEnabled"] is False, "status was written"
    assert cluster.found(BUCKET, copy)["status"].items() >= mark.items()
    assert cluster.found(BUCKET, bucket)["spec"].items() >= mark.items()
    assert restored.secrets() == secrets
    calls = {each["call"] for each in emulator.control.journal(after=seq)}
    assert calls.isdisjoint(ISSUING)


LEFT_OUT: list[tuple[str, ...]] = [
    ("conditions",),
    ("observedGeneration",),
    ("observed",),
    ("binding",),
    ("nextRotation",),
    ("recentIssues",),
    ("retiring",),
    ("key", "userId"),
    ("key",),
]


def without(path: tuple[str, ...], each: Manifest) -> Manifest:
    """The object as a version leaves it that does not write this field of status."""
    status = json.loads(json.dumps(each["status"]))
    *parents, last = path
    part = status
    for name in parents:
        part = part.get(name, {})
    part.pop(last, None)
    return each | {"status": status}


def test_a_field_of_status_that_was_never_written_is_worked_out_and_nothing_is_issued(
    cluster: Cluster, emulator: Emulator, restore: Restore, run_operator: RunOperator
) -> None:
    copies = [restore(number, edit=partial(without, path)) for number, path in enumerate(LEFT_OUT)]
    whole = restore(len(LEFT_OUT))
    secrets = [copy.secrets() for copy in copies]
    seq = emulator.control.last_seq()
    operator = run_operator()
    all_ready(cluster)
    compared(cluster, emulator, operator)

    calls = {each["call"] for each in emulator.control.journal(after=seq)}
    assert calls.isdisjoint(ISSUING)
    assert [copy.secrets() for copy in copies] == secrets
    for copy, path in zip(copies, LEFT_OUT, strict=True):
        for kind, name in ((BUCKET, "old-photos"), (KEY, "old-resting"), (KEY, "old-rotating")):
            wanted = cluster.found(kind, whole.named(name))["status"]
            healed = cluster.found(kind, copy.named(name))["status"]
            # What was issued of late counts for the budget only, and is not made up.
            lost = set(wanted) - set(healed) - {"recentIssues"}
            assert lost == set(), (path, name)
            # Whose a key is, only the answer to its create says.
            lost = wanted.get("key", {}).keys() - healed.get("key", {}).keys() - {"userId"}
            assert lost == set(), (path, name)


def later_fence() -> str:
    done = subprocess.run(
        [sys.executable, LATER_OPERATOR, "fence"],
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout


def leads(operator: Operator) -> bool:
    return operator.metric("leader") == 1


def test_leaders_of_two_versions_share_one_lease_behind_the_fence_of_the_later(
    cluster: Cluster, emulator: Emulator, definitions: Definitions, run_operator: RunOperator
) -> None:
    of_today = run_operator(program=(WATCHFUL,), **WITH_LEASE)
    cluster.apply(a_bucket("photos"), a_key("app", bucketRefs=refs("photos")))
    cluster.ready(KEY, "app")
    secret = cluster.found("Secret", "app")

    later = run_operator(program=(LATER_OPERATOR,), wait=False, **WITH_LEASE)
    wants = "fence-version is 1, and this operator needs 2"
    eventually(lambda: wants in later.unready(), what="why the later one may not lead")
    definitions.fence(later_fence())
    later.wait_ready()
    assert leads(of_today), "behind a later fence it goes on"
    assert not leads(later), "one Lease"

    of_today.stop()
    later.wait_leading()
    cluster.apply(a_key("second", bucketRefs=refs("photos")))
    cluster.ready(KEY, "second")

    back = run_operator(program=(WATCHFUL,), wait=False, **WITH_LEASE)
    back.wait_ready()
    assert leads(later)
    assert not leads(back)
    # The rollback brings the earlier fence back first: the later version lays down the lead.
    definitions.of(TODAY)
    back.wait_leading()
    eventually(lambda: wants in later.unready(), what="why it leads no more")

    cluster.apply(a_key("third", bucketRefs=refs("photos")))
    cluster.ready(KEY, "third")
    assert cluster.found("Secret", "app") == secret
    assert len(emulator.control.journal("create_storage_key")) == 3
    assert emulator.control.journal("delete_storage_key") == []
    # What the later version held to be too weak was noted, and is said by who leads then.
    assert [each.metric("fence_was_away_total") for each in (later, back)] == [0, 1]


def test_an_object_that_nobody_can_let_go_is_freed_by_an_operator_or_by_an_admin(
    cluster: Cluster, plane: ControlPlane, emulator: Emulator, run_operator: RunOperator
) -> None:
    operator = run_operator()
    names = ("by-operator", "by-admin")
    cluster.apply(a_bucket("photos"), *(a_key(name, bucketRefs=refs("photos")) for name in names))
    for name in names:
        cluster.ready(KEY, name)
    operator.stop()
    plane.kubectl("create", "rolebinding", "edits", "-n", cluster.namespace, *EDITOR)
    strip = '--patch={"metadata":{"finalizers":null}}'
    freeing = ("patch", KEY, "by-admin", "-n", cluster.namespace, "--type=merge", strip)

    for name in names:
        cluster.delete(KEY, name)
    assert all(cluster.found(KEY, name)["metadata"]["finalizers"] for name in names)
    editor = plane.user_kubeconfig("editor")
    refused = plane.kubectl(*freeing, kubeconfig=editor, check=False)
    assert "taken off by the operator alone" in refused.stderr
    plane.kubectl(*freeing)
    assert cluster.get(KEY, "by-admin") is None
    assert len(emulator.control.live_keys()) == 2, "its key lives on, as the page says"

    run_operator()
    cluster.gone(KEY, "by-operator")
    (left,) = emulator.control.live_keys()
    assert "by-admin" in left["name"]
    assert cluster.get("Secret", "by-operator") is None


EDITOR = ("--clusterrole=edit", "--user=editor")
