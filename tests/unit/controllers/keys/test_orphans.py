"""Orphans: which keys are called so, what the leader says of them, and what the command refuses."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from amove_operator import cli
from amove_operator.amove import AmoveClient
from amove_operator.commands import orphans as orphans_command
from amove_operator.controllers.keys.orphan_watch import OrphanWatch
from amove_operator.controllers.shared.dependencies import Dependencies
from amove_operator.core.key_list import KeyList, RemoteKey
from amove_operator.core.keys.orphans import OrphanScan, OrphanSuspects, holds, may_hold, too_many
from amove_operator.core.naming import key_name, marker_of, names_digest
from amove_operator.core.secrets.record import KEY_ID, OWNER_UID
from amove_operator.errors import KubeUnavailable
from amove_operator.kube import Kube
from amove_operator.kube.secret_watch import SecretMeta
from amove_operator.models.refs import Kind, Ref
from amove_operator.settings import Settings
from amove_operator.telemetry import Metrics

CLUSTER = "uid-of-kube-system"
SETTLE = 30.0
NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
GONE, LIVING = "uid-of-a-cr-that-is-gone", "uid-of-a-cr"


def marked(key_id: str, owner: str = GONE, cluster: str = CLUSTER) -> RemoteKey:
    """A key under a CR's marker."""
    name = key_name("team-app", marker_of(cluster, owner), names_digest(["media"]), 1)
    return RemoteKey(key_id, name, f"AK-{key_id}")


def look(
    *keys: RemoteKey,
    begun: float = 0.0,
    crs: tuple[str, ...] = (LIVING,),
    held: tuple[str, ...] = (),
) -> OrphanScan:
    """One look at the world."""
    return OrphanScan.of(CLUSTER, KeyList.of(begun, keys), crs, held)


def judged(*looks: OrphanScan) -> list[str]:
    """The ids of the orphans after these looks."""
    judgement = OrphanSuspects()
    for one in looks:
        judgement = judgement.after(one, SETTLE)
    return [key.id for key in judgement.orphans]


def twice(key: RemoteKey, **world: Any) -> list[str]:
    """The orphans after two looks at the same world, the settle time apart."""
    return judged(look(key, **world), look(key, begun=SETTLE, **world))


def test_a_key_whose_cr_is_gone_and_that_no_secret_holds_is_an_orphan() -> None:
    assert twice(marked("a")) == ["a"]


NOT_ORPHANS: list[tuple[str, RemoteKey, dict[str, Any]]] = [
    ("its CR exists", marked("a", LIVING), {}),
    ("a Secret holds it", marked("a"), {"held": ("a",)}),
    ("it is another cluster's", marked("a", cluster="another"), {}),
    ("it carries no marker", RemoteKey("a", "made-by-hand", "AK"), {}),
    (
        "its name only resembles a marker",
        RemoteKey("a", f"{marked('a').name}-by-hand", "AK"),
        {},
    ),
]


@pytest.mark.parametrize(
    ("key", "world"), [row[1:] for row in NOT_ORPHANS], ids=[row[0] for row in NOT_ORPHANS]
)
def test_a_key_is_no_orphan_when(key: RemoteKey, world: dict[str, Any]) -> None:
    assert twice(key, **world) == []


def test_a_key_of_which_another_is_held_is_an_orphan() -> None:
    assert twice(marked("a"), held=("b",)) == ["a"]


@pytest.mark.parametrize(
    ("data", "holding"),
    [
        ({"AWS_ACCESS_KEY_ID": b"AK-a"}, True),
        ({"credentials": b"[default]\naws_access_key_id = AK-a\n"}, True),
        ({"AWS_ACCESS_KEY_ID": b"AK-b", "note": b"a"}, False),
        ({}, False),
    ],
)
def test_a_secret_holds_a_key_only_if_its_data_carry_the_access_key(
    data: dict[str, bytes], holding: bool
) -> None:
    assert holds(data, marked("a")) is holding


def test_a_key_without_access_key_is_held_by_no_secret() -> None:
    """The empty text stands in every other one."""
    assert not holds({"a": b"anything"}, replace(marked("a"), access_key=""))


def test_a_secret_written_for_another_object_can_hold_no_orphan() -> None:
    listing = KeyList.of(0.0, [marked("a")])
    assert may_hold(GONE, marked("a"), listing)
    assert not may_hold(LIVING, marked("a"), listing)
    assert not may_hold(GONE, marked("b"), listing)


