"""``python -m tests.upgrade.snapshot FILE``: objects as today's operator leaves them, with status.

A bucket, a key that rests, and one in the grace of a rotation, with their Secrets.
"""

from __future__ import annotations

import json
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from amove_emulator import Emulator
from controlplane import ControlPlane, ensure_binaries
from controlplane.components import free_ports
from tests.cluster.harness import BUCKET, KEY, Manifest, a_bucket, a_key, eventually, refs
from tests.cluster.harness_cluster import RELEASE, SYSTEM, Cluster, install_chart
from tests.cluster.harness_operator import Starter
from tests.upgrade.restoring import MARK

NAMESPACE = "team-of-before"
BUCKET_NAME, RESTING, ROTATING = f"{MARK}photos", f"{MARK}resting", f"{MARK}rotating"
_ROTATION = {"interval": "720h", "gracePeriod": "24h"}
_SERVERS = ("resourceVersion", "managedFields", "generation", "creationTimestamp")


def make(cluster: Cluster) -> None:
    """Have a running operator bring all objects to where they are stored."""
    cluster.apply(
        a_bucket(BUCKET_NAME, versioningEnabled=True),
        a_key(RESTING, bucketRefs=refs(BUCKET_NAME)),
        a_key(ROTATING, bucketRefs=refs(BUCKET_NAME), rotation=_ROTATION),
    )
    for name in (RESTING, ROTATING):
        cluster.ready(KEY, name)
    cluster.annotate(KEY, ROTATING, rotate_requested_at="once")

    def rotated() -> bool:
        status = cluster.ready(KEY, ROTATING)["status"]
        return bool(status.get("retiring")) and status["key"]["serial"] == 2

    eventually(rotated, what="a key in its grace")


def stored(cluster: Cluster) -> list[Manifest]:
    """What is kept of them: all but what a server gives anew."""
    found = [cluster.found(BUCKET, BUCKET_NAME)]
    found += [cluster.found(KEY, name) for name in (RESTING, ROTATING)]
    found += [cluster.found("Secret", name) for name in (RESTING, ROTATING)]
    for each in found:
        for name in _SERVERS:
            each["metadata"].pop(name, None)
    return found


def main() -> int:
    """Answer the exit status."""
    folder = Path(tempfile.mkdtemp())
    with ControlPlane(binaries=ensure_binaries()) as plane, Emulator() as emulator:
        install_chart(plane)
        cluster = Cluster(plane, NAMESPACE)
        cluster.create_namespace(NAMESPACE)
        (folder / "token").write_text(emulator.api_token)
        metrics, health = free_ports(2)
        starter = Starter(folder)
        operator = starter.start(
            {
                "KUBECONFIG": str(plane.service_account_kubeconfig(SYSTEM, RELEASE)),
                "AMOVE_API_URL": emulator.url,
                "AMOVE_AUTH_URL": emulator.url,
                "AMOVE_TOKEN_FILE": str(folder / "token"),
                "AMOVE_LISTING_SETTLE": "1s",
                "AMOVE_LEADER_ELECTION": "false",
                "AMOVE_METRICS_PORT": str(metrics),
                "AMOVE_HEALTH_PORT": str(health),
            }
        )
        operator.wait_leading()
        make(cluster)
        taken = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        text = json.dumps({"taken": taken, "objects": stored(cluster)}, indent=1, sort_keys=True)
        Path(sys.argv[1]).write_text(text + "\n")
        operator.stop()
        starter.close()
        cluster.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
