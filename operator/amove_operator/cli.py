"""The command ``amove-operator``, and what each of its commands takes."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from amove_operator import __version__
from amove_operator.commands.crds import run_crds
from amove_operator.commands.doctor import run_doctor
from amove_operator.commands.import_buckets import Choice, run_import
from amove_operator.commands.orphans import run_orphans
from amove_operator.commands.run import run_operator
from amove_operator.errors import SettingsError
from amove_operator.settings import Settings, load_settings, shown_default, variable
from amove_operator.telemetry import configure_logging

WRONG_SETTING = 2
Commands = Any
"""What argparse's ``add_subparsers`` gives: its class is not public."""


def _parser() -> argparse.ArgumentParser:
    about = "Amove buckets and storage keys as Kubernetes resources."
    parser = argparse.ArgumentParser(prog="amove-operator", description=about)
    parser.add_argument("--version", action="version", version=f"amove-operator {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    settings = _settings_flags()
    _add_run(commands, settings)
    _add_import(commands, settings)
    _add_doctor(commands, settings)
    _add_orphans(commands, settings)
    _add_crds(commands)
    return parser


def _add_run(commands: Commands, settings: argparse.ArgumentParser) -> None:
    run = commands.add_parser(
        "run", parents=[settings], help="run the operator until asked to stop"
    )
    run.set_defaults(act=lambda given: asyncio.run(run_operator(_settings(given, serves=True))))


def _add_import(commands: Commands, settings: argparse.ArgumentParser) -> None:
    about = "print AmoveBuckets for the buckets that the account has already"
    command = commands.add_parser("import", parents=[settings], help=about)
    meant = "only buckets whose names match one of these, such as 'team-a-*'"
    command.add_argument("globs", nargs="*", metavar="GLOB", help=meant)
    command.add_argument("--namespace", metavar="NAME", help="write this namespace into each")
    observed = "managementPolicy: Observe: the operator will only read these buckets"
    command.add_argument("--observe", action="store_true", help=observed)
    files = "write one file each into this folder instead"
    command.add_argument("--output", type=Path, metavar="FOLDER", help=files)

    def act(given: argparse.Namespace) -> int:
        choice = Choice(given.globs, given.namespace, given.observe, given.output)
        return run_import(_settings(given), choice)

    command.set_defaults(act=act)


def _add_doctor(commands: Commands, settings: argparse.ArgumentParser) -> None:
    about = "check what the operator needs, and say what to do"
    doctor = commands.add_parser("doctor", parents=[settings], help=about)
    doctor.add_argument("--json", action="store_true", help="for programs")
    doctor.set_defaults(act=lambda given: run_doctor(_settings(given), json=given.json))


def _add_orphans(commands: Commands, settings: argparse.ArgumentParser) -> None:
    keys = "list live keys that no resource and no Secret holds"
    orphans = commands.add_parser("orphans", parents=[settings], help=keys)
    orphans.add_argument("--revoke", action="store_true", help="then ask, and revoke them")
    orphans.add_argument("--yes", action="store_true", help="revoke without asking")
    crowd = "revoke also where over 20 %% of all keys are orphans"
    orphans.add_argument("--all", action="store_true", help=crowd)

    def act(given: argparse.Namespace) -> int:
        wanted = {"revoke": given.revoke, "yes": given.yes, "however_many": given.all}
        return run_orphans(_settings(given), **wanted)

    orphans.set_defaults(act=act)


def _add_crds(commands: Commands) -> None:
    crds = commands.add_parser("crds", help="print the CustomResourceDefinitions and the fence")
    files = "write one file each into this folder instead"
    crds.add_argument("--output", type=Path, metavar="FOLDER", help=files)
    crds.set_defaults(act=lambda given: run_crds(given.output))


def _settings_flags() -> argparse.ArgumentParser:
    """Every setting as a flag, for each command that needs the settings."""
    parser = argparse.ArgumentParser(add_help=False)
    for name, field in Settings.model_fields.items():
        flags = [f"--{prefix}{name.replace('_', '-')}" for prefix in ("", "amove-")]
        meaning = f"{field.description} ({variable(name)}; default: {shown_default(name)})"
        parser.add_argument(*flags, dest=name, metavar="VALUE", help=meaning.replace("%", "%%"))
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; its exit code: 0 done, 1 failed, 2 a wrong setting."""
    given = _parser().parse_args(arguments)
    try:
        code: int = given.act(given)
    except SettingsError as error:
        print(f"amove-operator: {error}", file=sys.stderr)
        return WRONG_SETTING
    return code


def _settings(given: argparse.Namespace, *, serves: bool = False) -> Settings:
    """The settings from flags and environment; logs go where they say from now on.

    Whoever does not serve prints what a person reads: of its log only what is wrong, by default.
    """
    texts = {field: getattr(given, field) for field in Settings.model_fields}
    flags = {field: text for field, text in texts.items() if text is not None}
    settings = load_settings(os.environ, flags)
    quiet = not serves and settings.log_level == "INFO"
    configure_logging(settings.log_format, "WARNING" if quiet else settings.log_level)
    return settings
