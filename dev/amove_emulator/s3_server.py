"""The S3 port: moto's S3 application on loopback, behind a gate that closes what moto leaves open.

moto 5.2 fails with a KeyError on a request that carries no Authorization header, lets a client
choose its account by a header, serves other services and its own admin pages on the same port,
and copies from a bucket that the key may not read.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from threading import Thread
from typing import Any, Final
from urllib.parse import unquote
from xml.sax.saxutils import escape

from moto.moto_server.werkzeug_app import MotoRequestHandler, create_backend_app
from werkzeug.serving import BaseWSGIServer, make_server

from amove_emulator.backing import Backing
from amove_emulator.listening import LOOPBACK, Listening

Environ = dict[str, Any]
StartResponse = Callable[..., Any]

_REASONS: Final = {403: "Forbidden", 404: "Not Found", 501: "Not Implemented"}
_SCHEME: Final = "AWS4-HMAC-SHA256 "


class _QuietHandler(MotoRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:
        logging.getLogger("amove_emulator.s3").debug(message, *args)


def _credential(authorization: str) -> list[str]:
    """``[access key, date, region, service, "aws4_request"]``, or empty for anything else."""
    if not authorization.startswith(_SCHEME):
        return []
    fields = authorization.removeprefix(_SCHEME).split(",")
    credential = next((f.strip() for f in fields if f.strip().startswith("Credential=")), "")
    parts = credential.removeprefix("Credential=").split("/")
    return parts if len(parts) == 5 and parts[3] == "s3" else []


def _refuse(start: StartResponse, status: int, code: str, message: str) -> Iterable[bytes]:
    body = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Error><Code>{code}</Code><Message>{escape(message)}</Message></Error>"
    ).encode()
    headers = [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))]
    start(f"{status} {_REASONS[status]}", headers)
    return [body]


class Gate:
    """WSGI application in front of moto's."""

    def __init__(self, backing: Backing) -> None:
        self._backing = backing
        self._moto: Any = create_backend_app("s3")

    def __call__(self, environ: Environ, start: StartResponse) -> Iterable[bytes]:
        environ.pop("HTTP_X_MOTO_ACCOUNT_ID", None)
        authorization = environ.get("HTTP_AUTHORIZATION")
        if authorization is None:
            return self._anonymous(environ, start)
        credential = _credential(authorization)
        if not credential:
            return _refuse(start, 403, "AccessDenied", "Only Signature V4 for s3 is served.")
        if not self._may_copy(credential[0], environ.get("HTTP_X_AMZ_COPY_SOURCE")):
            return _refuse(start, 403, "AccessDenied", "Access Denied")
        answer: Iterable[bytes] = self._moto(environ, start)
        return answer

    def _anonymous(self, environ: Environ, start: StartResponse) -> Iterable[bytes]:
        if "Signature=" in environ.get("QUERY_STRING", ""):
            return _refuse(start, 501, "NotImplemented", "Presigned URLs are not emulated.")
        bucket, _, key = str(environ.get("PATH_INFO", "")).lstrip("/").partition("/")
        content = self._backing.public_object(bucket, key) if key else None
        if content is None or environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            return _refuse(start, 403, "AccessDenied", "Access Denied")
        body = content.getvalue()
        headers = [("Content-Type", "binary/octet-stream"), ("Content-Length", str(len(body)))]
        start("200 OK", headers)
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]

    def _may_copy(self, access_key: str, source: str | None) -> bool:
        tier = self._backing.holder_of(access_key)
        if source is None or tier is None:
            return True  # no copy, or a key that moto itself will refuse
        return tier.may_read(access_key, unquote(source).lstrip("/").partition("/")[0])


class S3Server:
    """Serves the gate from threads of its own.

    Raises OSError when the port is taken.
    """

    def __init__(self, backing: Backing, port: int = 0, listening: Listening = LOOPBACK) -> None:
        self._address = listening.address
        self._server: BaseWSGIServer = make_server(
            listening.address,
            port,
            Gate(backing),
            threaded=True,
            request_handler=_QuietHandler,
            ssl_context=listening.context(),
        )
        self._thread = Thread(target=self._server.serve_forever, name="emulator-s3", daemon=True)

    @property
    def host(self) -> str:
        """``<address>:<port>``: a storageDn."""
        return f"{self._address}:{self._server.server_port}"

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join(timeout=5)
        self._server.server_close()
