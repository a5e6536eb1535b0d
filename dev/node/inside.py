"""The first process of a box: it sets up network, mounts and settings, and waits for a command.

``python -m node.inside COMMAND…``, started by box.py in fresh namespaces.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

from node.box import Plan
from node.commands import run
from node.errors import NodeError
from node.network import ADDRESS, BRIDGE

# What a kubelet wants of a machine. Files laid over the kernel's own: nothing of them changes.
SYSCTLS = {
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}
NETWORK = (
    "ip link set lo up",
    f"ip link add {BRIDGE} type bridge",
    f"ip address add {ADDRESS}/24 dev {BRIDGE}",
    f"ip link set {BRIDGE} up",
    # A kubelet and a proxy take the node's address from the interface of the default route.
    f"ip route add default dev {BRIDGE}",
)


def main() -> int:
    """The status of the command, or 1 after saying what is wrong."""
    plan = Plan.of_this_process()
    try:
        _mount(plan)
        for line in NETWORK:
            run(line.split(), "setting up the box's network")
        Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    except (NodeError, OSError) as failure:
        print(f"node: cannot set up a box: {failure}", file=sys.stderr)
        return 1
    return _wait_for(sys.argv[1:])


def _mount(plan: Plan) -> None:
    folder = Path(plan.folder)
    for part in ("usr", "etc"):
        _overlay(f"/{part}", f"{plan.packages}/{part}:/{part}", folder / part)
    _overlay("/var", "/var", folder / "var")
    run(["mount", "-t", "tmpfs", "tmpfs", "/run"], "mounting /run")
    for name, value in SYSCTLS.items():
        file = folder / "sysctls" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(value + "\n")
        run(["mount", "--bind", str(file), f"/proc/sys/{name}"], f"laying a file over {name}")


def _overlay(place: str, lower: str, folder: Path) -> None:
    for part in ("upper", "work"):
        (folder / part).mkdir(parents=True)
    options = f"lowerdir={lower},upperdir={folder}/upper,workdir={folder}/work"
    run(["mount", "-t", "overlay", "overlay", "-o", options, place], f"laying a copy over {place}")


def _wait_for(command: list[str]) -> int:
    """As the first process of its PID namespace it also buries whatever loses its parent."""
    process = subprocess.Popen(command)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda received, _frame: _pass_on(process.pid, received))
    while True:
        pid, status = os.wait()
        if pid == process.pid:
            return os.waitstatus_to_exitcode(status) % 256


def _pass_on(pid: int, number: int) -> None:
    # A terminal's Ctrl-C has reached the command already.
    if number != signal.SIGINT:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


if __name__ == "__main__":
    sys.exit(main())