def test_one_look_proves_nothing() -> None:
    assert judged(look(marked("a"), begun=1_000.0)) == []


def test_two_looks_closer_than_the_settle_time_prove_nothing() -> None:
    key = marked("a")
    assert judged(look(key), look(key, begun=SETTLE - 0.1)) == []
    assert judged(look(key), look(key, begun=SETTLE - 0.1), look(key, begun=SETTLE)) == ["a"]


def test_without_a_settle_time_it_still_takes_two_looks() -> None:
    first = OrphanSuspects().after(look(marked("a")), 0.0)
    assert first.orphans == ()
    assert first.after(look(marked("a"), begun=0.1), 0.0).orphans != ()


HELD_ONCE: list[tuple[str, OrphanScan]] = [
    ("its CR was there", look(marked("a"), begun=SETTLE, crs=(GONE,))),
    ("a Secret held it", look(marked("a"), begun=SETTLE, held=("a",))),
    ("it was not listed", look(begun=SETTLE)),
]


@pytest.mark.parametrize("between", [r[1] for r in HELD_ONCE], ids=[r[0] for r in HELD_ONCE])
def test_a_look_that_clears_a_key_makes_its_time_start_anew(between: OrphanScan) -> None:
    key = marked("a")
    assert judged(look(key), between, look(key, begun=SETTLE + 1)) == []
    again = look(key, begun=SETTLE + 1), look(key, begun=2 * SETTLE + 1)
    assert judged(look(key), between, *again) == ["a"]


def test_a_key_that_a_later_list_lacks_is_an_orphan_no_more() -> None:
    both = marked("a"), marked("b")
    assert judged(look(*both), look(*both, begun=SETTLE)) == ["a", "b"]
    assert judged(look(*both), look(*both, begun=SETTLE), look(both[1], begun=2 * SETTLE)) == ["b"]


# ------------------------------------------------------------------------------ in the leader


class Leader:
    """An OrphanWatch with just what it reads."""

    field_manager = "amove-operator"

    def __init__(self, *watched: str) -> None:
        settings = Settings(token_file=Path("token"), watch_namespaces=watched)
        self.metrics = Metrics()
        self.data: dict[tuple[str, str], dict[str, bytes]] = {}
        self.read: list[tuple[str, str]] = []
        self.down = False
        self.d = Dependencies(
            settings,
            cast(Kube, self),
            cast(AmoveClient, SimpleNamespace(permits=None)),
            self.metrics,
            CLUSTER,
        )
        self.store = self.d.store
        self._watch = OrphanWatch(self.d)

    def lists(self, begun: float, *keys: RemoteKey) -> float | None:
        """Take in a listing; the metric afterwards."""
        asyncio.run(self._watch.judge(KeyList.of(begun, keys)))
        return self.metrics.registry.get_sample_value("amove_operator_orphan_keys")

    def has_secret(
        self, namespace: str, name: str, data: bytes, *, owner: str = GONE, key_id: str = "a"
    ) -> None:
        """There is a Secret that says to hold a key, and has those data."""
        notes = {KEY_ID: key_id, OWNER_UID: owner}
        self.d.secrets.put(SecretMeta(namespace, name, f"uid-{namespace}-{name}", "1", notes))
        self.data[namespace, name] = {"AWS_ACCESS_KEY_ID": data}

    async def read_secret(self, namespace: str, name: str) -> Any:
        """A GET of it."""
        self.read.append((namespace, name))
        if self.down:
            raise KubeUnavailable("no answer")
        return SimpleNamespace(uid=f"uid-{namespace}-{name}", data=self.data[namespace, name])

    def knows(self, uid: str) -> Ref:
        """Have a key CR in the cache."""
        ref = Ref(Kind.KEY, "team", "app")
        meta = {"name": "app", "namespace": "team", "uid": uid, "resourceVersion": "1"}
        self.store.put(ref.kind, {"metadata": meta, "spec": {"permission": "Read"}})
        return ref


