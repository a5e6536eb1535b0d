"""The API server as the tests ask it: as the administrator, over one kept connection."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import httpx
import yaml

from controlplane import AuditEvent, ControlPlane, audit_events
from controlplane.probe import client_context
from tests.cluster.harness import BUCKET, KEY, Manifest, condition, eventually
from tests.patience import PATIENCE

RELEASE = "amove-operator"
SYSTEM = "amove-system"
CHART = Path(__file__).parents[2] / "deploy" / "helm" / "amove-operator"
CHART_OPTIONS = (
    "--set=replicas=0",
    "--set=credentials.existingSecret=amove-credentials,image.repository=unused",
)
OPERATOR_USER = f"system:serviceaccount:{SYSTEM}:{RELEASE}"

_PATHS = {
    BUCKET: "/apis/storage.amove.io/v1alpha1/{}amovebuckets",
    KEY: "/apis/storage.amove.io/v1alpha1/{}amovestoragekeys",
    "Secret": "/api/v1/{}secrets",
    "ConfigMap": "/api/v1/{}configmaps",
    "ServiceAccount": "/api/v1/{}serviceaccounts",
    "Namespace": "/api/v1/namespaces",
    "Event": "/apis/events.k8s.io/v1/{}events",
    "Lease": "/apis/coordination.k8s.io/v1/{}leases",
    "Deployment": "/apis/apps/v1/{}deployments",
    "Pod": "/api/v1/{}pods",
    "Kustomization": "/apis/kustomize.toolkit.fluxcd.io/v1/{}kustomizations",
    "GitRepository": "/apis/source.toolkit.fluxcd.io/v1/{}gitrepositories",
    "ExternalArtifact": "/apis/source.toolkit.fluxcd.io/v1/{}externalartifacts",
}


def install_chart(plane: ControlPlane) -> None:
    """CRDs, ServiceAccount and roles as a user installs them; no Pod: tests run the process."""
    if plane.helm("status", RELEASE, f"--namespace={SYSTEM}", check=False).returncode == 0:
        return  # by another folder's tests of the same run
    plane.kubectl("create", "namespace", SYSTEM)
    plane.helm("install", RELEASE, str(CHART), f"--namespace={SYSTEM}", *CHART_OPTIONS)
    for plural in ("amovebuckets", "amovestoragekeys"):
        name = f"crd/{plural}.storage.amove.io"
        plane.kubectl("wait", "--for=condition=Established", name, "--timeout=120s")


class Cluster:
    """Get, apply, patch, delete; and what the operator wrote. ``namespace`` may be left out.

    Kinds are ``AmoveBucket``, ``AmoveStorageKey``, ``Secret``, ``Namespace`` … (_PATHS).
    """

    def __init__(self, plane: ControlPlane, namespace: str = "default") -> None:
        self.plane = plane
        self.namespace = namespace
        tls = client_context(plane.kubeconfig)
        self._http = httpx.Client(
            base_url=plane.server, verify=tls, trust_env=False, timeout=PATIENCE
        )

    def within(self, namespace: str) -> Cluster:
        """The same for another namespace; the connection is shared."""
        other = object.__new__(Cluster)
        other.plane, other.namespace, other._http = self.plane, namespace, self._http
        return other

    def close(self) -> None:
        self._http.close()

    # -- objects ---------------------------------------------------------------------------------

    def get(self, kind: str, name: str) -> Manifest | None:
        answer = self._http.get(self._path(kind, name))
        return None if answer.status_code == 404 else _done(answer)

    def found(self, kind: str, name: str) -> Manifest:
        """The object; AssertionError when there is none."""
        found = self.get(kind, name)
        assert found is not None, f"there is no {kind} {name}"
        return found

    def every(self, kind: str) -> list[Manifest]:
        items: list[Manifest] = _done(self._http.get(self._path(kind)))["items"]
        return items

    def apply(self, *manifests: Manifest | str) -> list[Manifest]:
        """Server-side apply, of YAML texts also; what is stored afterwards."""
        applied = []
        for each in manifests:
            documents = yaml.safe_load_all(each) if isinstance(each, str) else [each]
            applied += [self._apply(document) for document in documents if document]
        return applied

    def _apply(self, manifest: Manifest) -> Manifest:
        answer = self._http.patch(
            self._path(manifest["kind"], manifest["metadata"]["name"]),
            params={"fieldManager": "test", "force": "true"},
            headers={"Content-Type": "application/apply-patch+yaml"},
            content=json.dumps(manifest),
        )
        return _done(answer)

    def create_text(self, kind: str, text: str) -> None:
        """POST an object as JSON, whatever a library would not write."""
        headers = {"Content-Type": "application/json"}
        answer = self._http.post(self._path(kind), headers=headers, content=text)
        assert answer.is_success, answer.text[:1000]

    def refused(self, manifest: Manifest) -> str:
        """What the API server has against a new object; empty where it would take it. A dry run."""
        answer = self._http.post(
            self._path(manifest["kind"]), params={"dryRun": "All"}, json=manifest
        )
        return "" if answer.is_success else str(answer.json()["message"])

    def patch(self, kind: str, name: str, change: Manifest, subresource: str = "") -> Manifest:
        """A merge patch; ``subresource`` is ``status`` or empty."""
        answer = self._http.patch(
            self._path(kind, name, subresource),
            headers={"Content-Type": "application/merge-patch+json"},
            content=json.dumps(change),
        )
        return _done(answer)

    def patch_if_there(self, kind: str, name: str, change: Manifest) -> None:
        """A merge patch of what may be gone by now."""
        if self.get(kind, name) is not None:
            self.patch(kind, name, change)

    def annotate(self, kind: str, name: str, **annotations: str | None) -> Manifest:
        """Set (None: remove) annotations of our domain: ``paused="true"``, ``_`` for ``-``."""
        ours = {f"storage.amove.io/{k.replace('_', '-')}": v for k, v in annotations.items()}
        return self.patch(kind, name, {"metadata": {"annotations": ours}})

    def delete(self, kind: str, name: str, propagation: str = "Background") -> None:
        """Ask for the deletion; it is not waited for."""
        answer = self._http.delete(
            self._path(kind, name), params={"propagationPolicy": propagation}
        )
        if answer.status_code != 404:
            _done(answer)

    def secret(self, name: str) -> dict[str, str]:
        """A Secret's data, decoded."""
        data = self.found("Secret", name).get("data") or {}
        return {key: b64decode(value).decode() for key, value in data.items()}

    def events(self, name: str) -> list[tuple[str, str]]:
        """(reason, note) of the Events about the object of that name."""
        found = self.every("Event")
        return [(e["reason"], e.get("note", "")) for e in found if e["regarding"]["name"] == name]

    def kubectl(self, *arguments: str, given: str | Sequence[Manifest] | None = None) -> str:
        """What kubectl prints, in the namespace; ``given``: what it reads.

        Raises CommandError with what it complains of.
        """
        where = f"--namespace={self.namespace}"
        text = given if given is None or isinstance(given, str) else yaml.safe_dump_all(given)
        return self.plane.kubectl(*arguments, where, input=text).stdout

    # -- waiting ---------------------------------------------------------------------------------

    def ready(self, kind: str, name: str, deadline: float = PATIENCE) -> Manifest:
        """Wait until Ready is True for the spec as it is now."""
        return self.until(kind, name, "Ready", deadline=deadline)

    def until(
        self,
        kind: str,
        name: str,
        condition_type: str,
        reason: str | None = None,
        *,
        status: str = "True",
        deadline: float = PATIENCE,
    ) -> Manifest:
        """Wait for a condition of that status (and reason), for the spec as it is now."""

        def ask() -> Manifest:
            seen = self.found(kind, name)
            one = condition(seen, condition_type)
            told = (one.get("status"), one.get("observedGeneration"))
            assert told == (status, seen["metadata"]["generation"]), _shown(seen)
            assert reason in (None, one["reason"]), _shown(seen)
            return seen

        what = f"{kind} {name} {condition_type}={status} {reason or ''}"
        return eventually(ask, deadline, what=what)

    def gone(self, kind: str, name: str, deadline: float = PATIENCE) -> None:
        """Wait until there is no such object any more."""

        def ask() -> bool:
            seen = self.get(kind, name)
            assert seen is None, f"it is still there: {seen}"
            return True

        eventually(ask, deadline, what=f"{kind} {name} gone")

    # -- namespaces ------------------------------------------------------------------------------

    def create_namespace(self, name: str) -> None:
        """Return when Secrets can be written and its ServiceAccount is there."""
        self.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        there = self.within(name)
        account = partial(there.get, "ServiceAccount", "default")
        # Long where the API server was started anew a moment ago: the controllers find it again.
        eventually(account, what="its ServiceAccount")

    def drop_namespace(self, name: str) -> None:
        """Let go of all that is in it, whoever holds it, and delete it without waiting.

        The objects first: where the API server was started anew a moment ago, the controller of
        namespaces may not know our kinds yet, and leave objects behind in a namespace that is gone.
        """
        there = self.within(name)

        def emptied() -> bool:
            for kind in (BUCKET, KEY, "ConfigMap"):
                for each in there.every(kind):
                    name, held = each["metadata"]["name"], each["metadata"].get("finalizers")
                    if kind != "ConfigMap":
                        there.delete(kind, name)  # first: the fence lets go of nothing else
                    if held:
                        there.patch_if_there(kind, name, {"metadata": {"finalizers": None}})
            return True

        eventually(emptied, what="nothing that holds it")  # 429 while such a server begins
        self.delete("Namespace", name)

    # -- what the operator wrote -----------------------------------------------------------------

    def now(self) -> datetime:
        """A moment for kube_writes(since)."""
        return datetime.now(UTC)

    def requests(self, since: datetime) -> list[AuditEvent]:
        """The operator's requests of this run that the API server received from then on."""
        return [
            event
            for event in audit_events(self.plane.audit_log)
            if event.received >= since and event.user == OPERATOR_USER
        ]

    def kube_writes(self, since: datetime) -> list[str]:
        """The operator's writes, as ``patch amovebuckets/status photos``.

        Events, Leases and dry runs are left out; one that was refused ends with its status.
        """
        return [
            _told(event)
            for event in self.requests(since)
            if event.writes and event.resource not in ("events", "leases")
        ]

    def _path(self, kind: str, name: str = "", subresource: str = "") -> str:
        path = _PATHS[kind].format(f"namespaces/{self.namespace}/")
        return "/".join(part for part in (path, name, subresource) if part)


def _shown(resource: Manifest) -> str:
    generation = resource["metadata"]["generation"]
    return f"generation {generation}, status {json.dumps(resource.get('status'), indent=1)}"


def _told(event: AuditEvent) -> str:
    resource = "/".join(part for part in (event.resource, event.subresource) if part)
    failed = f" {event.code}" if event.code >= 400 else ""
    # A created object's name may be missing from the audit of older servers.
    return f"{event.verb} {resource} {event.name}{failed}"


def _done(answer: httpx.Response) -> Manifest:
    assert answer.is_success, f"{answer.request.method} {answer.request.url}: {answer.text}"
    body: Manifest = answer.json()
    return body
