"""Kubeconfig files. They are JSON, which every reader of YAML reads."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from controlplane.certificates import write_private


@dataclass(frozen=True)
class Cluster:
    """Where the API server is (``https://127.0.0.1:port``) and the CA (PEM) that proves it."""

    server: str
    ca: bytes


def certificate_user(certificate: bytes, key: bytes) -> Mapping[str, str]:
    """The credentials of a client certificate, both parts PEM."""
    return {"client-certificate-data": _base64(certificate), "client-key-data": _base64(key)}


def token_user(token: str) -> Mapping[str, str]:
    return {"token": token}


def write_kubeconfig(
    path: Path, cluster: Cluster, user: Mapping[str, str], namespace: str = "default"
) -> Path:
    """Write ``path`` (mode 0600) with one context, whose default namespace is ``namespace``."""
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": "controlplane",
                "cluster": {
                    "server": cluster.server,
                    "certificate-authority-data": _base64(cluster.ca),
                },
            }
        ],
        "users": [{"name": "user", "user": dict(user)}],
        "contexts": [
            {
                "name": "controlplane",
                "context": {"cluster": "controlplane", "user": "user", "namespace": namespace},
            }
        ],
        "current-context": "controlplane",
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    write_private(path, json.dumps(content, indent=2).encode())
    return path


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()
