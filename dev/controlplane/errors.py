"""What can go wrong here. Each message is for a person: what failed, then what to change."""

from __future__ import annotations


class ControlPlaneError(Exception):
    """Base of all errors of this package."""


class BinariesMissingError(ControlPlaneError):
    """The programs are neither there nor can they be built."""


class BuildError(ControlPlaneError):
    """``go`` ran and refused."""


class StartError(ControlPlaneError):
    """A program died, or was not ready before the deadline."""


class CommandError(ControlPlaneError):
    """kubectl or helm ended with an error.

    ``returncode`` and ``stderr`` are the program's own; ``stderr`` is also the end of the message.
    """

    def __init__(self, command: str, returncode: int, stderr: str) -> None:
        super().__init__(f"{command} ended with status {returncode}: {stderr.strip()}")
        self.returncode = returncode
        self.stderr = stderr
