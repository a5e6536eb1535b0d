"""An account of 500 buckets is imported, and nothing at the service is changed by it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest
import yaml

from amove_emulator import Emulator
from amove_operator.commands.import_manifests import Found, manifest, to_yaml
from amove_operator.models import BucketFlags
from tests.cluster.fixtures import RunOperator
from tests.cluster.harness import BUCKET, condition, eventually
from tests.cluster.harness_cluster import Cluster
from tests.cluster.harness_operator import environment
from tests.patience import PATIENCE

MANY = 500
ACCOUNT = "c0a8f7d2-5b1e-4e7a-9f36-61d2b7e4a932"
READS = {"get_all", "list_buckets", "bucket_status", "get_storage_key"}


@pytest.fixture
def account(emulator: Emulator) -> dict[str, dict[str, bool]]:
    """The buckets that are there, with every mixture of flags."""
    buckets = {}
    for number in range(MANY):
        lock = number % 5 == 0
        buckets[f"old-{number:03}"] = {
            "isPublic": number % 3 == 0,
            "encryptionEnabled": number % 2 == 0,
            "versioningEnabled": lock or number % 7 == 0,
            "objectLockEnabled": lock,
        }
    for name, flags in buckets.items():
        emulator.control.add_bucket(name, account=None, **flags)
    return buckets


def test_an_account_of_500_buckets_is_imported_applied_and_ready_without_one_mutating_call(
    account: dict[str, dict[str, bool]],
    emulator: Emulator,
    cluster: Cluster,
    operator_variables: Callable[..., dict[str, str]],
    run_operator: RunOperator,
) -> None:
    command = [sys.executable, "-m", "amove_operator", "import", "--namespace", cluster.namespace]
    imported = subprocess.run(
        command,
        env=environment(**operator_variables()),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert imported.returncode == 0, imported.stderr
    assert f"{MANY} imported" in imported.stderr

    run_operator(trusted_namespaces=[cluster.namespace], rate_limit=1000)
    cluster.plane.kubectl("apply", "--server-side", "-f", "-", input=imported.stdout)

    def all_ready() -> bool:
        seen = cluster.every(BUCKET)
        ready = [one for one in seen if condition(one, "Ready").get("status") == "True"]
        assert len(ready) == MANY, f"{len(ready)} of {len(seen)}"
        return True

    eventually(all_ready, what="all imported buckets Ready", pause=0.5)
    for one in cluster.every(BUCKET):
        name, status = one["metadata"]["name"], one["status"]
        assert status["provenance"] == "Adopted"
        assert status["observed"] == account[name]
        assert condition(one, "Synced")["status"] == "True"
    assert set(emulator.control.counts()) <= READS
    left = emulator.control.buckets()
    assert {name: {flag: left[name][flag] for flag in account[name]} for name in left} == account


def test_an_object_of_that_name_that_stands_for_another_bucket_keeps_its_flags(
    cluster: Cluster,
) -> None:
    """Bucket ``films`` is public; the object ``films`` has stood for ``films-2025`` for long."""
    there = {
        "apiVersion": "storage.amove.io/v1alpha1",
        "kind": "AmoveBucket",
        "metadata": {"name": "films", "namespace": cluster.namespace},
        "spec": {
            "bucketName": "films-2025",
            "cloudAccountId": ACCOUNT,
            "objectLockEnabled": False,
            "public": False,
        },
    }
    cluster.plane.kubectl("create", "-f", "-", input=yaml.safe_dump(there))
    public = Found("films", ACCOUNT, BucketFlags(is_public=True))
    imported = to_yaml(manifest(public, namespace=cluster.namespace, observe=False))
    applied = cluster.plane.kubectl("apply", "-f", "-", input=imported, check=False)
    assert cluster.found(BUCKET, "films")["spec"].get("public") is False
    assert applied.returncode != 0
    assert "immutable" in applied.stderr
