"""What a key writes is no release to Helm: an uninstall would delete what it names."""

from __future__ import annotations

import base64
import gzip
import json

import pytest

from tests.cluster.harness import KEY, Manifest, a_bucket, a_key, refs
from tests.cluster.harness_cluster import Cluster

pytestmark = [pytest.mark.gitops, pytest.mark.usefixtures("operator")]

LABELS = {"owner": "helm", "name": "shop", "status": "deployed", "version": "1"}
PRECIOUS: Manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "precious"}}
THERE = "default"


def test_a_key_forges_no_release_that_helm_would_find(team: Cluster) -> None:
    """Not by the label, and without the label Helm does not find what is like one in all else."""
    team.within(THERE).apply(PRECIOUS)
    team.apply(a_bucket("forged"))
    assert "owner: helm" in team.refused(a_key("forged", **forging(LABELS)))

    team.apply(a_key("forged", **forging({**LABELS, "owner": "me"})))
    team.ready(KEY, "forged")

    here = f"--namespace={team.namespace}"
    assert json.loads(team.plane.helm("list", "--output=json", here).stdout) == []
    uninstalled = team.plane.helm("uninstall", "shop", here, check=False)
    assert "not found" in uninstalled.stderr
    assert team.within(THERE).get("ConfigMap", "precious") is not None
    team.within(THERE).delete("ConfigMap", "precious")


def forging(labels: dict[str, str]) -> Manifest:
    """The spec of a key whose Secret says that the release `shop` has made another's object."""
    elsewhere = {**PRECIOUS, "metadata": {"name": "precious", "namespace": THERE}}
    now = "2026-01-01T00:00:00Z"
    release = {
        "name": "shop",
        "version": 1,
        "info": {"status": "deployed", "first_deployed": now, "last_deployed": now},
        "chart": {"metadata": {"name": "shop", "version": "1.0.0", "apiVersion": "v2"}},
        "manifest": json.dumps(elsewhere),
    }
    packed = base64.b64encode(gzip.compress(json.dumps(release).encode())).decode()
    template = {"release": packed, "key": "${secretKey}"}
    secret = {"name": "sh.helm.release.v1.shop.v1", "labels": labels, "template": template}
    return {"bucketRefs": refs("forged"), "secret": secret}
