"""The emulator as a whole: API and S3 port, in threads of their own."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from threading import Thread
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from amove_emulator.admin import Admin
from amove_emulator.backing import Backing, enforce_authentication
from amove_emulator.calls import ROUTES
from amove_emulator.control import EmulatorControl
from amove_emulator.dispatch import Dispatcher
from amove_emulator.listening import LOOPBACK, Listening
from amove_emulator.s3_server import S3Server
from amove_emulator.settings import Behaviour, World
from amove_emulator.state import State


@dataclass(frozen=True, slots=True)
class _Running:
    loop: asyncio.AbstractEventLoop
    runner: web.AppRunner
    thread: Thread
    port: int


def _application(state: State, emulator: Emulator) -> web.Application:
    app = web.Application()
    dispatcher = Dispatcher(state)
    for (method, path), effect in ROUTES.items():
        app.router.add_route(method, path, dispatcher.handler(effect))
    Admin(state, emulator.facts).add_routes(app)
    app.router.add_route("*", "/{tail:.*}", dispatcher.unknown)
    return app


class Emulator:
    """A context manager; also ``start`` and ``stop``. One listener serves both Amove hosts.

    ``port`` and ``s3_port`` 0 take free ones; ``listening``: on another address than loopback, and
    with TLS. Raises OSError when a port is taken.
    """

    def __init__(
        self,
        port: int = 0,
        s3_port: int = 0,
        *,
        world: World | None = None,
        behaviour: Behaviour | None = None,
        latency: float | None = None,
        listening: Listening = LOOPBACK,
    ) -> None:
        enforce_authentication()
        self._world = world or World()
        behaviour = behaviour or Behaviour()
        if latency is not None:
            behaviour = behaviour.model_copy(update={"latency": latency})
        self._port = port
        self._listening = listening
        self._backing = Backing()
        self._s3 = S3Server(self._backing, s3_port, listening)
        self._state = State(self._world, behaviour, self._backing, self.s3_url)
        self._running: _Running | None = None
        self._control: EmulatorControl | None = None

    @property
    def url(self) -> str:
        """``http://127.0.0.1:<port>``, or as it listens: the main host and the auth host."""
        if self._running is None:
            raise RuntimeError("the emulator is not started")
        return f"{self._listening.scheme}://{self._listening.address}:{self._running.port}"

    @property
    def s3_url(self) -> str:
        return f"{self._listening.scheme}://{self._s3.host}"

    @property
    def storage_dn(self) -> str:
        return self._s3.host

    @property
    def api_token(self) -> str:
        """The first API token of the world it was started with."""
        return next(iter(self._world.tokens))

    @property
    def cloud_account_id(self) -> str:
        """The first cloud account of the world it was started with."""
        return self._world.accounts[0].id

    @property
    def control(self) -> EmulatorControl:
        """A client of the admin interface, closed by ``stop``."""
        if self._control is None:
            self._control = EmulatorControl(self.url, authority=self._listening.authority)
        return self._control

    def facts(self) -> dict[str, Any]:
        user = self._world.users[0]
        return {
            "url": self.url,
            "s3Url": self.s3_url,
            "storageDn": self.storage_dn,
            "cloudAccountId": self.cloud_account_id,
            "apiToken": self.api_token,
            "username": user.email,
            "password": user.password,
            "loginType": user.role,
        }

    def start(self) -> Self:
        loop = asyncio.new_event_loop()
        runner = web.AppRunner(
            _application(self._state, self), access_log=None, shutdown_timeout=0.1
        )
        thread = Thread(target=loop.run_forever, name="emulator-api", daemon=True)
        thread.start()
        port = asyncio.run_coroutine_threadsafe(self._listen(runner), loop).result()
        self._s3.start()
        self._running = _Running(loop, runner, thread, port)
        return self

    async def _listen(self, runner: web.AppRunner) -> int:
        await runner.setup()
        tls = self._listening.context()
        await web.TCPSite(runner, self._listening.address, self._port, ssl_context=tls).start()
        return int(runner.addresses[0][1])

    def stop(self) -> None:
        if self._control is not None:
            self._control.close()
            self._control = None
        running, self._running = self._running, None
        if running is None:
            return
        asyncio.run_coroutine_threadsafe(self._close(running.runner), running.loop).result(10)
        running.loop.call_soon_threadsafe(running.loop.stop)
        running.thread.join(timeout=5)
        running.loop.close()
        self._s3.stop()
        self._backing.wipe()

    async def _close(self, runner: web.AppRunner) -> None:
        self._state.faults.clear()  # lets go of what hangs
        await runner.cleanup()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
