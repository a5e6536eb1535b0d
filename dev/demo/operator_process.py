"""The operator, started on this machine as the Deployment would start it in a pod."""

from __future__ import annotations

import sys
from pathlib import Path

from demo.cluster import Cluster, Manifest
from demo.deployment import local_environment, mounted_files, read_container
from demo.errors import DemoError
from demo.leading import wait_for_leader
from demo.names import SYSTEM
from demo.workplace import Background, Workplace, python_environment


class OperatorProcess:
    """For a cluster that runs no pods of ours; see play.Operator."""

    replicas = 0
    starting = "the operator runs as the Deployment says, with its ServiceAccount's token"
    ending = "the operator ends in order at SIGTERM"

    def __init__(self, place: Workplace, cluster: Cluster) -> None:
        self._place = place
        self._cluster = cluster
        self._process: Background | None = None

    @property
    def _log(self) -> Path:
        return self._place.logs / "operator.log"

    def start(self, deployment: Manifest) -> None:
        """Give it the Deployment's arguments, variables, mounted files and ServiceAccount."""
        container = read_container(deployment)
        for path, content in mounted_files(self._cluster, container, SYSTEM).items():
            self._place.private_file(f"mounts{path}", content)
        account = container.service_account
        kubeconfig = self._cluster.service_account_kubeconfig(SYSTEM, account)
        environ = {
            **python_environment(),
            **local_environment(container, self._place.private / "mounts"),
            "KUBECONFIG": str(self._place.private_file("operator.kubeconfig", kubeconfig)),
        }
        command = [sys.executable, "-m", "amove_operator", *container.arguments]
        self._process = self._place.start("operator", command, environ)
        wait_for_leader(self._cluster, self.require_running)

    def require_running(self) -> None:
        if self._process is not None:
            self._process.require_running()

    def log(self) -> str:
        return self._log.read_text()

    def stop(self) -> None:
        if self._process is not None and (status := self._process.stop()) != 0:
            raise DemoError(f"the operator ended with status {status} at SIGTERM, not with 0")
