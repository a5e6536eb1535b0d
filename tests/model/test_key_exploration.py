"""Every state that the key protocol can get into in a small world (docs/key-protocol.md).

The decisions are the product's own (``plan_key``, ``Expectations``, ``status_of``); small_world.py
says what is modelled. In every state the invariants of moves.py hold, and from every state the
settled one can be reached: exactly one live key for each CR, held by its Secret, nothing else under
its marker. Each rule in RULES makes that fail when it is taken out.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from math import inf
from typing import NamedTuple

import pytest

from amove_operator.controllers.shared import name_registry
from amove_operator.controllers.shared.key_index import KeyIndex
from amove_operator.core import names
from amove_operator.core.key_list import KeyList, RemoteKey
from amove_operator.core.keys import deletion as key_deletion
from amove_operator.core.keys import derived, gates, issue, plan, revoke, schedule, steps
from amove_operator.core.keys.expectations import Expectations, PendingKey
from amove_operator.core.keys.snapshot import GoneKeys, KeySnapshot
from amove_operator.core.scope import Scope
from amove_operator.models import AmoveStorageKey, RecentIssue
from tests.model.exploring import explore
from tests.model.moves import Moves
from tests.model.small_world import Broken, Chances, Rules

# Each line of the rules runs in a test of its own as well; here it runs ten thousand times, and to
# count that doubles the time.
pytestmark = pytest.mark.no_cover


class SmallWorld(NamedTuple):
    """What there is, and what may go wrong in it. ``keys``: the walk ends at so many per CR.

    ``settles`` of False asks for the invariants only: without resyncs some ways back are missing.
    """

    chances: Chances
    keys: int
    rules: Rules = Rules()
    crs: int = 1
    processes: int = 1
    settles: bool = True

    def explored(self) -> int:
        """The number of states; raises Broken."""
        moves = Moves(self.rules, self.keys)
        start = moves.start(self.crs, self.processes, self.chances)
        return explore(moves, start, settles=self.settles).states


LEAN = Rules(resyncs=False, dry_runs=False)
LINGERING = Rules(lingering=True)
NO_DRY_RUN = Rules(dry_runs=False)
NAMES = Rules(dry_runs=False, names=True)
LEAN_NAMES = NAMES._replace(resyncs=False)
TWINS = NAMES._replace(scopes=(0, 2))

WORLDS = {
    "three crashes at any step": SmallWorld(Chances(crashes=3), 5),
    "a lost answer and a crash": SmallWorld(Chances(losses=1, crashes=1), 4),
    "two lost answers": SmallWorld(Chances(losses=2), 4),
    "the Secret deleted or edited, and a crash": SmallWorld(
        Chances(vandals=1, crashes=1), 3, NO_DRY_RUN
    ),
    "a key revoked by others, and a crash": SmallWorld(Chances(kills=1, crashes=1), 4),
    "a key revoked by others; revoked keys linger in the list": SmallWorld(
        Chances(kills=1), 3, LINGERING
    ),
    "a rotation or another scope asked for, and a crash": SmallWorld(
        Chances(changes=1, crashes=1), 3, NO_DRY_RUN
    ),
    "two changes within one grace": SmallWorld(Chances(changes=2), 3, LEAN),
    "an older Secret put back after a change": SmallWorld(
        Chances(restores=1, changes=1), 3, NO_DRY_RUN
    ),
    "two changes and a lost answer": SmallWorld(Chances(changes=2, losses=1), 3, LEAN),
    "a stranger's Secret where ours was": SmallWorld(Chances(vandals=1, strangers=1), 2),
    "deletion at any step, with a crash": SmallWorld(Chances(deletions=1, crashes=1), 3),
    "deletion at any step, with a lost answer": SmallWorld(Chances(deletions=1, losses=1), 3),
    "a budget of one, and crashes": SmallWorld(Chances(crashes=2), 4, Rules(budget=1)),
    "two CRs, one forging the other's key into its Secret": SmallWorld(
        Chances(forgeries=1), 2, LEAN, crs=2
    ),
    "a status that cannot be written, and a crash": SmallWorld(
        Chances(refusals=1, crashes=1), 3, NO_DRY_RUN
    ),
    "a bucket's name goes to another team, after a change": SmallWorld(
        Chances(partings=1, changes=1), 3, LEAN_NAMES
    ),
    "a bucket's name goes to another team, with a lost answer": SmallWorld(
        Chances(partings=1, losses=1), 3, LEAN_NAMES
    ),
    "an object goes while nobody leads, and its bucket's name is asked for": SmallWorld(
        Chances(partings=1, crashes=2, vanishings=1), 2, NAMES
    ),
    "a bucket's name goes, and a status cannot be written": SmallWorld(
        Chances(partings=1, refusals=1, crashes=1), 2, NAMES
    ),
    "a bucket's name goes, whose mark another name has": SmallWorld(
        Chances(partings=1, changes=1), 2, TWINS
    ),
    "a bucket's name goes, and a list lacks a key": SmallWorld(
        Chances(partings=1, flaps=1), 2, NAMES
    ),
    "creates refused, done half-way or not": SmallWorld(
        Chances(rejections=2), 4, Rules(budget=1, dry_runs=False, gives_back=True)
    ),
    "a create refused, and a crash": SmallWorld(Chances(rejections=1, crashes=1), 4, NO_DRY_RUN),
    "a key under another name, and a lost answer": SmallWorld(
        Chances(renames=1, losses=1), 3, NO_DRY_RUN
    ),
    "two operators at once, and a stranger's Secret": SmallWorld(
        Chances(strangers=1), 1, LEAN, processes=2, settles=False
    ),
}

LONG_WORLDS = {
    "an object goes while nobody leads, after a change": SmallWorld(
        Chances(partings=1, crashes=1, vanishings=1, changes=1), 2, NAMES
    ),
    "a bucket's name goes, whose mark another name has, with a crash": SmallWorld(
        Chances(partings=1, changes=1, crashes=1), 2, TWINS
    ),
    "two operators at once": SmallWorld(Chances(), 2, LEAN, processes=2, settles=False),
    "two changes within one grace, in full": SmallWorld(Chances(changes=2), 4),
    "the Secret deleted or edited, and a crash, in full": SmallWorld(
        Chances(vandals=1, crashes=1), 4
    ),
    "the Secret deleted or edited twice": SmallWorld(Chances(vandals=2), 3),
    "three crashes, a lost answer": SmallWorld(Chances(crashes=3, losses=1), 5),
    "two crashes, a lost answer, a key revoked by others": SmallWorld(
        Chances(crashes=2, losses=1, kills=1), 5, NO_DRY_RUN
    ),
    "a crash, a lost answer, a vandal, a key revoked by others": SmallWorld(
        Chances(crashes=1, losses=1, vandals=1, kills=1), 5, NO_DRY_RUN
    ),
    "a crash, a lost answer, a vandal, a key revoked by others, a change": SmallWorld(
        Chances(crashes=1, losses=1, vandals=1, kills=1, changes=1), 2, LEAN, settles=False
    ),
    "a crash, a lost answer, a change": SmallWorld(Chances(crashes=1, losses=1, changes=1), 4),
    "a vandal, a change, a crash": SmallWorld(Chances(vandals=1, changes=1, crashes=1), 4),
    "a key revoked by others, a crash, a change": SmallWorld(
        Chances(kills=1, crashes=1, changes=1), 4
    ),
    "a key revoked by others, a crash; revoked keys linger": SmallWorld(
        Chances(kills=1, crashes=1), 3, LINGERING
    ),
    "deletion with crashes and a lost answer": SmallWorld(
        Chances(deletions=1, crashes=2, losses=1), 4
    ),
    "two operators at once, and a crash": SmallWorld(
        Chances(crashes=1), 2, LEAN, processes=2, settles=False
    ),
    "two CRs and a crash": SmallWorld(Chances(crashes=1), 2, LEAN, crs=2),
    "a bucket's name goes: two crashes, three keys": SmallWorld(
        Chances(partings=1, crashes=2), 3, NAMES
    ),
    "a bucket's name goes: a crash, a change, three keys, a twin": SmallWorld(
        Chances(partings=1, crashes=1, changes=1), 3, TWINS
    ),
    "a bucket's name goes: two crashes, a lost answer": SmallWorld(
        Chances(partings=1, crashes=2, losses=1), 3, NAMES
    ),
    "a bucket's name goes: two crashes, a change, and the object goes": SmallWorld(
        Chances(partings=1, crashes=2, changes=1, vanishings=1), 3, NAMES
    ),
    "a bucket's name goes: two crashes, a change, a status that cannot be written": SmallWorld(
        Chances(partings=1, crashes=2, changes=1, refusals=1), 3, TWINS
    ),
    "a bucket's name goes: a deletion, a crash, a vandal": SmallWorld(
        Chances(partings=1, crashes=1, deletions=1, vandals=1), 3, NAMES
    ),
}


@pytest.mark.parametrize("name", WORLDS)
def test_no_reachable_state_breaks_an_invariant_and_each_has_a_way_back(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    states = WORLDS[name].explored()
    with capsys.disabled():
        sys.stdout.write(f"\n  {states:7,} states: {name} ")


@pytest.mark.long
@pytest.mark.parametrize("name", LONG_WORLDS)
def test_larger_worlds_hold_too(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    states = LONG_WORLDS[name].explored()
    with capsys.disabled():
        sys.stdout.write(f"\n  {states:7,} states: {name} ")


def test_where_kubernetes_refuses_the_secret_no_key_is_ever_issued() -> None:
    moves = Moves(Rules(refusing=True), 2)
    assert explore(moves, moves.start(1, 1, Chances(crashes=1)), settles=False).states > 10


# ---------------------------------------------------------------- a test of the test

Patch = pytest.MonkeyPatch


def _without_check(name: str) -> Callable[[Patch, Moves], None]:
    """The planner without one of its questions."""

    def take_out(patch: Patch, _moves: Moves) -> None:
        taken = 0
        for module, table in ((plan, "CHECKS"), (issue, "GATES")):
            asked = getattr(module, table)
            kept = tuple(one for one in asked if one.__name__ != name)
            taken += len(asked) - len(kept)
            patch.setattr(module, table, kept)
        assert taken, f"there is no check {name}"

    return take_out


def _no_rule_of_time(patch: Patch, _moves: Moves) -> None:
    patch.setattr(Expectations, "for_known", classmethod(lambda cls, _since, _settle: cls(-inf)))


def _no_settle_time(patch: Patch, _moves: Moves) -> None:
    patch.setattr(Expectations, "for_known", classmethod(lambda cls, since, _settle: cls(since)))


def _no_settling_after_a_lost_answer(patch: Patch, _moves: Moves) -> None:
    patch.setattr(Expectations, "lost", lambda self, at, _settle: replace(self, knows_from=at))


def _mints_are_not_remembered(patch: Patch, _moves: Moves) -> None:
    def received(self: Expectations, pending_key: PendingKey, _at: float) -> Expectations:
        return replace(self, pending_key=pending_key)

    patch.setattr(Expectations, "received", received)


def _create_is_sent_twice(_patch: Patch, moves: Moves) -> None:
    moves.twice = True


def _secret_is_written_blindly(_patch: Patch, moves: Moves) -> None:
    moves.careful = False


def _nothing_is_revoked_at_the_end(patch: Patch, _moves: Moves) -> None:
    patch.setattr(key_deletion, "_next_revocation", lambda _world, _kept: None)


def _deletion_does_not_wait_for_a_list(patch: Patch, _moves: Moves) -> None:
    patch.setattr(key_deletion, "_never_issued", lambda _world: True)


def _damage_waits_for_a_grace(patch: Patch, _moves: Moves) -> None:
    patch.setattr(gates, "_DAMAGE", ())


def _too_wide_a_key_keeps_its_grace(patch: Patch, _moves: Moves) -> None:
    patch.setattr(gates, "takes_away", lambda *_: False)


def _no_list_is_waited_for(patch: Patch, _moves: Moves) -> None:
    patch.setattr(names, "list_needed_since", lambda *_: -inf)


def _nothing_is_unlisted(patch: Patch, _moves: Moves) -> None:
    patch.setattr(name_registry, "may_have_unlisted_key", lambda _key: False)


def _marks_keep_nothing(patch: Patch, _moves: Moves) -> None:
    patch.setattr(KeyList, "keeping", lambda _self, _name: ())


def _status_keeps_nothing(patch: Patch, _moves: Moves) -> None:
    patch.setattr(AmoveStorageKey, "named_keys", property(lambda _key: ()))


def _nothing_is_expected(patch: Patch, _moves: Moves) -> None:
    patch.setattr(KeyIndex, "reserve", lambda *_: None)


def _a_digest_proves(patch: Patch, _moves: Moves) -> None:
    """A key is believed to have the scope that is asked for, where its mark is that scope's."""
    known = derived.known_scope

    def believed(world: KeySnapshot, key: RemoteKey) -> Scope | None:
        wanted = world.wanted_scope
        looks_so = wanted is not None and wanted.names9 == key.names9
        return wanted if looks_so else known(world, key)

    patch.setattr(derived, "known_scope", believed)


