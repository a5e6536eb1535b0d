"""The forge runs what a person runs, with the least rights."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[3]
FILE = ROOT / ".github/workflows/ci.yml"
WORKFLOW: dict[Any, Any] = yaml.safe_load(FILE.read_text())


def steps() -> list[dict[str, Any]]:
    """The steps of the one job."""
    (job,) = WORKFLOW["jobs"].values()
    found: list[dict[str, Any]] = job["steps"]
    return found


def test_it_ends_with_what_a_person_runs_and_within_its_time() -> None:
    (job,) = WORKFLOW["jobs"].values()
    assert steps()[-1] == {"run": ".ci/run"}
    assert (ROOT / ".ci/run").is_file()
    assert job["timeout-minutes"] == 90


def test_it_may_read_the_repository_and_nothing_else() -> None:
    assert WORKFLOW["permissions"] == {"contents": "read"}
    (job,) = WORKFLOW["jobs"].values()
    assert "permissions" not in job
    (checkout,) = (step for step in steps() if step.get("uses", "").startswith("actions/checkout"))
    assert checkout["with"]["persist-credentials"] is False
    assert "secrets." not in FILE.read_text()


def test_its_actions_are_pinned_and_run_no_code_of_a_stranger_with_rights() -> None:
    """`pull_request_target` would give a fork's code the repository's rights."""
    used = [step["uses"] for step in steps() if "uses" in step]
    assert used
    assert all(re.fullmatch(r"actions/[\w-]+@(v\d+(\.\d+)*|[0-9a-f]{40})", one) for one in used)
    # YAML 1.1 reads the word `on` as true.
    assert set(WORKFLOW[True]) == {"push", "pull_request"}


def test_what_is_built_is_kept_under_a_key_of_what_it_is_built_from() -> None:
    (cache,) = (step for step in steps() if step.get("uses", "").startswith("actions/cache"))
    assert cache["with"]["path"].endswith("/.cache")
    patterns = re.findall(r"'([^']+)'", cache["with"]["key"])
    assert patterns
    for pattern in patterns:
        assert list(ROOT.glob(pattern)), pattern
