"""``amove-operator doctor``: all checks, printed as lines or as JSON."""

from __future__ import annotations

import asyncio
import os

from amove_operator.commands.console import print_error
from amove_operator.commands.doctor.cluster import check_cluster
from amove_operator.commands.doctor.report import Finding, as_json, has_failed, ok, warn
from amove_operator.commands.doctor.service import check_service
from amove_operator.settings import Settings, unknown_variables

DONE, FAILED = 0, 1


def run_doctor(settings: Settings, *, json: bool = False) -> int:
    """Check and say what is found; the exit code: 1 where something fails."""
    try:
        findings = asyncio.run(_findings(settings))
    except KeyboardInterrupt:
        print_error("amove-operator: interrupted")
        return FAILED
    print(as_json(findings) if json else "\n".join(one.line for one in findings))
    return FAILED if has_failed(findings) else DONE


async def _findings(settings: Settings) -> list[Finding]:
    cluster, recorded = await check_cluster(settings)
    return [_settings(settings), *await check_service(settings, recorded), *cluster]


def _settings(settings: Settings) -> Finding:
    source = settings.token_file or settings.username_file
    found = f"sound; credentials from {source}"
    if unknown := ", ".join(unknown_variables(os.environ)):
        return warn("settings", f"{found}; {unknown}: no such setting", "correct or remove it")
    return ok("settings", found)