def _issues_are_noted_without_scope(patch: Patch, _moves: Moves) -> None:
    remember = schedule.remember_issue

    def serial_only(recent: Sequence[RecentIssue], one: RecentIssue) -> tuple[RecentIssue, ...]:
        return remember(recent, one.model_copy(update={"scope": None}))

    patch.setattr(schedule, "remember_issue", serial_only)


def _the_unknown_stays(patch: Patch, _moves: Moves) -> None:
    reason = derived.reissue_reason
    patch.setattr(
        issue,
        "reissue_reason",
        lambda world: None if (why := reason(world)) is steps.IssueReason.SCOPE_UNKNOWN else why,
    )


def _only_what_status_names_is_given_up(patch: Patch, _moves: Moves) -> None:
    patch.setattr(revoke, "displaced_keys", lambda world: world.displaced.keys)


def _one_list_is_proof(patch: Patch, _moves: Moves) -> None:
    patch.setattr(GoneKeys, "lasting", property(lambda gone: gone.confirmed, lambda *_: None))


def _refusals_are_not_given_back(patch: Patch, _moves: Moves) -> None:
    patch.setattr(derived, "counted_issues", lambda world: world.status.recent_issues)


def _refusals_are_given_back_at_once(patch: Patch, _moves: Moves) -> None:
    def create_refused(self: Expectations, serial: int, _at: float, _lag: float) -> Expectations:
        return replace(self, given_back=self.given_back | {serial})

    patch.setattr(Expectations, "create_refused", create_refused)


