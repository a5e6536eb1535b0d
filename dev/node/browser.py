"""Chromium without a screen, driven through its driver: by the W3C's WebDriver protocol."""

from __future__ import annotations

import base64
import os
import signal
import socket
import subprocess
import tempfile
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from controlplane.probe import wait_until
from node.errors import NodeError

DRIVER = Path("/usr/bin/chromedriver")
START_SECONDS = 60.0
CALL_SECONDS = 60.0
WINDOW = "--window-size=800,600"
OPTIONS = [
    "--headless",
    # Its sandbox refuses root, and the box is one.
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--hide-scrollbars",
    WINDOW,
]
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
"""What the protocol calls the id of an element, in every answer."""
TEXTS = "return [...document.querySelectorAll(arguments[0])].map(each => each.innerText)"


class Browser:
    """One window, in a box: ``with Browser() as browser: browser.open(url)``.

    Elements are named by CSS selectors. Raises NodeError with the driver's own words.
    """

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="amove-browser-")))
            port = _free_port()
            self._process = _start(home, port)
            stack.callback(self._stop)
            base = f"http://127.0.0.1:{port}"
            self._http = stack.enter_context(httpx.Client(base_url=base, timeout=CALL_SECONDS))
            wait_until("the browser's driver", self._answers, START_SECONDS, self._require_running)
            options = {"args": [*OPTIONS, f"--user-data-dir={home}/profile"]}
            wanted = {"browserName": "chrome", "goog:chromeOptions": options}
            made = self._call("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
            self._session = f"/session/{made['sessionId']}"
            stack.callback(lambda: self._call("DELETE", self._session))
            self._ending = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ending.close()

    def open(self, url: str) -> None:
        """Load a page; back when it is complete."""
        self._do("POST", "/url", {"url": url})

    def texts(self, selector: str) -> list[str]:
        """What a person reads in each of the elements; of one page, also while the next loads."""
        return list(self.run(TEXTS, selector))

    def type(self, selector: str, text: str) -> None:
        """Type into the first such element."""
        self._do("POST", f"/element/{self._elements(selector)[0]}/value", {"text": text})

    def click(self, selector: str, nth: int = 0) -> None:
        """Click the nth such element; back when the page that this loads is complete."""
        self._do("POST", f"/element/{self._elements(selector)[nth]}/click", {})

    def run(self, script: str, *arguments: str) -> Any:
        """What a script returns (JSON)."""
        return self._do("POST", "/execute/sync", {"script": script, "args": arguments})

    def screenshot(self) -> bytes:
        """The window's content, a PNG."""
        return base64.b64decode(self._do("GET", "/screenshot"))

    def _elements(self, selector: str) -> list[str]:
        asked = {"using": "css selector", "value": selector}
        return [each[ELEMENT] for each in self._do("POST", "/elements", asked)]

    def _do(self, method: str, path: str, body: Any = None) -> Any:
        return self._call(method, self._session + path, body)

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        answer = self._http.request(method, path, json=body)
        value = answer.json()["value"]
        if answer.is_error:
            raise NodeError(f"the browser: {value['error']}: {value['message']}")
        return value

    def _answers(self) -> bool:
        try:
            return bool(self._call("GET", "/status")["ready"])
        except httpx.TransportError:
            return False

    def _require_running(self) -> None:
        if self._process.poll() is not None:
            raise NodeError(f"{DRIVER} ended with status {self._process.returncode}")

    def _stop(self) -> None:
        # A group of its own: the driver, and a browser that did not end with its session.
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def _start(home: Path, port: int) -> subprocess.Popen[bytes]:
    if not DRIVER.exists():
        raise NodeError(f"{DRIVER} is missing: a browser runs in a box")
    environ = {"PATH": os.defpath, "HOME": str(home), "TMPDIR": str(home)}
    with (home / "driver.log").open("wb") as log:
        return subprocess.Popen(
            [str(DRIVER), f"--port={port}"],
            env=environ,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
