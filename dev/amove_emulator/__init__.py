"""A strict emulator of the Amove storage API, with a real S3 behind it. See README.md."""

from __future__ import annotations

from typing import TYPE_CHECKING

from amove_emulator.control import ControlError, EmulatorControl
from amove_emulator.odd_answers import ODD_ANSWERS
from amove_emulator.settings import (
    CLOUD_ACCOUNT_ID,
    TENANT_ID,
    USER_EMAIL,
    USER_ID,
    Behaviour,
    CloudAccount,
    User,
    World,
)

if TYPE_CHECKING:
    from amove_emulator.server import Emulator

__all__ = [
    "CLOUD_ACCOUNT_ID",
    "ODD_ANSWERS",
    "TENANT_ID",
    "USER_EMAIL",
    "USER_ID",
    "Behaviour",
    "CloudAccount",
    "ControlError",
    "Emulator",
    "EmulatorControl",
    "User",
    "World",
]


def __getattr__(name: str) -> object:
    # Importing moto takes seconds: whoever needs only the client, or loads the pytest plugin
    # without using it, should not pay for that.
    if name == "Emulator":
        from amove_emulator.server import Emulator  # noqa: PLC0415

        return Emulator
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
