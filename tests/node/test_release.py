"""A release, which `make test-node` has rehearsed before: each of its parts is used once."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from amove_operator import __version__
from node import NodeError
from node.images import ROOT, Image
from release.agreement import Sources, git
from release.making import PLATFORM, REHEARSED_IMAGE, Order, make_release
from release.programs import ensure_programs
from release.signing import BUNDLE, PUBLIC, SUMS, generate_key, sign, verify, write_sums
from tests.node.release import HERE, NAME, Release

pytestmark = pytest.mark.node

WHEEL = f"amove_operator-{__version__}-py3-none-any.whl"
SDIST = f"amove_operator-{__version__}.tar.gz"
CHART = f"amove-operator-{__version__}.tgz"
IMAGE = f"amove-operator-{__version__}-{PLATFORM}.oci.tar"
BILLS = ("sbom.cdx.json", "sbom.spdx.json")
PARTS = {WHEEL, SDIST, CHART, IMAGE, *BILLS, "install.yaml", "release.json"}


@pytest.fixture(scope="module")
def parts() -> Path:
    """The folder of the rehearsed release."""
    folder = ROOT / f"dist/rehearsal/release-{__version__}"
    again = "make test-node makes it first: python -m release --rehearse --output dist/rehearsal"
    assert folder.is_dir(), again
    described = json.loads((folder / "release.json").read_text())
    assert described["revision"] == git(ROOT, "rev-parse", "HEAD").strip(), again
    return folder


def _run(*command: str, cwd: Path, **environ: str) -> str:
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_release_has_all_its_parts_and_is_checked_as_the_page_says(parts: Path) -> None:
    assert {path.name for path in parts.iterdir() if not path.name.endswith(BUNDLE)} == {
        *PARTS,
        PUBLIC,
        SUMS,
    }
    done = _checked(parts, parts / PUBLIC)
    assert done.returncode == 0, done.stdout + done.stderr
    assert set(re.findall(r"^(\S+): OK$", done.stdout, re.MULTILINE)) == PARTS


def _checked(folder: Path, key: Path) -> subprocess.CompletedProcess[str]:
    """What the page says to type, with the key that it names, by a shell that stops at nothing."""
    page = (ROOT / "docs/release.md").read_text().split("\n## Check a release\n")[1]
    (typed,) = re.findall(r"```console\n(.*?)```", page, re.DOTALL)
    return subprocess.run(
        ["bash", "-c", typed.replace("../cosign.pub", str(key))],
        cwd=folder,
        env={**os.environ, "PATH": f"{ensure_programs(print)}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def _made(folder: Path, key: Path) -> Path:
    """A small release, signed by that key."""
    folder.mkdir()
    for name in ("install.yaml", "release.json", "sbom.cdx.json"):
        (folder / name).write_text(f"{name} by {key.parent.name}\n")
    write_sums(folder)
    sign(ensure_programs(print) / "cosign", str(key), folder)
    return folder


def _key(folder: Path) -> Path:
    folder.mkdir()
    return generate_key(ensure_programs(print) / "cosign", folder)


def test_whoever_swaps_files_on_the_way_with_their_signatures_and_the_key_is_found_out(
    tmp_path: Path,
) -> None:
    ours, theirs = _key(tmp_path / "us"), _key(tmp_path / "them")
    public = ours.with_name(PUBLIC)
    assert _checked(_made(tmp_path / "release", ours), public).returncode == 0
    swapped = _made(tmp_path / "swapped", theirs)
    assert _checked(swapped, public).returncode != 0, "all of it, with a key beside it"
    for names in (("install.yaml",), (SUMS,), ("install.yaml", SUMS)):
        folder = tmp_path / "-".join(names)
        shutil.copytree(tmp_path / "release", folder)
        for name in names:
            for each in (name, f"{name}{BUNDLE}"):
                shutil.copyfile(swapped / each, folder / each)
        assert _checked(folder, public).returncode != 0, names


def test_a_key_that_cannot_be_read_is_refused_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cosign = ensure_programs(print) / "cosign"
    _run(str(cosign), "generate-key-pair", cwd=tmp_path, COSIGN_PASSWORD="right")
    monkeypatch.delenv("COSIGN_PASSWORD", raising=False)
    done: list[str] = []
    key, output = str(tmp_path / "cosign.key"), tmp_path / "dist"
    # As for a release, but for a tag and an address, which the sources lack here.
    order = Order(root=ROOT, output=output, image=REHEARSED_IMAGE, key=key)
    monkeypatch.setattr(Sources, "unfinished", lambda _: ())
    with pytest.raises(
        NodeError, match=r"(?s)its password is in COSIGN_PASSWORD.*decryption failed"
    ):
        make_release(order, done.append)
    assert list(output.iterdir()) == []
    assert not [line for line in done if line.startswith("building")]


@pytest.mark.parametrize("name", ["install.yaml", CHART, SUMS])
def test_a_file_that_was_changed_is_refused(parts: Path, name: str, tmp_path: Path) -> None:
    cosign = ensure_programs(print) / "cosign"
    for each in (name, f"{name}{BUNDLE}"):
        shutil.copyfile(parts / each, tmp_path / each)
    verify(cosign, parts / PUBLIC, tmp_path / name)
    with (tmp_path / name).open("ab") as file:
        file.write(b"\n")
    with pytest.raises(NodeError, match="invalid signature"):
        verify(cosign, parts / PUBLIC, tmp_path / name)


def test_the_wheel_is_installed_and_says_its_version(parts: Path, tmp_path: Path) -> None:
    """Of what it needs, the versions that the tests have: nothing is fetched."""
    venv = tmp_path / "venv"
    _run(sys.executable, "-m", "venv", "--without-pip", str(venv), cwd=tmp_path)
    python = venv / "bin/python"
    install = ("-m", "pip", "--python", str(python), "install", "--no-deps", "--no-index")
    _run(sys.executable, *install, str(parts / WHEEL), cwd=tmp_path)
    (own,) = (venv / "lib").glob("python3*/site-packages")
    (own / "others.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    shown = _run(str(venv / "bin/amove-operator"), "--version", cwd=tmp_path, PYTHONPATH="")
    assert shown.strip() == f"amove-operator {__version__}"
    where = "import amove_operator; print(amove_operator.__file__)"
    assert str(own) in _run(str(python), "-c", where, cwd=tmp_path, PYTHONPATH="")


def test_the_sdist_builds_the_same_wheel(parts: Path, tmp_path: Path) -> None:
    build = ("-m", "pip", "wheel", "--no-deps", "--no-index", "--no-build-isolation")
    _run(sys.executable, *build, str(parts / SDIST), "--wheel-dir", str(tmp_path), cwd=tmp_path)
    assert _contents(tmp_path / WHEEL) == _contents(parts / WHEEL)


def _contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as file:
        return {name: file.read(name) for name in file.namelist()}


def test_both_bills_of_materials_name_what_was_pinned_and_the_packages_of_the_base(
    parts: Path,
) -> None:
    cyclonedx, spdx = (json.loads((parts / name).read_text()) for name in BILLS)
    component = cyclonedx["metadata"]["component"]
    assert (component["name"], component["version"]) == ("amove-operator", __version__)
    found = {each["purl"] for each in cyclonedx["components"] if "purl" in each}
    assert {purl.partition("?")[0] for purl in _purls(spdx)} >= {
        purl.partition("?")[0] for purl in found
    }
    lock = (ROOT / "requirements/runtime.lock").read_text()
    pinned = {
        f"pkg:pypi/{name}@{version}"
        for name, version in re.findall(r"^([a-z0-9-]+)==(\S+)", lock, re.MULTILINE)
    }
    python = {purl for purl in found if purl.startswith("pkg:pypi/")}
    assert len(python) > 20
    assert python <= pinned | {f"pkg:pypi/amove-operator@{__version__}"}
    assert any(purl.startswith("pkg:deb/debian/python3.11-minimal@") for purl in found)


def test_make_sbom_writes_the_same_without_a_release(parts: Path, tmp_path: Path) -> None:
    _run(sys.executable, "-m", "release", "--bill", str(tmp_path / "bill"), cwd=ROOT)
    bill, of_release = (
        {each["purl"] for each in json.loads(path.read_text())["components"] if "purl" in each}
        for path in (tmp_path / "bill", parts / "sbom.cdx.json")
    )
    assert bill == of_release


def _purls(spdx: dict[str, Any]) -> set[str]:
    return {
        reference["referenceLocator"]
        for package in spdx["packages"]
        for reference in package.get("externalRefs", [])
        if reference["referenceType"] == "purl"
    }


def test_the_image_is_imported_and_the_chart_installed_from_its_archive(
    parts: Path, release: Release
) -> None:
    node, described = release.node, json.loads((parts / "release.json").read_text())
    image = f"{REHEARSED_IMAGE}:{__version__}"
    assert described["image"] == image
    node.containers.load(Image(image, parts / IMAGE))
    given = ("--reset-then-reuse-values", f"--set=image.repository={REHEARSED_IMAGE}")
    chart = str(parts / CHART)
    node.helm("upgrade", NAME, chart, HERE, *given, "--wait", "--timeout=120s", timeout=150)

    deployment = node.get("deployment", NAME, HERE)
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["image"] == image
    assert deployment["status"]["readyReplicas"] == deployment["spec"]["replicas"]
    pod = release.wait_for_leader()
    (status,) = node.get("pod", pod, HERE)["status"]["containerStatuses"]
    digest, manifest, settings = _described(parts / IMAGE)
    assert described["digest"] == digest
    assert status["imageID"] == manifest["config"]["digest"], "the pod runs what is in the archive"
    labels = settings["config"]["Labels"]
    assert labels["org.opencontainers.image.revision"] == described["revision"]
    assert labels["org.opencontainers.image.version"] == __version__


def _described(archive: Path) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """The image's digest, its manifest and its configuration."""
    with tarfile.open(archive) as tar:

        def read(name: str) -> Any:
            file = tar.extractfile(name)
            assert file is not None
            return json.load(file)

        (listed,) = read("index.json")["manifests"]
        digest = str(listed["digest"])
        manifest = read(f"blobs/{digest.replace(':', '/')}")
        settings = read(f"blobs/{manifest['config']['digest'].replace(':', '/')}")
        return digest, manifest, settings


def test_the_file_for_kubectl_is_taken_by_the_api_server(parts: Path, release: Release) -> None:
    """What it does is shown in tests/chart."""
    text = (parts / "install.yaml").read_text()
    assert f"image: {REHEARSED_IMAGE}:{__version__}" in text
    apply = ("apply", "--dry-run=server", "--server-side", "--force-conflicts", "--filename")
    assert "deployment.apps/" in release.node.kubectl(*apply, str(parts / "install.yaml"))
