"""What Helm would install, without what only Helm understands."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import yaml

from amove_operator.models.keeping import KEPT
from install_yaml.image import Image

Manifest = dict[str, Any]

CHART = Path(__file__).parents[2] / "deploy/helm/amove-operator"
NAMESPACE = "amove-system"
RELEASE = "amove-operator"
CREDENTIALS = "amove-credentials"
_HELMS_LABELS = ("helm.sh/chart", "app.kubernetes.io/managed-by")
_HELMS_ANNOTATIONS = ("helm.sh/resource-policy",)
_HEAD = f"""\
# The Amove operator for `kubectl apply`, made by `make install-yaml` from the chart
# deploy/helm/amove-operator: change that, not this.
#
# Before, the namespace and the Secret with the API token, which is named here and not contained:
#   kubectl create namespace {NAMESPACE}
#   kubectl create secret generic {CREDENTIALS} --namespace {NAMESPACE} --from-file=token=./token
#
# To uninstall, do NOT run `kubectl delete -f` on this file: with the CRDs it would delete every
# AmoveBucket and every AmoveStorageKey of the cluster. docs/upgrade.md says what leaves them.
"""


class RenderError(Exception):
    """Helm refused; the text is what it said."""


def render(helm: Path, image: Image, values: Path | None = None) -> str:
    """The whole file. ``values``: further values of the chart. Raises RenderError."""
    chosen = {
        "credentials.existingSecret": CREDENTIALS,
        "image.repository": image.repository,
        "image.tag": image.tag,
        "image.digest": image.digest,
    }
    command = [str(helm), "template", RELEASE, str(CHART), f"--namespace={NAMESPACE}"]
    command += ["--skip-tests", *(["--values", str(values)] if values else [])]
    command += [f"--set-string={name}={value}" for name, value in chosen.items()]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RenderError(done.stderr.strip())
    rendered = [each for each in yaml.safe_load_all(done.stdout) if each]
    manifests = [_namespace(), *map(_without_helm, rendered)]
    return _HEAD + "".join(f"---\n{yaml.safe_dump(each, sort_keys=False)}" for each in manifests)


def _namespace() -> Manifest:
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    # With it would go the credentials, which are in no Git.
    metadata = {"name": NAMESPACE, "labels": labels, "annotations": dict(KEPT)}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}


def _without_helm(manifest: Manifest) -> Manifest:
    """The same without labels and annotations that speak of a release of Helm's."""
    template = manifest.get("spec", {}).get("template", {})
    for metadata in (manifest["metadata"], template.get("metadata", {})):
        for field, names in (("labels", _HELMS_LABELS), ("annotations", _HELMS_ANNOTATIONS)):
            for name in names:
                metadata.get(field, {}).pop(name, None)
            if metadata.get(field) == {}:
                del metadata[field]
    return manifest
