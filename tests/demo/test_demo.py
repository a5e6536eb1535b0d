"""`make demo` as a newcomer runs it, and what it does with a cluster that is somebody's."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from controlplane import ControlPlane
from demo.names import KINDS

REPOSITORY = Path(__file__).parents[2]
CHART = REPOSITORY / "deploy" / "helm" / "amove-operator"
CRDS = REPOSITORY / "deploy" / "crds"
HELD = re.compile(r"^ *\d+ ok +\d+\.\d s \S", re.M)
# What the demo could leave behind in a cluster.
TRACES = "namespaces,crds,clusterroles,clusterrolebindings,validatingadmissionpolicies"


def demo(*options: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run it to its end; it must show no credential, however it ends."""
    done = subprocess.run(
        [sys.executable, "-m", "demo", *options],
        env={**os.environ, **environ},
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert not re.search("AKIA|amv_|eyJ", done.stdout + done.stderr)
    return done


@pytest.fixture(scope="module")
def plane() -> Iterator[ControlPlane]:
    """A cluster that was there before, and lives on."""
    with ControlPlane() as plane:
        yield plane


def traces(plane: ControlPlane) -> list[str]:
    names = plane.kubectl("get", TRACES, "--output=name").stdout.split()
    return [name for name in names if "amove" in name]


def test_a_newcomer_sees_every_step_hold() -> None:
    done = demo()
    assert done.returncode == 0, done.stdout + done.stderr
    steps = len(HELD.findall(done.stdout))
    assert steps >= 14
    assert f"All {steps} steps held" in done.stdout
    assert re.search(r"photos-writer +True +Issued", done.stdout), "kubectl get amove is shown"


def test_make_says_which_of_them_a_person_wants() -> None:
    def typed(*words: str) -> str:
        return subprocess.run(
            ["make", "--dry-run", "demo", *words],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split("@")[-1]

    assert "-m node" not in typed()
    assert "--keep" in typed("KEEP=1")
    assert "-m node run -- .venv/bin/python -m demo --node" in typed("NODE=1")
    assert "--node" not in typed("NODE=0")


def test_a_given_cluster_is_left_as_it_was(plane: ControlPlane) -> None:
    done = demo("--kubeconfig", str(plane.kubeconfig))
    assert done.returncode == 0, done.stdout + done.stderr
    assert traces(plane) == []


def test_a_step_that_fails_is_named_with_the_logs_and_the_cluster_left_as_it_was(
    plane: ControlPlane, tmp_path: Path
) -> None:
    broken = tmp_path / "amove_operator" / "__main__.py"
    broken.parent.mkdir()
    (broken.parent / "__init__.py").touch()
    broken.write_text("raise SystemExit('the operator is broken')")
    done = demo("--kubeconfig", str(plane.kubeconfig), PYTHONPATH=str(tmp_path))
    assert done.returncode == 1
    failed, logs = re.findall(r"^FAILED: (.*)\. Logs: (.*)$", done.stdout, re.M)[0]
    assert failed.startswith("the operator runs")
    assert "the operator is broken" in (Path(logs) / "operator.log").read_text()
    assert not (Path(logs).parent / "private").exists()
    assert traces(plane) == []
    shutil.rmtree(Path(logs).parent)


def test_a_cluster_with_amove_resources_is_refused_untouched(plane: ControlPlane) -> None:
    plane.kubectl("apply", "-f", str(CRDS))
    definitions = [f"crd/{kind}" for kind in KINDS]
    plane.kubectl("wait", "--for=condition=Established", *definitions)
    plane.kubectl("apply", "-f", str(REPOSITORY / "examples" / "quickstart.yaml"))
    before = traces(plane)
    try:
        done = demo("--kubeconfig", str(plane.kubeconfig))
        assert done.returncode == 2
        assert "holds Amove resources" in done.stderr
        assert "default/photos-writer" in done.stderr
        assert traces(plane) == before
    finally:
        plane.kubectl("delete", "-f", str(CRDS))


@pytest.mark.parametrize("by", ["helm", "kubectl"])
def test_a_cluster_with_an_operator_is_refused_untouched(plane: ControlPlane, by: str) -> None:
    # Helm knows its releases whatever their objects are called; kubectl's are known by a label.
    options = [
        "theirs",
        str(CHART),
        "--set=credentials.existingSecret=any,image.repository=any,replicas=0",
    ]
    manifest = plane.helm("template", *options).stdout
    if by == "helm":
        plane.helm("install", *options, "--set=nameOverride=storage")
    else:
        plane.kubectl("apply", "-f", "-", input=manifest)
    before = traces(plane)
    try:
        done = demo("--kubeconfig", str(plane.kubeconfig))
        assert done.returncode == 2
        assert "has the operator installed already" in done.stderr
        assert "theirs" in done.stderr
        assert traces(plane) == before
    finally:
        if by == "helm":
            plane.helm("uninstall", "theirs")
            plane.kubectl("delete", "-f", str(CRDS))
        else:
            plane.kubectl("delete", "-f", "-", input=manifest)
