"""Orphans: counted and named by the leader; listed, and on a person's word revoked, by hand."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple
from uuid import uuid4

import pytest

from amove_emulator import Emulator
from amove_operator.commands.orphans import run_orphans
from amove_operator.core.naming import key_name, marker_of, names_digest
from amove_operator.settings import load_settings
from tests.cluster.fixtures import RunOperator
from tests.cluster.harness import KEY, Manifest, a_bucket, a_key, eventually, refs
from tests.cluster.harness_cluster import Cluster
from tests.cluster.harness_keys import CROWD, KEY_ID, OURS, OWNER_UID, a_secret, make_crowd
from tests.cluster.harness_operator import environment
from tests.patience import PATIENCE

AddKey = Callable[..., str]
EVERYWHERE = {"watch_namespaces": None}
OLD = "uid-of-old"


class Done(NamedTuple):
    """How the command ended, and what it said."""

    code: int
    out: str
    err: str


@pytest.fixture(autouse=True)
def crowd(emulator: Emulator) -> None:
    """Of other clusters; nothing here counts them."""
    make_crowd(emulator)


@pytest.fixture
def add_key(whole_cluster: Cluster, emulator: Emulator) -> AddKey:
    """Have a key at the service that no CR knows, of a cluster and an owner; gives its id."""
    own = whole_cluster.found("Namespace", "kube-system")["metadata"]["uid"]

    def add(cluster_uid: str | None = None, owner: str | None = None) -> str:
        marker = marker_of(cluster_uid or own, owner or str(uuid4()))
        name = key_name("lost", marker, names_digest(["lost"]), 1)
        return str(emulator.control.add_key(name)["id"])

    return add


@pytest.fixture
def foreign(add_key: AddKey, emulator: Emulator) -> set[str]:
    """Keys that are none of this cluster's business."""
    unmarked = emulator.control.add_key("made-by-hand")["id"]
    return {add_key(cluster_uid="another cluster"), str(unmarked)}


