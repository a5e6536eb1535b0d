"""``python -m tests.busy …``: pytest with these arguments, beside two busy loops.

As on a machine that others use as well: what fails only here bets on durations.
"""

from __future__ import annotations

import subprocess
import sys

from controlplane.processes import Warden

LOOPS = 2


def main() -> int:
    """pytest's exit status. The loops end with this process, however it goes."""
    warden = Warden(remove=[])
    loops = [subprocess.Popen(["sh", "-c", "while :; do :; done"]) for _ in range(LOOPS)]
    try:
        for loop in loops:
            warden.watch(loop.pid)
        return subprocess.call([sys.executable, "-m", "pytest", *sys.argv[1:]])
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()
        warden.dismiss()


if __name__ == "__main__":
    sys.exit(main())
