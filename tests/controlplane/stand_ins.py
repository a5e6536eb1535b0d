"""Stand-ins for Go and for the programs, so that looking up and building is tested in no time."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from controlplane.build import BINARIES
from tests.patience import PATIENCE, PAUSE


class FakeGo:
    """A ``go`` on a PATH of its own: answers ``list``, writes what ``build`` asks, notes calls."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._calls = folder / "calls"
        self.behave("true")

    def behave(self, when_building: str) -> None:
        """``when_building``: shell lines run before each program is written."""
        script = f"""\
            #!/bin/sh
            echo "GOFLAGS=$GOFLAGS $*" >> {self._calls}
            if [ "$1" = list ]; then
                echo '{{"Version": "v1.2.3", "Time": "2026-01-02T03:04:05Z"}}'
                exit 0
            fi
            {when_building}
            while [ "$1" != -o ]; do shift; done
            printf '#!/bin/sh\\n' > "$2"
            chmod +x "$2"
            """
        write_program(self.folder / "go", textwrap.dedent(script))

    @property
    def calls(self) -> list[str]:
        return self._calls.read_text().splitlines() if self._calls.exists() else []

    @property
    def builds(self) -> list[str]:
        return [call for call in self.calls if " build " in call]


def write_program(path: Path, script: str = "#!/bin/sh\n") -> None:
    path.write_text(script)
    path.chmod(0o755)


def write_programs(folder: Path, names: Sequence[str] = tuple(BINARIES)) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        write_program(folder / name)
    return folder


def wait_for(holds: Callable[[], bool], seconds: float = PATIENCE) -> None:
    """Return once ``holds()``; fail after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(PAUSE)