@pytest.fixture
def command(
    operator_variables: Callable[..., dict[str, str]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Callable[..., Done]:
    """Run the command in this process, with the settings of an operator: (exit code, out, err)."""

    def run(*, revoke: bool = False, yes: bool = False) -> Done:
        variables = operator_variables(**EVERYWHERE)
        monkeypatch.setenv("KUBECONFIG", variables["KUBECONFIG"])
        code = run_orphans(load_settings(variables), revoke=revoke, yes=yes)
        return Done(code, *capsys.readouterr())

    return run


class Person:
    """A terminal at which a person answers one question, after having done something."""

    def __init__(self, answer: str, first: Callable[[], object] = lambda: None) -> None:
        self._answer = f"{answer}\n"
        self._first = first

    def isatty(self) -> bool:
        return True

    def readline(self) -> str:
        self._first()
        return self._answer


@contextmanager
def started(variables: dict[str, str], *flags: str) -> Iterator[subprocess.Popen[str]]:
    """The command as a process while it runs; it does not outlive the block."""
    process = subprocess.Popen(
        [sys.executable, "-m", "amove_operator", "orphans", *flags],
        env=environment(**variables),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def live(emulator: Emulator) -> set[str]:
    """The ids of all keys that work, those of the crowd aside."""
    keys = emulator.control.live_keys()
    return {key["id"] for key in keys if not key["name"].startswith(CROWD)}


def test_the_leader_counts_orphans_and_names_them_once_but_touches_none(
    emulator: Emulator, add_key: AddKey, foreign: set[str], run_operator: RunOperator
) -> None:
    lost = add_key()
    operator = run_operator(**EVERYWHERE, resync_interval="1s", listing_settle="100ms")

    eventually(lambda: operator.metric("orphan_keys") == 1, what="one orphan counted")
    assert lost in operator.wait_log("neither resource nor Secret")
    seen = emulator.control.count("get_storage_key")
    eventually(lambda: emulator.control.count("get_storage_key") >= seen + 2, what="two listings")
    assert operator.log.count("neither resource nor Secret") == 1
    assert not any(key_id in operator.log for key_id in foreign)
    assert live(emulator) == foreign | {lost}

    emulator.control.revoke_key(lost)
    eventually(lambda: operator.metric("orphan_keys") == 0, what="no orphan counted")


def test_only_orphans_are_revoked_not_held_retained_fresh_or_foreign_keys(
    cluster: Cluster,
    emulator: Emulator,
    add_key: AddKey,
    foreign: set[str],
    run_operator: RunOperator,
    operator_variables: Callable[..., dict[str, str]],
) -> None:
    run_operator(**EVERYWHERE, trusted_namespaces=[cluster.namespace])
    photos = refs("photos")
    cluster.apply(
        a_bucket("photos"),
        a_key("held", bucketRefs=photos),
        a_key("kept", bucketRefs=photos, deletionPolicy="Retain"),
    )
    cluster.ready(KEY, "held")
    cluster.ready(KEY, "kept")
    cluster.annotate(KEY, "held", rotate_requested_at="now")
    eventually(lambda: cluster.found(KEY, "held")["status"].get("retiring"), what="a retiring key")
    cluster.delete(KEY, "kept")
    cluster.gone(KEY, "kept")
    lost = {add_key(), add_key()}

    variables = operator_variables(**EVERYWHERE, listing_settle="3s", log_level="INFO")
    with started(variables, "--revoke", "--yes") as process:
        assert process.stderr is not None
        assert "looking again in 3 s" in process.stderr.readline()
        cluster.apply(a_key("fresh", bucketRefs=photos))
        out, err = process.communicate(timeout=PATIENCE)

    assert process.returncode == 0, err
    assert {line.split()[1] for line in out.splitlines() if line.startswith("revoked")} == lost
    cluster.ready(KEY, "fresh")
    assert len(live(emulator)) == len(foreign) + 4, "the retiring key of 'held' lives on, too"
    assert live(emulator).isdisjoint(lost)
    assert live(emulator) >= foreign
    held = {name: cluster.secret(name)["AWS_ACCESS_KEY_ID"] for name in ("held", "kept", "fresh")}
    working = {key["accessKey"] for key in emulator.control.live_keys()}
    assert working >= set(held.values())


def test_without_revoke_orphans_are_only_listed(
    emulator: Emulator, add_key: AddKey, foreign: set[str], command: Callable[..., Done]
) -> None:
    lost = {add_key(), add_key()}
    done = command()
    assert done.code == 0
    heading, *rows = done.out.splitlines()
    assert heading.split() == ["ID", "NAME", "CREATED", "USER"]
    assert {row.split()[0] for row in rows} == lost
    assert live(emulator) == foreign | lost


@pytest.mark.parametrize(("answer", "code", "kept"), [("no", 1, True), ("yes", 0, False)])
def test_a_person_is_asked_before_anything_is_revoked_and_the_answer_counts(
    answer: str,
    code: int,
    kept: bool,
    emulator: Emulator,
    add_key: AddKey,
    command: Callable[..., Done],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lost = add_key()
    alive_then: list[set[str]] = []
    monkeypatch.setattr("sys.stdin", Person(answer, lambda: alive_then.append(live(emulator))))
    done = command(revoke=True)
    assert done.code == code
    assert done.out.index(lost) < done.out.index("Revoke 1 key")
    assert alive_then == [{lost}]
    assert (lost in live(emulator)) is kept


def a_claim(name: str, key: Manifest, data: dict[str, str]) -> Manifest:
    """A Secret that says to hold a key of the CR with UID ``OLD``."""
    notes = {KEY_ID: key["id"], OWNER_UID: OLD}
    return a_secret(name, data, labels=OURS, annotations=notes)


def test_a_key_that_finds_its_secret_again_while_the_person_thinks_stays(
    cluster: Cluster,
    emulator: Emulator,
    add_key: AddKey,
    command: Callable[..., Done],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lost, restored = add_key(), record_of(emulator, add_key(owner=OLD))
    secret = a_claim("from-a-backup", restored, {"AWS_ACCESS_KEY_ID": restored["accessKey"]})
    monkeypatch.setattr("sys.stdin", Person("yes", lambda: cluster.apply(secret)))
    done = command(revoke=True)
    assert done.code == 0
    assert restored["id"] in done.out
    assert live(emulator) == {restored["id"]}
    assert f"revoked  {lost}" in done.out


def record_of(emulator: Emulator, key_id: str) -> Manifest:
    """A live key as the service knows it."""
    return next(key for key in emulator.control.live_keys() if key["id"] == key_id)


def test_no_secret_hides_an_orphan_unless_its_data_carry_the_access_key(
    cluster: Cluster,
    emulator: Emulator,
    add_key: AddKey,
    command: Callable[..., Done],
    run_operator: RunOperator,
) -> None:
    """Whoever may write Secrets can write our marks, and the id stands in the CR's status."""
    hidden, kept = (record_of(emulator, add_key(owner=OLD)) for _ in range(2))
    another = record_of(emulator, add_key())
    cluster.apply(
        a_claim("empty", hidden, {}),
        a_claim("of-another", hidden, {"AWS_ACCESS_KEY_ID": kept["accessKey"]}),
        a_claim("of-no-such-owner", another, {"AWS_ACCESS_KEY_ID": another["accessKey"]}),
        a_claim("kept", kept, {"config": f"key = {kept['accessKey']}"}),
    )

    operator = run_operator(**EVERYWHERE, resync_interval="1s", listing_settle="100ms")

    lost = {hidden["id"], another["id"]}
    eventually(lambda: operator.metric("orphan_keys") == 2, what="two orphans counted")
    _, *rows = command().out.splitlines()
    assert {row.split()[0] for row in rows} == lost
    assert command(revoke=True, yes=True).code == 0
    assert live(emulator) == {kept["id"]}
    eventually(lambda: operator.metric("orphan_keys") == 0, what="no orphan counted")


def test_a_refused_revocation_is_reported_and_the_others_go_on(
    emulator: Emulator, add_key: AddKey, command: Callable[..., Done]
) -> None:
    refused, silent, plain = add_key(), add_key(), add_key()
    fault = {"status": 499, "code": "ACCESS", "message": "no", "times": None}
    emulator.control.fault("delete_storage_key", contains=refused, **fault)
    emulator.control.fault("delete_storage_key", contains=silent, effect=True, **fault)

    done = command(revoke=True, yes=True)

    assert done.code == 1
    told = {tuple(line.split()[:2]) for line in done.out.splitlines()[4:]}
    assert told == {
        ("failed", refused),
        ("failed", silent),
        ("gone", silent),
        ("revoked", plain),
    }
    assert live(emulator) == {refused}


def test_a_service_that_refuses_the_listing_makes_no_orphans(
    emulator: Emulator, add_key: AddKey, command: Callable[..., Done]
) -> None:
    lost = add_key()
    emulator.control.fault("get_storage_key", status=401, times=None)
    done = command(revoke=True, yes=True)
    assert (done.code, done.out) == (1, "")
    assert "nothing more was done" in done.err.splitlines()[-1]
    assert live(emulator) == {lost}
