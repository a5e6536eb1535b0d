"""Ends the control plane's programs when the process that started them is gone, however it went.

Run as a script. Arguments: folders to remove at the end. Standard input: one process id per line;
its end means that the parent is gone (or is done: then the processes are gone too). A pipe, and not
PR_SET_PDEATHSIG: that fires already when the *thread* that started the child ends.
Standard library only, so that it starts in milliseconds.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import sys

GRACE_SECONDS = 3.0


def main() -> None:
    """Follow the parent, then clean up behind it."""
    handles = []
    for line in sys.stdin:
        # A handle, not a number: a number may be another process's by the time it is needed.
        with contextlib.suppress(ProcessLookupError):
            handles.append(os.pidfd_open(int(line)))
    # The last started (the controller manager) first, the store last.
    for handle in reversed(handles):
        _end(handle)
    for folder in sys.argv[1:]:
        shutil.rmtree(folder, ignore_errors=True)


def _end(handle: int) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(handle, number)
        if select.select([handle], [], [], GRACE_SECONDS)[0]:
            return


if __name__ == "__main__":
    main()
