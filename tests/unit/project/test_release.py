"""A release is refused with a sentence for each thing that does not agree."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import amove_operator
from controlplane import BinariesMissingError
from release import making
from release.agreement import CHART, PAGES, Sources
from release.errors import ReleaseError
from release.making import Order, make_release
from release.programs import PROGRAMS, TOOLS, ensure_programs

ROOT = Path(__file__).parents[3]
VERSION = amove_operator.__version__
DATED = f"## {VERSION} - 2026-12-01"
CHANGELOG = f"# Changelog\n\n## Unreleased\n\n{DATED}\n\n### Added\n- All of it.\n"
INIT = "operator/amove_operator/__init__.py"
FILES = ("pyproject.toml", INIT, f"{CHART}/Chart.yaml", "Dockerfile", *PAGES)
ITS_OWN = f"and pyproject.toml {VERSION}: write {VERSION} there"


def git(root: Path, *arguments: str) -> None:
    """As nobody in particular, and without what the person at this machine has set."""
    who = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@example.org"}
    who |= {"GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@example.org"}
    alone = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}
    environ = {**os.environ, **who, **alone}
    subprocess.run(["git", *arguments], cwd=root, env=environ, capture_output=True, check=True)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository in which all agrees, committed and tagged."""
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, tmp_path / name)
    (tmp_path / "CHANGELOG.md").write_text(CHANGELOG)
    reached = r"\g<0>\n    email: reports@example.org"
    replaced(f"{CHART}/Chart.yaml", r"  - name: .* maintainers$", reached)(tmp_path)
    replaced(f"{CHART}/Chart.yaml", r"^sources: .*", "sources: [https://git.example.org]")(tmp_path)
    git(tmp_path, "init", "--quiet")
    commit(tmp_path)
    return tmp_path


def commit(root: Path) -> None:
    git(root, "add", ".")
    git(root, "commit", "--quiet", "--message=All of it")
    git(root, "tag", f"v{VERSION}")


def replaced(name: str, old: str, new: str) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        text = (root / name).read_text()
        changed, times = re.subn(old, new, text, count=1, flags=re.MULTILINE)
        assert times == 1
        (root / name).write_text(changed)

    return change


def said(root: Path) -> list[str]:
    sources = Sources.read(root)
    return [*sources.disagreements(), *sources.unfinished()]


def test_where_all_agrees_nothing_is_said(root: Path) -> None:
    assert said(root) == []


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            replaced(f"{CHART}/Chart.yaml", r"\nversion: .*", "\nversion: 99.0.0"),
            f"version in Chart.yaml says 99.0.0, {ITS_OWN}",
        ),
        (
            replaced(f"{CHART}/Chart.yaml", r"appVersion: .*", 'appVersion: "99.0.0"'),
            f"appVersion in Chart.yaml says 99.0.0, {ITS_OWN}",
        ),
        (
            replaced(f"{CHART}/Chart.yaml", r"\n *email: .*", ""),
            "Chart.yaml has no maintainer's address, and SECURITY.md has reports sent there: ",
        ),
        (
            replaced(f"{CHART}/Chart.yaml", r"^sources: .*", "sources: [https://www.amove.io]"),
            "sources in Chart.yaml is not where the project's repository is, ",
        ),
        (
            replaced("Dockerfile", r'image\.version="[^"]*"', 'image.version="99.0.0"'),
            f"the image's label in the Dockerfile says 99.0.0, {ITS_OWN}",
        ),
        (
            replaced("Dockerfile", r'image\.version="[^"]*"', 'image.vendor="x"'),
            f"the image's label in the Dockerfile says nothing, {ITS_OWN}",
        ),
        (
            replaced("README.md", r"<repository>:[0-9.]+", "<repository>:99.0.0"),
            f"docker build in README.md says 99.0.0, {ITS_OWN}",
        ),
        (
            replaced("docs/install.md", r"<repository>:[0-9.]+", "<repository>:99.0.0"),
            f"docker build in docs/install.md says 99.0.0, {ITS_OWN}",
        ),
        (
            replaced(INIT, r'__version__ = ".*"', '__version__ = "99.0.0"'),
            f"amove_operator.__version__ says 99.0.0, {ITS_OWN}",
        ),
        (
            replaced("CHANGELOG.md", DATED, "## 0.0.9 - 2026-12-01"),
            f'CHANGELOG.md has no section "## {VERSION} - <date>": ',
        ),
        (
            replaced("CHANGELOG.md", " - 2026-12-01", ""),
            f'CHANGELOG.md has no date for {VERSION}: write "## {VERSION} - <date>"',
        ),
        (
            replaced("CHANGELOG.md", "## Unreleased\n", "## Unreleased\n- Late.\n- Later.\n"),
            f"CHANGELOG.md has 2 lines under Unreleased: move them into the section of {VERSION}",
        ),
    ],
)
def test_what_does_not_agree_is_said_in_a_sentence_that_says_what_to_write(
    root: Path, change: Callable[[Path], None], sentence: str
) -> None:
    change(root)
    git(root, "tag", "--delete", f"v{VERSION}")
    commit(root)
    (found,) = said(root)
    assert found.startswith(sentence)


