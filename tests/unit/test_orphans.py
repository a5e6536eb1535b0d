"""Orphans: which keys are called so, what the leader says of them, and what the command refuses."""

from __future__ import annotations

import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from amove_operator import cli, orphans_command
from amove_operator.controller.cache import Cache, Ghost
from amove_operator.controller.context import Context
from amove_operator.controller.orphans import OrphanWatch
from amove_operator.core.ledger import Listing, LiveKey
from amove_operator.core.naming import key_name, marker_of
from amove_operator.core.orphans import Judgement, Look
from amove_operator.core.refs import Kind, Ref
from amove_operator.core.secret_record import KEY_ID, OWNER_UID, RETIRING
from amove_operator.kube import SecretMeta
from amove_operator.settings import Settings
from amove_operator.telemetry import Metrics

CLUSTER = "uid-of-kube-system"
SETTLE = 30.0
GONE, LIVING = "uid-of-a-cr-that-is-gone", "uid-of-a-cr"


KEPT = {KEY_ID: "a", OWNER_UID: GONE}
"""What a Secret says that still holds its key, its CR being gone."""


def marked(key_id: str, owner: str = GONE, cluster: str = CLUSTER) -> LiveKey:
    """A key under a CR's marker."""
    name = key_name("team-app", marker_of(cluster, owner), "0123abcd", 1)
    return LiveKey(key_id, name, f"AK-{key_id}")


def look(
    *keys: LiveKey,
    begun: float = 0.0,
    crs: tuple[str, ...] = (LIVING,),
    secrets: tuple[dict[str, str], ...] = (),
) -> Look:
    """One look at the world."""
    return Look.of(CLUSTER, Listing.of(begun, keys), crs, secrets)


def judged(*looks: Look) -> list[str]:
    """The ids of the orphans after these looks."""
    judgement = Judgement()
    for one in looks:
        judgement = judgement.after(one, SETTLE)
    return [key.id for key in judgement.orphans]


def twice(key: LiveKey, **world: Any) -> list[str]:
    """The orphans after two looks at the same world, the settle time apart."""
    return judged(look(key, **world), look(key, begun=SETTLE, **world))


def test_a_key_whose_cr_is_gone_and_that_no_secret_holds_is_an_orphan() -> None:
    assert twice(marked("a")) == ["a"]


NOT_ORPHANS: list[tuple[str, LiveKey, dict[str, Any]]] = [
    ("its CR exists", marked("a", LIVING), {}),
    ("a Secret of ours holds it", marked("a"), {"secrets": (KEPT,)}),
    ("it is another cluster's", marked("a", cluster="another"), {}),
    ("it carries no marker", LiveKey("a", "made-by-hand", "AK"), {}),
    (
        "its name only resembles a marker",
        LiveKey("a", f"{marked('a').name}-by-hand", "AK"),
        {},
    ),
]


@pytest.mark.parametrize(
    ("key", "world"), [row[1:] for row in NOT_ORPHANS], ids=[row[0] for row in NOT_ORPHANS]
)
def test_a_key_is_no_orphan_when(key: LiveKey, world: dict[str, Any]) -> None:
    assert twice(key, **world) == []


@pytest.mark.parametrize("owner", [{}, {OWNER_UID: "another"}])
def test_a_secret_of_another_cr_hides_no_orphan(owner: dict[str, str]) -> None:
    assert twice(marked("a"), secrets=({KEY_ID: "a", **owner},)) == ["a"]


def test_a_secret_that_only_lists_a_key_as_retiring_does_not_hold_it() -> None:
    secret = {KEY_ID: "other", RETIRING: '{"a":"2030-01-01T00:00:00Z"}'}
    assert twice(marked("a"), secrets=(secret,)) == ["a"]


def test_one_look_proves_nothing() -> None:
    assert judged(look(marked("a"), begun=1_000.0)) == []