def _whatever_the_name_it_is_written(patch: Patch, _moves: Moves) -> None:
    patch.setattr(PendingKey, "renamed", property(lambda _key: False, lambda *_: None))


def _nothing(_patch: Patch, _moves: Moves) -> None:
    """The rule is taken out by the world's own Rules."""


RULES: dict[str, tuple[Callable[[Patch, Moves], None], SmallWorld]] = {
    "the rule of time": (_no_rule_of_time, SmallWorld(Chances(crashes=2), 4)),
    "the settle time": (_no_settle_time, SmallWorld(Chances(crashes=2), 4)),
    "the settle time after a lost answer": (
        _no_settling_after_a_lost_answer,
        SmallWorld(Chances(losses=2), 4),
    ),
    "own mints are added to the list": (
        _mints_are_not_remembered,
        SmallWorld(Chances(vandals=2), 4),
    ),
    "create is sent once": (_create_is_sent_twice, SmallWorld(Chances(losses=1, changes=1), 5)),
    "unheld keys are revoked": (
        _without_check("revoke_dangling_key"),
        SmallWorld(Chances(crashes=1), 4),
    ),
    "a third key waits for room": (
        _without_check("two_live_keys"),
        SmallWorld(Chances(changes=2), 4),
    ),
    "the budget": (
        _without_check("within_budget"),
        SmallWorld(Chances(crashes=2), 4, Rules(budget=1)),
    ),
    "an issue is recorded before it is made": (
        _without_check("attempt_recorded"),
        SmallWorld(Chances(crashes=3), 5, Rules(budget=1)),
    ),
    "the Secret's uid and version are held": (
        _secret_is_written_blindly,
        SmallWorld(Chances(strangers=1), 2),
    ),
    "a replaced key keeps its grace": (_nothing, SmallWorld(Chances(changes=1), 3, Rules(grace=0))),
    "a key whose grace ended is revoked": (
        _without_check("revoke_expired_key"),
        SmallWorld(Chances(changes=1), 3),
    ),
    "the finalizer comes first": (
        _without_check("add_finalizer"),
        SmallWorld(Chances(deletions=1), 2),
    ),
    "deletion revokes": (_nothing_is_revoked_at_the_end, SmallWorld(Chances(deletions=1), 2)),
    "deletion waits for a list": (
        _deletion_does_not_wait_for_a_list,
        SmallWorld(Chances(deletions=1, crashes=1), 2),
    ),
    "a revocation without answer is looked after": (
        _without_check("wait_for_lost_call"),
        SmallWorld(Chances(changes=1, losses=1), 3, Rules(resyncs=False)),
    ),
    "the Secret is read anew before a revocation": (
        _nothing,
        SmallWorld(Chances(restores=1, changes=1), 3, Rules(reads=False)),
    ),
    "a key that another issued just now is not missed yet": (
        _without_check("wait_for_recent_key_to_show"),
        SmallWorld(Chances(), 3, NO_DRY_RUN, processes=2),
    ),
    "a key in hand whose revocation may be under way is not written": (
        _nothing,
        SmallWorld(Chances(changes=2, losses=1), 4, Rules(doubts=False)),
    ),
    "a retiring key makes room for a missing Secret": (
        _damage_waits_for_a_grace,
        SmallWorld(Chances(changes=1, vandals=1), 4),
    ),
    "a key that reaches too much makes room": (
        _too_wide_a_key_keeps_its_grace,
        SmallWorld(Chances(changes=2), 4),
    ),
    "a name waits for a list begun since the lead": (
        _no_list_is_waited_for,
        SmallWorld(Chances(partings=1, crashes=1, vanishings=1), 2, NAMES),
    ),
    "a name waits for a settled list where a key may be unlisted": (
        _nothing_is_unlisted,
        SmallWorld(Chances(partings=1, crashes=1), 2, NAMES),
    ),
    "a live key that no status names keeps names by its mark": (
        _marks_keep_nothing,
        SmallWorld(Chances(partings=1, crashes=1, vanishings=1), 2, NAMES),
    ),
    "status names keep": (_status_keeps_nothing, SmallWorld(Chances(partings=1), 2, NAMES)),
    "a create under way keeps its names": (
        _nothing_is_expected,
        SmallWorld(Chances(partings=1), 2, NAMES),
    ),
    "a key of a name that another team asks for is revoked": (
        _without_check("revoke_displaced_key"),
        SmallWorld(Chances(partings=1), 2, NAMES),
    ),
    "so is one of which nobody knows the buckets, where it cannot be replaced": (
        _only_what_status_names_is_given_up,
        SmallWorld(Chances(partings=1, crashes=1), 2, NAMES),
    ),
    "a digest never proves": (
        _a_digest_proves,
        SmallWorld(Chances(changes=1, crashes=1), 2, LEAN._replace(scopes=(0, 2))),
    ),
    "an issue is noted with its scope": (
        _issues_are_noted_without_scope,
        SmallWorld(Chances(changes=1, crashes=1), 3, NO_DRY_RUN),
    ),
    "a key of a scope that nobody knows is replaced": (
        _the_unknown_stays,
        SmallWorld(Chances(crashes=1), 2),
    ),
    "one list without a key frees no name": (
        _one_list_is_proof,
        SmallWorld(Chances(partings=1, flaps=1), 2, NAMES),
    ),
    "a key in the Secret that status never named keeps its names": (
        _nothing,
        SmallWorld(Chances(partings=1, flaps=1), 2, NAMES._replace(keeps=False)),
    ),
    "what was refused and made no key is given back": (
        _refusals_are_not_given_back,
        SmallWorld(Chances(rejections=2), 4, Rules(budget=1, dry_runs=False, gives_back=True)),
    ),
    "but only by a list that shows what was made even so": (
        _refusals_are_given_back_at_once,
        SmallWorld(Chances(rejections=2), 4, Rules(budget=1, dry_runs=False)),
    ),
    "a key under another name is not written": (
        _whatever_the_name_it_is_written,
        SmallWorld(Chances(renames=1), 3, NO_DRY_RUN),
    ),
    "no key is asked for where the service changes the name": (
        _without_check("name_kept"),
        SmallWorld(Chances(renames=1), 3, NO_DRY_RUN),
    ),
    "no key is issued before a dry run": (
        _nothing,
        SmallWorld(Chances(), 2, Rules(refusing=True, dry_runs=False)),
    ),
}


@pytest.mark.parametrize("rule", RULES)
def test_each_rule_is_needed(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    take_out, world = RULES[rule]
    moves = Moves(world.rules, world.keys)
    take_out(monkeypatch, moves)
    start = moves.start(world.crs, world.processes, world.chances)
    with pytest.raises(Broken):
        explore(moves, start)
