"""The login handshake of the auth host."""

from __future__ import annotations

import base64
import json
import math
import time
from collections.abc import Callable
from typing import Any

import pytest

from amove_emulator import Emulator, EmulatorControl
from amove_emulator.plain_client import PlainClient

AsUser = Callable[[str | None], PlainClient]
Body = dict[str, Any]


@pytest.fixture
def stranger(as_user: AsUser) -> PlainClient:
    return as_user(None)


@pytest.fixture
def login(emulator: Emulator, stranger: PlainClient) -> Callable[..., Any]:
    """The handshake as the default user, changed at will."""

    def run(**changes: Any) -> Any:
        facts = emulator.facts()
        body = {
            "requestToken": stranger.request_token().json(),
            "username": facts["username"],
            "password": facts["password"],
            "type": facts["loginType"],
        }
        return stranger.login(**(body | changes))

    return run


def test_the_handshake_ends_in_a_jwt_that_the_main_host_takes(
    login: Callable[..., Any], as_user: AsUser
) -> None:
    answer = login().json()
    assert (answer["challenge"], sorted(answer)) == (0, ["challenge", "jwtToken", "session"])
    assert as_user(answer["jwtToken"]).get_storage_key().status_code == 200


def test_the_jwt_says_when_it_expires(login: Callable[..., Any], control: EmulatorControl) -> None:
    control.behave(session_ttl=600)
    before = time.time()
    claims = login().json()["jwtToken"].split(".")[1]
    expires = json.loads(base64.urlsafe_b64decode(claims + "=="))["exp"]
    assert before + 600 <= expires <= math.ceil(time.time() + 600)


def test_an_expired_jwt_is_a_401(
    login: Callable[..., Any], control: EmulatorControl, as_user: AsUser
) -> None:
    control.behave(session_ttl=0.000001)
    assert as_user(login().json()["jwtToken"]).get_storage_key().status_code == 401


def test_ended_sessions_are_a_401_and_logging_in_again_helps(
    login: Callable[..., Any], control: EmulatorControl, as_user: AsUser
) -> None:
    token = login().json()["jwtToken"]
    control.end_sessions()
    assert as_user(token).get_storage_key().status_code == 401
    assert as_user(login().json()["jwtToken"]).get_storage_key().status_code == 200


@pytest.mark.parametrize(
    "change", [{"type": 1}, {"password": "wrong"}, {"username": "nobody@example.com"}]
)
def test_a_wrong_type_password_or_user_is_a_401(login: Callable[..., Any], change: Body) -> None:
    assert login(**change).status_code == 401


@pytest.mark.parametrize("change", [{"type": "4"}, {"extra": 1}])
def test_a_malformed_login_is_refused(login: Callable[..., Any], change: Body) -> None:
    assert login(**change).status_code == 499


def test_a_request_token_serves_once(stranger: PlainClient, login: Callable[..., Any]) -> None:
    token = stranger.request_token().json()
    assert login(requestToken=token).status_code == 200
    assert login(requestToken=token).headers["error-code"] == "TOKEN"


def test_a_request_token_expires(control: EmulatorControl, login: Callable[..., Any]) -> None:
    control.behave(request_token_ttl=0.000001)
    assert login().headers["error-code"] == "TOKEN"


def test_a_user_with_a_second_factor_gets_a_challenge_and_no_token(
    control: EmulatorControl, login: Callable[..., Any]
) -> None:
    control.add_user(email="careful@example.com", password="p", totp=True)
    answer = login(username="careful@example.com", password="p").json()
    assert answer == {"challenge": 1, "jwtToken": None, "session": None}


def test_more_sessions_than_allowed_are_refused_until_one_ends(
    control: EmulatorControl, login: Callable[..., Any]
) -> None:
    control.add_user(email="few@example.com", password="p", max_sessions=2)
    few = {"username": "few@example.com", "password": "p"}
    assert [login(**few).status_code for _ in range(2)] == [200, 200]
    assert login(**few).headers["error-code"] == "SESSION_MAXOUT"
    control.end_sessions()
    assert login(**few).status_code == 200


def test_no_password_and_no_request_token_is_kept_in_the_journal(
    emulator: Emulator, control: EmulatorControl, login: Callable[..., Any]
) -> None:
    token = login().json()["jwtToken"]
    journal = str(control.journal())
    assert emulator.facts()["password"] not in journal
    assert token not in journal
    assert control.journal("login")[0]["body"]["requestToken"] == "***"
    assert {token, emulator.api_token} <= set(control.credentials()["others"])
