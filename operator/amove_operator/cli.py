"""The command ``amove-operator``: ``run`` and ``crds``."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from amove_operator import __version__
from amove_operator.crds import crds_yaml, write_crds
from amove_operator.errors import SettingsError
from amove_operator.runtime import run_operator
from amove_operator.settings import Settings, load_settings, unknown_variables, variable
from amove_operator.telemetry import configure_logging

WRONG_SETTING = 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="amove-operator",
        description="Amove buckets and storage keys as Kubernetes resources.",
    )
    parser.add_argument("--version", action="version", version=f"amove-operator {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="run the operator until it is told to stop")
    for field in Settings.model_fields:
        dashed = field.replace("_", "-")
        run.add_argument(
            f"--{dashed}",
            f"--amove-{dashed}",
            dest=field,
            metavar="VALUE",
            help=f"the same as {variable(field)}",
        )
    crds = commands.add_parser("crds", help="print the two CustomResourceDefinitions")
    crds.add_argument(
        "--output", type=Path, metavar="FOLDER", help="write one file each into this folder instead"
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; its exit code: 0 done, 1 failed, 2 a wrong setting."""
    given = _parser().parse_args(arguments)
    try:
        return _crds(given.output) if given.command == "crds" else _run(given)
    except SettingsError as error:
        print(f"amove-operator: {error}", file=sys.stderr)
        return WRONG_SETTING


def _crds(folder: Path | None) -> int:
    if folder is None:
        sys.stdout.write(crds_yaml())
    else:
        for path in write_crds(folder):
            print(path)
    return 0


def _run(given: argparse.Namespace) -> int:
    flags = {
        field: text
        for field in Settings.model_fields
        if (text := getattr(given, field)) is not None
    }
    settings = load_settings(os.environ, flags)
    configure_logging(settings.log_format, settings.log_level)
    for name in unknown_variables(os.environ):
        print(f"amove-operator: {name} is not a setting: is it misspelt?", file=sys.stderr)
    return asyncio.run(run_operator(settings))
