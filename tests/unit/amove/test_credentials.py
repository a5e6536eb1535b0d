"""The token file: what is read from it, when it is read again, and what is never shown."""

from __future__ import annotations

import base64
import json
import os
from contextlib import aclosing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from amove_operator.amove import AmoveClient
from amove_operator.amove.credentials import TokenFile, check_credentials, token_expiry
from amove_operator.errors import AuthFailed, SettingsError
from amove_operator.settings import Settings
from tests.unit.amove.stand_ins import TOKEN, swap_in, take_away


def overwrite_unnoticed(path: Path, content: str) -> None:
    """Write into the file in place, with as many bytes and the same time as before."""
    before = path.stat()
    assert len(content) == before.st_size
    path.write_text(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


async def sent_from(source: TokenFile) -> str:
    return (await source.bearer()).get_secret_value()


async def test_the_line_break_that_editors_add_is_not_sent(token_file: Path) -> None:
    swap_in(token_file, b"  " + TOKEN.encode() + b"\r\n")
    assert await sent_from(TokenFile(token_file)) == TOKEN


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b" \n\n", "is empty"),
        (b"topsecret\nsecond", "line breaks"),
        (b"Bearer topsecret", "without the word Bearer"),
        (b"topsecret\x00", "line breaks within"),
        (b"\xef\xbb\xbftopsecret", "plain ASCII, no BOM"),
        ("topsecrét".encode(), "plain ASCII"),
        (b"topsecret" * 2000, "larger than 16384 bytes"),
    ],
)
def test_an_unusable_token_file_gives_one_clear_line_without_its_content(
    token_file: Path, content: bytes, says: str
) -> None:
    swap_in(token_file, content)
    with pytest.raises(SettingsError, match=says) as raised:
        TokenFile(token_file).check()
    text = str(raised.value)
    assert text.startswith("AMOVE_TOKEN_FILE: ")
    assert str(token_file) in text
    assert "topsec" not in text
    assert "\n" not in text


def test_a_missing_token_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        SettingsError, match=r"AMOVE_TOKEN_FILE: .*/none cannot be read: No such file"
    ):
        TokenFile(tmp_path / "none").check()


def test_a_folder_for_a_token_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read: Is a directory"):
        TokenFile(tmp_path).check()


async def test_a_replaced_file_is_read_again(token_file: Path) -> None:
    source = TokenFile(token_file)
    first = await source.bearer()
    assert not source.replaced_since(first)
    swap_in(token_file, b"amv_second")
    assert source.replaced_since(first)
    assert await sent_from(source) == "amv_second"


async def test_a_swapped_link_of_kubernetes_is_noticed(tmp_path: Path) -> None:
    for number in ("1", "2"):
        (tmp_path / number).mkdir()
        (tmp_path / number / "token").write_text(f"amv_token-{number}")
    link = tmp_path / "..data"
    link.symlink_to(tmp_path / "1")
    (tmp_path / "token").symlink_to(link / "token")
    source = TokenFile(tmp_path / "token")
    assert await sent_from(source) == "amv_token-1"
    (tmp_path / "..new").symlink_to(tmp_path / "2")
    (tmp_path / "..new").replace(link)
    assert await sent_from(source) == "amv_token-2"


async def test_a_file_written_in_place_is_read_again(token_file: Path) -> None:
    source = TokenFile(token_file)
    await source.bearer()
    overwrite_unnoticed(token_file, TOKEN[::-1] + "\n")
    os.utime(token_file, (1, 1))
    assert await sent_from(source) == TOKEN[::-1]


