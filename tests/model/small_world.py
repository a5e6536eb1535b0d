"""A world small enough to be walked through entirely, around the real key planner.

Everything is a tuple and every moment is relative to now, in ticks, cut off where it cannot
matter any more: so that two moments that look alike are one state. A tick is the settle time,
two ticks are the grace. The decisions are those of the product: ``plan_key``, ``Ledger`` and
``status_of``; only the two stores and the executor's hand movements are modelled.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from math import inf
from typing import NamedTuple

from pydantic import SecretStr

from amove_operator.core import key_plan
from amove_operator.core.key_world import (
    Gate,
    KeyLimits,
    KeyStep,
    KeyWorld,
    Mass,
    SecretAbsent,
    SecretForeign,
    SecretOurs,
    SecretSeen,
)
from amove_operator.core.ledger import InHand, Ledger, Listing, LiveKey
from amove_operator.core.naming import key_name, marker_of
from amove_operator.core.scope import Scope
from amove_operator.core.secret_record import Retiring, SecretRecord
from amove_operator.models.key import CurrentKey, KeySpec, KeyStatus, RetiringKey

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
TICK = timedelta(seconds=60)
SETTLE, GRACE = 1, 2
OLD = 2
"""The age in ticks from which a key's age makes no difference."""
SPEC = KeySpec(permission="ReadWrite")
SCOPES = (
    Scope.of("a", "r", "d", "ReadWrite", ("one", "two")),
    Scope.of("a", "r", "d", "ReadWrite", ("one",)),
)
FOREIGN = "foreign"


class Born(NamedTuple):
    """A key that was ever made for a CR; its place in the list is its identity."""

    serial: int
    scope: int
    age: int = 0


class Wish(NamedTuple):
    """What the CR asks for."""

    scope: int = 0
    rotation: int = 0
    deleted: bool = False


class Secret(NamedTuple):
    """Our Secret. ``holder`` and ``retiring`` are ids: of this CR, or forged ones of another.

    ``age``: ticks since it was written.
    """

    holder: str
    intact: bool = True
    retiring: tuple[tuple[str, int], ...] = ()
    rotation: int = 0
    age: int = 0


class Status(NamedTuple):
    """The CR's status. ``key`` is the place of the current key; ``reach``: it names its buckets."""

    key: int | None = None
    reach: bool = False
    retiring: tuple[tuple[str, int], ...] = ()
    issues: int = 0


class Cr(NamedTuple):
    """One AmoveStorageKey with all that belongs to it in both stores.

    ``live``: the keys that work. ``shadows``: revoked ones that a list may still show.
    ``killed``: revoked by somebody else. ``freed``: replaced ones, by ticks since. ``minted``:
    how many in the current hour. ``held``: live ones that a Secret held once. ``finalizer``: off,
    on, or released.
    """

    wish: Wish = Wish()
    finalizer: str = "off"
    born: tuple[Born, ...] = ()
    live: tuple[int, ...] = ()
    shadows: tuple[int, ...] = ()
    killed: tuple[int, ...] = ()
    freed: tuple[tuple[int, int], ...] = ()
    minted: int = 0
    held: tuple[int, ...] = ()
    secret: Secret | str | None = None
    status: Status | None = None


class Hand(NamedTuple):
    """The key in hand."""

    key: int
    rotation: int


class Memory(NamedTuple):
    """What a process remembers of one CR: its ledger, and its look at CR and Secret.

    ``settled``: ``new`` (nobody came before), ``ok`` (the listing at hand tells all), ``old``
    (a newer one is needed) or ``later`` (one begun after the next tick).
    """

    settled: str
    untouched: bool = False
    hand: Hand | None = None
    minted: tuple[tuple[int, int], ...] = ()
    revoked: tuple[tuple[str, int], ...] = ()
    failed: tuple[str, ...] = ()
    lost: bool = False
    last_serial: int = 0
    recorded: bool = False
    scopes: tuple[int, ...] = ()
    secret: Secret | str | None = "unread"
    fresh: bool = False
    dry: bool = False
    refused: bool = False
    view: tuple[Wish, str, Status | None] | None = None


class Process(NamedTuple):
    """One operator. ``listing``: the keys that its last listing showed, per CR."""

    memories: tuple[Memory, ...]
    listing: tuple[tuple[int, ...], ...] | None = None
    listed: int = 0


