"""Judges and clients are built into the cache, once; where they cannot be, it is said why."""

from __future__ import annotations

from pathlib import Path

import pytest

import clients.builds
from clients import ClientMissingError, javascript_client
from clients.__main__ import main
from judges import JudgeMissingError, argocd_health
from judges.programs import build, ensure

pytestmark = pytest.mark.gitops

HEALTHY = {"status": "Healthy", "message": "yes"}


def judged(tmp_path: Path, script: str) -> dict[str, str]:
    """What Argo CD would make of this check."""
    file = tmp_path / "health.lua"
    file.write_text(script)
    (answer,) = argocd_health(file, [{"metadata": {"generation": 2, "name": "photos"}}])
    return answer


def test_a_judge_without_go_says_what_to_install(tmp_path: Path) -> None:
    environ = {"PATH": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    with pytest.raises(JudgeMissingError, match="install Go"):
        ensure("kstatus", environ)


def test_a_judge_that_does_not_compile_says_where_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "go.mod").write_text("module example.org/a\n\ngo 1.24.0\n")
    (tmp_path / "main.go").write_text("package main\n\nfunc main() { nothing() }\n")
    program = tmp_path / "cache" / "a"
    with pytest.raises(JudgeMissingError, match="undefined: nothing"):
        build(tmp_path, program)
    assert list(program.parent.iterdir()) == []


def test_a_client_without_its_builder_says_which(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ClientMissingError, match="no node on the PATH"):
        javascript_client()


def test_all_is_built_once_and_found_again(monkeypatch: pytest.MonkeyPatch) -> None:
    assert main() == 0
    monkeypatch.setattr(clients.builds, "_run", lambda *_: pytest.fail("it was built again"))
    assert main() == 0


# ---------------------------------------------------------------- as strict as Argo CD


def test_a_check_sees_the_object_and_answers_a_table(tmp_path: Path) -> None:
    script = """
    if obj.metadata.generation == 2 then return { status = "Healthy", message = "yes" } end
    return { status = "Unknown" }
    """
    assert judged(tmp_path, script) == HEALTHY


@pytest.mark.parametrize(
    ("script", "error"),
    [
        ('return "Healthy"', "returned a string"),
        ('return { status = "Fine" }', "Fine is no health status"),
        ('return { status = "Healthy", message = {} }', "the message is a table"),
        ('return { status = "Healthy", message = string.upper("a") }', "index a non-table object"),
        ('return { status = "Healthy", message = io.read() }', "index a non-table object"),
        ("while true do end", "context deadline exceeded"),
        ("return {", "EOF"),
    ],
)
def test_a_check_that_argo_cd_would_not_take_is_an_error(
    tmp_path: Path, script: str, error: str
) -> None:
    assert error in judged(tmp_path, script)["error"]
