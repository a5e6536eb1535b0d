"""The chart, installed as its README says, with the operator's pods on the node."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from controlplane import CommandError
from node import Node
from node.images import OPERATOR
from tests.chart.waiting import until
from tests.node.service import Service

CHART = Path(__file__).parents[2] / "deploy/helm/amove-operator"
NAMESPACE = "amove-system"
NAME = "amove-operator"
CREDENTIALS = "amove-credentials"
CA_FILE = "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt"
SELECTOR = f"app.kubernetes.io/instance={NAME},app.kubernetes.io/name={NAME}"
HERE = f"--namespace={NAMESPACE}"
REPLICAS = 2
# Pods that are deleted by force are gone from the API, and the Lease waits for its end.
HANDOVER_SECONDS = 60.0
INSTALL_SECONDS = 40

Manifest = dict[str, Any]


class Release:
    """Two replicas in a namespace that enforces Pod Security restricted."""

    def __init__(self, node: Node, service: Service) -> None:
        self.node = node
        self.service = service
        self.token = ""

    def prepare(self) -> None:
        """The namespace and the Secret with the API token, as the README's first lines."""
        self.node.kubectl("create", "namespace", NAMESPACE)
        restrict(self.node, NAMESPACE)
        self.write_token(self.service.api_token)

    def write_token(self, token: str) -> None:
        """Put a token into the credentials Secret, as a person replaces it."""
        self.token = token
        self.write_secret(CREDENTIALS, {"token": token})

    def write_secret(self, name: str, values: Mapping[str, str]) -> None:
        """Apply a Secret in the release's namespace."""
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "stringData": values,
        }
        self.node.kubectl("apply", "--filename=-", input=json.dumps(secret))

    def install(self, **values: str) -> None:
        """`helm upgrade --install --wait` with the values of two replicas, and these."""
        self._install({**self._of_this_node(), **self._of_tests(), **values}, REPLICAS)

    def install_set(self, file: Path, replicas: int, values: Mapping[str, str]) -> None:
        """The same with a file of values, these, and only what differs on this node."""
        self._install({**self._of_this_node(), **values}, replicas, f"--values={file}")

    def _install(self, values: Mapping[str, str], replicas: int, *more: str) -> None:
        options = [*more, *(f"--set={name}={value}" for name, value in values.items())]
        command = ("upgrade", "--install", NAME, str(CHART), HERE, *options)
        try:
            self.node.helm(*command, "--wait", f"--timeout={INSTALL_SECONDS}s", timeout=300)
        except CommandError as failure:
            raise AssertionError(f"{failure}\n{self.diagnosis()}") from None
        until("its replicas run and no other", lambda: len(self.pods()) == replicas)

    def _of_this_node(self) -> dict[str, str]:
        return {
            "image.repository": OPERATOR.rpartition(":")[0],
            "image.pullPolicy": "Never",
            "settings.apiUrl": self.service.url,
            "settings.authUrl": self.service.url,
        }

    def _of_tests(self) -> dict[str, str]:
        return {
            "credentials.existingSecret": CREDENTIALS,
            "settings.listingSettle": "1s",
            "settings.rateLimit": "200",
            "settings.trustedNamespaces": "{trusted}",
            "extraEnv[0].name": "SSL_CERT_FILE",
            "extraEnv[0].value": CA_FILE,
        }

    def uninstall(self) -> None:
        self.node.helm("uninstall", NAME, HERE, "--wait", "--timeout=120s", timeout=150)
        until("its pods are gone", lambda: not self.pods())

    def pods(self) -> list[Manifest]:
        """Its pods that are not on their way out, the oldest first."""
        found = self.node.get("pods", HERE, f"--selector={SELECTOR}")["items"]
        left = [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]
        return sorted(left, key=lambda pod: str(pod["metadata"]["creationTimestamp"]))

    def leader(self) -> str:
        """The name of the pod that holds the Lease; "" for nobody."""
        found = self.node.kubectl("get", "lease", NAME, HERE, "--output=json", "--ignore-not-found")
        holder = json.loads(found)["spec"].get("holderIdentity") or "" if found else ""
        names = [pod["metadata"]["name"] for pod in self.pods()]
        return next((name for name in names if name in holder), "")

    def wait_for_leader(self, *, other_than: str = "") -> str:
        """The leader's name, as soon as there is one (another)."""
        return until(
            "a pod leads",
            lambda: "" if (name := self.leader()) == other_than else name,
            deadline=HANDOVER_SECONDS * 2,
        )

    def restarts(self) -> dict[str, int]:
        """By pod: how often its container was started again."""
        return {
            pod["metadata"]["name"]: sum(each["restartCount"] for each in statuses)
            for pod in self.pods()
            for statuses in [pod["status"].get("containerStatuses", [])]
        }

    def diagnosis(self) -> str:
        """What a person would ask for first."""
        return "\n".join(
            self.node.plane.kubectl(*command, HERE, check=False).stdout[-5000:]
            for command in (
                ("get", "pods", "--output=wide"),
                ("get", "events", "--sort-by=.lastTimestamp"),
                ("logs", f"--selector={SELECTOR}", "--tail=15", "--prefix"),
            )
        )

    def logs(self) -> str:
        """What all its pods wrote."""
        options = (f"--selector={SELECTOR}", "--tail=-1", "--prefix", HERE)
        return self.node.kubectl("logs", *options)


def restrict(node: Node, namespace: str) -> None:
    """Enforce Pod Security restricted: a pod that does not keep it is refused."""
    label = "pod-security.kubernetes.io/enforce=restricted"
    node.kubectl("label", "namespace", namespace, label, "--overwrite")
