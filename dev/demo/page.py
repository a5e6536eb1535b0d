"""The web application of examples/app, in a pod that gets the Secret's values by envFrom."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import yaml

from demo.cluster import Cluster
from demo.errors import DemoError
from demo.names import APP, TENANT
from demo.waiting import until

HERE = f"--namespace={TENANT}"
NAME = "photos"
SECONDS = 60.0
REFUSED = 502
CA_FILE = "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt"


class Page:
    """What a browser would do with it, by HTTP."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._http = httpx.Client(timeout=SECONDS, follow_redirects=True)
        self.address = ""
        """``IP:port``, once it was started."""

    def start(self) -> None:
        """Apply its manifest, and return once it answers."""
        deployment, service = yaml.safe_load_all(APP.read_text())
        pod = deployment["spec"]["template"]["spec"]
        # The emulated store's certificate is signed by the cluster's own authority.
        pod["automountServiceAccountToken"] = True
        pod["containers"][0]["env"] = [{"name": "AWS_CA_BUNDLE", "value": CA_FILE}]
        manifest = yaml.safe_dump_all([deployment, service])
        self._cluster.kubectl("apply", HERE, "--filename=-", given=manifest)
        rollout = ("rollout", "status", f"deployment/{NAME}", HERE, "--timeout=120s")
        self._cluster.kubectl(*rollout)
        spec = self._cluster.get("service", NAME, HERE)["spec"]
        self.address = f"{spec['clusterIP']}:{spec['ports'][0]['port']}"
        self._http.base_url = httpx.URL(f"http://{self.address}")
        # The proxy of the node hears of a Ready pod a moment after we do.
        until(self._shown, SECONDS, lambda: f"{self.address} answers", lambda: None)

    def upload(self, name: str, text: str) -> None:
        self._post("/upload", key=name, text=text)

    def delete(self, name: str) -> None:
        self._post("/delete", key=name)

    def wait_until_listed(self, name: str, *, listed: bool, check: Callable[[], None]) -> None:
        """Return when the page shows the object, or no more. ``check()`` may raise on the way."""
        what = f"the page lists {name}" if listed else f"the page does not list {name}"
        until(
            lambda: (f"<td>{name}</td>" in self._shown()) is listed,
            SECONDS,
            lambda: what,
            check,
        )

    def require_refused(self) -> None:
        """Raise DemoError unless the store refuses it by now."""
        if (status := self._http.get("/").status_code) != REFUSED:
            raise DemoError(f"the page answers {status}, expected {REFUSED}: its key is revoked")

    def _shown(self) -> str:
        try:
            return self._http.get("/").text
        except httpx.TransportError:
            return ""

    def _post(self, path: str, **form: str) -> None:
        answer = self._http.post(path, data=form)
        if answer.is_error:
            raise DemoError(f"the page answers {answer.status_code} to {path}")
