"""What the chart's roles grant is what the operator uses, by the API server's own audit log."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pytest
import yaml

from amove_emulator import Emulator
from controlplane import AuditEvent
from controlplane.launcher import ControlPlane
from tests.cluster.fixtures import RunOperator
from tests.cluster.harness import BUCKET, GROUP, KEY, a_bucket, a_key, eventually, refs
from tests.cluster.harness_cluster import CHART, CHART_OPTIONS, RELEASE, SYSTEM, Cluster
from tests.cluster.harness_operator import Operator

UNUSED = {
    ("attest", f"{GROUP} amovebuckets/status"): (
        "No request has this verb: the fence asks the authorizer for it when status is written."
    ),
    ("attest", f"{GROUP} amovestoragekeys/status"): "As for buckets.",
    ("get", f"{GROUP} amovebuckets/status"): (
        "A GET of the object shows the same; granted beside patch, as to every editor of a "
        "subresource, so that an admin can try out with kubectl --as what the operator sees."
    ),
    ("get", f"{GROUP} amovestoragekeys/status"): "As for buckets.",
}
"""Rights that are granted and that no request uses, each with its reason."""


@dataclass(frozen=True)
class Right:
    """One verb on one resource; ``where`` is a namespace, empty for the whole cluster."""

    verb: str
    resource: str
    where: str
    names: tuple[str, ...]

    def covers(self, event: AuditEvent) -> bool:
        wanted = f"{event.group} {event.resource}"
        wanted += f"/{event.subresource}" if event.subresource else ""
        if (event.verb, wanted) != (self.verb, self.resource):
            return False
        named = not self.names or event.name in self.names
        return named and self.where in ("", event.namespace)


def granted(plane: ControlPlane, *options: str) -> list[Right]:
    """What the chart's roles grant the operator with these options."""
    command = ("template", RELEASE, str(CHART), f"--namespace={SYSTEM}", *CHART_OPTIONS, *options)
    rendered = plane.helm(*command, "--show-only=templates/roles.yaml").stdout
    found = []
    for role in yaml.safe_load_all(rendered):
        where = role["metadata"].get("namespace", "") if role["kind"] == "Role" else ""
        found += [
            Right(verb, f"{group} {resource}", where, tuple(rule.get("resourceNames", ())))
            for rule in role.get("rules", ())
            for group in rule["apiGroups"]
            for resource in rule["resources"]
            for verb in rule["verbs"]
        ]
    return found


def used(cluster: Cluster, since: datetime) -> list[AuditEvent]:
    """The operator's requests for resources that the authorizer let through."""
    return [one for one in cluster.requests(since) if one.resource and one.code not in (401, 403)]


def vanish(cluster: Cluster, kind: str, name: str) -> None:
    """Have an object go without the operator's protocol."""
    cluster.annotate(kind, name, paused="true")
    cluster.delete(kind, name)
    cluster.patch(kind, name, {"metadata": {"finalizers": None}})


def live(cluster: Cluster, operator: Operator, refuse: Callable[[], None]) -> None:
    """All that an operator does in its life: from the first bucket to what vanishes."""
    cluster.apply(a_bucket("photos"), a_key("app", bucketRefs=refs("photos")))
    cluster.ready(KEY, "app")
    cluster.annotate(KEY, "app", rotate_requested_at="now")
    eventually(lambda: cluster.found(KEY, "app")["status"]["key"]["serial"] == 2, what="a rotation")
    cluster.delete(KEY, "app")
    cluster.gone(KEY, "app")
    cluster.apply(a_key("kept", bucketRefs=refs("photos"), deletionPolicy="Retain"))
    cluster.ready(KEY, "kept")
    cluster.delete(KEY, "kept")
    cluster.gone(KEY, "kept")
    cluster.apply(a_key("lost", bucketRefs=refs("photos")))
    cluster.ready(KEY, "lost")
    for kind, name in ((KEY, "lost"), (BUCKET, "photos")):
        vanish(cluster, kind, name)
        operator.wait_log(f"{kind} {cluster.namespace}/{name} vanished")
    refuse()


@pytest.mark.parametrize("watches_all", [True, False], ids=["the cluster", "one namespace"])
def test_no_right_is_granted_that_is_not_used_and_none_is_used_that_is_not_granted(
    watches_all: bool,
    plane: ControlPlane,
    cluster: Cluster,
    emulator: Emulator,
    token_file: Path,
    run_operator: RunOperator,
) -> None:
    since = cluster.now()
    where = cluster.namespace
    plane.kubectl("delete", "lease", RELEASE, f"--namespace={SYSTEM}", "--ignore-not-found")
    operator = run_operator(
        leader_election=True,
        lease_namespace=SYSTEM,
        watch_namespaces=None if watches_all else [where],
        trusted_namespaces=[where],
        resync_interval="3s",
        environ={"DEPLOYMENT_NAME": RELEASE},
    )

    def refuse() -> None:
        """An alarm, which is an Event on the operator's own Deployment."""
        token_file.write_text("amv_of_nobody")
        operator.wait_log("held back")
        asked = "deployments"
        eventually(
            lambda: any(one.resource == asked for one in used(cluster, since)), what="its Event"
        )
        token_file.write_text(emulator.api_token)
        operator.wait_log("can be used again")

    live(cluster, operator, refuse)
    operator.stop()
    options = () if watches_all else (f"--set=settings.watchNamespaces={{{where}}}",)
    rights = granted(plane, *options)
    events = used(cluster, since)
    strays = [one for one in events if not any(right.covers(one) for right in rights)]
    assert [(one.verb, one.uri) for one in strays] == [], "used, and not granted"
    idle = {
        (right.verb, right.resource)
        for right in rights
        if not any(right.covers(one) for one in events)
    }
    assert idle == set(UNUSED), "granted, and neither used nor reasoned"