class Chances(NamedTuple):
    """What may still go wrong, or be asked for."""

    crashes: int = 0
    vandals: int = 0
    kills: int = 0
    losses: int = 0
    changes: int = 0
    strangers: int = 0
    forgeries: int = 0
    deletions: int = 0


class State(NamedTuple):
    """The whole small world at one moment."""

    crs: tuple[Cr, ...]
    processes: tuple[Process, ...]
    chances: Chances


# ---------------------------------------------------------------- into the product's words


def key_id(cr: int, place: int) -> str:
    """The id of a key at the service."""
    return f"{cr}:{place}"


def place_of(cr: int, identity: str) -> int | None:
    """The place of a key of this CR; ``None`` for another's."""
    owner, _, place = identity.partition(":")
    return int(place) if owner == str(cr) else None


@lru_cache(maxsize=None)
def live_key(cr: int, place: int, born: Born) -> LiveKey:
    """A key as a list shows it."""
    marker = marker_of("cluster", f"uid-{cr}")
    name = key_name("k", marker, SCOPES[born.scope].digest, born.serial)
    return LiveKey(key_id(cr, place), name, f"AK{cr}{place}", NOW - born.age * TICK, "user")


@lru_cache(maxsize=None)
def listing_of(cr: int, shown: tuple[int, ...], born: tuple[Born, ...], begun: float) -> Listing:
    """A complete listing, as far as this CR is concerned."""
    return Listing.of(begun, (live_key(cr, place, born[place]) for place in shown))


_SETTLES = {"new": -inf, "ok": -5.0, "old": 0.0, "later": float(SETTLE)}


def ledger_of(cr: int, memory: Memory, born: tuple[Born, ...]) -> Ledger:
    """The real ledger; the listing at hand was begun at -1.0, now is 0.0."""
    hand = memory.hand
    return Ledger(
        settles_at=_SETTLES[memory.settled],
        untouched=memory.untouched,
        in_hand=None if hand is None else in_hand(cr, hand, born[hand.key]),
        minted=tuple((live_key(cr, key, born[key]), float(-age)) for key, age in memory.minted),
        revoked=tuple((key, float(-age)) for key, age in memory.revoked),
        failed_revokes=frozenset(memory.failed),
        create_lost=memory.lost,
        last_serial=memory.last_serial,
        recorded=memory.recorded,
        scopes=tuple((key_id(cr, key), SCOPES[born[key].scope]) for key in memory.scopes),
    )


@lru_cache(maxsize=None)
def in_hand(cr: int, hand: Hand, born: Born) -> InHand:
    """The key in hand."""
    return InHand(
        key=live_key(cr, hand.key, born),
        secret_key=SecretStr("s"),
        scope=SCOPES[born.scope],
        rotate_request=str(hand.rotation or ""),
    )


def remembered(cr: int, memory: Memory, ledger: Ledger) -> Memory:
    """``memory`` with what the real ledger says after an event at 0.0."""
    hand = memory.hand
    if ledger.in_hand is None:
        hand = None
    elif hand is None or key_id(cr, hand.key) != ledger.in_hand.key.id:
        hand = Hand(_place(cr, ledger.in_hand.key.id), int(ledger.in_hand.rotate_request or 0))
    return memory._replace(
        settled=_settled_word(ledger.settles_at),
        untouched=ledger.untouched,
        hand=hand,
        minted=tuple((_place(cr, key.id), int(-at)) for key, at in ledger.minted),
        revoked=tuple((key, int(-at)) for key, at in ledger.revoked),
        failed=tuple(sorted(ledger.failed_revokes)),
        lost=ledger.create_lost,
        last_serial=ledger.last_serial,
        recorded=ledger.recorded,
        scopes=tuple(_place(cr, key) for key, _ in ledger.scopes)[-2:],
    )


def _place(cr: int, identity: str) -> int:
    place = place_of(cr, identity)
    assert place is not None
    return place


def _settled_word(settles_at: float) -> str:
    if settles_at == -inf:
        return "new"
    if settles_at <= -1.0:
        return "ok"
    return "old" if settles_at <= 0.0 else "later"


