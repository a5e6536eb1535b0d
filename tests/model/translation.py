"""The small world in the product's own words, and the product's answers in its."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache
from math import inf

from pydantic import SecretStr

from amove_operator.core.conditions import deleting, merge
from amove_operator.core.key_list import KeyList, RemoteKey
from amove_operator.core.keys import plan as key_plan
from amove_operator.core.keys import steps
from amove_operator.core.keys.expectations import Expectations, PendingKey
from amove_operator.core.keys.snapshot import (
    Blocked,
    Displaced,
    GoneKeys,
    KeyLimits,
    KeySnapshot,
    Rotation,
    SecretAbsent,
    SecretForeign,
    SecretOurs,
    SecretSeen,
)
from amove_operator.core.naming import key_name, marker_of
from amove_operator.core.reasons import Reason
from amove_operator.core.scope import Scope
from amove_operator.core.secrets.manifest import DesiredSecret, SecretOwner
from amove_operator.core.secrets.record import Retiring, SecretRecord
from amove_operator.models import CurrentKey, KeyStatus, RecentIssue
from amove_operator.models.key_status import RetiringKey
from tests.model.small_world import (
    NAME,
    NOW,
    SCOPES,
    SETTLE,
    SPEC,
    TICK,
    Born,
    Broken,
    Cr,
    Hand,
    Memory,
    Note,
    Rules,
    Secret,
    Status,
)

_DESIRED = DesiredSecret(SecretOwner("team", "s", "uid"), "s", SPEC.secret)
_FORMAT8 = _DESIRED.format8


def key_id(cr: int, place: int) -> str:
    """The id of a key at the service."""
    return f"{cr}:{place}"


def place_of(cr: int, identity: str) -> int | None:
    """The place of a key of this CR; ``None`` for another's."""
    owner, _, place = identity.partition(":")
    return int(place) if owner == str(cr) else None


@cache
def live_key(cr: int, place: int, born: Born) -> RemoteKey:
    """A key as a list shows it."""
    marker = marker_of("cluster", f"uid-{cr}")
    asked = key_name("k", marker, SCOPES[born.scope].names9, born.serial)
    name = "k" if born.renamed else asked
    return RemoteKey(key_id(cr, place), name, f"AK{cr}{place}", NOW - born.age * TICK, "user")


@cache
def listing_of(cr: int, shown: tuple[int, ...], born: tuple[Born, ...], begun: float) -> KeyList:
    """A complete listing, as far as this CR is concerned."""
    return KeyList.of(begun, (live_key(cr, place, born[place]) for place in shown))


_SETTLES = {"new": -inf, "ok": -5.0, "old": 0.0, "later": float(SETTLE)}


def ledger_of(cr: int, memory: Memory, born: tuple[Born, ...]) -> Expectations:
    """The real ledger; the listing at hand was begun at -1.0, now is 0.0."""
    hand = memory.hand
    return Expectations(
        knows_from=_SETTLES[memory.settled],
        is_new=memory.is_new,
        pending_key=None if hand is None else pending_key(cr, hand, born[hand.key]),
        created=tuple((live_key(cr, key, born[key]), float(-age)) for key, age in memory.minted),
        deleted=tuple((key, float(-age)) for key, age in memory.revoked),
        failed_revokes=frozenset(memory.failed),
        asked=frozenset(memory.asked),
        create_unanswered=memory.lost,
        last_serial=memory.last_serial,
        recorded=_issue(memory.recorded),
        refused=tuple((serial, float(-age)) for serial, age in memory.refused),
        given_back=frozenset(memory.given_back),
        scopes=tuple((key_id(cr, key), SCOPES[born[key].scope]) for key in memory.scopes),
    )


def _issue(recorded: tuple[int, int] | None) -> tuple[int, Scope] | None:
    return None if recorded is None else (recorded[0], SCOPES[recorded[1]])


@cache
def pending_key(cr: int, hand: Hand, born: Born) -> PendingKey:
    """The key in hand."""
    return PendingKey(
        key=live_key(cr, hand.key, born),
        secret_key=SecretStr("s"),
        scope=SCOPES[born.scope],
        rotate_request=str(hand.rotation or ""),
        renamed=born.renamed,
    )


