"""Where a command that needs Amove's credentials is run, and what kubectl is told."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from amove_operator.commands.kubectl.in_pod import (
    Where,
    command_line,
    has_credentials,
    run_in_pod,
)
from amove_operator.errors import SettingsError

WHERE = Where(None, "amove-system", "amove-operator")


@pytest.mark.parametrize(
    ("arguments", "environment", "here"),
    [
        ([], {}, False),
        (["--json"], {"AMOVE_TOKEN_FILE": ""}, False),
        ([], {"AMOVE_TOKEN_FILE": "token"}, True),
        ([], {"AMOVE_USERNAME_FILE": "user"}, True),
        (["--token-file", "token"], {}, True),
        (["--amove-username-file=user"], {}, True),
    ],
)
def test_it_runs_on_this_machine_only_where_credentials_are_named_here(
    arguments: list[str], environment: dict[str, str], here: bool
) -> None:
    assert has_credentials(arguments, environment) is here


def test_kubectl_is_told_the_pod_and_the_command() -> None:
    told = command_line("import", ["a-*", "--observe"], WHERE, asks=False)
    place = ["--namespace=amove-system", "deployment/amove-operator"]
    assert told == ["exec", *place, "--", "amove-operator", "import", "a-*", "--observe"]
    there = Where("prod", "other", "mine")
    asked = command_line("orphans", ["--revoke"], there, asks=True)
    assert asked[:4] == ["exec", "--context=prod", "--stdin", "--tty"]
    assert asked[4:6] == ["--namespace=other", "deployment/mine"]


@pytest.fixture
def kubectl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A kubectl that notes what it is told, and ends with 3; gives where it notes it."""
    told = tmp_path / "told.json"
    program = tmp_path / "kubectl"
    program.write_text(
        f"#!{sys.executable}\nimport json, sys\n"
        f"json.dump(sys.argv[1:], open({str(told)!r}, 'w'))\nsys.exit(3)\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    return told


def test_the_exit_code_is_that_of_the_command_and_a_failure_says_where_it_ran(
    kubectl: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_in_pod("doctor", ["--json"], WHERE) == 3
    assert json.loads(kubectl.read_text()) == command_line("doctor", ["--json"], WHERE, asks=False)
    assert "--operator-namespace" in capsys.readouterr().err


def test_a_folder_in_the_pod_is_refused(kubectl: Path) -> None:
    with pytest.raises(SettingsError, match="--output"):
        run_in_pod("import", ["--output=there"], WHERE)
    assert not kubectl.exists()


def test_a_missing_kubectl_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SettingsError, match="kubectl"):
        run_in_pod("doctor", [], WHERE)