def test_a_commit_without_the_tag_and_a_changed_tree_are_no_release(root: Path) -> None:
    git(root, "tag", "--delete", f"v{VERSION}")
    (root / "left-over").touch()
    tag, tree = said(root)
    assert tag == f"the commit has no tag v{VERSION}: git tag --sign v{VERSION}"
    assert tree.startswith("the tree is not what was committed (left-over): ")


def test_a_release_without_key_and_image_is_refused_before_anything_is_made(
    root: Path, tmp_path: Path
) -> None:
    order = Order(root=root, output=tmp_path / "dist", image="")
    with pytest.raises(ReleaseError) as refusal:
        make_release(order, print)
    assert "COSIGN_KEY names no key" in str(refusal.value)
    assert "IMAGE names no repository" in str(refusal.value)
    assert not (tmp_path / "dist").exists()


@pytest.mark.parametrize("image", ["https://a.io/op", "a.io/op:1", f"a.io/op@sha256:{'0' * 64}"])
def test_an_image_with_a_tag_and_a_key_that_is_not_there_are_refused_as_early(
    root: Path, tmp_path: Path, image: str
) -> None:
    key = str(tmp_path / "cosign.key")
    order = Order(root=root, output=tmp_path / "dist", image=image, key=key)
    with pytest.raises(ReleaseError) as refusal:
        make_release(order, print)
    assert f"IMAGE={image} is no repository: write it without" in str(refusal.value)
    assert f"COSIGN_KEY={key} is no file" in str(refusal.value)


def test_sources_without_gits_repository_are_no_release(root: Path, tmp_path: Path) -> None:
    shutil.rmtree(root / ".git")
    order = Order(root=root, output=tmp_path / "dist", image="", rehearsal=True)
    with pytest.raises(ReleaseError, match="in git's repository: fatal: not a git repository"):
        make_release(order, print)


def test_versions_that_differ_are_refused_in_a_rehearsal_too(root: Path, tmp_path: Path) -> None:
    replaced(INIT, r'__version__ = ".*"', '__version__ = "99.0.0"')(root)
    order = Order(root=root, output=tmp_path / "dist", image="", rehearsal=True)
    with pytest.raises(ReleaseError, match=r"says 99\.0\.0") as refusal:
        make_release(order, print)
    assert "COSIGN_KEY" not in str(refusal.value)


def test_programs_that_a_person_names_are_used_and_missing_ones_named(tmp_path: Path) -> None:
    environ = {"AMOVE_RELEASE_BIN": str(tmp_path)}
    with pytest.raises(ReleaseError, match="has no cosign, syft: put them there, or unset it"):
        ensure_programs(print, environ)
    for name in PROGRAMS:
        shutil.copy("/bin/true", tmp_path / name)
    assert ensure_programs(print, environ) == tmp_path


def test_without_go_it_says_what_to_install_or_which_folder_to_name(tmp_path: Path) -> None:
    environ = {"PATH": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    ways = (
        r"no cosign, syft in .* install Go 1\..* or set AMOVE_RELEASE_BIN to a folder with cosign"
    )
    with pytest.raises(BinariesMissingError, match=ways):
        ensure_programs(print, environ)


def test_a_bill_says_which_syft_made_it_and_both_are_pinned() -> None:
    module = (TOOLS / "go.mod").read_text()
    block = module.split("tool (\n")[1].split(")")[0].split()
    assert sorted(block) == sorted(PROGRAMS.values())
    for name in ("github.com/anchore/syft", "github.com/sigstore/cosign/v3"):
        assert re.search(rf"^\t{name} v\d+\.\d+\.\d+", module, re.MULTILINE)


def test_a_rehearsal_is_never_signed_with_the_key_of_releases(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be of a tree that nobody committed, and its name is that of the release."""

    def made_up(_cosign: Path, folder: Path) -> Path:
        return folder / "made-up"

    monkeypatch.setattr(making, "generate_key", made_up)
    order = Order(root=root, output=tmp_path, image="", key="cosign.key", rehearsal=True)
    with making._key(order, tmp_path) as key:
        assert Path(key).name == "made-up"
    with making._key(replace(order, rehearsal=False), tmp_path) as key:
        assert key == "cosign.key"