def test_the_leader_counts_orphans_and_names_them_once_per_change(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    leader = Leader()
    assert leader.lists(0, marked("a"), marked("b")) == 0
    assert not caplog.messages

    assert leader.lists(SETTLE, marked("a"), marked("b")) == 2
    (line,) = caplog.messages
    assert "2 live keys" in line
    assert marked("a").name in line
    assert "id a" in line
    assert "id b" in line

    assert leader.lists(2 * SETTLE, marked("a"), marked("b")) == 2
    assert len(caplog.messages) == 1, "said once"

    assert leader.lists(3 * SETTLE, marked("b")) == 1
    assert "id b" in caplog.messages[1]
    assert "id a" not in caplog.messages[1]

    assert leader.lists(4 * SETTLE) == 0
    assert len(caplog.messages) == 3
    assert "no orphaned keys" in caplog.messages[2]


def test_the_leader_names_only_some_of_very_many(caplog: pytest.LogCaptureFixture) -> None:
    leader = Leader()
    keys = [marked(f"key-{number:03}") for number in range(500)]
    leader.lists(0, *keys)
    assert leader.lists(SETTLE, *keys) == 500
    (line,) = caplog.messages
    assert line.count("(id ") == 20
    assert "and 480 more" in line


def test_the_leader_takes_no_key_of_a_known_cr_or_of_one_that_vanished_for_an_orphan() -> None:
    leader = Leader()
    ref = leader.knows(GONE)
    leader.lists(0, marked("a"))
    assert leader.lists(SETTLE, marked("a")) == 0

    last = leader.store.keys[ref]
    leader.store.drop(ref)
    leader.store.keep_vanished(last)
    leader.lists(2 * SETTLE, marked("a"))
    assert leader.lists(3 * SETTLE, marked("a")) == 0, "its deletion is still being served"

    leader.store.forget(last.metadata.uid)
    leader.lists(4 * SETTLE, marked("a"))
    assert leader.lists(5 * SETTLE, marked("a")) == 1


def test_the_leader_takes_no_key_that_a_retained_secret_holds_for_an_orphan() -> None:
    leader = Leader()
    leader.has_secret("team", "app", b"AK-a")
    leader.lists(0, marked("a"))
    assert leader.lists(SETTLE, marked("a")) == 0
    assert leader.d.names.holders == {"a": "team"}


def test_a_list_that_comes_while_an_object_is_let_go_of_forgets_no_holder() -> None:
    leader = Leader()
    leader.knows(GONE)
    leader.d.names.note_holder("a", "team")
    leader.lists(0, marked("a"))
    assert leader.d.names.holders == {"a": "team"}, "not judged: its object is still there"
    leader.lists(SETTLE)
    assert leader.d.names.holders == {}, "the key is gone"


def test_a_secret_that_cannot_be_read_for_once_keeps_its_key_from_being_an_orphans() -> None:
    leader = Leader()
    leader.has_secret("team", "app", b"AK-a")
    leader.lists(0, marked("a"))
    leader.down = True
    leader.lists(SETTLE, marked("a"))
    assert leader.d.names.holders == {"a": "team"}


@pytest.mark.parametrize(
    "forged",
    [
        {"data": b"AK-of-no-key"},
        {"data": b"AK-a", "owner": LIVING},
        {"data": b"AK-a", "key_id": "b"},
    ],
)
def test_what_a_secret_only_says_of_itself_hides_no_orphan(forged: dict[str, Any]) -> None:
    leader = Leader()
    leader.has_secret("team", "app", **forged)
    leader.lists(0, marked("a"))
    assert leader.lists(SETTLE, marked("a")) == 1
    assert leader.d.names.holders == {}


def test_the_claims_of_one_namespace_neither_hide_anothers_secret_nor_are_read_without_end() -> (
    None
):
    leader = Leader()
    for number in range(100):
        leader.has_secret("aaa", f"forged-{number:03}", b"AK-forged")
    leader.has_secret("team", "app", b"AK-a")
    leader.lists(0, marked("a"))
    assert leader.lists(SETTLE, marked("a")) == 0
    assert leader.d.names.holders == {"a": "team"}
    assert len(leader.read) <= 2 * 9


def test_a_key_of_which_nobody_can_tell_whether_a_secret_holds_it_is_no_orphan() -> None:
    leader = Leader()
    leader.has_secret("team", "app", b"AK-of-no-key")
    leader.down = True
    leader.lists(0, marked("a"))
    assert leader.lists(SETTLE, marked("a")) == 0
    leader.down = False
    leader.lists(2 * SETTLE, marked("a"))
    assert leader.lists(3 * SETTLE, marked("a")) == 1


def test_a_leader_that_watches_some_namespaces_calls_nothing_an_orphan(
    caplog: pytest.LogCaptureFixture,
) -> None:
    leader = Leader("team")
    leader.lists(0, marked("a"))
    assert leader.lists(SETTLE, marked("a")) is None, "nobody can know"
    assert not caplog.messages


# ------------------------------------------------------------------------------ the command


REFUSED = [
    ("AMOVE_WATCH_NAMESPACES", ["--watch-namespaces", "team"]),
    ("--yes", ["--yes"]),
    ("--all", ["--all"]),
    ("--revoke", ["--revoke"]),
    ("AMOVE_TOKEN_FILE", ["--token-file", "/nonexistent/token"]),
]


@pytest.mark.parametrize(("named", "flags"), REFUSED, ids=[row[0] for row in REFUSED])
def test_the_command_refuses_in_one_line_with_exit_code_2(
    named: str,
    flags: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cli, "configure_logging", lambda *_: None)
    assert cli.main(["orphans", "--token-file", __file__, *flags]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    assert line.startswith(f"amove-operator: {named}")


@pytest.mark.parametrize(
    ("answer", "agreed"),
    [("yes\n", True), ("Y\n", True), ("no\n", False), ("\n", False), ("yesterday\n", False)],
)
def test_only_a_clear_yes_is_an_agreement(
    answer: str, agreed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("builtins.input", lambda _question: answer.rstrip("\n"))
    assert orphans_command.agrees([marked("a")], NOON) is agreed


def issued(key_id: str, **before: float) -> RemoteKey:
    return replace(marked(key_id), created=NOON - timedelta(**before))


@pytest.mark.parametrize(
    ("orphans", "told"),
    [
        ([issued("a", days=40)], "Revoke 1 key, 40d old? Whoever uses it"),
        (
            [issued("a", days=40), issued("b", minutes=5), issued("c", hours=3)],
            "Revoke 3 keys, 5m to 40d old? Whoever uses one of them",
        ),
        ([issued("a", hours=-1)], "Revoke 1 key, 0m old?"),
        ([marked("a"), issued("b", hours=47)], "Revoke 2 keys, 47h old?"),
        ([marked("a")], "Revoke 1 key? Whoever uses it"),
    ],
)
def test_the_question_tells_how_many_keys_and_how_old_they_are(
    orphans: list[RemoteKey], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr("builtins.input", asked.append)
    with pytest.raises(AttributeError):  # no answer
        orphans_command.agrees(orphans, NOON)
    (question,) = asked
    assert question.startswith(told)


@pytest.mark.parametrize(
    ("orphans", "listed", "refused"),
    [(1, 5, False), (1, 4, True), (20, 100, False), (21, 100, True), (3, 3, True), (0, 0, False)],
)
def test_more_than_a_fifth_of_all_keys_are_too_many(
    orphans: int, listed: int, refused: bool
) -> None:
    assert too_many(orphans, listed) is refused


@pytest.mark.parametrize(
    ("flags", "listed", "code", "revoked"),
    [
        (["--revoke", "--yes"], 10, 0, True),
        (["--revoke", "--yes"], 9, 1, False),
        (["--revoke", "--yes", "--all"], 9, 0, True),
        ([], 9, 0, False),
    ],
)
def test_very_many_orphans_are_revoked_only_with_all(
    flags: list[str],
    listed: int,
    code: int,
    revoked: bool,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In a copy of the cluster, the keys of the original look like orphans."""
    orphans = OrphanSuspects(orphans=(marked("a"), marked("b")))
    done: list[OrphanSuspects] = []

    async def judge(_settings: Settings) -> Any:
        return orphans, listed

    async def revoke(_settings: Settings, judgement: OrphanSuspects) -> bool:
        done.append(judgement)
        return True

    monkeypatch.setattr(cli, "configure_logging", lambda *_: None)
    monkeypatch.setattr(orphans_command, "find_orphans", judge)
    monkeypatch.setattr(orphans_command, "revoke_orphans", revoke)
    assert cli.main(["orphans", "--token-file", __file__, *flags]) == code
    assert done == ([orphans] if revoked else [])
    out, err = capsys.readouterr()
    assert marked("a").name in out, "they are listed in any case"
    if code:
        assert "2 of 9 keys are orphans" in err
        assert "--all" in err


def test_what_the_service_says_cannot_drive_the_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    evil = RemoteKey("id\x1b[2J", marked("a").name, "AK", user_id="one\ntwo")
    orphans_command.print_keys([evil])
    heading, row = capsys.readouterr().out.splitlines()
    assert heading.split() == ["ID", "NAME", "CREATED", "USER"]
    assert "\x1b" not in row
