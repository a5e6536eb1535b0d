"""docs/upgrade.md typed on a node: a rollout to another version and back, and what stays."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from amove_operator import __version__
from node.images import OPERATOR
from tests.chart.waiting import until
from tests.node.release import CA_FILE, CHART, HERE, NAME, NAMESPACE, Release
from tests.node.scripts import ONCE, REREADING
from tests.node.team import Team
from tests.node.typed import blocks, typed

pytestmark = pytest.mark.node

PAGE = "docs/upgrade.md"
LATER = "99.0.0"
KIND = "amovebuckets.storage.amove.io"
ISSUING = {"create_storage_key", "delete_storage_key"}


def later_chart(folder: Path) -> Path:
    """The chart of a version that is called later, and has a field more in its CRDs."""
    chart = folder / "later"
    shutil.copytree(CHART, chart)
    about = chart / "Chart.yaml"
    about.write_text(about.read_text().replace(__version__, LATER))
    for path in (chart / "files/crds").glob("storage*.yaml"):
        crd = yaml.safe_load(path.read_text())
        schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
        schema["spec"]["properties"]["later"] = {"type": "string"}
        path.write_text(yaml.safe_dump(crd))
    return chart


def knows_later(release: Release) -> bool:
    crd = release.node.get("crd", KIND)
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return "later" in schema["properties"]["spec"]["properties"]


def versions(release: Release) -> set[str]:
    return {pod["metadata"]["labels"]["app.kubernetes.io/version"] for pod in release.pods()}


def test_a_rollout_to_another_version_and_back_costs_no_request_and_no_key(
    release: Release, team: Team, tmp_path: Path
) -> None:
    node, control = release.node, release.service.control
    node.name_image_too(OPERATOR, f"{OPERATOR.rpartition(':')[0]}:{LATER}")
    team.apply(team.bucket("photos"), team.key("writer", "photos"))
    team.wait_until_ready()
    secret = team.secret("writer")
    team.run("app", REREADING, volume="writer")
    until("the pod works", lambda: "working" in team.wrote("app"))
    seq, first = control.last_seq(), release.wait_for_leader()

    (upgrade,) = blocks(PAGE, "Upgrade")
    chart = str(later_chart(tmp_path))
    said = typed(node, upgrade.replace("deploy/helm/amove-operator", chart), tmp_path)
    assert "held by" in said, "the doctor of helm test"
    until("only the later version runs", lambda: versions(release) == {LATER})
    assert knows_later(release), "Helm updates these CRDs"
    second = release.wait_for_leader()
    assert second != first

    (back,) = blocks(PAGE, "Roll back")
    typed(node, back, tmp_path)
    until("only the former version runs", lambda: versions(release) == {__version__})
    assert not knows_later(release)
    assert release.wait_for_leader() != second
    team.apply(team.bucket("later"))
    team.wait_until_ready()

    node.kubectl("exec", "app", team.here, "--", "sh", "-c", "kill -TERM 1")
    seen = json.loads(team.finished("app").splitlines()[-1])
    assert (seen["lost"], len(seen["keys"])) == (0, 1)
    assert team.secret("writer") == secret
    assert {each["call"] for each in control.journal(after=seq)}.isdisjoint(ISSUING)


def test_the_documented_uninstall_and_then_the_file_for_kubectl_do_the_main_job(
    release: Release, team: Team, tmp_path: Path
) -> None:
    node = release.node
    team.apply(team.bucket("kept"), team.key("gone", "kept"))
    team.wait_until_ready()
    gone = team.secret("gone")["AWS_ACCESS_KEY_ID"]

    uninstall, _definitions = blocks(PAGE, "Uninstall")[:2]
    # Other tests' objects are theirs.
    typed(node, uninstall.replace("--all-namespaces", team.here), tmp_path)
    until("its pods are gone", lambda: not release.pods())
    assert team.objects() == []
    assert team.secret("gone") == {}
    assert gone not in team.live_access_keys()

    values = {
        "settings": {"apiUrl": release.service.url, "authUrl": release.service.url},
        "extraEnv": [{"name": "SSL_CERT_FILE", "value": CA_FILE}],
        "image": {"pullPolicy": "Never"},
    }
    (tmp_path / "values.yaml").write_text(yaml.safe_dump(values))
    file = tmp_path / "install.yaml"
    command = [sys.executable, "-m", "install_yaml", OPERATOR, str(file)]
    subprocess.run([*command, str(tmp_path / "values.yaml")], check=True, timeout=60)
    node.kubectl("apply", f"--filename={file}")
    node.kubectl("rollout", "status", f"deployment/{NAME}", HERE, "--timeout=120s", timeout=150)
    team.apply(team.bucket("by-file"), team.key("writer", "by-file"))
    team.wait_until_ready()
    team.run("consumer", ONCE, env_from="writer")
    assert team.finished("consumer") == "hello 65532\n"
    enforced = node.get("namespace", NAMESPACE)["metadata"]["labels"]
    assert enforced["pod-security.kubernetes.io/enforce"] == "restricted"

    kept = team.secret("writer")
    (removal,) = (each for each in blocks(PAGE, "Without Helm") if "kubectl delete" in each)
    typed(node, removal, tmp_path)
    until("its pods are gone", lambda: not release.pods())
    assert team.secret("writer") == kept
    release.install()
    release.wait_for_leader()
    assert team.secret("writer") == kept
