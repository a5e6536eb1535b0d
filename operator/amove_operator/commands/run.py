"""``amove-operator run``: the operator, until it is asked to stop."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from contextlib import aclosing

from amove_operator import __version__
from amove_operator.app.lead_guard import Ending
from amove_operator.app.lifecycle import Life
from amove_operator.kube import FenceWatch, Kube
from amove_operator.settings import Settings, shown_value, unknown_variables, variable

_log = logging.getLogger(__name__)


async def run_operator(settings: Settings) -> int:
    """Connect and run, one life after the other; the exit code: 0 stopped, 1 to be started again.

    Raises SettingsError for what only a person can mend.
    """
    asked_to_stop = asyncio.Event()
    async with aclosing(await Kube.connect()) as kube:
        _log_start(settings, kube)
        if unknown := ", ".join(unknown_variables(os.environ)):
            _log.warning("%s: no such setting; is it misspelt, or of a service link?", unknown)
        fence = FenceWatch(
            kube.fence,
            required=settings.require_fence,
            server_now=lambda: time.time() - (kube.skew_seconds or 0.0),
        )
        ending = Ending.ANEW
        while ending is Ending.ANEW and not asked_to_stop.is_set():
            ending = await Life(settings, kube, fence, asked_to_stop).run()
    return 1 if ending in (Ending.LOST, Ending.WENT_BACK) else 0


def _log_start(settings: Settings, kube: Kube) -> None:
    """One line by which a log says what it is of. No setting is a secret: those are in files."""
    shown = {variable(name): shown_value(value) for name, value in settings if value is not None}
    lease = f"{settings.lease_namespace or kube.namespace}/{settings.lease_name}"
    _log.info(
        "amove-operator %s begins: Amove API %s, cloud account %s, Kubernetes %s, Lease %s",
        __version__,
        settings.api_url,
        settings.cloud_account_id or "of the credentials",
        kube.host,
        lease if settings.leader_election else "none (AMOVE_LEADER_ELECTION=false)",
        extra={"version": __version__, "settings_in_use": shown},
    )
