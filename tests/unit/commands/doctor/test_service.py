"""The checks of the Amove side: what each mistake looks like, and that nothing is hammered."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from amove_emulator import Emulator
from amove_operator.commands.doctor.report import Finding
from amove_operator.commands.doctor.service import check_service
from amove_operator.settings import Settings
from controlplane.components import free_ports
from tests.unit.amove.test_credentials import jwt

MakeSettings = Callable[..., Settings]
OTHER = "11111111-2222-4333-8444-555555555555"
READS = {"get_storage_key", "get_all"}


async def checked(settings: Settings, *recorded: str) -> dict[str, Finding]:
    return {one.check: one for one in await check_service(settings, frozenset(recorded))}


def with_token(settings: Settings, token: str) -> Settings:
    """The same settings, with this token in their file."""
    assert settings.token_file is not None
    settings.token_file.write_text(token)
    return settings


async def test_when_all_is_well_each_check_says_what_it_found(
    emulator: Emulator, make_settings: MakeSettings
) -> None:
    key = emulator.control.add_key("by-hand", buckets=["b"])
    found = await checked(make_settings())
    assert list(found) == ["service", "credentials", "account", "key list", "api user"]
    assert {one.level for one in found.values()} == {"ok"}
    assert emulator.url in found["service"].found
    assert emulator.cloud_account_id in found["account"].found
    assert found["key list"].found == "complete: 1 keys"
    assert found["api user"].found == key["userId"]
    assert set(emulator.control.counts()) == READS


async def test_a_token_file_that_is_not_there_is_named_and_nothing_is_called(
    emulator: Emulator, make_settings: MakeSettings, tmp_path: Path
) -> None:
    found = await checked(make_settings(token_file=str(tmp_path / "none")))
    assert found["credentials"].level == "fail"
    assert "AMOVE_TOKEN_FILE" in found["credentials"].found
    assert {one.level for name, one in found.items() if name != "credentials"} == {"skipped"}
    assert emulator.control.counts() == {}


async def test_refused_credentials_fail_after_one_call_and_no_other_is_made(
    emulator: Emulator, make_settings: MakeSettings
) -> None:
    settings = with_token(make_settings(), "amv_wrong-token")
    found = await checked(settings)
    assert found["service"].level == "ok", "it answered"
    assert found["credentials"].level == "fail"
    assert "Secret" in found["credentials"].remedy
    assert found["account"].level == found["key list"].level == "skipped"
    assert emulator.control.count("get_storage_key") == 1
    assert emulator.control.count("get_all") == 0


async def test_a_service_that_cannot_be_reached_names_the_host(
    emulator: Emulator, make_settings: MakeSettings
) -> None:
    (port,) = free_ports(1)
    found = await checked(make_settings(api_url=f"http://127.0.0.1:{port}"))
    assert found["service"].level == "fail"
    assert f"http://127.0.0.1:{port}" in found["service"].found
    assert "SSL_CERT_FILE" in found["service"].remedy
    assert found["credentials"].level == "skipped"


async def test_a_host_that_is_not_the_api_is_found_out(
    emulator: Emulator, make_settings: MakeSettings
) -> None:
    emulator.control.fault("*", odd="html_404", times=None)
    found = await checked(make_settings())
    assert found["service"].level == "fail"
    assert "AMOVE_API_URL" in found["service"].line


async def test_two_accounts_and_no_setting_name_the_setting(
    emulator: Emulator, make_settings: MakeSettings
) -> None:
    emulator.control.add_account()
    found = await checked(make_settings())
    assert found["account"].level == "fail"
    assert found["account"].remedy == "set AMOVE_CLOUD_ACCOUNT_ID"
    assert found["key list"].level == "ok", "one failure hides no other check"


async def test_an_account_that_is_not_active_fails(
    emulator: Emulator, make_settings: MakeSettings
) -> None:
    emulator.control.change_account(active=False)
    found = await checked(make_settings(cloud_account_id=emulator.cloud_account_id))
    assert found["account"].level == "fail"
    assert "is not active" in found["account"].found


async def test_a_list_that_never_adds_up_fails(
    emulator: Emulator, make_settings: MakeSettings
) -> None:
    emulator.control.add_key("by-hand", buckets=["b"])
    emulator.control.fault("get_storage_key", odd="page_lost", contains="pagesize=50", times=None)
    found = await checked(make_settings())
    assert found["key list"].level == "fail"
    assert found["api user"].level == "skipped"


@pytest.mark.parametrize(("keys", "says"), [(1, "are listed"), (0, "no key is listed")])
async def test_another_users_credentials_are_found_out(
    emulator: Emulator, make_settings: MakeSettings, keys: int, says: str
) -> None:
    for number in range(keys):
        emulator.control.add_key(f"key-{number}", buckets=["b"])
    found = await checked(make_settings(), OTHER)
    assert found["api user"].level == "fail"
    assert says in found["api user"].found
    assert OTHER in found["api user"].found


async def test_a_token_that_expires_soon_is_a_warning(
    emulator: Emulator, make_settings: MakeSettings
) -> None:
    token = jwt({"exp": 1767322800})
    settings = with_token(make_settings(), token)
    emulator.control.set_token(token, emulator.control.state()["users"][0]["id"])
    found = await checked(settings)
    assert found["credentials"].level == "warn"
    assert "expires at 2026-01-02" in found["credentials"].found
    assert token not in found["credentials"].line


async def test_a_login_is_checked_by_one_session(
    emulator: Emulator, make_login_settings: MakeSettings
) -> None:
    facts = emulator.facts()
    found = await checked(make_login_settings(facts["username"], facts["password"]))
    assert {one.level for one in found.values()} == {"ok"}
    assert "the session is accepted" in found["credentials"].found
    assert emulator.control.count("login") == 1


async def test_a_second_factor_is_said_and_the_password_tried_once(
    emulator: Emulator, make_login_settings: MakeSettings
) -> None:
    emulator.control.add_user(email="careful@example.com", password="a-good-one", totp=True)
    found = await checked(make_login_settings("careful@example.com", "a-good-one"))
    assert found["credentials"].level == "fail"
    assert "TOTP" in found["credentials"].found
    assert "a-good-one" not in found["credentials"].line
    assert emulator.control.count("login") == 1


async def test_an_auth_host_that_cannot_be_reached_is_named_and_not_the_apis(
    emulator: Emulator, make_login_settings: MakeSettings
) -> None:
    (port,) = free_ports(1)
    facts, elsewhere = emulator.facts(), f"http://127.0.0.1:{port}"
    settings = make_login_settings(facts["username"], facts["password"], auth_url=elsewhere)
    found = await checked(settings)
    assert found["service"].level == "fail"
    assert found["service"].found.startswith(f"{elsewhere} cannot be used")
    assert "AMOVE_AUTH_URL" in found["service"].remedy
