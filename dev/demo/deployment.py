"""From the Deployment in the cluster to a local process that is the same in all that matters."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demo.cluster import Cluster, Manifest

# They would listen on every interface of a person's machine, and 8080 is often taken.
NO_PORTS = {"AMOVE_HEALTH_PORT": "0", "AMOVE_METRICS_PORT": "0"}


@dataclass(frozen=True)
class Container:
    """What the Deployment's one container gets.

    ``files``: path in the container → (Secret, key in it), for every mounted file.
    """

    arguments: tuple[str, ...]
    environ: Mapping[str, str]
    files: Mapping[str, tuple[str, str]]
    service_account: str


def read_container(deployment: Manifest) -> Container:
    """Take it from a Deployment (apps/v1); the Pod's name and namespace are filled in."""
    pod: Manifest = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    metadata = deployment["metadata"]
    fields = {
        "metadata.name": f"{metadata['name']}-on-this-machine",
        "metadata.namespace": metadata["namespace"],
    }
    secrets = {volume["name"]: volume["secret"] for volume in pod["volumes"]}
    return Container(
        arguments=tuple(container["args"]),
        environ={each["name"]: _value(each, fields) for each in container["env"]},
        files={
            f"{mount['mountPath']}/{item['path']}": (secret["secretName"], item["key"])
            for mount in container["volumeMounts"]
            for secret in [secrets[mount["name"]]]
            for item in secret["items"]
        },
        service_account=pod["serviceAccountName"],
    )


def _value(variable: dict[str, Any], fields: Mapping[str, str]) -> str:
    if "value" in variable:
        return str(variable["value"])
    return fields[variable["valueFrom"]["fieldRef"]["fieldPath"]]


def local_environment(container: Container, root: Path) -> dict[str, str]:
    """The container's variables, with the mounted files' paths moved below ``root``."""
    moved = {path: f"{root}{path}" for path in container.files}
    environ = {name: moved.get(value, value) for name, value in container.environ.items()}
    return {**environ, **NO_PORTS}


def mounted_files(cluster: Cluster, container: Container, namespace: str) -> dict[str, bytes]:
    """What the kubelet would mount: path in the container → content."""
    return {
        path: secret_values(cluster, secret, namespace)[key].encode()
        for path, (secret, key) in container.files.items()
    }


def secret_values(cluster: Cluster, name: str, namespace: str) -> dict[str, str]:
    """A Secret's decoded values, as ``envFrom`` would give them. Never to be printed."""
    secret = cluster.get("secret", name, f"--namespace={namespace}")
    return {key: base64.b64decode(text).decode() for key, text in secret["data"].items()}
