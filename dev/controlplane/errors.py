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


class CommandTimeout(ControlPlaneError):
    """kubectl or helm did not end in time: what it said until then, and the API server of late."""

    def __init__(self, command: str, seconds: float, said: str, api_server: str) -> None:
        told = said.strip() or "nothing"
        super().__init__(
            f"{command} did not end within {seconds:.0f} s; it said: {told}\n"
            f"The end of the API server's log:\n{api_server}"
        )
