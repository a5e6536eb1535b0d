"""The emulated Amove API: a process of its own, as `python -m amove_emulator` starts it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from amove_emulator import EmulatorControl
from demo.waiting import until
from demo.workplace import Workplace, python_environment

START_SECONDS = 120.0
# As a service far away answers; and things become Ready slowly enough to be seen.
LATENCY_MS = "250"


class RunningEmulator:
    """Starts at once; ``wait()`` returns when it answers, and then the rest can be used."""

    def __init__(self, place: Workplace) -> None:
        # Both hold the API token.
        self.token_file = place.private / "token"
        self._answers = place.private_file("emulator.json")
        options = ["--token-file", str(self.token_file), "--latency-ms", LATENCY_MS]
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
        self.control = EmulatorControl(self.url)


def _first_line(path: Path) -> str:
    text = path.read_text()
    return text.splitlines()[0] if text.endswith("\n") else ""
