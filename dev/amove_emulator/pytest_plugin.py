"""Fixtures: ``emulator``, fresh for each test, on one server for the session."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from amove_emulator.server import Emulator


@pytest.fixture(scope="session")
def emulator_server() -> Iterator[Emulator]:
    """The session's running emulator, with whatever state the last test left."""
    from amove_emulator.server import Emulator  # noqa: PLC0415 (moto takes seconds to import)

    with Emulator() as emulator:
        yield emulator


@pytest.fixture
def emulator(emulator_server: Emulator) -> Emulator:
    """A running emulator in its first state: one user, one active account, nothing else."""
    emulator_server.control.reset()
    return emulator_server