def remembered(cr: int, memory: Memory, expectations: Expectations) -> Memory:
    """``memory`` with what the real ledger says after an event at 0.0."""
    hand = memory.hand
    if expectations.pending_key is None:
        hand = None
    elif hand is None or key_id(cr, hand.key) != expectations.pending_key.key.id:
        hand = Hand(
            _place(cr, expectations.pending_key.key.id),
            int(expectations.pending_key.rotate_request or 0),
        )
    return memory._replace(
        settled=_settled_word(expectations.knows_from),
        is_new=expectations.is_new,
        hand=hand,
        minted=tuple((_place(cr, key.id), int(-at)) for key, at in expectations.created),
        revoked=tuple((key, int(-at)) for key, at in expectations.deleted),
        failed=tuple(sorted(expectations.failed_revokes)),
        asked=tuple(sorted(expectations.asked)),
        lost=expectations.create_unanswered,
        last_serial=expectations.last_serial,
        recorded=None if expectations.recorded is None else _told_issue(expectations.recorded),
        refused=tuple((serial, int(-at)) for serial, at in expectations.refused),
        given_back=tuple(sorted(expectations.given_back)),
        scopes=tuple(_place(cr, key) for key, _ in expectations.scopes)[-2:],
    )


def _told_issue(recorded: tuple[int, Scope]) -> tuple[int, int]:
    return recorded[0], SCOPES.index(recorded[1])


def _place(cr: int, identity: str) -> int:
    place = place_of(cr, identity)
    assert place is not None
    return place


def _settled_word(knows_from: float) -> str:
    if knows_from == -inf:
        return "new"
    if knows_from <= -1.0:
        return "ok"
    return "old" if knows_from <= 0.0 else "later"


@cache
def status_in_words(cr: int, status: Status | None, born: tuple[Born, ...]) -> KeyStatus:
    if status is None:
        return KeyStatus()
    return KeyStatus(
        owner_uid=f"uid-{cr}",
        key=None if status.key is None else _current(cr, status, born),
        retiring=tuple(
            RetiringKey(
                id=key,
                buckets=_reach(cr, key, born) if told else (),
                revoke_after=NOW + left * TICK,
            )
            for key, left, told in status.retiring
        ),
        recent_issues=tuple(
            RecentIssue(
                serial=note.serial,
                issued_at=NOW if note.recent else NOW - timedelta(hours=2),
                scope=SCOPES[note.scope].record if note.scope >= 0 else None,
            )
            for note in status.issues
        ),
        conditions=merge((), deleting(""), 1, NOW) if status.begun else (),
    )


def _reach(cr: int, identity: str, born: tuple[Born, ...]) -> tuple[str, ...]:
    place = place_of(cr, identity)
    return () if place is None else SCOPES[born[place].scope].buckets


def _current(cr: int, status: Status, born: tuple[Born, ...]) -> CurrentKey:
    assert status.key is not None
    scope, key = SCOPES[born[status.key].scope], live_key(cr, status.key, born[status.key])
    return CurrentKey(
        id=key.id,
        name=key.name,
        access_key=key.access_key,
        serial=key.serial,
        issued_at=NOW - born[status.key].age * TICK,
        user_id="user",
        cloud_account_id=scope.account,
        region=scope.region,
        storage_dn=scope.storage_dn,
        permission=scope.permission,
        buckets=scope.buckets if status.reach else (),
    )


def told_status(cr: int, status: KeyStatus, born: tuple[Born, ...]) -> Status:
    """A status as the planner wants it written, in the small world's words.

    Raises Broken where it says of a key other buckets than it has.
    """
    named = (*((status.key,) if status.key is not None else ()), *status.retiring)
    if any(key.buckets not in ((), _reach(cr, key.id, born)) for key in named):
        raise Broken("status says of a key what it does not reach")
    return Status(
        key=None if status.key is None else place_of(cr, status.key.id),
        reach=status.key is not None and bool(status.key.buckets),
        retiring=tuple(
            (key.id, _ticks(key.revoke_after), bool(key.buckets)) for key in status.retiring
        ),
        issues=tuple(_told_note(note) for note in status.recent_issues),
    )


def _told_note(note: RecentIssue) -> Note:
    scope = Scope.recorded(note.scope) if note.scope is not None else None
    recent = note.issued_at > NOW - timedelta(hours=1)
    return Note(note.serial, -1 if scope is None else SCOPES.index(scope), recent)


