"""The command ``amove-operator``: ``run``, ``orphans`` and ``crds``."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from amove_operator import __version__
from amove_operator.commands.crds import run_crds
from amove_operator.commands.orphans import run_orphans
from amove_operator.commands.run import run_operator
from amove_operator.errors import SettingsError
from amove_operator.settings import Settings, load_settings, variable
from amove_operator.telemetry import configure_logging

WRONG_SETTING = 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="amove-operator",
        description="Amove buckets and storage keys as Kubernetes resources.",
    )
    parser.add_argument("--version", action="version", version=f"amove-operator {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    settings = _settings_flags()
    commands.add_parser("run", parents=[settings], help="run the operator until it is told to stop")
    orphans = commands.add_parser(
        "orphans", parents=[settings], help="list live keys that no resource and no Secret holds"
    )
    orphans.add_argument("--revoke", action="store_true", help="then ask, and revoke them")
    orphans.add_argument("--yes", action="store_true", help="revoke without asking")
    orphans.add_argument(
        "--all",
        action="store_true",
        help="revoke also where over 20 %% of all keys are orphans",
    )
    crds = commands.add_parser("crds", help="print the CustomResourceDefinitions and the fence")
    crds.add_argument(
        "--output", type=Path, metavar="FOLDER", help="write one file each into this folder instead"
    )
    return parser


def _settings_flags() -> argparse.ArgumentParser:
    """Every setting as a flag, for each command that needs the settings."""
    parser = argparse.ArgumentParser(add_help=False)
    for field in Settings.model_fields:
        dashed = field.replace("_", "-")
        parser.add_argument(
            f"--{dashed}",
            f"--amove-{dashed}",
            dest=field,
            metavar="VALUE",
            help=f"the same as {variable(field)}",
        )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; its exit code: 0 done, 1 failed, 2 a wrong setting."""
    given = _parser().parse_args(arguments)
    try:
        if given.command == "crds":
            return run_crds(given.output)
        settings = _settings(given)
        if given.command == "orphans":
            return run_orphans(settings, revoke=given.revoke, yes=given.yes, however_many=given.all)
        return asyncio.run(run_operator(settings))
    except SettingsError as error:
        print(f"amove-operator: {error}", file=sys.stderr)
        return WRONG_SETTING


def _settings(given: argparse.Namespace) -> Settings:
    """The settings from flags and environment; logs go where they say from now on."""
    flags = {
        field: text
        for field in Settings.model_fields
        if (text := getattr(given, field)) is not None
    }
    settings = load_settings(os.environ, flags)
    configure_logging(settings.log_format, settings.log_level)
    return settings
