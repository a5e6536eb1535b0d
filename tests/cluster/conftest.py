"""The fixtures of ``fixtures.py``; our client, and a bucket for it to write to."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest

from amove_operator.kube import Kube
from controlplane.launcher import ControlPlane
from tests.cluster.fixtures import *  # noqa: F403


@pytest.fixture
async def kube(plane: ControlPlane, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Kube]:
    """Our client as the cluster's administrator."""
    monkeypatch.setenv("KUBECONFIG", str(plane.kubeconfig))
    client = await Kube.connect()
    yield client
    await client.aclose()


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