def _ticks(moment: datetime) -> int:
    return max(0, -((NOW - moment) // TICK))


def told_retiring(retiring: tuple[Retiring, ...]) -> tuple[tuple[str, int], ...]:
    """The retiring keys that a Secret is to list."""
    return tuple((key.id, _ticks(key.revoke_after)) for key in retiring)


@cache
def _secret(secret: Secret | str | None) -> SecretSeen | None:
    if secret is None:
        return SecretAbsent()
    if secret == "unread":
        return None
    if not isinstance(secret, Secret):
        return SecretForeign("not ours")
    record = SecretRecord(
        key_id=secret.holder,
        issued_at=NOW - secret.age * TICK,
        rotate_request=str(secret.rotation or ""),
        format8=_FORMAT8,
        checksum="",
        retiring=tuple(Retiring(key, NOW + left * TICK) for key, left in secret.retiring),
    )
    return SecretOurs("uid", "rv", record, data_matches=secret.data_matches)


@cache
def live_keys(
    cr: int, memory: Memory, shown: tuple[int, ...] | None, born: tuple[Born, ...]
) -> tuple[tuple[RemoteKey, ...] | None, Expectations]:
    expectations = ledger_of(cr, memory, born)
    listing = None if shown is None else listing_of(cr, shown, born, -1.0)
    return expectations.live(marker_of("cluster", f"uid-{cr}"), listing, SETTLE), expectations


_NO_BUCKET = Blocked(Reason.BucketNotFound, "no such bucket")


class Planner:
    """``plan_key`` on the small world; the same question is answered once."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._answers: dict[tuple[object, ...], tuple[KeySnapshot, steps.KeyStep]] = {}

    def ask(
        self,
        cr: int,
        one: Cr,
        memory: Memory,
        shown: tuple[int, ...] | None,
        listed: int,
        name: str = "red",
    ) -> tuple[KeySnapshot, steps.KeyStep]:
        """The world of one CR in one process's eyes, and the step that the planner chooses."""
        wish, finalizer, status = memory.view or (one.wish, one.finalizer, one.status)
        question = (cr, wish, finalizer, status, one.born, memory, shown, listed, name)
        if (answer := self._answers.get(question)) is None:
            live, expectations = live_keys(cr, memory, shown, one.born)
            if not self._rules.doubts:
                unknown = expectations.outcome_unknown
                expectations = replace(
                    expectations, failed_revokes=frozenset(), create_unanswered=unknown
                )
            world = KeySnapshot(
                now=NOW,
                clock=0.0,
                uid=f"uid-{cr}",
                spec=SPEC,
                status=status_in_words(cr, status, one.born),
                gate=_gate(wish.scope, name),
                desired_secret=_DESIRED,
                rotation=Rotation(self._rules.grace * TICK, requested=str(wish.rotation or "")),
                expectations=expectations,
                limits=KeyLimits(self._rules.budget, SETTLE * TICK),
                finalizer=finalizer == "on",
                deleting=wish.deleted,
                secret=_secret(memory.secret),
                secret_fresh=memory.fresh or not self._rules.reads,
                live=live,
                listed_at=None if shown is None else NOW - listed * TICK,
                dry_run_passed=memory.dry or not self._rules.dry_runs,
                gone=GoneKeys(
                    confirmed=_confirmed_gone(cr, status, memory, shown),
                    presumed=_presumed_gone(cr, status, memory, shown),
                    lasting=_lasting_gone(cr, status, memory),
                ),
                renamed="another name" if memory.renamed else "",
                displaced=Displaced(
                    keys=_displaced(cr, status, one.born) if name != "red" else frozenset(),
                    names=(NAME,) if name == "wanted" else (),
                ),
            )
            answer = world, key_plan.plan_key(world)
            self._answers[question] = answer
        return answer


def _gate(scope: int, name: str) -> Scope | Blocked:
    """Open where the team has the buckets."""
    return SCOPES[scope] if name == "red" or NAME not in SCOPES[scope].buckets else _NO_BUCKET


def _displaced(cr: int, status: Status | None, born: tuple[Born, ...]) -> frozenset[str]:
    """As the real gathering tells it, once another team asks for the name."""
    if status is None:
        return frozenset()
    told = {key for key, _, named in status.retiring if named}
    told |= {key_id(cr, status.key)} if status.key is not None and status.reach else set()
    return frozenset(key for key in told if NAME in _reach(cr, key, born))


def _confirmed_gone(
    cr: int, status: Status | None, memory: Memory, shown: tuple[int, ...] | None
) -> frozenset[str]:
    """As the real gathering tells it: revoked here, or not in a listing that counts."""
    gone = {key for key, _ in memory.revoked}
    if status is None or shown is None or memory.settled not in ("ok", "new"):
        return frozenset(gone)
    named = {key for key, _, _ in status.retiring}
    named |= {key_id(cr, status.key)} if status.key is not None else set()
    return frozenset(gone | {key for key in named if place_of(cr, key) not in shown})


def _lasting_gone(cr: int, status: Status | None, memory: Memory) -> frozenset[str]:
    """As the real gathering tells it: two lists, the settle time apart, lacked it."""
    if status is None or status.key is None or not memory.lasting:
        return frozenset()
    return frozenset({key_id(cr, status.key)})


def _presumed_gone(
    cr: int, status: Status | None, memory: Memory, shown: tuple[int, ...] | None
) -> frozenset[str]:
    """As the real gathering tells it."""
    if shown is None or shown or status is None:
        return frozenset()
    named = {key for key, _, _ in status.retiring} | {key_id(cr, key) for key in memory.scopes}
    named |= {key_id(cr, status.key)} if status.key is not None and status.reach else set()
    return frozenset(named - set(memory.asked))
