"""What can be shown of a node without one: these tests run in `make test` too."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pytest

from node.archive import Archive
from node.box import VARIABLE, Plan
from node.cache import kept, key_of
from node.errors import NodeError
from node.machine import Machine
from node.packages import ensure_packages


def test_outside_of_a_box_one_line_says_how_to_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    with pytest.raises(NodeError, match="make test-node") as refusal:
        Plan.of_this_process()
    assert "\n" not in str(refusal.value)


def test_a_machine_without_apt_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NodeError, match="apt-get") as refusal:
        ensure_packages(print)
    assert "\n" not in str(refusal.value)


def test_what_a_node_leaves_on_the_machine_is_named() -> None:
    before = Machine(frozenset({"a"}), frozenset(), frozenset({"lo"}), frozenset({"x = 1"}))
    after = Machine(frozenset(), frozenset(), frozenset({"lo", "veth0"}), frozenset({"x = 2"}))

    assert after.changes_since(before) == [
        "mounts - a",
        "links + veth0",
        "settings + x = 2",
        "settings - x = 1",
    ]
    assert before.changes_since(before) == []


def test_reading_the_machine_twice_shows_no_change() -> None:
    assert Machine.read().settings
    assert Machine.read().links >= {"lo"}


def test_what_is_kept_is_made_once_for_each_key_and_a_failure_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    made = []

    def make(path: Path) -> None:
        made.append(path)
        path.write_text("whole")

    def fail(path: Path) -> None:
        path.write_text("half")
        raise NodeError("refused")

    key = key_of(["a", b"b"])
    assert key != key_of(["ab", b""])
    with pytest.raises(NodeError):
        kept("things", key, fail)
    first = kept("things", key, make)
    assert kept("things", key, make) == first
    assert first.read_text() == "whole"
    assert len(made) == 1


def layer(files: dict[str, str]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text.encode()))
    return buffer.getvalue()


def test_an_archive_is_read_as_a_container_sees_it(tmp_path: Path) -> None:
    image = tmp_path / "image.tar"
    parts = {
        "manifest.json": json.dumps([{"Config": "c.json", "Layers": ["1", "2"]}]).encode(),
        "c.json": json.dumps({"config": {"User": "1:1"}}).encode(),
        "1": layer({"etc/a": "old", "etc/b": "bb", "opt/x/y": "y"}),
        "2": layer({"etc/a": "newer", "etc/.wh.b": "", "opt/x/.wh..wh..opq": ""}),
    }
    with tarfile.open(image, "w") as tar:
        for name, content in parts.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))

    archive = Archive.read(image)

    assert archive.settings["User"] == "1:1"
    assert archive.sizes == {"etc/a": 5}
    assert archive.size_of("etc") == 5
