"""The project's own files agree with one another."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement

import amove_operator
from amove_operator.amove.session import Tuning
from amove_operator.engine.workers import FINISH_SECONDS
from release.agreement import versions_in

ROOT = Path(__file__).parents[3]
PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCKS = sorted((ROOT / "requirements").glob("*.lock"))
DOCKERFILE = (ROOT / "Dockerfile").read_text()

TARGETS = {
    "venv",
    "controlplane",
    "prometheus",
    "demo",
    "test",
    "test-unit",
    "test-long",
    "test-busy",
    "test-node",
    "test-gitops",
    "clients",
    "node",
    "sbom",
    "soak",
    "lint",
    "format",
}
TARGETS |= {"crds", "docs", "lock", "release", "bench", "clean"}

Pins = dict[str, set[str]]


def instructions(name: str) -> list[list[str]]:
    """The arguments of each Dockerfile instruction of this name."""
    joined = DOCKERFILE.replace("\\\n", " ")
    return [line.split()[1:] for line in joined.splitlines() if line.startswith(f"{name} ")]


def pins(lock: Path) -> Pins:
    """Package name → its pinned versions (more than one where they depend on the Python)."""
    found: Pins = {}
    for name, version in re.findall(r"^([a-z0-9-]+)==(\S+)", lock.read_text(), re.MULTILINE):
        found.setdefault(name, set()).add(version)
    return found


def dry_run(*arguments: str) -> str:
    """What make would do; fails when there is no such target."""
    command = ["make", "--dry-run", "--always-make", *arguments]
    environment = {"PATH": "/usr/bin:/bin", "KUBECONFIG": "/a/persons/own", "KEEP": "1"}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=30, check=True
    )
    return done.stdout


def test_version_is_the_same_everywhere() -> None:
    assert {version for _, version in versions_in(ROOT)} == {amove_operator.__version__}


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_a_lock_has_hashes_and_names_no_place_to_download_from(lock: Path) -> None:
    text = lock.read_text()
    assert "://" not in text
    assert "--index-url" not in text
    assert "--find-links" not in text
    entries = re.split(r"\n(?=[a-z])", text.strip())
    assert all(re.match(r"[a-z0-9-]+==\S+", entry) for entry in entries)
    assert all("--hash=sha256:" in entry for entry in entries)


def test_the_runtime_lock_holds_every_dependency_within_its_bounds() -> None:
    runtime = pins(ROOT / "requirements/runtime.lock")
    for text in PYPROJECT["project"]["dependencies"]:
        requirement = Requirement(text)
        assert all(requirement.specifier.contains(v) for v in runtime[requirement.name])


@pytest.mark.parametrize("name", ["runtime", "build"])
def test_tests_run_with_the_versions_that_the_image_has(name: str) -> None:
    tested = pins(ROOT / "requirements/dev.lock")
    assert pins(ROOT / f"requirements/{name}.lock").items() <= tested.items()


def test_make_lists_its_targets_and_knows_them() -> None:
    done = subprocess.run(
        ["make"], cwd=ROOT, capture_output=True, text=True, timeout=30, check=True
    )
    targets = re.findall(r"^  ([a-z-]+) +\S", done.stdout, re.MULTILINE)
    assert set(targets) >= TARGETS
    dry_run(*targets)


def test_what_takes_long_is_run_only_by_a_target_that_says_so() -> None:
    """``-m`` takes the place of the one in pyproject.toml, which leaves them out."""
    makefile = (ROOT / "Makefile").read_text()
    rules = re.findall(r"^(test[\w-]*):.*\n((?:\t.*\n)+)", makefile, re.MULTILINE)
    chosen = {
        target: re.findall(r'\(PYTEST\).* -m (?:"([^"]+)"|(\w+))', recipe)
        for target, recipe in rules
    }
    assert chosen["test-long"]
    for target, expressions in chosen.items():
        for quoted, bare in expressions:
            left_out = "not long" in (quoted or bare)
            assert left_out is not target.endswith("-long"), target


def test_a_cluster_is_used_only_when_named_on_makes_command_line() -> None:
    assert "/a/persons/own" not in dry_run("demo")
    assert "--keep" not in dry_run("demo")
    named = dry_run("demo", "KUBECONFIG=/named/here", "KEEP=1")
    assert '--kubeconfig "/named/here"' in named
    assert "--keep" in named
    assert "--keep" not in dry_run("demo", "KEEP=0")


def test_every_file_that_the_image_copies_is_there_and_not_ignored() -> None:
    listed = (ROOT / ".dockerignore").read_text().splitlines()
    let_through = tuple(line[1:] for line in listed if line.startswith("!"))
    copies = [words for words in instructions("COPY") if not words[0].startswith("--from")]
    sources = [source for words in copies for source in words[:-1]]
    assert sources
    assert [source for source in sources if not (ROOT / source).exists()] == []
    assert [source for source in sources if not source.startswith(let_through)] == []


def test_the_image_runs_as_a_user_that_kubernetes_can_see_is_not_root() -> None:
    (user,) = instructions("USER")[-1]
    assert all(int(part) > 0 for part in user.split(":"))


def test_the_image_installs_only_what_is_pinned() -> None:
    commands = [" ".join(arguments) for arguments in instructions("RUN")]
    installs = re.findall(r"pip (?:install|wheel)[^&]*", " && ".join(commands))
    assert installs
    assert all("--no-deps" in install for install in installs)
    assert all("--require-hashes" in one for one in installs if "--requirement" in one)


def test_the_tools_are_installed_from_the_lock_alone() -> None:
    """A resolver would trip over releases newer than the pinned ones: a lock must not age."""
    (install,) = re.findall(r"\$\(PIP\).*--requirement.*", (ROOT / "Makefile").read_text())
    assert {"--no-deps", "--require-hashes"} <= set(install.split())


def test_the_image_starts_the_operator() -> None:
    script = PYPROJECT["project"]["scripts"]["amove-operator"]
    assert script == "amove_operator.cli:main"
    assert instructions("ENTRYPOINT") == [['["amove-operator"]']]
    assert instructions("CMD") == [['["run"]']]


def test_pre_commit_fetches_nothing() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    assert {repo["repo"] for repo in config["repos"]} == {"local"}
    assert all(hook["language"] == "system" for repo in config["repos"] for hook in repo["hooks"])


def test_a_pod_is_not_killed_while_a_call_in_flight_may_still_be_answered() -> None:
    """After the work: the Lease is released, by at most two requests of 5 s each."""
    chart = ROOT / "deploy" / "helm" / "amove-operator"
    name = "terminationGracePeriodSeconds"
    grace = yaml.safe_load((chart / "values.yaml").read_text())[name]
    least = json.loads((chart / "values.schema.json").read_text())["properties"][name]["minimum"]
    assert Tuning().total < FINISH_SECONDS < least - 10 <= grace - 10
