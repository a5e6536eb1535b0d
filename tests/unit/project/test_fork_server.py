"""The operators of the cluster tests are processes like any other, though they are forked."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.harness import eventually
from tests.cluster.harness_operator import Fork, Starter, environment
from tests.patience import PATIENCE

ENDS = """
import atexit, os, sys
atexit.register(lambda: print("its end was told"))
print(sys.argv[1:], os.environ["AMOVE_API_URL"], os.environ.get("AMOVE_TOKEN_FILE"))
sys.exit(3)
"""
WAITS = """
import time
print("it runs", flush=True)
time.sleep(600)
"""


@pytest.fixture(scope="module")
def starter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Starter]:
    starter = Starter(tmp_path_factory.mktemp("forks"))
    yield starter
    starter.close()


def started(starter: Starter, folder: Path, program: str) -> Fork:
    """A fork that runs this text, and logs to ``folder/log``."""
    file = folder / "program.py"
    file.write_text(program)
    (folder / "log").touch()
    return starter.fork({"AMOVE_API_URL": "http://one"}, [str(file)], folder / "log")


def running(starter: Starter, folder: Path) -> Fork:
    fork = started(starter, folder, WAITS)
    eventually((folder / "log").read_text, what="its first line")
    return fork


@pytest.mark.parametrize("name", ["AMOVE_API_URL", "KUBECONFIG", "https_proxy", "HTTPS_PROXY"])
def test_an_operator_has_no_setting_of_a_person(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert name not in environment()


def test_a_fork_has_its_own_environment_log_and_exit_code(
    starter: Starter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AMOVE_TOKEN_FILE", "of a person")
    assert started(starter, tmp_path, ENDS).wait(PATIENCE) == 3
    assert (tmp_path / "log").read_text() == "['run'] http://one None\nits end was told\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_fork_that_a_signal_ends_says_so(
    starter: Starter, tmp_path: Path, number: signal.Signals
) -> None:
    fork = running(starter, tmp_path)
    assert fork.poll() is None
    os.kill(fork.pid, number)
    assert fork.wait(PATIENCE) == -number


def test_no_fork_outlives_the_tests(tmp_path: Path) -> None:
    starter = Starter(tmp_path)
    fork = running(starter, tmp_path)
    starter.close()
    eventually(lambda: not Path(f"/proc/{fork.pid}").exists(), what="its end")
