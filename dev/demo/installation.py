"""What the demo puts into a cluster, and how it takes it out again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from demo.cluster import Cluster, Manifest
from demo.errors import DemoError
from demo.names import (
    CHART,
    CHART_NAME,
    CREDENTIALS,
    FENCE,
    KINDS,
    NAMESPACES,
    RELEASE,
    SYSTEM,
    TENANT,
)
from demo.preflight import served_kinds

DEPLOYMENT = f"{RELEASE}-{CHART_NAME}"


@dataclass(frozen=True)
class Values:
    """What the chart is told, ``others`` besides.

    ``one_namespace``: serve the demo's only, not the whole cluster. ``replicas``: 0 where there is
    no kubelet, or no image: the operator then runs on this machine.
    """

    api_url: str
    install_crds: bool
    one_namespace: bool
    replicas: int = 0
    others: Mapping[str, str] = field(default_factory=dict)

    @property
    def options(self) -> list[str]:
        chosen = {
            "credentials.existingSecret": CREDENTIALS,
            "image.repository": "amove-operator",
            "settings.apiUrl": self.api_url,
            "settings.authUrl": self.api_url,
            "settings.logFormat": "console",
            "crds.install": str(self.install_crds).lower(),
            "replicas": str(self.replicas),
            **self.others,
        }
        if self.one_namespace:
            chosen["settings.watchNamespaces"] = f"{{{TENANT}}}"
        return [f"--set={name}={value}" for name, value in chosen.items()]


class Installation:
    """The namespaces, the credentials Secret and the Helm release."""

    def __init__(self, cluster: Cluster, values: Values) -> None:
        self._cluster = cluster
        self._values = values
        self._namespaces: list[str] = []

    def install(self, token_file: Path) -> Manifest:
        """Do what deploy/helm/amove-operator/README.md says; answer the Deployment."""
        for namespace in NAMESPACES:
            self._cluster.kubectl("create", "namespace", namespace)
            self._namespaces.append(namespace)
        here = f"--namespace={SYSTEM}"
        source = f"--from-file=token={token_file}"
        self._cluster.kubectl("create", "secret", "generic", CREDENTIALS, here, source)
        self._cluster.helm("install", RELEASE, str(CHART), here, *self._values.options)
        crds = [f"customresourcedefinition/{kind}" for kind in KINDS]
        self._cluster.kubectl("wait", "--for=condition=Established", "--timeout=60s", *crds)
        return self._cluster.get("deployment", DEPLOYMENT, here)

    def delete_resources(self) -> None:
        """Delete the buckets and keys in the demo's namespace, while the operator still runs."""
        if TENANT not in self._namespaces or len(served_kinds(self._cluster)) < len(KINDS):
            return
        here, kinds = f"--namespace={TENANT}", ",".join(KINDS)
        try:
            self._cluster.kubectl("delete", kinds, "--all", here, "--timeout=60s")
        except DemoError:
            # Whatever they stand for is in the emulator, which ends with this run.
            for name in self._cluster.kubectl("get", kinds, here, "--output=name").split():
                freed = '{"metadata": {"finalizers": null}}'
                self._cluster.kubectl("patch", name, here, "--type=merge", f"--patch={freed}")

    def remove(self) -> str:
        """Take out what was put in; answer what became of the CRDs and the fence.

        They go only when this run installed them and nobody made objects of theirs meanwhile.
        """
        if SYSTEM in self._namespaces:
            self._cluster.helm("uninstall", RELEASE, f"--namespace={SYSTEM}", "--ignore-not-found")
        if self._namespaces:
            self._cluster.kubectl("delete", "namespace", *self._namespaces, "--timeout=110s")
        served = served_kinds(self._cluster)
        if not self._values.install_crds:
            return "CRDs left as they were"
        if any(self._cluster.items(kind, "--all-namespaces") for kind in served):
            return "CRDs left, since somebody uses them by now"
        self._cluster.kubectl("delete", "customresourcedefinition", "--ignore-not-found", *KINDS)
        self._cluster.kubectl("delete", "--ignore-not-found", *FENCE)
        return "CRDs removed"
