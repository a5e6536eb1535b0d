"""External Secrets' own controller pushes our Secret on, and follows its rotation."""

from __future__ import annotations

import os
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from controlplane.components import free_ports
from judges.programs import ensure, module_folder
from tests.cluster.harness import (
    KEY,
    Manifest,
    a_bucket,
    a_key,
    eventually,
    refs,
    refusal,
    s3_with_only,
)
from tests.cluster.harness_cluster import Cluster
from tests.cluster.harness_keys import KEY_ID, a_secret, another_key, live_of
from tests.patience import PATIENCE

pytestmark = [
    pytest.mark.gitops,
    pytest.mark.long,
    pytest.mark.timeout(3600),
    pytest.mark.usefixtures("operator"),
]

PROGRAM = "external_secrets"
GROUP = "external-secrets.io"


@pytest.fixture
def elsewhere(whole_cluster: Cluster) -> Iterator[Cluster]:
    """Another namespace, which the operator does not serve."""
    name = f"frontend-{secrets.token_hex(4)}"
    whole_cluster.create_namespace(name)
    yield whole_cluster.within(name)
    whole_cluster.drop_namespace(name)


@pytest.fixture
def controller(team: Cluster, tmp_path: Path) -> Iterator[None]:
    """External Secrets, with its definitions, for the team's namespace."""
    definitions = str(module_folder(PROGRAM) / "config" / "crds" / "bases")
    program = ensure(PROGRAM)
    plane = team.plane
    plane.kubectl("apply", "--server-side", "-k", definitions)
    plane.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=120s")
    (metrics,) = free_ports(1)
    command = [
        str(program),
        f"--namespace={team.namespace}",
        f"--metrics-addr=127.0.0.1:{metrics}",
        "--enable-cluster-store-reconciler=false",
        "--enable-cluster-external-secret-reconciler=false",
        "--enable-cluster-push-secret-reconciler=false",
    ]
    log = tmp_path / "external-secrets.log"
    with log.open("wb") as output:
        running = subprocess.Popen(
            command,
            env={**os.environ, "KUBECONFIG": str(plane.kubeconfig)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield
    finally:
        running.terminate()
        running.wait(PATIENCE)
        plane.kubectl("delete", "--wait=false", "-k", definitions)


def pushing(team: Cluster, elsewhere: Cluster, secret: str) -> list[Manifest]:
    """A store that is the other namespace, and the Secret pushed there as a whole."""
    config = team.plane.kubeconfig.read_text()
    store = {
        "apiVersion": f"{GROUP}/v1",
        "kind": "SecretStore",
        "metadata": {"name": "frontend"},
        "spec": {
            "provider": {
                "kubernetes": {
                    "remoteNamespace": elsewhere.namespace,
                    "authRef": {"name": "frontend-access", "key": "config"},
                }
            }
        },
    }
    push = {
        "apiVersion": f"{GROUP}/v1alpha1",
        "kind": "PushSecret",
        "metadata": {"name": secret},
        "spec": {
            "refreshInterval": "2s",
            "secretStoreRefs": [{"name": "frontend", "kind": "SecretStore"}],
            "selector": {"secret": {"name": secret}},
            "data": [{"match": {"remoteRef": {"remoteKey": secret}}}],
        },
    }
    access = a_secret("frontend-access", {"config": config})
    return [access, store, push]


def works(copy: Cluster, secret: str, bucket: str) -> bool:
    """Whether a client with the copy alone is served."""
    with s3_with_only(copy.secret(secret)) as s3:
        return refusal(s3.put_object, Bucket=bucket, Key="a", Body=b"b") is None


@pytest.mark.usefixtures("controller")
def test_a_push_secret_hands_our_secret_on_and_follows_its_rotation(
    team: Cluster, elsewhere: Cluster, service: Any
) -> None:
    team.apply(a_bucket("pushed"), a_key("pushed", bucketRefs=refs("pushed")))
    key = team.ready(KEY, "pushed")
    team.kubectl("apply", "-f", "-", given=pushing(team, elsewhere, "pushed"))

    def copied() -> bool:
        assert elsewhere.get("Secret", "pushed") is not None, "no copy"
        return elsewhere.secret("pushed") == team.secret("pushed")

    eventually(copied, what="the copy")
    assert works(elsewhere, "pushed", "pushed")

    first = str(key["status"]["key"]["id"])
    team.annotate(KEY, "pushed", rotate_requested_at="now")
    rotated = another_key(team, KEY, "pushed", first)
    # The former key lives out its grace meanwhile, so that the copy works all the time.
    assert first in live_of(service, rotated)
    eventually(copied, what="the copy of the new key")
    assert works(elsewhere, "pushed", "pushed")
    # To read is all that is done to ours: it holds what the operator wrote.
    ours = team.found("Secret", "pushed")
    assert ours["metadata"]["annotations"][KEY_ID] == rotated["status"]["key"]["id"]
    assert live_of(service, rotated) == [first, rotated["status"]["key"]["id"]]
