"""An account of 500 buckets is imported, and nothing at the service is changed by it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest

from amove_emulator import Emulator
from tests.cluster.conftest import RunOperator
from tests.cluster.harness import BUCKET, condition, eventually
from tests.cluster.harness_cluster import Cluster
from tests.cluster.harness_operator import environment
from tests.patience import PATIENCE

MANY = 500
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
