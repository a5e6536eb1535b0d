"""KEEP=1: what stays up, how to look at it, and how to end it."""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Callable
from dataclasses import dataclass

from demo.cluster import Cluster
from demo.emulator import RunningEmulator
from demo.names import QUICKSTART, TENANT, WRITER
from demo.screen import Screen

VARIABLES = (
    '\'{{range $k, $v := .data}}export {{$k}}={{$v | base64decode | printf "%q"}}{{"\\n"}}{{end}}\''
)


@dataclass(frozen=True)
class Hints:
    """Lines to type ``first`` and ``last``, and how to ``end`` it all."""

    first: tuple[str, ...] = ()
    last: tuple[str, ...] = ()
    end: str = f"Ctrl-C here, or kill {os.getpid()}"


def invite(screen: Screen, cluster: Cluster, emulator: RunningEmulator, hints: Hints) -> None:
    """Print lines to copy into another terminal."""
    here = f"kubectl --namespace {TENANT}"
    screen.say()
    screen.say("Everything stays up. In another terminal:")
    for line in (
        *hints.first,
        f"export KUBECONFIG={shlex.quote(cluster.kubeconfig)}",
        f"export PATH={shlex.quote(str(cluster.bin))}:$PATH",
        f"{here} apply -f {shlex.quote(str(QUICKSTART))}",
        f"{here} get amove,secrets",
        f"{here} describe amovestoragekey {WRITER}",
        "# the Secret's values as variables of this shell, for an S3 client of yours",
        f'eval "$({here} get secret {WRITER} -o go-template={VARIABLES})"',
        f"{here} delete -f {shlex.quote(str(QUICKSTART))}",
        emulator.state_command,
        *hints.last,
    ):
        screen.say(f"  {line}")
    screen.say(f"To end it: {hints.end}")


def stay(check: Callable[[], None]) -> None:
    """Return at Ctrl-C or SIGTERM (which main turns into the same); ``check()`` may raise."""
    try:
        while True:
            check()
            time.sleep(0.5)
    except KeyboardInterrupt:
        return
