"""The command as a person meets it: wrong settings, missing CRDs, and the way it ends."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from amove_emulator import Emulator
from controlplane import ControlPlane
from tests.cluster.fixtures import RunOperator
from tests.cluster.harness_operator import ROOT, environment
from tests.patience import PATIENCE

CRDS = ROOT / "deploy" / "crds"
Variables = Callable[..., dict[str, str]]


def run(variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "amove_operator", "run"],
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def test_a_wrong_setting_is_one_line_that_names_it_and_exit_code_2(
    operator_variables: Variables,
) -> None:
    done = run(operator_variables(resync_interval="soon"))
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("amove-operator: AMOVE_RESYNC_INTERVAL: ")


def test_a_missing_setting_is_one_line_that_names_it_and_exit_code_2(
    operator_variables: Variables,
) -> None:
    done = run(operator_variables(token_file=None))
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "AMOVE_TOKEN_FILE" in line


@pytest.mark.parametrize("what", ["absent", "unreadable", "empty", "folder"])
def test_a_token_file_that_cannot_be_used_is_one_line_and_exit_code_2(
    operator_variables: Variables, tmp_path: Path, what: str
) -> None:
    path = tmp_path / "mounted"
    if what == "folder":
        path.mkdir()
    elif what == "empty":
        path.write_text("\n")
    elif what == "unreadable":
        # Root may read everything: a link to itself is what nobody can open.
        path.symlink_to(path)
    done = run(operator_variables(token_file=path))
    assert done.returncode == 2
    line = plain_line(done.stderr)
    assert "AMOVE_TOKEN_FILE" in line
    assert str(path) in line


def plain_line(text: str) -> str:
    """The one line for a person; JSON logs may surround it."""
    lines = [line for line in text.splitlines() if not line.startswith("{")]
    assert len(lines) == 1, text
    return lines[0]


def test_a_port_that_is_taken_is_one_line_that_names_it(
    operator_variables: Variables, plane: ControlPlane
) -> None:
    taken = plane.server.rpartition(":")[2]
    done = run(operator_variables(metrics_port=taken))
    assert done.returncode == 2
    assert "AMOVE_METRICS_PORT" in plain_line(done.stderr)


def test_a_kubeconfig_that_is_not_there_is_one_line_that_names_it(
    operator_variables: Variables, tmp_path: Path
) -> None:
    done = run({**operator_variables(), "KUBECONFIG": str(tmp_path / "nowhere")})
    assert done.returncode == 2
    assert "KUBECONFIG" in plain_line(done.stderr)


def test_a_misspelt_setting_is_pointed_out(run_operator: RunOperator) -> None:
    operator = run_operator(environ={"AMOVE_RESYNC_INTERVALL": "5s"})
    assert "AMOVE_RESYNC_INTERVALL: no such setting" in operator.log


@pytest.fixture
def bare_plane() -> Iterator[ControlPlane]:
    """A control plane without our CRDs."""
    with ControlPlane() as plane:
        yield plane


def test_without_crds_it_says_what_to_do_and_goes_on_once_they_are_there(
    bare_plane: ControlPlane, emulator: Emulator, run_operator: RunOperator
) -> None:
    operator = run_operator(
        environ={"KUBECONFIG": str(bare_plane.kubeconfig)}, watch_namespaces=None, wait=False
    )
    line = operator.wait_log("CRDs")
    assert "amove-operator crds | kubectl apply" in line
    assert operator.running
    # Nor is there a fence, whose absence is said first; both come with the same command.
    assert "amove-operator crds | kubectl apply" in operator.unready()

    bare_plane.kubectl("apply", "-f", str(CRDS))

    operator.wait_ready()
    operator.wait_leading()
    assert operator.log.count("are not installed") == 1, "said once, not with every look"


def test_the_crds_it_prints_are_what_the_api_server_takes(plane: ControlPlane) -> None:
    printed = subprocess.run(
        [sys.executable, "-m", "amove_operator", "crds"],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    done = plane.kubectl(
        "apply",
        "--server-side",
        "--dry-run=server",
        "-f",
        "-",
        "--force-conflicts",
        input=printed.stdout,
    )
    # Both kinds, and the fence: a policy with its binding.
    assert done.stdout.count("serverside-applied") == 4
