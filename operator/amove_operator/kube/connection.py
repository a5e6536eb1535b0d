"""How the API server is reached: kubeconfig or the pod's ServiceAccount, and rotating tokens."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import socket
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import kubernetes.aio.client
import kubernetes.aio.config

from amove_operator.errors import SettingsError
from amove_operator.settings import is_loopback

_client: Any = kubernetes.aio.client
_config: Any = kubernetes.aio.config

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
HOME_KUBECONFIG = "~/.kube/config"
PROXY_VARIABLES = ("http_proxy", "https_proxy", "all_proxy")
TOKEN_AGE = 60.0
"""Seconds after which a token file or plugin is asked again; the kubelet writes well ahead."""

log = logging.getLogger(__name__)


def unique_identity() -> str:
    """An identity that no other process has, readable by its host (pod) name."""
    return f"{socket.gethostname()}_{secrets.token_hex(4)}"


class Bearer:
    """A bearer token that changes under us: read again every minute and after a 401."""

    def __init__(
        self, read: Callable[[], Awaitable[str | None]], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._read = read
        self._clock = clock
        self._due = clock()
        self._lock = asyncio.Lock()

    async def refresh(self, configuration: Any) -> None:
        """Hook of the client library, called before each request."""
        async with self._lock:
            if self._clock() < self._due:
                return
            try:
                if token := await self._read():
                    configuration.api_key["BearerToken"] = token
            except (OSError, ValueError) as error:
                log.warning(
                    "the Kubernetes token cannot be read again, the old one stays: %s", error
                )
            self._due = self._clock() + TOKEN_AGE

    def expire(self) -> None:
        """The server refused the token: read it again before the next request."""
        self._due = self._clock()


class Access(NamedTuple):
    """A ready configuration of the client library, the token's source, our own namespace."""

    configuration: Any
    bearer: Bearer | None
    namespace: str


async def find_access(
    environment: Mapping[str, str] = os.environ, context: str | None = None
) -> Access:
    """KUBECONFIG, else the pod's ServiceAccount, else ~/.kube/config.

    ``context``: of the kubeconfig; None: its current one.
    Raises SettingsError with one line when none of them can be used.
    """
    configuration = _client.Configuration()
    # By default aiohttp makes two thread hops a request for netrc and proxies.
    proxied = any(environment.get(one) or environment.get(one.upper()) for one in PROXY_VARIABLES)
    configuration.client_session_kwargs = {"trust_env": proxied}
    # Watches hold connections for long; ordinary requests are limited by the transport.
    configuration.connection_pool_maxsize = 0
    if paths := environment.get("KUBECONFIG"):
        return await _from_kubeconfig(configuration, paths, environment, context)
    if environment.get("KUBERNETES_SERVICE_HOST") and (SERVICE_ACCOUNT / "token").is_file():
        return _from_pod(configuration, environment)
    if _exists(HOME_KUBECONFIG):
        return await _from_kubeconfig(configuration, HOME_KUBECONFIG, environment, context)
    raise SettingsError(
        "KUBECONFIG: no Kubernetes cluster is configured: set KUBECONFIG to a kubeconfig file, "
        "or run in a pod with a ServiceAccount token"
    )


def _from_pod(configuration: Any, environment: Mapping[str, str]) -> Access:
    certificate = SERVICE_ACCOUNT / "ca.crt"
    host, port = (environment.get(f"KUBERNETES_SERVICE_{part}", "") for part in ("HOST", "PORT"))
    if not certificate.is_file() or not port:
        raise SettingsError(
            f"the pod's ServiceAccount cannot be used: {certificate} or KUBERNETES_SERVICE_PORT is "
            "missing: mount a service account token with its ca.crt, or set KUBECONFIG"
        )
    address = f"[{host}]" if ":" in host else host
    configuration.host = f"https://{address}:{port}"
    configuration.ssl_ca_cert = str(certificate)
    bearer = _follow(configuration, lambda: _token_of(SERVICE_ACCOUNT / "token"))
    return Access(configuration, bearer, _own_namespace(environment, None))


async def _from_kubeconfig(
    configuration: Any, paths: str, environment: Mapping[str, str], context: str | None
) -> Access:
    if not _exists(paths):
        raise SettingsError(
            f"KUBECONFIG: {paths} does not exist: write the path of a kubeconfig file"
        )
    try:
        loader = await _config.load_kube_config(
            config_file=paths,
            context=context,
            client_configuration=configuration,
            persist_config=False,
        )
        active = loader.current_context
    except Exception as error:  # whatever a malformed file makes the library raise
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise SettingsError(f"KUBECONFIG: {paths} cannot be used: {reason}") from None
    _demand_verified_tls(configuration, paths)
    namespace = (active.get("context") or {}).get("namespace")
    bearer = _rotating(configuration, loader)
    return Access(configuration, bearer, _own_namespace(environment, namespace))


def _exists(paths: str) -> bool:
    return any(Path(part).expanduser().is_file() for part in paths.split(os.pathsep) if part)


def _demand_verified_tls(configuration: Any, paths: str) -> None:
    if not configuration.verify_ssl:
        raise SettingsError(
            f"KUBECONFIG: {paths} says insecure-skip-tls-verify: "
            "name the cluster's certificate-authority instead"
        )
    server = urlsplit(configuration.host)
    if server.scheme != "https" and not is_loopback(server.hostname or ""):
        raise SettingsError(f"KUBECONFIG: {paths} names {configuration.host}: write https://…")


def _rotating(configuration: Any, loader: Any) -> Bearer | None:
    # The library reads a tokenFile only once, and has no public way to the user's entry.
    user = loader._user
    if user is None:
        return None
    if "tokenFile" in user:
        path = Path(user.path).parent / user["tokenFile"]
        return _follow(configuration, lambda: _token_of(path))
    if "exec" in user:
        return _follow(configuration, lambda: _token_of_plugin(loader))
    return None


def _follow(configuration: Any, read: Callable[[], Awaitable[str | None]]) -> Bearer:
    bearer = Bearer(read)
    configuration.refresh_api_key_hook = bearer.refresh
    configuration.api_key.setdefault("BearerToken", "")
    return bearer


async def _token_of(path: Path) -> str | None:
    token = path.read_text(encoding="utf-8").strip()  # noqa: ASYNC240 - a few hundred bytes, once a minute
    return f"Bearer {token}" if token else None


async def _token_of_plugin(loader: Any) -> str | None:
    await loader.load_from_exec_plugin()
    token: str | None = getattr(loader, "token", None)
    return token


def _own_namespace(environment: Mapping[str, str], context: str | None) -> str:
    if name := environment.get("POD_NAMESPACE"):
        return name
    try:
        mounted = (SERVICE_ACCOUNT / "namespace").read_text(encoding="utf-8").strip()
    except OSError:
        mounted = ""
    return mounted or context or "default"
