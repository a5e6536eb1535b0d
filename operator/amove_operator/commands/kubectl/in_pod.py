"""Commands that need Amove's credentials, run where these are: in the operator's own Pod."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from amove_operator.commands.console import print_error
from amove_operator.errors import SettingsError

FAILED = 1
_CREDENTIALS = ("token-file", "username-file")


class Where(NamedTuple):
    """Which cluster (None: as kubectl chooses), and where the operator is in it."""

    context: str | None
    namespace: str
    deployment: str


def has_credentials(arguments: Sequence[str], environment: Mapping[str, str] = os.environ) -> bool:
    """Whether the credentials are named here, so that the command can run on this machine."""
    flags = tuple(f"--{prefix}{name}" for name in _CREDENTIALS for prefix in ("", "amove-"))
    named = any(one.partition("=")[0] in flags for one in arguments)
    variables = (f"AMOVE_{name.replace('-', '_').upper()}" for name in _CREDENTIALS)
    return named or any(environment.get(one) for one in variables)


def command_line(command: str, arguments: Sequence[str], where: Where, *, asks: bool) -> list[str]:
    """What kubectl is to run; ``asks``: a person at a terminal can be asked."""
    terminal = ["--stdin", "--tty"] if asks else []
    context = [f"--context={where.context}"] if where.context else []
    place = [f"--namespace={where.namespace}", f"deployment/{where.deployment}"]
    return ["exec", *context, *terminal, *place, "--", "amove-operator", command, *arguments]


def run_in_pod(command: str, arguments: Sequence[str], where: Where) -> int:
    """Run it by ``kubectl exec``; its exit code. Raises SettingsError."""
    if any(one.partition("=")[0] == "--output" for one in arguments):
        raise SettingsError(
            "--output: the folder would be in the operator's Pod: send standard output into a file "
            "instead, or set AMOVE_TOKEN_FILE to run it on this machine"
        )
    if (kubectl := shutil.which("kubectl")) is None:
        raise SettingsError("kubectl: it is not to be found in PATH")
    # A terminal joins both outputs, and what is printed may be for a file.
    asks = command == "orphans" and sys.stdin.isatty() and sys.stdout.isatty()
    line = command_line(command, arguments, where, asks=asks)
    code = subprocess.run([kubectl, *line], check=False).returncode  # noqa: S603 - no shell
    if code != 0:
        print_error(
            f"(run in {where.namespace}/{where.deployment}; is the operator elsewhere? Then write "
            "--operator-namespace and --operator-deployment before the command)"
        )
    return code
