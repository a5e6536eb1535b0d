"""The real control plane with our CRDs in it, a namespace of one's own, and a client."""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from amove_operator.kube import Kube
from controlplane.launcher import ControlPlane

CRDS = Path(__file__).parents[2] / "deploy" / "crds"


@pytest.fixture(scope="session")
def plane(control_plane: ControlPlane) -> ControlPlane:
    """The control plane of the run, once both kinds are served."""
    control_plane.kubectl("apply", "-f", str(CRDS))
    control_plane.kubectl(
        "wait", "--for=condition=Established", "--timeout=30s", "-f", str(CRDS), timeout=60
    )
    return control_plane


@pytest.fixture
def namespace(plane: ControlPlane) -> Iterator[str]:
    """A namespace of this test's own."""
    name = f"test-{secrets.token_hex(4)}"
    plane.kubectl("create", "namespace", name)
    yield name
    plane.kubectl("delete", "namespace", name, "--wait=false", "--ignore-not-found")


@pytest.fixture
async def kube(plane: ControlPlane, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Kube]:
    """Our client as the cluster's administrator."""
    monkeypatch.setenv("KUBECONFIG", str(plane.kubeconfig))
    client = await Kube.connect()
    yield client
    await client.close()


@pytest.fixture
def bucket(plane: ControlPlane, namespace: str) -> str:
    """The name of an AmoveBucket with an empty spec and another's finalizer."""
    manifest = {
        "apiVersion": "storage.amove.io/v1alpha1",
        "kind": "AmoveBucket",
        "metadata": {"name": "photos", "namespace": namespace, "finalizers": ["example.com/other"]},
        "spec": {},
    }
    plane.kubectl("create", "-f", "-", input=json.dumps(manifest))
    return "photos"
