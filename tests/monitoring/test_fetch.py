"""Prometheus is found or fetched, and where it cannot be, the message says what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from prometheus_tools import PROGRAMS, PrometheusMissingError, ensure_prometheus


def a_program(path: Path, script: str = "exit 0") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def both(folder: Path) -> Path:
    for name in PROGRAMS:
        a_program(folder / name)
    return folder


def environ(tmp_path: Path, **more: str) -> dict[str, str]:
    """A machine with nothing on it."""
    return {"PATH": str(tmp_path / "bin"), "XDG_CACHE_HOME": str(tmp_path / "cache"), **more}


def test_a_folder_that_a_person_names_comes_first(tmp_path: Path) -> None:
    named, _ = both(tmp_path / "named"), both(tmp_path / "bin")
    assert ensure_prometheus(environ(tmp_path, AMOVE_PROMETHEUS_BIN=str(named))) == named


def test_a_named_folder_that_lacks_a_program_is_a_mistake(tmp_path: Path) -> None:
    a_program(tmp_path / "named/prometheus")
    given = environ(tmp_path, AMOVE_PROMETHEUS_BIN=str(tmp_path / "named"))
    with pytest.raises(PrometheusMissingError, match="has not both of prometheus and promtool"):
        ensure_prometheus(given)


def test_what_is_installed_or_cached_is_used(tmp_path: Path) -> None:
    cached = both(tmp_path / "cache/amove-operator/prometheus")
    assert ensure_prometheus(environ(tmp_path)) == cached
    installed = both(tmp_path / "bin")
    assert ensure_prometheus(environ(tmp_path)) == installed


def test_without_apt_get_it_says_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(PrometheusMissingError, match="or newer, or set AMOVE_PROM"):
        ensure_prometheus(environ(tmp_path))


def test_debians_package_is_unpacked_into_the_cache_and_nothing_else_is_left(
    tmp_path: Path,
) -> None:
    """Stand-ins for apt-get and dpkg-deb; the real ones fetched what the other tests here use."""
    a_program(tmp_path / "bin/apt-get", "echo package > prometheus_2_amd64.deb")
    unpacked = '/bin/mkdir -p "$3/usr/bin"; for one in prometheus promtool; do '
    unpacked += 'echo > "$3/usr/bin/$one"; /bin/chmod +x "$3/usr/bin/$one"; done'
    a_program(tmp_path / "bin/dpkg-deb", unpacked)
    folder = ensure_prometheus(environ(tmp_path))
    assert sorted(each.name for each in folder.iterdir()) == sorted(PROGRAMS)
    assert list(folder.parent.iterdir()) == [folder]


def test_a_download_that_fails_says_why_and_leaves_nothing(tmp_path: Path) -> None:
    a_program(tmp_path / "bin/apt-get", "echo no network >&2; exit 100")
    a_program(tmp_path / "bin/dpkg-deb")
    with pytest.raises(PrometheusMissingError, match="no network; run 'apt-get update' as root"):
        ensure_prometheus(environ(tmp_path))
    assert list((tmp_path / "cache/amove-operator").iterdir()) == []
