"""Where an operator is to be killed, and the operator that is killed there."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from pathlib import Path

from tests.cluster.harness_operator import Operator, Starter
from tests.patience import PATIENCE

CRASHING = (str(Path(__file__).with_name("crashing_operator.py")),)


class CrashPoint:
    """What ``crashing_operator.py`` reads and writes in a folder.

    ``at``: ``3:before`` or ``3:after`` its third effect; without it, nothing is killed.
    """

    def __init__(self, folder: Path, at: str = "") -> None:
        self._folder = folder
        folder.mkdir(exist_ok=True)
        (folder / "armed").unlink(missing_ok=True)
        (folder / "effects").write_text("")
        self.environ = {"CRASH_AT": at, "CRASH_FOLDER": str(folder)}

    def arm(self, about: str = "") -> None:
        """From now on effects count, or those with that text in them."""
        written = self._folder / "armed-new"
        written.write_text(about)
        written.rename(self._folder / "armed")

    @property
    def effects(self) -> list[str]:
        """The effects since it was armed."""
        return (self._folder / "effects").read_text().splitlines()


class CrashingOperator(Operator):
    """One run of the operator, which may end at its crash point.

    All operators of one folder log to its file ``operator.log``, one after the other.
    """

    def __init__(
        self, starter: Starter, variables: Mapping[str, str], folder: Path, crash_at: str = ""
    ) -> None:
        point = CrashPoint(folder, crash_at)
        log = folder / "operator.log"
        process = starter.fork({**variables, **point.environ}, CRASHING, log)
        super().__init__(process, log, variables)
        self._point = point
        self.arm = point.arm

    @property
    def effects(self) -> list[str]:
        """The effects since it was armed."""
        return self._point.effects

    @property
    def killed(self) -> bool:
        """Whether its moment came."""
        return self._process.poll() == -signal.SIGKILL

    def stop(self, deadline: float = PATIENCE) -> None:
        """SIGTERM, and wait; it may be dead already, or be killed even now."""
        self.terminate()
        self.wait(deadline)