@lru_cache(maxsize=None)
def _status(cr: int, status: Status | None, born: tuple[Born, ...]) -> KeyStatus:
    if status is None:
        return KeyStatus()
    return KeyStatus(
        owner_uid=f"uid-{cr}",
        key=None if status.key is None else _current(cr, status, born),
        retiring=tuple(
            RetiringKey(
                id=key, buckets=_reach(cr, key, born), revoke_after=NOW + left * TICK
            )
            for key, left in status.retiring
        ),
        recent_issues=(NOW,) * status.issues,
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


def told_status(cr: int, status: KeyStatus) -> Status:
    """A status as the planner wants it written, in the small world's words."""
    return Status(
        key=None if status.key is None else place_of(cr, status.key.id),
        reach=status.key is not None and bool(status.key.buckets),
        retiring=tuple((key.id, _ticks(key.revoke_after)) for key in status.retiring),
        issues=len(status.recent_issues),
    )


def _ticks(moment: datetime) -> int:
    return max(0, -((NOW - moment) // TICK))


def told_retiring(retiring: tuple[Retiring, ...]) -> tuple[tuple[str, int], ...]:
    """The retiring keys that a Secret is to list."""
    return tuple((key.id, _ticks(key.revoke_after)) for key in retiring)


@lru_cache(maxsize=None)
def _secret(cr: int, secret: Secret | str | None, born: tuple[Born, ...]) -> SecretSeen | None:
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
        format8="f",
        checksum="",
        retiring=tuple(Retiring(key, NOW + left * TICK) for key, left in secret.retiring),
    )
    return SecretOurs("uid", "rv", record, intact=secret.intact)


@lru_cache(maxsize=None)
def _live(
    cr: int, memory: Memory, shown: tuple[int, ...] | None, born: tuple[Born, ...]
) -> tuple[tuple[LiveKey, ...] | None, Ledger]:
    ledger = ledger_of(cr, memory, born)
    listing = None if shown is None else listing_of(cr, shown, born, -1.0)
    return ledger.live(marker_of("cluster", f"uid-{cr}"), listing, SETTLE), ledger


_GATES = tuple(Gate(scope) for scope in SCOPES)


class Rules(NamedTuple):
    """The settings, and what a test of the test takes out of the worlds the planner sees."""

    budget: int = 3
    refusing: bool = False
    reads: bool = True
    grace: int = GRACE
    dry_runs: bool = True
    lingering: bool = False
    resyncs: bool = True


class Planner:
    """``plan_key`` on the small world; the same question is answered once."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._answers: dict[tuple[object, ...], tuple[KeyWorld, KeyStep]] = {}

    def ask(
        self, cr: int, one: Cr, memory: Memory, shown: tuple[int, ...] | None, listed: int
    ) -> tuple[KeyWorld, KeyStep]:
        """The world of one CR in one process's eyes, and the step that the planner chooses."""
        wish, finalizer, status = memory.view or (one.wish, one.finalizer, one.status)
        question = (cr, wish, finalizer, status, one.born, memory, shown, listed)
        if (answer := self._answers.get(question)) is None:
            live, ledger = _live(cr, memory, shown, one.born)
            world = KeyWorld(
                now=NOW,
                uid=f"uid-{cr}",
                spec=SPEC,
                status=_status(cr, status, one.born),
                gate=_GATES[wish.scope],
                secret_name="s",
                format8="f",
                grace=self._rules.grace * TICK,
                rotate_request=str(wish.rotation or ""),
                finalizer=finalizer == "on",
                deleting=wish.deleted,
                secret=_secret(cr, memory.secret, one.born),
                secret_fresh=memory.fresh or not self._rules.reads,
                live=live,
                in_hand=ledger.in_hand,
                untouched=ledger.untouched,
                last_serial=ledger.last_serial,
                listed_at=None if shown is None else NOW - listed * TICK,
                settle=SETTLE * TICK,
                unclear=ledger.unclear,
                scopes=ledger.scopes,
                dry_run_passed=memory.dry or not self._rules.dry_runs,
                refused="no" if memory.refused else "",
                issue_recorded=ledger.recorded,
                mass=Mass.NONE,
                forgotten=_forgotten(cr, status, memory, shown),
                limits=KeyLimits(self._rules.budget),
            )
            answer = world, key_plan.plan_key(world)
            self._answers[question] = answer
        return answer


def _forgotten(
    cr: int, status: Status | None, memory: Memory, shown: tuple[int, ...] | None
) -> frozenset[str]:
    """As key_view tells it: revoked here, or not in a listing that counts."""
    gone = {key for key, _ in memory.revoked}
    if status is None or shown is None or memory.settled not in ("ok", "new"):
        return frozenset(gone)
    named = {key for key, _ in status.retiring}
    named |= {key_id(cr, status.key)} if status.key is not None else set()
    return frozenset(gone | {key for key in named if place_of(cr, key) not in shown})
