"""The emulated Amove API: a process of its own, as `python -m amove_emulator` starts it."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amove_emulator import EmulatorControl
from demo.waiting import until
from demo.workplace import Workplace, python_environment

START_SECONDS = 120.0
# As a service far away answers; and things become Ready slowly enough to be seen.
LATENCY_MS = "250"


@dataclass(frozen=True)
class Tls:
    """An address that pods reach, the certificate for it and its key, and who signed (PEM)."""

    address: str
    certificate: Path
    key: Path
    authority: Path

    @property
    def options(self) -> list[str]:
        return [f"--{name}={value}" for name, value in vars(self).items()]


class RunningEmulator:
    """Starts at once; ``wait()`` returns when it answers, and then the rest can be used.

    ``trust``: variables by which an S3 client of this machine trusts its certificate.
    """

    def __init__(self, place: Workplace, tls: Tls | None = None) -> None:
        """On loopback and without TLS unless told otherwise."""
        self._authority = tls.authority if tls else None
        self.trust = {"AWS_CA_BUNDLE": str(tls.authority)} if tls else {}
        # Both hold the API token.
        self.token_file = place.private / "token"
        self._answers = place.private_file("emulator.json")
        options = ["--token-file", str(self.token_file), "--latency-ms", LATENCY_MS]
        options += tls.options if tls else []
        command = [sys.executable, "-m", "amove_emulator", *options]
        self.program = place.start("emulator", command, python_environment(), answers=self._answers)
        self.url = ""

    def wait(self) -> None:
        """Raises DemoError when it ends, or takes longer than ``START_SECONDS``."""
        line = until(
            lambda: _first_line(self._answers),
            START_SECONDS,
            lambda: "the emulator is ready",
            self.program.require_running,
        )
        facts: dict[str, Any] = json.loads(line)
        self.url = facts["url"]
        self.control = EmulatorControl(self.url, authority=self._authority)

    @property
    def state_command(self) -> str:
        """A command line that shows its state."""
        trusting = f"--cacert {self._authority} " if self._authority else ""
        return f"curl --silent {trusting}{self.url}/_emulator/state"


def _first_line(path: Path) -> str:
    text = path.read_text()
    return text.splitlines()[0] if text.endswith("\n") else ""
