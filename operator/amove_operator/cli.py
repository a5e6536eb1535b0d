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
from amove_operator.settings import Settings, load_settings, shown_default, variable
from amove_operator.telemetry import configure_logging

WRONG_SETTING = 2


def _parser() -> argparse.ArgumentParser:
    about = "Amove buckets and storage keys as Kubernetes resources."
    parser = argparse.ArgumentParser(prog="amove-operator", description=about)
    parser.add_argument("--version", action="version", version=f"amove-operator {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    settings = _settings_flags()
    commands.add_parser("run", parents=[settings], help="run the operator until asked to stop")
    keys = "list live keys that no resource and no Secret holds"
    orphans = commands.add_parser("orphans", parents=[settings], help=keys)
    orphans.add_argument("--revoke", action="store_true", help="then ask, and revoke them")
    orphans.add_argument("--yes", action="store_true", help="revoke without asking")
    crowd = "revoke also where over 20 %% of all keys are orphans"
    orphans.add_argument("--all", action="store_true", help=crowd)
    crds = commands.add_parser("crds", help="print the CustomResourceDefinitions and the fence")
    files = "write one file each into this folder instead"
    crds.add_argument("--output", type=Path, metavar="FOLDER", help=files)
    return parser


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
    texts = {field: getattr(given, field) for field in Settings.model_fields}
    flags = {field: text for field, text in texts.items() if text is not None}
    settings = load_settings(os.environ, flags)
    configure_logging(settings.log_format, settings.log_level)
    return settings
