"""The process's two small HTTP ports: /metrics, and /healthz with /readyz."""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from aiohttp import web
from aiohttp.typedefs import Handler
from prometheus_client import CollectorRegistry
from prometheus_client.aiohttp import make_aiohttp_handler

from amove_operator.app.health import Health
from amove_operator.errors import SettingsError
from amove_operator.telemetry import redact

_log = logging.getLogger(__name__)

Probe = Callable[[], Health]

_CLOSING_SECONDS = 1.0


@asynccontextmanager
async def serve(
    registry: CollectorRegistry,
    live: Probe,
    ready: Probe,
    metrics_port: int,
    health_port: int,
    host: str | None = None,
) -> AsyncIterator[None]:
    """Serve both ports until the context ends; port 0 leaves that one out.

    The ports may be the same. ``live`` is asked for /healthz, ``ready`` for /readyz. ``host`` None
    means every interface, which a pod needs: the kubelet and Prometheus come from outside. Raises
    SettingsError naming the variable whose port cannot be had.
    """
    metrics = {"/metrics": make_aiohttp_handler(registry)}
    health = {"/healthz": _answer(live), "/readyz": _answer(ready)}
    async with AsyncExitStack() as stack:
        if metrics_port == health_port:
            both = "AMOVE_METRICS_PORT and AMOVE_HEALTH_PORT"
            await _listen(stack, {**metrics, **health}, host, metrics_port, both)
        else:
            await _listen(stack, metrics, host, metrics_port, "AMOVE_METRICS_PORT")
            await _listen(stack, health, host, health_port, "AMOVE_HEALTH_PORT")
        yield


async def _listen(
    stack: AsyncExitStack, routes: dict[str, Handler], host: str | None, port: int, variable: str
) -> None:
    if port == 0:
        return
    app = web.Application()
    app.add_routes([web.get(path, handler) for path, handler in routes.items()])  # and HEAD
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_CLOSING_SECONDS)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise SettingsError(
            f"{variable}: cannot listen on port {port} ({reason.lower()}): "
            "choose another port, or 0 for none"
        ) from None
    _log.info("serving %s on port %d", ", ".join(routes), port)


def _answer(probe: Probe) -> Handler:
    async def answer(_request: web.Request) -> web.Response:
        health = probe()
        return web.Response(status=health.code, text=redact(health.body))

    return answer
