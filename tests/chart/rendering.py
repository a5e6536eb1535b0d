"""The chart, and what helm makes of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

CHART = Path(__file__).parents[2] / "deploy/helm/amove-operator"
NAMESPACE = "amove-system"
RELEASE = "amove-operator"

Manifest = dict[str, Any]

REQUIRED: Manifest = {
    "credentials": {"existingSecret": "amove-credentials"},
    "image": {"repository": "harbor.example.com/storage/amove-operator"},
}
"""The values that nobody can guess."""


@dataclass(frozen=True)
class Rendered:
    """What ``helm template`` printed."""

    manifests: list[Manifest]

    def all(self, kind: str) -> list[Manifest]:
        return [each for each in self.manifests if each["kind"] == kind]

    def one(self, kind: str, name: str = RELEASE, namespace: str | None = None) -> Manifest:
        """The only manifest of this kind and name (and namespace, where given)."""
        (found,) = (
            each
            for each in self.all(kind)
            if each["metadata"]["name"] == name
            and namespace in (None, each["metadata"].get("namespace"))
        )
        return found

    @property
    def pod(self) -> Manifest:
        pod: Manifest = self.one("Deployment")["spec"]["template"]["spec"]
        return pod

    @property
    def container(self) -> Manifest:
        (container,) = self.pod["containers"]
        return dict(container)

    @property
    def environment(self) -> dict[str, str]:
        """The variables with a text of their own (not those from the downward API)."""
        return {e["name"]: e["value"] for e in self.container["env"] if "value" in e}
