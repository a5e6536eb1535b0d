"""A Git repository as Flux sees one, and the Kustomizations that apply it.

The tests stand in for source-controller as other producers of artifacts do: they serve a tar.gz of
each commit, and write its address and digest to the status of an ExternalArtifact.
"""

from __future__ import annotations

import hashlib
import io
import secrets
import tarfile
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml

from flux_tools import KustomizeController
from flux_tools.controller import NAMESPACE
from tests.cluster.harness import Manifest, condition, eventually
from tests.cluster.harness_cluster import Cluster
from tests.patience import PATIENCE

Files = Mapping[str, str | Manifest | list[Manifest] | None]
TOOLKIT = "kustomize.toolkit.fluxcd.io"
NOTE: Manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "readme"}}
"""What stays to the end: Flux takes a folder without a manifest for a mistake."""


class Server:
    """Serves the files of a folder on loopback."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        handler = partial(_Quiet, directory=str(folder))
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._http.serve_forever)

    @property
    def port(self) -> int:
        return self._http.server_port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


EXTERNAL: Manifest = {"kind": "ExternalArtifact", "spec": {}}
GIT: Manifest = {
    "kind": "GitRepository",
    "spec": {"interval": "1m", "url": "https://git.example.org/fleet"},
}


class Repository:
    """Files, and the artifact of their newest commit."""

    def __init__(self, system: Cluster, name: str, server: Server, source: Manifest) -> None:
        self.name = name
        self.kind = str(source["kind"])
        self.files: dict[str, str] = {}
        self._system = system
        self._server = server
        self._commits = 0
        version = {"apiVersion": "source.toolkit.fluxcd.io/v1"}
        system.apply({**version, **source, "metadata": {"name": name}})

    def commit(self, changes: Files) -> str:
        """Write these files (None: remove), publish the whole; its revision."""
        for path, content in changes.items():
            if content is None:
                del self.files[path]
            else:
                self.files[path] = content if isinstance(content, str) else _yaml(content)
        self._commits += 1
        packed = _packed(self.files)
        digest = hashlib.sha256(packed).hexdigest()
        revision = f"main@sha1:{self._commits:040x}"
        path = f"{self.name}-{self._commits}.tar.gz"
        (self._server.folder / path).write_bytes(packed)
        self._publish(path, digest, revision)
        return revision

    def _publish(self, path: str, digest: str, revision: str) -> None:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        ready = {
            "type": "Ready",
            "status": "True",
            "reason": "Succeeded",
            "message": revision,
            "lastTransitionTime": now,
            "observedGeneration": 1,
        }
        artifact = {
            "path": path,
            "url": f"{self._server.url}/{path}",
            "revision": revision,
            "digest": f"sha256:{digest}",
            "lastUpdateTime": now,
        }
        status = {"status": {"artifact": artifact, "conditions": [ready]}}
        self._system.patch(self.kind, self.name, status, "status")


class FluxSystem:
    """Flux's namespace: its sources and Kustomizations."""

    def __init__(self, whole: Cluster, server: Server, controller: KustomizeController) -> None:
        self.controller = controller
        self.cluster = whole.within(NAMESPACE)
        self._server = server
        self._made: list[str] = []
        self._sources: list[Repository] = []

    def repository(self, name: str = "", source: Manifest = EXTERNAL) -> Repository:
        """An empty one."""
        name = name or f"git-{secrets.token_hex(4)}"
        made = Repository(self.cluster, name, self._server, source)
        self._sources.append(made)
        return made

    def follow(self, repository: Repository, name: str = "", **spec: Any) -> str:
        """Have Flux apply the repository as its docs recommend, pruning and waiting; the name."""
        name = name or repository.name
        self._made.append(name)
        source = {"kind": repository.kind, "name": repository.name}
        defaults = {
            "interval": "1h",
            "retryInterval": "2s",
            "timeout": f"{PATIENCE:.0f}s",
            "prune": True,
            "wait": True,
            "path": "./",
            "sourceRef": source,
        }
        self.cluster.apply(
            {
                "apiVersion": f"{TOOLKIT}/v1",
                "kind": "Kustomization",
                "metadata": {"name": name},
                "spec": defaults | spec,
            }
        )
        return name

    def applied(self, name: str, revision: str) -> Manifest:
        """Wait until Flux says that all of this revision is there and Ready."""

        def ask() -> Manifest:
            seen = self.cluster.found("Kustomization", name)
            status = seen.get("status", {})
            ready = condition(seen, "Ready")
            assert status.get("lastAppliedRevision") == revision, _shown(seen)
            assert (ready["status"], ready["observedGeneration"]) == (
                "True",
                seen["metadata"]["generation"],
            ), _shown(seen)
            return seen

        return eventually(ask, what=f"{name} applied at {revision}")

    def failed(self, name: str, reason: str, revision: str) -> str:
        """Wait until Flux says that this revision failed for that reason; its message."""

        def ask() -> str:
            seen = self.cluster.found("Kustomization", name)
            ready = condition(seen, "Ready")
            assert seen["status"].get("lastAttemptedRevision") == revision, _shown(seen)
            assert (ready["status"], ready["reason"]) == ("False", reason), _shown(seen)
            return str(ready["message"])

        return eventually(ask, what=f"{name} failed: {reason}")

    def waits(self, name: str, revision: str) -> None:
        """Wait until Flux has applied this revision, and waits for it to be healthy."""

        def ask() -> bool:
            seen = self.cluster.found("Kustomization", name)
            assert seen["status"].get("lastAttemptedRevision") == revision, _shown(seen)
            assert condition(seen, "Ready")["status"] == "Unknown", _shown(seen)
            return "Running health checks" in condition(seen, "Reconciling")["message"]

        eventually(ask, what=f"{name} waits for {revision}")

    def again(self, name: str) -> None:
        """Ask for one more reconciliation, as `flux reconcile` does, and wait for its end."""
        moment = secrets.token_hex(8)
        change = {"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": moment}}}
        self.cluster.patch("Kustomization", name, change)

        def ask() -> bool:
            seen = self.cluster.found("Kustomization", name)
            assert seen["status"].get("lastHandledReconcileAt") == moment, _shown(seen)
            return condition(seen, "Ready").get("status") in ("True", "False")

        eventually(ask, what=f"{name} reconciled once more")

    def suspend(self, name: str) -> None:
        """Have Flux leave alone what this Kustomization applied, as `flux suspend` does."""
        self.cluster.patch("Kustomization", name, {"spec": {"suspend": True}})

    def resume(self, name: str) -> None:
        """Have Flux apply it again, with the commits that came meanwhile."""
        self.cluster.patch("Kustomization", name, {"spec": {"suspend": False}})

    def delete(self, name: str) -> None:
        """Delete a Kustomization, and with it what it applied; not waited for."""
        self.cluster.delete("Kustomization", name)

    def let_go_later(self, name: str) -> None:
        """A Kustomization that another one applies goes with the test, without what it applied."""
        self._made.append(name)

    def clean_up(self) -> None:
        """Remove all, without what was applied: the namespaces of the tests go anyway."""
        _let_go(self.cluster, self._made)
        for source in self._sources:
            self.cluster.delete(source.kind, source.name)

    def let_go_of(self, namespace: str) -> None:
        """Remove the Kustomizations of a namespace, without what they applied."""
        place = self.cluster.within(namespace)
        _let_go(place, [each["metadata"]["name"] for each in place.every("Kustomization")])


def _let_go(place: Cluster, names: list[str]) -> None:
    for name in names:
        # One that is suspended is neither applied again nor prunes as it goes.
        place.patch_if_there("Kustomization", name, {"spec": {"suspend": True}})
        place.delete("Kustomization", name)
    for name in names:
        place.gone("Kustomization", name)


def _packed(files: Mapping[str, str]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for path, text in files.items():
            content = text.encode()
            entry = tarfile.TarInfo(path)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def _yaml(content: Manifest | list[Manifest]) -> str:
    return yaml.safe_dump_all(content if isinstance(content, list) else [content])


def _shown(kustomization: Manifest) -> str:
    status = kustomization.get("status", {})
    return f"{status.get('lastAttemptedRevision')}: {status.get('conditions')}"
