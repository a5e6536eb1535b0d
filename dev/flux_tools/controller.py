"""Runs Flux's kustomize-controller against a control plane, as Flux installs it."""

from __future__ import annotations

import http.client
import json
import shutil
import tempfile
from contextlib import closing, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from controlplane import ControlPlane
from controlplane.components import LOOPBACK, free_ports
from controlplane.probe import wait_until
from controlplane.processes import Program, Warden
from flux_tools.fetch import Flux

NAMESPACE = "flux-system"
ACCOUNT = "kustomize-controller"
GRACE = 10.0
_GROUPS = ("kustomize.toolkit.fluxcd.io", "source.toolkit.fluxcd.io")
_RBAC = "rbac.authorization.k8s.io"


class KustomizeController:
    """The process, with the rights that Flux gives it: its ServiceAccount is cluster-admin."""

    def __init__(self, plane: ControlPlane, flux: Flux, *, start_deadline: float = 120.0) -> None:
        self._plane = plane
        self._flux = flux
        self._deadline = start_deadline
        self._root = Path(tempfile.mkdtemp(prefix="amove-flux-"))
        self._program: Program | None = None

    def __enter__(self) -> Self:
        (self._root / "logs").mkdir()
        (self._root / "tmp").mkdir()
        self._warden = Warden(remove=[self._root / "tmp", self._root / "kubeconfig"])
        try:
            self._install()
            self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        self._warden.dismiss()
        shutil.rmtree(self._root)

    def start(self, *options: str) -> None:
        """Return when it is ready to reconcile. ``options``: more of its own command line."""
        metrics, health = free_ports(2)
        self._program = program = Program.start(
            [*_command(self._flux.controller, metrics, health), *options],
            self._root,
            self._warden,
            environ={
                "KUBECONFIG": str(self._root / "kubeconfig"),
                "RUNTIME_NAMESPACE": NAMESPACE,
                "TMPDIR": str(self._root / "tmp"),
                "GOMAXPROCS": "2",
            },
        )
        wait_until(
            "kustomize-controller ready",
            lambda: is_ready(health),
            self._deadline,
            program.require_running,
        )

    def stop(self) -> None:
        """End it; what it applied stays."""
        if self._program is not None:
            self._program.stop(GRACE)
            self._program = None

    @property
    def log(self) -> str:
        """All that it said."""
        return (self._root / "logs" / "kustomize-controller.log").read_text(errors="replace")

    def _install(self) -> None:
        """CRDs, namespace, ServiceAccount and rights."""
        plane = self._plane
        plane.kubectl("apply", "--server-side", "-f", str(self._flux.crds))
        crds = plane.kubectl("get", "crd", "-o", "name").stdout.split()
        of_flux = [name for name in crds if name.endswith(_GROUPS)]
        plane.kubectl("wait", "--for=condition=Established", *of_flux, "--timeout=60s")
        plane.kubectl("apply", "-f", "-", input=json.dumps(_manifests()))
        plane.service_account_kubeconfig(NAMESPACE, ACCOUNT, self._root / "kubeconfig")


def _command(program: Path, metrics: int, health: int) -> list[str]:
    return [
        str(program),
        "--watch-all-namespaces=true",
        "--enable-leader-election=false",
        "--feature-gates=ExternalArtifact=true",
        f"--metrics-addr={LOOPBACK}:{metrics}",
        f"--health-addr={LOOPBACK}:{health}",
        "--log-level=debug",
        # How soon a Kustomization looks again at one that it depends on.
        "--requeue-dependency=2s",
        # An artifact that is not to be had is not waited for by minutes.
        "--http-retry=2",
    ]


def _manifests() -> dict[str, Any]:
    subject = {"kind": "ServiceAccount", "name": ACCOUNT, "namespace": NAMESPACE}
    admin = {"apiGroup": _RBAC, "kind": "ClusterRole"}
    items: list[dict[str, Any]] = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": ACCOUNT, "namespace": NAMESPACE},
        },
        {
            # As Flux installs it: who may edit a namespace may edit its Kustomizations.
            "apiVersion": f"{_RBAC}/v1",
            "kind": "ClusterRole",
            "metadata": {
                "name": "flux-edit",
                "labels": {f"{_RBAC}/aggregate-to-{role}": "true" for role in ("edit", "admin")},
            },
            "rules": [
                {
                    "apiGroups": list(_GROUPS),
                    "resources": ["*"],
                    "verbs": ["create", "delete", "deletecollection", "patch", "update"],
                }
            ],
        },
        {
            "apiVersion": f"{_RBAC}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "cluster-reconciler"},
            "roleRef": {**admin, "name": "cluster-admin"},
            "subjects": [subject],
        },
    ]
    return {"apiVersion": "v1", "kind": "List", "items": items}


def is_ready(health: int) -> bool:
    """Whether what listens there says so. http.client knows no proxy of a person."""
    with suppress(OSError, http.client.HTTPException):
        asked = http.client.HTTPConnection(LOOPBACK, health, timeout=2)
        with closing(asked):
            asked.request("GET", "/readyz")
            return asked.getresponse().status == 200
    return False
