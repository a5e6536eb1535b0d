"""``kubectl amove``: kubectl finds the program ``kubectl-amove`` by its name."""

from __future__ import annotations

import argparse
import asyncio
import os
from collections.abc import Sequence

from amove_operator import __version__, cli
from amove_operator.commands.console import plain, print_error
from amove_operator.commands.kubectl.in_pod import Where, has_credentials, run_in_pod
from amove_operator.commands.kubectl.requests import run_request
from amove_operator.commands.kubectl.status import run_status
from amove_operator.errors import KubeRefused, KubeUnavailable, SettingsError
from amove_operator.settings import is_namespace
from amove_operator.telemetry import configure_logging

_REQUESTS = {
    "rotate": "replace keys by new ones now; the old ones have their grace",
    "reconcile": "have objects looked at now, not at the next sweep",
    "pause": "stop all that is done for objects, deletion included",
    "resume": "end a pause",
}
_PASSED_ON = {
    "doctor": "check what the operator needs, and say what to do",
    "import": "print AmoveBuckets for the buckets that the account has already",
    "orphans": "list live keys that no resource and no Secret holds",
}


def _parser() -> argparse.ArgumentParser:
    about = "Amove buckets and keys in a cluster, as a person asks for them."
    parser = argparse.ArgumentParser(prog="kubectl amove", description=about, allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"kubectl-amove {__version__}")
    parser.add_argument("--operator-namespace", default="amove-system", metavar="NAME")
    parser.add_argument("--operator-deployment", default="amove-operator", metavar="NAME")
    _add_cluster(parser)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    wrong = "buckets and keys, and what is wrong with which"
    status = commands.add_parser("status", help=wrong, allow_abbrev=False)
    status.add_argument("-n", "--namespace", metavar="NAME", help="this namespace only")
    status.add_argument("--wrong", action="store_true", help="only those that are not well")
    _add_cluster(status, again=True)
    for name, meaning in _REQUESTS.items():
        request = commands.add_parser(name, help=meaning, allow_abbrev=False)
        kinds = "NAME" if name == "rotate" else "KIND/NAME"
        request.add_argument("names", nargs="+", metavar=kinds)
        request.add_argument("-n", "--namespace", metavar="NAME", help="default: the context's")
        _add_cluster(request, again=True)
    for name, meaning in _PASSED_ON.items():
        where = "in the operator's Pod, or here where AMOVE_TOKEN_FILE is set"
        commands.add_parser(name, help=f"{meaning} ({where})", add_help=False, allow_abbrev=False)
    return parser


def _add_cluster(parser: argparse.ArgumentParser, *, again: bool = False) -> None:
    """The flags may stand before the command or after it."""
    default = argparse.SUPPRESS if again else None
    parser.add_argument("--context", metavar="NAME", default=default, help="of the kubeconfig")
    parser.add_argument("--kubeconfig", metavar="PATH", default=default)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; its exit code: 0 done, 1 failed or something is wrong, 2 a wrong flag."""
    parser = _parser()
    given, rest = parser.parse_known_args(arguments)
    if rest and given.command not in _PASSED_ON:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if given.kubeconfig:
        os.environ["KUBECONFIG"] = given.kubeconfig
    configure_logging("console", "WARNING")
    try:
        return _run(given, rest)
    except SettingsError as error:
        print_error(f"kubectl amove: {plain(str(error))}")
        return cli.WRONG_SETTING
    except (KubeRefused, KubeUnavailable) as error:
        print_error(f"kubectl amove: {plain(str(error))}")
    except KeyboardInterrupt:
        print_error("kubectl amove: interrupted")
    return 1


def _run(given: argparse.Namespace, rest: Sequence[str]) -> int:
    command: str = given.command
    if command in _PASSED_ON:
        if has_credentials(rest):
            return _run_here(command, rest, given.context)
        where = Where(given.context, given.operator_namespace, given.operator_deployment)
        return run_in_pod(command, rest, where)
    if given.namespace and not is_namespace(given.namespace):
        raise SettingsError(f"--namespace: {given.namespace!r} is no name of a namespace")
    if command == "status":
        return asyncio.run(run_status(given.context, given.namespace, wrong_only=given.wrong))
    return run_request(command, given.names, given.context, given.namespace)


def _run_here(command: str, rest: Sequence[str], context: str | None) -> int:
    if context is not None:
        raise SettingsError(
            f"--context: {command} uses the current context where it runs on this machine: choose "
            "it by kubectl config use-context, or name a file of its own in KUBECONFIG"
        )
    return cli.main([command, *rest])
