"""The image that the Dockerfile makes: what is in it, and what is not."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import PurePosixPath

import pytest

from amove_operator import __version__
from controlplane.progress import to_stderr
from node.archive import Archive
from node.images import LABELS, OPERATOR, ROOT, Image, ensure_images
from node.sbom import sbom
from node.sizes import parts
from tests.node.release import HERE, NAME, Release
from tests.node.scripts import LOADED_UNCOMPILED

pytestmark = pytest.mark.node

MIB = 2**20
MOST_MIB = 240
PAGE = ROOT / "docs/node.md"
BUILDERS = {"pip", "pip3", "gcc", "cc", "make", "ld", "as", "easy_install"}
LABEL = "org.opencontainers.image"


@cache
def image() -> Image:
    (found,) = (each for each in ensure_images(to_stderr) if each.name == OPERATOR)
    return found


@cache
def archive() -> Archive:
    return Archive.read(image().archive)


def test_there_is_no_pip_and_no_compiler() -> None:
    names = {
        PurePosixPath(path).name
        for path in archive().sizes
        if PurePosixPath(path).parent.name in ("bin", "sbin")
    }
    assert "amove-operator" in names
    assert names & BUILDERS == set()
    assert not [path for path in archive().sizes if "site-packages/pip/" in path]


def test_nothing_of_the_build_or_of_this_machine_is_left() -> None:
    paths = archive().sizes
    assert [path for path in paths if path.startswith(("src/", "dist/", "opt/tools/"))] == []
    assert [path for path in paths if path.endswith(("pip.conf", "root/ca.crt"))] == []


def test_it_runs_as_a_number_that_is_not_root_and_says_what_it_is() -> None:
    settings = archive().settings
    labels = settings["Labels"]
    assert settings["User"] == "65532:65532"
    assert labels[f"{LABEL}.version"] == __version__
    assert labels[f"{LABEL}.licenses"] == "Apache-2.0"
    assert labels[f"{LABEL}.title"] == "amove-operator"
    given = [f"{name}={labels[f'{LABEL}.{name.lower()}']}" for name in ("REVISION", "SOURCE")]
    assert given == list(LABELS), "they are filled in as the README says"


def test_it_is_as_small_as_the_page_says() -> None:
    assert sum(archive().sizes.values()) < MOST_MIB * MIB
    written = dict(re.findall(r"^\| (.+?) \| (\d+) \|$", PAGE.read_text(), re.MULTILINE))
    for part, size in parts(archive()).items():
        assert abs(size / MIB - int(written[part])) <= max(2, 0.1 * size / MIB), part


def test_all_that_the_operator_loads_is_compiled(release: Release) -> None:
    command = ("exec", f"deploy/{NAME}", HERE, "--", "python3", "-c", LOADED_UNCOMPILED)
    assert release.node.kubectl(*command) == "True []\n"


def test_its_bill_of_materials_names_what_was_pinned_and_the_packages_of_the_base() -> None:
    bill = json.loads(sbom(image().archive))
    assert bill["bomFormat"] == "CycloneDX"
    purls = {component["purl"] for component in bill["components"]}

    lock = (ROOT / "requirements/runtime.lock").read_text()
    pinned = re.findall(r"^([a-z0-9-]+)==(\S+)", lock, re.MULTILINE)
    for name in ("kopf", "httpx", "pydantic"):
        assert any(purl.startswith(f"pkg:pypi/{name}@") for purl in purls)
    python = {purl for purl in purls if purl.startswith("pkg:pypi/")}
    assert python <= {f"pkg:pypi/{name}@{version}" for name, version in pinned} | {
        f"pkg:pypi/amove-operator@{__version__}"
    }
    assert any(purl.startswith("pkg:deb/debian/python3.11-minimal@") for purl in purls)
