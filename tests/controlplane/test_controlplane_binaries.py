"""Where the programs come from, and what is said when they come from nowhere."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from controlplane.binaries import cache_folder, ensure_binaries, missing_from
from controlplane.build import BINARIES, TOOLS, tools_hash
from controlplane.errors import BinariesMissingError
from tests.controlplane.stand_ins import FakeGo, write_programs


@pytest.mark.parametrize("variable", ["AMOVE_DEV_BIN", "KUBEBUILDER_ASSETS"])
def test_a_folder_that_is_named_comes_before_cache_and_build(
    variable: str, tmp_path: Path, environ: dict[str, str], fake_go: FakeGo
) -> None:
    write_programs(cache_folder(environ))
    named = write_programs(tmp_path / "named")

    assert ensure_binaries({**environ, variable: str(named)}) == named
    assert fake_go.calls == []


def test_our_own_variable_comes_before_kubebuilders(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    ours, theirs = write_programs(tmp_path / "ours"), write_programs(tmp_path / "theirs")

    found = ensure_binaries(
        {**environ, "KUBEBUILDER_ASSETS": str(theirs), "AMOVE_DEV_BIN": str(ours)}
    )

    assert found == ours


def test_a_named_folder_without_some_programs_is_refused_with_their_names(
    tmp_path: Path, environ: dict[str, str], fake_go: FakeGo
) -> None:
    named = write_programs(tmp_path / "named", ["etcd", "kube-apiserver", "kubectl"])

    with pytest.raises(BinariesMissingError) as refusal:
        ensure_binaries({**environ, "KUBEBUILDER_ASSETS": str(named)})

    message = str(refusal.value)
    assert f"KUBEBUILDER_ASSETS={named} has no helm, kube-controller-manager:" in message
    assert "unset KUBEBUILDER_ASSETS" in message
    assert "\n" not in message
    assert fake_go.calls == []


def test_a_file_that_is_not_executable_is_no_program(tmp_path: Path) -> None:
    folder = write_programs(tmp_path / "bin")
    (folder / "helm").chmod(0o644)

    assert missing_from(folder) == ["helm"]


def test_cached_programs_need_no_go(environ: dict[str, str], tmp_path: Path) -> None:
    cached = write_programs(cache_folder(environ))

    assert ensure_binaries({**environ, "PATH": str(tmp_path)}) == cached


def test_without_programs_and_go_one_line_names_both_ways_out(
    environ: dict[str, str], tmp_path: Path
) -> None:
    with pytest.raises(BinariesMissingError) as refusal:
        ensure_binaries({**environ, "PATH": str(tmp_path)})

    message = str(refusal.value)
    assert "install Go 1." in message
    assert f"set AMOVE_DEV_BIN to a folder with {', '.join(BINARIES)}" in message
    assert "\n" not in message


def test_the_cache_is_under_the_home_unless_xdg_says_otherwise(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))

    assert cache_folder({}) == tmp_path / ".cache" / "amove-operator" / "bin" / tools_hash()


@pytest.mark.parametrize("changed", ["go.mod", "go.sum"])
def test_a_changed_pin_has_another_cache_folder(changed: str, tmp_path: Path) -> None:
    shutil.copytree(TOOLS, tmp_path / "tools")
    with (tmp_path / "tools" / changed).open("a") as file:
        file.write("\n")

    assert tools_hash(tmp_path / "tools") != tools_hash()
