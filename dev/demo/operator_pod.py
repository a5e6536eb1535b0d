"""The operator where users run it: in a pod of the Deployment, started by the kubelet."""

from __future__ import annotations

from demo.cluster import Cluster, Manifest
from demo.errors import DemoError
from demo.installation import DEPLOYMENT
from demo.leading import leader, wait_for_leader
from demo.names import CHART_NAME, SYSTEM

HERE = f"--namespace={SYSTEM}"
DEPLOYED = f"deployment/{DEPLOYMENT}"
PODS = f"--selector=app.kubernetes.io/name={CHART_NAME}"


class OperatorPod:
    """For a cluster with a node that has the image; see play.Operator."""

    replicas = 1
    starting = "the operator's pod is Ready, by the kubelet's probes, and leads"
    ending = "the operator's pod ends in order, and its Lease is free at once"
    log_command = f"kubectl logs {HERE} --follow {DEPLOYED}"

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._started = False

    def start(self, _deployment: Manifest) -> None:
        """It has been started by whoever installed the chart."""
        self._started = True
        self._cluster.kubectl("rollout", "status", DEPLOYED, HERE, "--timeout=120s")
        wait_for_leader(self._cluster, self.require_running)

    def require_running(self) -> None:
        if not self._started:
            return
        for pod in self._cluster.items("pods", HERE, PODS):
            restarts = sum(each["restartCount"] for each in pod["status"]["containerStatuses"])
            if restarts:
                raise DemoError(f"the pod was started again; its last words:\n{self.log()[-2000:]}")

    def log(self) -> str:
        return self._cluster.kubectl("logs", HERE, DEPLOYED, "--tail=-1")

    def stop(self) -> None:
        if not self._started:
            return
        self._cluster.kubectl("scale", DEPLOYED, HERE, "--replicas=0")
        self._cluster.kubectl("wait", "pods", HERE, PODS, "--for=delete", "--timeout=60s")
        if holder := leader(self._cluster):
            raise DemoError(f"the Lease is still held by {holder}, which has ended")
