"""Ask the API server, over verified TLS, whether things are ready."""

from __future__ import annotations

import http.client
import json
import ssl
import time
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

from controlplane.errors import StartError

PAUSE = 0.05


class Probe:
    """GETs as the user of a kubeconfig that write_kubeconfig wrote with a client certificate.

    http.client on purpose: it knows no proxies and no environment.
    """

    def __init__(self, kubeconfig: Path) -> None:
        address = urlsplit(_read(kubeconfig)[0]["server"])
        self._host, self._port = address.hostname or "", address.port
        self._tls = client_context(kubeconfig)

    def status(self, path: str) -> int | None:
        """The HTTP status of ``path``, or None when nothing answers."""
        connection = http.client.HTTPSConnection(
            self._host, self._port, timeout=5, context=self._tls
        )
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()


def client_context(kubeconfig: Path) -> ssl.SSLContext:
    """Verifies the API server, and shows the kubeconfig's client certificate."""
    cluster, user = _read(kubeconfig)
    authority = b64decode(cluster["certificate-authority-data"]).decode()
    context = ssl.create_default_context(cadata=authority)
    with TemporaryDirectory() as folder:
        # ssl reads a client's pair from a file only.
        pair = Path(folder) / "pair.pem"
        pair.touch(mode=0o600)
        key, certificate = user["client-key-data"], user["client-certificate-data"]
        pair.write_bytes(b64decode(key) + b64decode(certificate))
        context.load_cert_chain(pair)
    return context


def _read(kubeconfig: Path) -> tuple[dict[str, str], dict[str, str]]:
    config = json.loads(kubeconfig.read_text())
    return config["clusters"][0]["cluster"], config["users"][0]["user"]


def wait_until(
    what: str, holds: Callable[[], bool], seconds: float, check: Callable[[], None]
) -> None:
    """Return once ``holds()``; call ``check()`` on the way, which may raise what went wrong.

    Raises StartError that says ``what`` was waited for.
    """
    deadline = time.monotonic() + seconds
    while not holds():
        check()
        if time.monotonic() > deadline:
            raise StartError(f"{what} within {seconds:.0f} s: did not happen")
        time.sleep(PAUSE)
