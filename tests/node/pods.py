"""The operator's pods from below: their processes, and what the kernel counts of them."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

from tests.node.release import HERE, NAMESPACE, Manifest, Release

MEMORY = Path("/sys/fs/cgroup/memory")


def process_of(pod: Manifest) -> int:
    """The id of the operator's process in this pod; the test shares the node's PID namespace."""
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or not _is_operator(folder):
            continue
        if pod["metadata"]["uid"] in (folder / "cgroup").read_text():
            return int(folder.name)
    raise AssertionError(f"no process of {pod['metadata']['name']} runs")


def freeze(pod: Manifest) -> None:
    """Stop its process without ending it: it answers nobody, and holds what it holds."""
    os.kill(process_of(pod), signal.SIGSTOP)


def most_memory(pod: Manifest) -> int:
    """The most bytes that its container ever had, page cache and all, as its limit counts them."""
    groups = Path(f"/proc/{process_of(pod)}/cgroup").read_text().splitlines()
    (path,) = (line.partition(":memory:")[2] for line in groups if ":memory:" in line)
    return int((MEMORY / path.lstrip("/") / "memory.max_usage_in_bytes").read_text())


def evict(release: Release, pod: str) -> str:
    """Ask for it as `kubectl drain` does; "" where it is granted, else what the API answers."""
    eviction = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": pod, "namespace": NAMESPACE},
    }
    path = f"/api/v1/namespaces/{NAMESPACE}/pods/{pod}/eviction"
    command = ("create", "--raw", path, "--filename=-")
    done = release.node.plane.kubectl(*command, input=json.dumps(eviction), check=False)
    return done.stderr


def delete(release: Release, pod: str, *, force: bool = False) -> None:
    """Delete it and return at once; by force, it is killed as if its node had died."""
    options = ("--grace-period=0", "--force") if force else ()
    release.node.kubectl("delete", "pod", pod, HERE, "--wait=false", *options)


def _is_operator(folder: Path) -> bool:
    try:
        return b"/opt/amove-operator/bin/amove-operator\0run" in (folder / "cmdline").read_bytes()
    except OSError:
        return False
