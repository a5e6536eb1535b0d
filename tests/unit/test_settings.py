"""Settings from variables and flags: what is read, and the one line that a wrong one gives."""

from __future__ import annotations

from datetime import timedelta

import pytest

from amove_operator.errors import SettingsError
from amove_operator.settings import load_settings, variable

TOKEN = {"AMOVE_TOKEN_FILE": "token"}


@pytest.mark.parametrize(
    ("field", "text", "value"),
    [
        ("api_url", "https://api.example.com/", "https://api.example.com"),
        ("api_url", "http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("watch_namespaces", "a, b ,", ("a", "b")),
        ("trusted_namespaces", "*", ("*",)),
        ("max_grace", "1h30m", timedelta(minutes=90)),
        ("rate_limit", "2.5", 2.5),
        ("leader_election", "false", False),
        ("log_level", "debug", "DEBUG"),
        ("region", "  ", "us-east-1"),
    ],
)
def test_a_variable_is_read_as_users_write_it(field: str, text: str, value: object) -> None:
    settings = load_settings({**TOKEN, variable(field): text})
    assert getattr(settings, field) == value
    if text.strip():
        assert getattr(load_settings(TOKEN, {field: text}), field) == value


def test_a_flag_wins_over_its_variable_even_an_empty_one() -> None:
    environment = {**TOKEN, "AMOVE_WATCH_NAMESPACES": "a", "AMOVE_REGION": "eu"}
    settings = load_settings(environment, {"watch_namespaces": "", "region": "us"})
    assert (settings.watch_namespaces, settings.region) == ((), "us")


@pytest.mark.parametrize(
    ("field", "text", "named"),
    [
        ("api_url", "http://api.example.com", "plain http would show the token to the network"),
        ("api_url", "https://user:word@api.example.com", "no user, query or fragment"),
        ("api_url", "api.example.com", "is not a URL such as"),
        ("max_grace", "soon", "is not a duration such as 30s, 10m or 720h"),
        ("resync_interval", "0s", "greater than or equal to"),
        ("leader_election", "yes", "write true or false"),
        ("login_type", "3", "Input should be 1, 2, 4"),
        ("metrics_port", "70000", "less than or equal to 65535"),
        ("rate_limit", "nan", "AMOVE_RATE_LIMIT: "),
        ("username_file", "user", "set either AMOVE_TOKEN_FILE or the three of"),
    ],
)
def test_a_wrong_setting_is_one_line_that_says_what_to_write(
    field: str, text: str, named: str
) -> None:
    with pytest.raises(SettingsError) as wrong:
        load_settings({**TOKEN, variable(field): text})
    (line,) = str(wrong.value).splitlines()
    assert named in line
    assert line.startswith(f"{variable(field)}: ") or field == "username_file"


def test_without_a_way_to_log_in_it_says_which_to_set() -> None:
    with pytest.raises(SettingsError, match="set AMOVE_TOKEN_FILE to the path of a file"):
        load_settings({})