def test_two_looks_closer_than_the_settle_time_prove_nothing() -> None:
    key = marked("a")
    assert judged(look(key), look(key, begun=SETTLE - 0.1)) == []
    assert judged(look(key), look(key, begun=SETTLE - 0.1), look(key, begun=SETTLE)) == ["a"]


def test_without_a_settle_time_it_still_takes_two_looks() -> None:
    first = Judgement().after(look(marked("a")), 0.0)
    assert first.orphans == ()
    assert first.after(look(marked("a"), begun=0.1), 0.0).orphans != ()


HELD_ONCE: list[tuple[str, Look]] = [
    ("its CR was there", look(marked("a"), begun=SETTLE, crs=(GONE,))),
    ("a Secret held it", look(marked("a"), begun=SETTLE, secrets=(KEPT,))),
    ("it was not listed", look(begun=SETTLE)),
]


@pytest.mark.parametrize("between", [r[1] for r in HELD_ONCE], ids=[r[0] for r in HELD_ONCE])
def test_a_look_that_clears_a_key_makes_its_time_start_anew(between: Look) -> None:
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

    def __init__(self, *watched: str) -> None:
        settings = Settings(token_file=Path("token"), watch_namespaces=watched)
        self.metrics = Metrics()
        self.cache = Cache()
        self.secrets: dict[tuple[str, str], SecretMeta] = {}
        context = SimpleNamespace(
            settings=settings,
            settle=SETTLE,
            cluster_uid=CLUSTER,
            cache=self.cache,
            secrets=self.secrets,
            metrics=self.metrics,
        )
        self._watch = OrphanWatch(cast(Context, context))

    def lists(self, begun: float, *keys: LiveKey) -> float | None:
        """Take in a listing; the metric afterwards."""
        self._watch.listed(Listing.of(begun, keys))
        return self.metrics.registry.get_sample_value("amove_operator_orphan_keys")

    def knows(self, uid: str) -> Ref:
        """Have a key CR in the cache."""
        ref = Ref(Kind.KEY, "team", "app")
        meta = {"name": "app", "namespace": "team", "uid": uid, "resourceVersion": "1"}
        self.cache.put(ref, {"metadata": meta, "spec": {"permission": "Read"}})
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

    last = leader.cache.drop(ref)
    assert last is not None
    ghost = Ghost(ref, GONE)
    leader.cache.haunt(ghost, last)
    leader.lists(2 * SETTLE, marked("a"))
    assert leader.lists(3 * SETTLE, marked("a")) == 0, "its deletion is still being served"

    leader.cache.lay(ghost)
    leader.lists(4 * SETTLE, marked("a"))
    assert leader.lists(5 * SETTLE, marked("a")) == 1


def test_the_leader_takes_no_key_that_a_retained_secret_holds_for_an_orphan() -> None:
    leader = Leader()
    where = ("team", "app")
    leader.secrets[where] = SecretMeta(*where, "uid", "1", GONE, KEPT)
    leader.lists(0, marked("a"))
    assert leader.lists(SETTLE, marked("a")) == 0


def test_a_leader_that_watches_some_namespaces_calls_nothing_an_orphan(
    caplog: pytest.LogCaptureFixture,
) -> None:
    leader = Leader("team")
    leader.lists(0, marked("a"))
    assert leader.lists(SETTLE, marked("a")) == 0
    assert not caplog.messages


# ------------------------------------------------------------------------------ the command


REFUSED = [
    ("AMOVE_WATCH_NAMESPACES", ["--watch-namespaces", "team"]),
    ("--yes", ["--yes"]),
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
    assert orphans_command._agreed(3) is agreed


def test_what_the_service_says_cannot_drive_the_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    evil = LiveKey("id\x1b[2J", marked("a").name, "AK", user_id="one\ntwo")
    orphans_command._show([evil])
    heading, row = capsys.readouterr().out.splitlines()
    assert heading.split() == ["ID", "NAME", "CREATED", "USER"]
    assert "\x1b" not in row
