"""How ``kubectl amove`` takes its arguments apart."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import pytest

from amove_operator import cli, kubectl_amove
from amove_operator.commands.kubectl.in_pod import Where
from amove_operator.errors import KubeRefused


@pytest.fixture
def in_pod(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What was to be run in the Pod."""
    for name in [name for name in os.environ if name.startswith("AMOVE_")]:
        monkeypatch.delenv(name)
    found: list[Any] = []

    def run(command: str, rest: Sequence[str], where: Where) -> int:
        found.append((command, list(rest), where))
        return 3

    monkeypatch.setattr(kubectl_amove, "run_in_pod", run)
    return found


@pytest.mark.parametrize(
    ("arguments", "rest"),
    [
        (["doctor"], []),
        (["doctor", "--json"], ["--json"]),
        (["doctor", "--help"], ["--help"]),
        (["orphans", "--revoke", "--all"], ["--revoke", "--all"]),
        (["import", "a-*", "--namespace", "team-a", "b"], ["a-*", "--namespace", "team-a", "b"]),
    ],
)
def test_what_stands_after_such_a_command_is_the_commands_own(
    in_pod: list[Any], arguments: list[str], rest: list[str]
) -> None:
    assert kubectl_amove.main(arguments) == 3
    assert in_pod == [(arguments[0], rest, Where(None, "amove-system", "amove-operator"))]


def test_what_stands_before_it_says_where_the_operator_is(in_pod: list[Any]) -> None:
    place = ["--operator-namespace", "other", "--operator-deployment", "mine", "--context", "prod"]
    kubectl_amove.main([*place, "doctor", "--json"])
    assert in_pod == [("doctor", ["--json"], Where("prod", "other", "mine"))]


def test_with_credentials_at_hand_it_runs_here(
    in_pod: list[Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given: list[list[str]] = []

    def run(arguments: Sequence[str]) -> int:
        given.append(list(arguments))
        return 0

    monkeypatch.setattr(cli, "main", run)
    assert kubectl_amove.main(["doctor", "--token-file", "t", "--json"]) == 0
    assert given == [["doctor", "--token-file", "t", "--json"]]
    assert kubectl_amove.main(["--context", "prod", "doctor", "--token-file", "t"]) == 2
    assert "use-context" in capsys.readouterr().err
    assert in_pod == []


def test_a_wrong_flag_of_a_command_of_its_own_is_exit_code_2(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        kubectl_amove.main(["status", "--wrongg"])
    assert ended.value.code == 2
    assert "--wrongg" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["status"], ["pause", "key/good"]])
@pytest.mark.parametrize("namespace", ["..", "a/b", "Team"])
def test_a_namespace_that_cannot_be_is_named_before_anything_is_done(
    command: list[str], namespace: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert kubectl_amove.main([*command, "-n", namespace]) == 2
    assert f"--namespace: {namespace!r}" in capsys.readouterr().err


def test_what_the_api_server_says_does_not_drive_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def refuse(*_: object, **__: object) -> int:
        raise KubeRefused("denied by \x1b]0;webhook\x07", status=403)

    monkeypatch.setattr(kubectl_amove, "run_status", refuse)
    assert kubectl_amove.main(["status"]) == 1
    assert "\x1b" not in capsys.readouterr().err
