"""``kubectl amove`` as kubectl finds it, with a person's own rights on a real API server."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from amove_emulator import Emulator
from amove_operator.kubectl_amove import main
from tests.cluster.fixtures import RunOperator
from tests.cluster.harness import BUCKET, KEY, a_bucket, a_key, refs
from tests.cluster.harness_cluster import Cluster
from tests.cluster.harness_keys import Tenant, another_key
from tests.cluster.harness_operator import environment
from tests.patience import PATIENCE


class Said(NamedTuple):
    """How a command ended, and what it said."""

    returncode: int
    stdout: str
    stderr: str


Ask = Callable[..., Said]


@pytest.fixture
def person(cluster: Cluster) -> Path:
    """The kubeconfig of somebody who may edit the two kinds in this namespace only."""
    Tenant(cluster.plane, cluster.namespace)
    return cluster.plane.user_kubeconfig(f"tenant-{cluster.namespace}")


@pytest.fixture
def ask(
    person: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Ask]:
    """Run ``kubectl amove …`` as that person; in this process, as each start takes seconds."""
    monkeypatch.setenv("KUBECONFIG", str(person))

    def run(*arguments: str) -> Said:
        return Said(main(arguments), *capsys.readouterr())

    with logging_kept():
        yield run


@contextmanager
def logging_kept() -> Iterator[None]:
    """A command sets up the logs of its process, which here is that of the tests."""
    root = logging.getLogger()
    before = root.level, list(root.handlers)
    try:
        yield
    finally:
        root.setLevel(before[0])
        root.handlers[:] = before[1]


def test_kubectl_finds_it_by_its_name(cluster: Cluster, person: Path, tmp_path: Path) -> None:
    plugin = tmp_path / "bin" / "kubectl-amove"
    plugin.parent.mkdir()
    script = "from amove_operator.kubectl_amove import main; import sys; sys.exit(main())"
    plugin.write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "{script}" "$@"\n')
    plugin.chmod(0o755)
    found = subprocess.run(
        [str(cluster.plane.bin / "kubectl"), "amove", "status", "-n", cluster.namespace],
        env=environment(KUBECONFIG=str(person), PATH=f"{plugin.parent}:{os.environ['PATH']}"),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (found.returncode, found.stdout) == (0, ""), found.stderr
    assert "0 buckets and keys" in found.stderr


def test_a_person_sees_what_is_wrong_and_has_keys_rotated_and_objects_paused(
    ask: Ask, cluster: Cluster, run_operator: RunOperator, emulator: Emulator
) -> None:
    here = ("--namespace", cluster.namespace)
    run_operator()
    emulator.control.add_bucket("taken")
    cluster.apply(a_bucket("photos"), a_key("app", bucketRefs=refs("photos")), a_bucket("taken"))
    key = cluster.ready(KEY, "app")
    cluster.until(BUCKET, "taken", "Stalled", "BucketExists")

    seen = ask("status", *here)
    assert seen.returncode == 1, "something is wrong"
    rows = {tuple(line.split()[1:3]): line.split()[3:] for line in seen.stdout.splitlines()[1:4]}
    assert rows["AmoveStorageKey", "app"][:2] == ["True", "True"]
    assert rows["AmoveBucket", "taken"][2] == "BucketExists"
    assert "kubectl patch" in seen.stdout, "the operator's own advice"
    assert "3 buckets and keys, 1 of them not well" in seen.stderr
    assert "photos" not in ask("status", "--wrong", *here).stdout

    everywhere = ask("status")
    assert everywhere.returncode == 1
    assert "add --namespace NAME" in everywhere.stderr

    assert ask("rotate", "app", *here).returncode == 0
    another_key(cluster, KEY, "app", than=key["status"]["key"]["id"])

    assert ask("pause", "bucket/photos", "key/app", *here).returncode == 0
    cluster.until(BUCKET, "photos", "Synced", "Paused", status="False")
    assert "is paused" in ask("status", *here).stdout
    resumed = ask("resume", "bucket/photos", "key/app", *here)
    assert resumed.stdout.count("resumed") == 2
    cluster.until(BUCKET, "photos", "Synced")

    before = emulator.control.count("bucket_status")
    assert ask("reconcile", "bucket/photos", *here).returncode == 0
    emulator.control.wait_for_calls("bucket_status", before + 1)

    missing = ask("rotate", "nobody", *here)
    assert missing.returncode == 1
    assert "nobody" in missing.stderr


def test_a_context_that_is_not_there_and_a_cluster_that_does_not_answer_are_named(ask: Ask) -> None:
    wrong = ask("status", "--context", "elsewhere")
    assert wrong.returncode == 2
    assert "elsewhere" in wrong.stderr
    assert len(wrong.stderr.splitlines()) == 1
