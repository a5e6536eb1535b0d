"""Building: once, whole or not at all, audibly, and exactly what is pinned."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from controlplane import build
from controlplane.binaries import cache_folder, ensure_binaries, missing_from
from controlplane.build import BINARIES, NODE_BINARIES, TOOLS, Release, linker_flags
from controlplane.errors import BuildError
from tests.controlplane.stand_ins import FakeGo


def test_every_program_is_built_once_and_then_found(
    environ: dict[str, str], fake_go: FakeGo
) -> None:
    lines: list[str] = []

    first = ensure_binaries(environ, report=lines.append)
    second = ensure_binaries(environ, report=lines.append)

    assert first == second == cache_folder(environ)
    assert missing_from(first) == []
    assert [call.split()[-1] for call in fake_go.builds] == list(BINARIES.values())
    for position, name in enumerate(BINARIES, start=1):
        assert any(f"built {name} ({position} of {len(BINARIES)}) in" in line for line in lines)


def test_a_failed_build_leaves_nothing_and_passes_on_what_go_said(
    environ: dict[str, str], fake_go: FakeGo
) -> None:
    fake_go.behave('case "$*" in *cmd/helm) echo "out of disk" >&2; exit 3;; esac')

    with pytest.raises(BuildError, match=r"building helm .* status 3\nout of disk"):
        ensure_binaries(environ, report=print)

    assert not cache_folder(environ).exists()
    assert list(cache_folder(environ).parent.glob("building-*")) == []


def test_two_at_once_build_only_once(
    environ: dict[str, str], fake_go: FakeGo, tmp_path: Path
) -> None:
    waiting = tmp_path / "waiting"
    # No program is done before the other process is seen to wait, or five seconds are over.
    fake_go.behave(f"for _ in $(seq 100); do if [ -e {waiting} ]; then break; fi; sleep 0.05; done")

    def listen(line: str) -> None:
        if line.startswith("another process is building"):
            waiting.touch()

    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda _: ensure_binaries(environ, report=listen), range(2)))

    assert found == [cache_folder(environ)] * 2
    assert waiting.exists()
    assert len(fake_go.builds) == len(BINARIES)


def test_a_damaged_cache_is_built_anew(environ: dict[str, str], fake_go: FakeGo) -> None:
    folder = ensure_binaries(environ, report=print)
    (folder / "etcd").unlink()

    ensure_binaries(environ, report=print)

    assert missing_from(folder) == []


def test_what_a_killed_build_left_is_cleared_away(environ: dict[str, str]) -> None:
    leftover = cache_folder(environ).parent / "building-killed" / "bin"
    leftover.mkdir(parents=True)

    ensure_binaries(environ, report=print)

    assert not leftover.parent.exists()


def test_a_long_build_keeps_saying_which_program_it_is_at(
    environ: dict[str, str], fake_go: FakeGo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "HEARTBEAT", 0.01)
    observe = tmp_path / "heard"
    # The first program takes until two lines about it were heard, or five seconds are over.
    fake_go.behave(f"for _ in $(seq 500); do if [ -e {observe} ]; then break; fi; sleep 0.01; done")
    lines: list[str] = []

    def listen(line: str) -> None:
        lines.append(line)
        if len([each for each in lines if each.startswith("building etcd (1 of 5) …")]) == 2:
            observe.touch()

    ensure_binaries(environ, report=listen)

    assert re.fullmatch(r"building etcd \(1 of 5\) … \d+ s", lines[1])


def test_a_persons_own_go_settings_do_not_change_the_pins(
    environ: dict[str, str], fake_go: FakeGo
) -> None:
    ensure_binaries({**environ, "GOFLAGS": "-mod=mod"}, report=print)

    assert all(call.startswith("GOFLAGS=-mod=readonly ") for call in fake_go.calls)


def test_the_versions_are_stamped_as_a_release_build_stamps_them() -> None:
    flags = linker_flags(Release("v1.36.3", "2026-07-22T18:07:38Z"), Release("v4.2.4", ""))

    for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version"):
        for stamp in (
            "gitVersion=v1.36.3",
            "gitMajor=1",
            "gitMinor=36",
            "gitTreeState=archive",
            "buildDate=2026-07-22T18:07:38Z",
        ):
            assert f"-X {package}.{stamp}" in flags
    assert "-X helm.sh/helm/v4/internal/version.version=v4.2.4" in flags


def test_the_module_pins_as_tools_what_is_built() -> None:
    block = re.search(r"^tool \((.*?)^\)", (TOOLS / "go.mod").read_text(), re.DOTALL | re.MULTILINE)

    assert block is not None
    built = {*BINARIES.values(), *NODE_BINARIES.values()}
    assert set(block.group(1).split()) == built


def test_all_staging_modules_are_of_the_pinned_kubernetes() -> None:
    module = (TOOLS / "go.mod").read_text()
    pinned = re.search(r"k8s\.io/kubernetes v1\.(\S+)", module)
    replaced = re.findall(r"=> k8s\.io/\S+ v0\.(\S+)", module)

    assert pinned is not None
    assert len(replaced) > 30
    assert set(replaced) == {pinned.group(1)}