async def test_an_unchanged_file_is_not_opened_again(
    token_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = TokenFile(token_file)
    await source.bearer()
    monkeypatch.setattr(Path, "open", lambda *_: pytest.fail("opened again"))
    assert await sent_from(source) == TOKEN


async def test_a_refusal_reads_the_file_even_if_its_times_did_not_move(token_file: Path) -> None:
    source = TokenFile(token_file)
    first = await source.bearer()
    overwrite_unnoticed(token_file, TOKEN[::-1] + "\n")
    assert not source.replaced_since(first)
    assert await source.refused(first)
    assert await sent_from(source) == TOKEN[::-1]


async def test_a_refusal_of_the_token_in_the_file_is_no_reason_to_try_again(
    token_file: Path,
) -> None:
    source = TokenFile(token_file)
    assert not await source.refused(await source.bearer())


@pytest.mark.parametrize("broken", [b"", b"two words"])
async def test_a_broken_replacement_is_reported_and_the_old_token_goes_on(
    token_file: Path, broken: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    source = TokenFile(token_file)
    await source.bearer()
    swap_in(token_file, broken)
    assert await sent_from(source) == TOKEN
    assert await sent_from(source) == TOKEN
    assert caplog.text.count("going on with the token read before") == 1
    with pytest.raises(SettingsError):
        source.check()
    swap_in(token_file, b"third")
    assert await sent_from(source) == "third"
    source.check()


async def test_a_file_that_is_away_for_a_moment_does_no_harm(
    token_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = TokenFile(token_file)
    await source.bearer()
    take_away(token_file)
    assert await sent_from(source) == TOKEN
    assert await sent_from(source) == TOKEN
    assert caplog.text.count("cannot be read") == 1
    swap_in(token_file, "back")
    assert await sent_from(source) == "back"


async def test_without_any_token_nothing_is_sent(tmp_path: Path) -> None:
    with pytest.raises(AuthFailed, match=r"AMOVE_TOKEN_FILE: .*cannot be read") as raised:
        await TokenFile(tmp_path / "none").bearer()
    assert not raised.value.maybe_done


async def test_no_log_line_shows_a_token(
    token_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    source = TokenFile(token_file)
    await source.bearer()
    swap_in(token_file, b"second-token")
    await source.bearer()
    swap_in(token_file, b"third token")
    await source.bearer()
    assert "was replaced" in caplog.text
    assert TOKEN not in caplog.text
    assert "second-token" not in caplog.text
    assert "third" not in caplog.text


def test_the_files_that_the_settings_name_are_checked(tmp_path: Path, token_file: Path) -> None:
    check_credentials(Settings(token_file=token_file))
    wanted = Settings(username_file=tmp_path, password_file=tmp_path, login_type=4)
    with pytest.raises(SettingsError, match=r"AMOVE_USERNAME_FILE: .* Is a directory"):
        check_credentials(wanted)


# --- the expiry of a JWT


def jwt(claims: object) -> str:
    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    return f"{part({'alg': 'none'})}.{part(claims)}.c2lnbmF0dXJl"


@pytest.mark.parametrize(
    ("token", "moment"),
    [
        (jwt({"exp": 1767322800}), datetime(2026, 1, 2, 3, 0, tzinfo=UTC)),
        (jwt({"exp": 1767322800.5}), datetime(2026, 1, 2, 3, 0, 0, 500000, tzinfo=UTC)),
        (jwt({"exp": True}), None),
        (jwt({"exp": "soon"}), None),
        (jwt({"exp": 1e300}), None),
        (jwt({}), None),
        (jwt([1]), None),
        ("amv_plain", None),
        ("a.b.c", None),
        ("a.é.c", None),
    ],
)
def test_the_expiry_is_read_where_there_is_one(token: str, moment: datetime | None) -> None:
    assert token_expiry(SecretStr(token)) == moment


@given(st.text() | st.binary().map(lambda raw: f"h.{base64.urlsafe_b64encode(raw).decode()}.s"))
def test_whatever_the_token_reading_its_expiry_raises_nothing(token: str) -> None:
    token_expiry(SecretStr(token))


async def test_the_client_tells_the_expiry_of_the_token_at_hand(token_file: Path) -> None:
    swap_in(token_file, jwt({"exp": 1767322800}))
    async with aclosing(AmoveClient(Settings(token_file=token_file))) as client:
        client.credentials.check()
        assert client.credentials.expires_at() == datetime(2026, 1, 2, 3, 0, tzinfo=UTC)
