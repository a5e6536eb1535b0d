"""What ``amove-operator run --help`` says of the settings."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from amove_operator import cli
from amove_operator.commands.import_buckets import Choice
from amove_operator.models.shared import parse_duration
from amove_operator.settings import Settings, shown_default, variable


def shown(capsys: pytest.CaptureFixture[str]) -> str:
    """The help, without its line breaks and those within hyphenated words."""
    with pytest.raises(SystemExit) as ended:
        cli.main(["run", "--help"])
    assert ended.value.code == 0
    return re.sub(r"-\s+", "-", re.sub(r"\s+", " ", capsys.readouterr().out))


def test_the_help_tells_of_each_setting_its_flag_variable_default_and_meaning(
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = shown(capsys)
    for name, field in Settings.model_fields.items():
        assert field.description, name
        meaning = re.sub(r"\s+", " ", field.description)
        assert meaning.endswith("."), name
        ending = f"{meaning} ({variable(name)}; default: {shown_default(name)})"
        assert f"--{name.replace('_', '-')} VALUE" in text
        assert re.sub(r"-\s+", "-", ending) in text


@pytest.mark.parametrize(
    ("field", "default"),
    [
        ("api_url", "https://api.amove.io"),
        ("token_file", "not set"),
        ("watch_namespaces", "not set"),
        ("resync_interval", "10m"),
        ("max_grace", "168h"),
        ("listing_settle", "30s"),
        ("rate_limit", "10"),
        ("leader_election", "true"),
        ("metrics_port", "9090"),
    ],
)
def test_a_default_is_shown_as_users_write_it(field: str, default: str) -> None:
    assert shown_default(field) == default


def test_every_default_that_is_shown_can_be_written() -> None:
    for name, field in Settings.model_fields.items():
        if shown_default(name) != "not set":
            written = Settings.model_validate({"token_file": "t", name: shown_default(name)})
            assert getattr(written, name) == field.default, name
    assert parse_duration(shown_default("min_rotation_interval"))


def test_what_is_to_be_imported_is_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Choice] = []

    def run(_settings: Settings, choice: Choice) -> int:
        given.append(choice)
        return 1

    monkeypatch.setattr(cli, "run_import", run)
    arguments = ["a-*", "b", "--namespace", "team", "--observe", "--output", "there"]
    assert cli.main(["import", "--token-file", "t", *arguments]) == 1
    assert given == [Choice(["a-*", "b"], "team", observe=True, output=Path("there"))]


def test_a_wrong_setting_is_exit_code_2_for_each_command_that_has_settings(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [name for name in os.environ if name.startswith("AMOVE_")]:
        monkeypatch.delenv(name)
    for command in ("run", "import", "orphans"):
        assert cli.main([command, "--rate-limit", "fast"]) == 2
        assert "AMOVE_RATE_LIMIT" in capsys.readouterr().err
