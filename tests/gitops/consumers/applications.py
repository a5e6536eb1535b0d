"""Run an example application as its pod would: with the Secret's values, and little else."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from clients import EXAMPLES
from tests.cluster.harness import BUCKET, KEY, refusal, s3_with_only
from tests.cluster.harness_cluster import Cluster
from tests.patience import PATIENCE

APP_BUCKET = "amove-demo-apps"
MANIFESTS = (EXAMPLES / "storage.yaml", *sorted(EXAMPLES.glob("*/key.yaml")))
Change = Callable[[str], str]


def declare(team: Cluster) -> None:
    """Apply the manifests of all examples as they are delivered, and wait until they are Ready."""
    applied: list[dict[str, Any]] = []
    for file in MANIFESTS:
        applied += team.apply(file.read_text())
    for one in applied:
        team.ready(one["kind"], one["metadata"]["name"])
    assert {one["kind"] for one in applied} == {BUCKET, KEY}


def environment(folder: Path, **variables: str) -> dict[str, str]:
    """A container's environment: a PATH, a HOME with nothing in it, and these variables."""
    home = folder / "home"
    home.mkdir(exist_ok=True)
    return {"PATH": os.defpath, "HOME": str(home), **variables}


def mounted(folder: Path, secret: Mapping[str, str]) -> Path:
    """The Secret as a volume: a file for each entry."""
    volume = folder / "mounted"
    volume.mkdir(parents=True)
    for name, text in secret.items():
        (volume / name).write_text(text)
    return volume


def run(command: list[str], environ: Mapping[str, str], *, check: bool = True) -> str:
    """What it printed."""
    done = subprocess.run(
        command,
        env=dict(environ),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    said = done.stdout + done.stderr
    assert (done.returncode == 0) is check, f"{command} ended with {done.returncode}:\n{said}"
    return said


def stored(team: Cluster, key: str) -> str:
    """An object of the bucket as another client reads it."""
    with s3_with_only(team.secret("app")) as s3:
        assert refusal(s3.head_object, Bucket=APP_BUCKET, Key=key) is None, key
        body: bytes = s3.get_object(Bucket=APP_BUCKET, Key=key)["Body"].read()
    return body.decode(errors="replace").strip()


def secret_of_deployment(text: str) -> str:
    """The name of the Secret that the Deployment has in its environment."""
    (container,) = yaml.safe_load(text)["spec"]["template"]["spec"]["containers"]
    return str(container["envFrom"][0]["secretRef"]["name"])
