"""The two files with user name and password, which may be replaced at any time."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from pydantic import SecretStr

from amove_operator.errors import AuthFailed, SettingsError
from amove_operator.telemetry import register_secret

_LONGEST = 1024
_TRIES = 3


class UserPassword(NamedTuple):
    """Who logs in."""

    username: str
    password: SecretStr


class LoginFiles:
    """User name and password of a mounted Secret.

    Kubernetes swaps both files at once. They are read again until nothing changed meanwhile: a new
    name with the old password would be a failed login. A replacement that cannot be used leaves
    the pair at hand in use.
    """

    names = "AMOVE_USERNAME_FILE and AMOVE_PASSWORD_FILE"

    def __init__(self, username: Path, password: Path) -> None:
        self._paths = {"AMOVE_USERNAME_FILE": username, "AMOVE_PASSWORD_FILE": password}
        self._pair: UserPassword | None = None
        self._seen: tuple[int, ...] = ()
        self._fault: str | None = None

    def check(self) -> None:
        """Read both. Raises SettingsError, naming the variable, where one cannot be used."""
        self._read_if_changed()
        if self._pair is None or self._fault is not None:
            raise SettingsError(self._fault or self.names)

    def current(self) -> UserPassword:
        """The pair that is in the files now, else the last good one; else AuthFailed."""
        pair = self.usable()
        if pair is None:
            raise AuthFailed(self._fault or self.names)
        return pair

    def usable(self) -> UserPassword | None:
        """The same; None where there never was a good one."""
        self._read_if_changed()
        return self._pair

    def _read_if_changed(self) -> None:
        seen = self._signature()
        if seen and seen == self._seen:
            return
        found, fault = self._read()
        for _ in range(_TRIES):
            before, seen = seen, self._signature()
            if before == seen:
                break
            found, fault = self._read()
        # What could not be read may be readable without a change that shows.
        self._seen, self._fault = () if fault else seen, fault
        self._pair = found or self._pair

    def _signature(self) -> tuple[int, ...]:
        """What changes with the files; empty where one cannot be seen."""
        try:
            found = [os.stat(path) for path in self._paths.values()]  # noqa: PTH116
        except OSError:
            return ()
        return tuple(n for one in found for n in (one.st_dev, one.st_ino, one.st_mtime_ns))

    def _read(self) -> tuple[UserPassword | None, str | None]:
        """The pair, or why there is none."""
        texts = []
        for variable, path in self._paths.items():
            try:
                with path.open("rb") as file:
                    content = file.read(_LONGEST + 1)
            except OSError as error:
                why = f"cannot be read: {error.strerror or type(error).__name__}"
            else:
                text, why = _line(content)
                texts.append(text)
            if why:
                return None, f"{variable}: {path} {why}"
        username, password = texts
        register_secret(password, lasting=True)
        return UserPassword(username.strip(), SecretStr(password)), None


def _line(content: bytes) -> tuple[str, str]:
    """The one line of a file, without the line break that editors add; or why it is none.

    Blanks at its ends may be part of a password.
    """
    if len(content) > _LONGEST:
        return "", f"is larger than {_LONGEST} bytes"
    try:
        text = content.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        return "", "is not text in UTF-8"
    if not text.strip():
        return "", "is empty"
    if not text.isprintable():
        return "", "holds line breaks or control characters: write one line"
    return text, ""
