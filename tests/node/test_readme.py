"""The README's install section, typed as it is written."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from node.images import OPERATOR, ROOT
from tests.chart.waiting import until
from tests.node.release import CA_FILE, HERE, NAME, NAMESPACE, Release, restrict
from tests.node.team import is_ready

pytestmark = pytest.mark.node

DEMO = "amove-demo"


def blocks() -> list[str]:
    """What the section says to type, block by block."""
    section = (ROOT / "README.md").read_text().split("\n## Install\n")[1].split("\n## ")[0]
    return re.findall(r"```console\n(.*?)```", section, re.DOTALL)


def test_what_the_install_section_says_works_as_written(release: Release, tmp_path: Path) -> None:
    node = release.node
    release.uninstall()
    node.kubectl("delete", "namespace", NAMESPACE, "--timeout=100s")
    # What differs from a user's cluster: where the service is, and who signs for it.
    values = {
        "settings": {"apiUrl": release.service.url, "authUrl": release.service.url},
        "extraEnv": [{"name": "SSL_CERT_FILE", "value": CA_FILE}],
        "image": {"pullPolicy": "Never"},
    }
    (tmp_path / "values.yaml").write_text(yaml.safe_dump(values))
    (tmp_path / "token").write_text(release.token)
    for folder in ("deploy", "examples"):
        (tmp_path / folder).symlink_to(ROOT / folder)

    install, declare = blocks()
    repository, given = OPERATOR.rpartition(":")[0], "--values values.yaml"
    _type(install.replace("<repository>", f"{repository} {given}"), release, tmp_path)
    _type(declare.replace(" --watch", ""), release, tmp_path)

    found = ("amove", f"--namespace={DEMO}")
    until("all are Ready", lambda: all(map(is_ready, node.get(*found)["items"])))
    for kind, field in (("amovebucket", "deletionPolicy"), ("amovestoragekey", "permission")):
        assert field in node.kubectl("explain", f"{kind}.spec")
    node.helm("test", NAME, HERE, "--timeout=120s")
    checked = node.kubectl("exec", f"deploy/{NAME}", HERE, "--", "amove-operator", "doctor")
    assert checked.startswith("ok"), "and its exit code is 0"
    node.kubectl("delete", "--filename", str(ROOT / "examples/quickstart.yaml"), found[1])
    node.kubectl("delete", "namespace", DEMO, "--wait=false")
    restrict(node, NAMESPACE)
    assert node.get("pods", HERE)["items"], "they run under restricted, whose label came later"


def _type(lines: str, release: Release, folder: Path) -> None:
    environ = {**os.environ, **release.node.environ}
    command = ["bash", "-euxo", "pipefail", "-c", lines]
    done = subprocess.run(
        command, cwd=folder, env=environ, capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stderr
