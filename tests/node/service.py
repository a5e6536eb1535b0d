"""The emulated Amove service beside the node: a process of its own, which pods reach."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from amove_emulator import EmulatorControl
from node import Node
from tests.chart.waiting import until
from tests.patience import PATIENCE


class Service:
    """``url`` for the operator's pods, ``control`` for tests."""

    def __init__(self, node: Node, folder: Path) -> None:
        self._node = node
        self._answers = folder / "emulator.json"

    def __enter__(self) -> Self:
        certificate, key = self._node.plane.server_certificate("amove", [self._node.address])
        authority = self._node.plane.ca_file
        options = [f"--address={self._node.address}", f"--certificate={certificate}"]
        options += [f"--key={key}", f"--authority={authority}"]
        with self._answers.open("w") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "amove_emulator", *options], stdout=output
            )
        until("the emulator answers", lambda: self._answers.read_text().endswith("\n"))
        started: dict[str, Any] = json.loads(self._answers.read_text())
        self.url = str(started["url"])
        self.api_token = str(started["apiToken"])
        self.control = EmulatorControl(self.url, authority=authority)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.control.close()
        self._process.terminate()
        self._process.wait(PATIENCE)
