"""The image that the Dockerfile makes: what is in it, and what is not."""

from __future__ import annotations

import re
from functools import cache
from pathlib import PurePosixPath

import pytest

from amove_operator import __version__
from controlplane.progress import to_stderr
from node.archive import Archive
from node.images import LABELS, ROOT, ensure_operator
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
def archive() -> Archive:
    return Archive.read(ensure_operator(to_stderr).archive)


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
