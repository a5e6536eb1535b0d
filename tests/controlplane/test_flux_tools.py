"""Flux's controller: built once, what is pinned in one place is what is built and installed."""

from __future__ import annotations

import json
import re
import textwrap
from pathlib import Path

import pytest

from controlplane.errors import BinariesMissingError, BuildError
from flux_tools import fetch
from flux_tools.controller import is_ready
from flux_tools.fetch import CONTROLLER, MODULES, PROGRAMS, TOOLS, ensure_flux
from tests.controlplane.stand_ins import FakeGo, write_program
from tests.gitops.repository import Server


@pytest.fixture
def module(tmp_path: Path) -> Path:
    """A module with one CRD, as `go mod download` unpacks it."""
    folder = tmp_path / "module"
    (folder / "config/crd/bases").mkdir(parents=True)
    (folder / "config/crd/bases/kind.yaml").write_text("kind: CustomResourceDefinition\n")
    return folder


def answer(fake_go: FakeGo, module: Path, checksum: str) -> None:
    """Have Go answer `mod download` so; what it is asked to build it builds as before."""
    told = json.dumps({"Sum": checksum, "Dir": str(module)})
    script = (fake_go.folder / "go").read_text()
    first, rest = script.split("\n", 1)
    asked = f"if [ \"$1\" = mod ]; then echo '{told}'; exit 0; fi"
    write_program(fake_go.folder / "go", textwrap.dedent(f"{first}\n{asked}\n{rest}"))


def test_it_is_built_and_its_crds_are_copied_once(
    environ: dict[str, str], fake_go: FakeGo, module: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "MODULES", {"example.org/flux@v1.0.0": "h1:ours="})
    answer(fake_go, module, "h1:ours=")
    lines: list[str] = []

    first = ensure_flux(environ, report=lines.append)
    second = ensure_flux(environ, report=lines.append)

    assert first == second
    assert first.controller.name == CONTROLLER
    assert [crd.name for crd in first.crds.iterdir()] == ["kind.yaml"]
    assert [call.split()[-1] for call in fake_go.builds] == list(PROGRAMS.values())
    assert sum(line.startswith(f"built {CONTROLLER} (1 of 1)") for line in lines) == 1


def test_a_module_of_another_content_is_refused_and_nothing_kept(
    environ: dict[str, str], fake_go: FakeGo, module: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "MODULES", {"example.org/flux@v1.0.0": "h1:ours="})
    answer(fake_go, module, "h1:another=")

    with pytest.raises(BuildError, match="is h1:another=, not the pinned h1:ours="):
        ensure_flux(environ, report=print)

    answer(fake_go, module, "h1:ours=")
    assert ensure_flux(environ, report=print).crds.is_dir()


def test_without_go_it_says_what_to_install(environ: dict[str, str]) -> None:
    with pytest.raises(BinariesMissingError, match=rf"no {CONTROLLER} in .*install Go 1\."):
        ensure_flux({**environ, "PATH": "/nowhere"}, report=print)


def test_a_named_folder_is_taken_if_it_has_all(environ: dict[str, str], tmp_path: Path) -> None:
    named = {**environ, "AMOVE_FLUX_BIN": str(tmp_path)}
    with pytest.raises(BinariesMissingError, match=f"has not both of {CONTROLLER} and crds/"):
        ensure_flux(named, report=print)

    write_program(tmp_path / CONTROLLER)
    (tmp_path / "crds").mkdir()

    assert ensure_flux(named, report=print).controller == tmp_path / CONTROLLER


def test_a_persons_proxy_is_not_asked_whether_the_controller_is_ready(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "readyz").touch()
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # nobody is there
    monkeypatch.delenv("no_proxy", raising=False)
    with Server(tmp_path) as server:
        assert is_ready(server.port)
    assert not is_ready(server.port)


def test_what_is_built_and_whose_crds_are_copied_are_of_one_version() -> None:
    """go.mod, go.sum and the list of modules name the controller and its CRDs alike."""
    pinned = (TOOLS / "go.mod").read_text()
    sums = (TOOLS / "go.sum").read_text()
    for package in PROGRAMS.values():
        assert re.search(rf"^tool {re.escape(package)}$", pinned, re.MULTILINE)
        (module,) = [name for name in MODULES if name.startswith(f"{package}@")]
        assert f"{module.replace('@', ' ')}\n" in pinned
        assert f"{module.replace('@', ' ')} {MODULES[module]}\n" in sums
    (sources,) = [name for name in MODULES if "/source-controller@" in name]
    assert f"{sources.replace('@', '/api ')}\n" in pinned
