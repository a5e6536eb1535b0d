"""`make install-yaml`: one file for `kubectl apply`, which is the chart and nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from controlplane import ControlPlane, ensure_binaries
from install_yaml import NAMESPACE, RELEASE, Image, ImageError, RenderError, render
from tests.chart.rendering import CHART, Manifest, Rendered
from tests.chart.waiting import until

NAME = "harbor.example.com:5000/amove-operator"
DIGEST = f"sha256:{'0' * 64}"
KEPT = ("CustomResourceDefinition", "ValidatingAdmissionPolicy")
LABEL = f"--selector=app.kubernetes.io/instance={RELEASE}"


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (NAME, (NAME, "", "")),
        (f"{NAME}:0.1.0", (NAME, "0.1.0", "")),
        (f"{NAME}@{DIGEST}", (NAME, "", DIGEST)),
        (f"{NAME}:0.1.0@{DIGEST}", (NAME, "0.1.0", DIGEST)),
        ("amove-operator:edge", ("amove-operator", "edge", "")),
    ],
)
def test_an_image_is_taken_apart_as_the_values_want_it(text: str, parts: tuple[str, ...]) -> None:
    image = Image.parse(text)
    assert (image.repository, image.tag, image.digest) == parts


@pytest.mark.parametrize("text", ["", "a b", "https://a/b", f"{NAME}@latest", f"{NAME}:"])
def test_what_names_no_image_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="names no image"):
        Image.parse(text)
    command = [sys.executable, "-m", "install_yaml", text, str(tmp_path / "install.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    assert "write it as IMAGE=" in done.stderr


def test_values_that_the_chart_refuses_are_refused(tmp_path: Path) -> None:
    (tmp_path / "values.yaml").write_text("settings: {maxGrace: 5s10m}")
    with pytest.raises(RenderError, match="at '/settings/maxGrace'"):
        render(ensure_binaries() / "helm", Image.parse(NAME), tmp_path / "values.yaml")


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file, written as make writes it, with the values of production."""
    path = tmp_path_factory.mktemp("dist") / "install.yaml"
    values = CHART / "ci/production-values.yaml"
    command = [sys.executable, "-m", "install_yaml", f"{NAME}:edge", str(path), str(values)]
    subprocess.run(command, check=True, timeout=60, capture_output=True)
    return path


def documents(file: Path) -> list[Manifest]:
    return list(yaml.safe_load_all(file.read_text()))


def test_it_is_the_chart_without_what_is_helms(file: Path, render: Callable[..., Rendered]) -> None:
    values = yaml.safe_load((CHART / "ci/production-values.yaml").read_text())
    rendered = render(**{**values, "image": {"repository": NAME, "tag": "edge"}}).manifests
    # Of the release itself only its test is left out, and its marks.
    expected = [without_marks(each) for each in rendered if each["kind"] != "Pod"]
    namespace, *others = documents(file)
    assert others == expected
    assert namespace["kind"] == "Namespace"
    assert namespace["metadata"]["labels"] == {"pod-security.kubernetes.io/enforce": "restricted"}


def test_the_credentials_are_named_and_not_contained(file: Path) -> None:
    found = documents(file)
    assert not any(each["kind"] == "Secret" for each in found)
    (deployment,) = (each for each in found if each["kind"] == "Deployment")
    volume, *_ = deployment["spec"]["template"]["spec"]["volumes"]
    assert volume["secret"]["secretName"] == "amove-credentials"
    assert "kubectl create secret generic amove-credentials" in file.read_text()
    assert "helm.sh/" not in file.read_text()


def test_what_goes_at_an_uninstall_has_the_label_and_what_stays_has_not(file: Path) -> None:
    for each in documents(file):
        labels = each["metadata"].get("labels", {})
        stays = each["kind"].startswith((*KEPT, "Namespace"))
        assert ("app.kubernetes.io/instance" in labels) is not stays, each["metadata"]["name"]


def test_gitops_tools_leave_what_stays_at_an_uninstall(file: Path) -> None:
    kept = {one["metadata"]["name"]: one for one in documents(file)}
    for name in (
        "amove-system",
        "amove-fence",
        "amovebuckets.storage.amove.io",
        "amovestoragekeys.storage.amove.io",
    ):
        annotations = kept[name]["metadata"]["annotations"]
        assert annotations["kustomize.toolkit.fluxcd.io/prune"] == "disabled"
        assert annotations["argocd.argoproj.io/sync-options"] == "Prune=false,Delete=false"


def without_marks(value: Any) -> Any:
    """The manifest without Helm's labels and annotations, and without what is empty then."""
    if isinstance(value, list):
        return [without_marks(each) for each in value]
    if not isinstance(value, dict):
        return value
    marks = ("helm.sh/chart", "helm.sh/resource-policy", "app.kubernetes.io/managed-by")
    kept = {name: without_marks(each) for name, each in value.items() if name not in marks}
    return {n: each for n, each in kept.items() if n != "annotations" or each}


def test_a_control_plane_takes_it_and_the_documented_uninstall_leaves_what_matters(
    plane: ControlPlane, tmp_path: Path
) -> None:
    written = tmp_path / "install.yaml"
    written.write_text(render(ensure_binaries() / "helm", Image.parse(NAME)))
    plane.kubectl("apply", f"--filename={written}")
    crd = "crd/amovebuckets.storage.amove.io"
    plane.kubectl("wait", "--for=condition=Established", crd, "--timeout=120s")

    here = f"--namespace={NAMESPACE}"
    selected = ("get", "replicasets", here, LABEL, "--output=name")
    until("the controller has made Pods' set", lambda: plane.kubectl(*selected).stdout)
    plane.kubectl("apply", f"--filename={written}")
    generation = ("get", "deployment", RELEASE, here, "--output=jsonpath={.metadata.generation}")
    assert plane.kubectl(*generation).stdout == "1", "applied anew, it changes nothing"
    plane.kubectl("apply", here, "--filename=-", input=json.dumps(BUCKET))

    for line in typed("Without Helm"):
        if line[0] == "delete":
            plane.kubectl(*line)

    plane.kubectl("get", "amovebucket", "photos", here)
    left = plane.kubectl("get", "crds,validatingadmissionpolicies", "--output=name").stdout
    assert len([line for line in left.splitlines() if "amove" in line]) == 3
    gone = "deployments,serviceaccounts,services,roles,clusterroles,clusterrolebindings"
    assert plane.kubectl("get", gone, "--all-namespaces", LABEL, "--output=name").stdout == ""

    plane.kubectl("delete", "amovebucket", "photos", here)
    *_, look, definitions, fence = typed("Uninstall")
    assert plane.kubectl(*look).stdout == "", "what the page asks for before the definitions go"
    plane.kubectl(*definitions)
    plane.kubectl(*fence)
    left = plane.kubectl("get", "crds,validatingadmissionpolicies", "--output=name").stdout
    assert "amove" not in left, "what the page says to delete last"


def typed(heading: str) -> list[list[str]]:
    """What a section of docs/upgrade.md has one type to kubectl, in words, a line each."""
    page = (CHART.parents[2] / "docs/upgrade.md").read_text()
    section = page.split(f"\n## {heading}\n")[1].split("\n## ")[0].replace("\\\n", " ")
    lines = (line.split() for line in section.splitlines() if line.startswith("kubectl "))
    return [words for _, *words in lines]


BUCKET = {
    "apiVersion": "storage.amove.io/v1alpha1",
    "kind": "AmoveBucket",
    "metadata": {"name": "photos"},
    "spec": {},
}
