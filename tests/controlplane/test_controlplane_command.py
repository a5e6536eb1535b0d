"""``python -m controlplane``: it starts, tells a shell about itself, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import select
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import controlplane
from tests.patience import PATIENCE


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "state"
    command("down", tmp_path / "state")


def command(name: str, folder: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    source = str(Path(controlplane.__file__).parent.parent)
    return subprocess.run(
        [sys.executable, "-m", "controlplane", name, "--dir", str(folder)],
        env={**os.environ, "PYTHONPATH": source, **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=2 * PATIENCE,
    )


def handles(folder: Path) -> list[int]:
    """Of the process that runs the control plane, first, and of its programs."""
    facts = json.loads((folder / "state.json").read_text())
    assert set(facts["programs"]) == {"etcd", "kube-apiserver", "kube-controller-manager"}
    return [os.pidfd_open(pid) for pid in [facts["pid"], *facts["programs"].values()]]


def all_end(processes: list[int]) -> bool:
    ended = [bool(select.select([each], [], [], PATIENCE)[0]) for each in processes]
    for each in processes:
        os.close(each)
    return all(ended)


def test_up_env_down(control_plane: object, folder: Path) -> None:
    up = command("up", folder)
    assert (up.returncode, up.stdout) == (0, ""), up.stderr
    processes = handles(folder)
    assert "up already" in command("up", folder).stderr

    script = f"{command('env', folder).stdout}\nkubectl get namespaces --output=name"
    shell = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    assert "namespace/kube-system" in shell.stdout.splitlines()

    down = command("down", folder)
    assert down.returncode == 0, down.stderr
    assert all_end(processes)
    assert not folder.exists()


def test_a_killed_one_leaves_no_process_and_does_not_hinder_the_next(
    control_plane: object, folder: Path
) -> None:
    assert command("up", folder).returncode == 0
    processes = handles(folder)

    signal.pidfd_send_signal(processes[0], signal.SIGKILL)

    assert all_end(processes)
    assert command("env", folder).returncode == 1
    up = command("up", folder)
    assert up.returncode == 0, up.stderr


def test_env_without_up_says_so_in_one_line(folder: Path) -> None:
    answer = command("env", folder)

    assert (answer.returncode, answer.stdout) == (1, "")
    assert answer.stderr == (f"controlplane: no control plane runs in {folder}: start it with up\n")


def test_down_where_nothing_runs_is_no_error(folder: Path) -> None:
    assert command("down", folder).returncode == 0
    assert not folder.exists()


def test_up_with_a_folder_that_lacks_programs_ends_with_one_line(
    folder: Path, tmp_path: Path
) -> None:
    answer = command("up", folder, AMOVE_DEV_BIN=shlex.quote(str(tmp_path)))

    assert answer.returncode == 1
    assert answer.stderr.startswith(f"controlplane: AMOVE_DEV_BIN={tmp_path} has no etcd,")
    assert len(answer.stderr.splitlines()) == 1
