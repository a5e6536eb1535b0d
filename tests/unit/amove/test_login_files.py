"""The files of user name and password: what is read, when again, and what is never shown."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest

from amove_operator.amove.login_files import LoginFiles
from amove_operator.errors import AuthFailed, SettingsError
from amove_operator.telemetry import redact
from tests.unit.amove.stand_ins import swap_in, take_away

USERNAME, PASSWORD = "operator@example.com", " correct horse 7 "


@pytest.fixture
def paths(tmp_path: Path) -> tuple[Path, Path]:
    username, password = tmp_path / "username", tmp_path / "password"
    username.write_text(f"{USERNAME}\n")
    password.write_text(f"{PASSWORD}\r\n")
    return username, password


def test_line_breaks_at_the_end_are_no_part_and_a_passwords_blanks_are(
    paths: tuple[Path, Path],
) -> None:
    pair = LoginFiles(*paths).current()
    assert (pair.username, pair.password.get_secret_value()) == (USERNAME, PASSWORD)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"topsecret\nmore", "line breaks"),
        (b"topsecret\x00", "control characters"),
        (b"\xfftopsecret", "UTF-8"),
        (b"topsecret" * 200, "larger than 1024 bytes"),
    ],
)
@pytest.mark.parametrize("which", [0, 1])
def test_a_file_that_cannot_be_used_is_one_line_that_names_its_variable_without_its_content(
    paths: tuple[Path, Path], content: bytes, says: str, which: int
) -> None:
    swap_in(paths[which], content)
    with pytest.raises(SettingsError, match=says) as raised:
        LoginFiles(*paths).check()
    text = str(raised.value)
    variable = ("AMOVE_USERNAME_FILE", "AMOVE_PASSWORD_FILE")[which]
    assert text.startswith(f"{variable}: {paths[which]} ")
    assert "topsec" not in text
    assert "\n" not in text


def test_a_file_that_is_not_there_is_named(paths: tuple[Path, Path]) -> None:
    take_away(paths[1])
    files = LoginFiles(*paths)
    with pytest.raises(
        SettingsError, match=r"AMOVE_PASSWORD_FILE: .* cannot be read: No such file"
    ):
        files.check()
    with pytest.raises(AuthFailed, match="AMOVE_PASSWORD_FILE"):
        files.current()


def test_a_replacement_is_read_and_one_that_cannot_be_used_leaves_the_pair_of_before(
    paths: tuple[Path, Path],
) -> None:
    files = LoginFiles(*paths)
    first = files.current()
    swap_in(paths[1], "second-password")
    second = files.current()
    assert second.password.get_secret_value() == "second-password"
    swap_in(paths[1], b"")
    assert files.current() == second
    with pytest.raises(SettingsError, match="is empty"):
        files.check()
    take_away(paths[1])
    assert files.current() == second
    swap_in(paths[1], f"{PASSWORD}\n")
    assert files.current() == first
    files.check()


def test_unchanged_files_are_not_opened_again(
    paths: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    files = LoginFiles(*paths)
    first = files.current()
    monkeypatch.setattr(Path, "open", lambda *_: pytest.fail("opened again"))
    assert files.current() == first


def test_files_that_could_not_be_opened_are_read_again_though_they_look_the_same(
    paths: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Too many open files, or rights that were missing: neither shows in the time of change."""
    files = LoginFiles(*paths)
    with monkeypatch.context() as meanwhile:

        def refuse(*_: Any) -> Any:
            raise OSError(errno.EMFILE, "Too many open files")

        meanwhile.setattr(Path, "open", refuse)
        with pytest.raises(AuthFailed, match="Too many open files"):
            files.current()
    assert files.current().password.get_secret_value() == PASSWORD


def test_a_swap_while_they_are_read_gives_no_mixed_pair(
    paths: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new name with the old password would be a login that fails, and counts for a lockout."""
    username, password = paths
    opened: list[Path] = []
    open_it = Path.open

    def open_slowly(path: Path, *given: Any, **more: Any) -> Any:
        if path == password and path not in opened:  # the user name was read a moment ago
            swap_in(username, "new@example.com")
            swap_in(password, "new-password")
        opened.append(path)
        return open_it(path, *given, **more)

    monkeypatch.setattr(Path, "open", open_slowly)
    pair = LoginFiles(*paths).current()
    assert (pair.username, pair.password.get_secret_value()) == ("new@example.com", "new-password")


def test_the_password_is_masked_from_the_moment_it_is_read(paths: tuple[Path, Path]) -> None:
    swap_in(paths[1], "hunter2-and-more")
    files = LoginFiles(*paths)
    pair = files.current()
    assert "hunter2" not in repr(pair)
    assert "hunter2" not in redact("they say hunter2-and-more")
