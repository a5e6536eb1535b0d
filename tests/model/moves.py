"""Everything that can happen next in the small world, and what must never happen."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain, combinations
from typing import NamedTuple

from amove_operator.core.key_status import status_of
from amove_operator.core.key_world import (
    AddFinalizer,
    AwaitListing,
    DeleteSecret,
    DryRun,
    KeyWorld,
    Mint,
    ReadSecret,
    RecordIssue,
    RemoveFinalizer,
    Report,
    Revoke,
    WriteSecret,
)
from amove_operator.core.ledger import Ledger
from tests.model.small_world import (
    FOREIGN,
    GRACE,
    NOW,
    OLD,
    SCOPES,
    SETTLE,
    TICK,
    Born,
    Chances,
    Cr,
    Hand,
    Memory,
    Planner,
    Process,
    Rules,
    Secret,
    State,
    Status,
    in_hand,
    key_id,
    ledger_of,
    listing_of,
    place_of,
    remembered,
    told_retiring,
    told_status,
)


class Broken(AssertionError):
    """An invariant does not hold."""


class Move(NamedTuple):
    """One thing that can happen. ``kind``: no fault and no wish, so that settling may rely on it."""

    label: str
    kind: bool
    after: State


class World(NamedTuple):
    """Where one is: one CR in the eyes of one process."""

    state: State
    process: int
    cr: int

    @property
    def one(self) -> Cr:
        """The CR."""
        return self.state.crs[self.cr]

    @property
    def memory(self) -> Memory:
        """What the process remembers of it."""
        return self.state.processes[self.process].memories[self.cr]

    def with_cr(self, one: Cr) -> World:
        """The same with another state of the CR."""
        return self._replace(state=with_cr(self.state, self.cr, one))

    def with_memory(self, memory: Memory) -> World:
        """The same with another memory."""
        process = self.state.processes[self.process]
        memories = _put(process.memories, self.cr, memory)
        processes = _put(self.state.processes, self.process, process._replace(memories=memories))
        return self._replace(state=self.state._replace(processes=processes))

    def learnt(self, change: Callable[[Ledger], Ledger]) -> World:
        """The same after a real ledger's method."""
        ledger = change(ledger_of(self.cr, self.memory, self.one.born))
        return self.with_memory(remembered(self.cr, self.memory, ledger))

    def less(self, chance: str) -> World:
        """The same with one chance of that name used up."""
        return self._replace(state=less(self.state, chance))


def less(state: State, chance: str) -> State:
    """The state with one chance of that name used up."""
    left = getattr(state.chances, chance) - 1
    return state._replace(chances=state.chances._replace(**{chance: left}))


def with_cr(state: State, cr: int, one: Cr) -> State:
    """The state with another CR at that place."""
    return state._replace(crs=_put(state.crs, cr, one))


def _put(items: tuple, place: int, item: object) -> tuple:  # type: ignore[type-arg]
    return (*items[:place], item, *items[place + 1 :])


class Moves:
    """What can happen next, under some rules. ``most_keys``: where the walk is cut off."""

    def __init__(self, rules: Rules, most_keys: int, *, careful: bool = True) -> None:
        self.rules = rules
        self.most_keys = most_keys
        self.several = False
        self.careful = careful
        self.twice = False
        self._planner = Planner(rules)

    def start(self, crs: int, processes: int, chances: Chances) -> State:
        """New CRs, and processes that took the lead just now."""
        self.several = processes > 1
        ones = tuple(Cr() for _ in range(crs))
        born = tuple(self._newborn(ones) for _ in range(processes))
        return State(ones, born, chances)

    def _newborn(self, crs: tuple[Cr, ...]) -> Process:
        return Process(tuple(self._blank(one) for one in crs))

    def _blank(self, one: Cr) -> Memory:
        ledger = Ledger.for_known(0.0, float(SETTLE))
        blank = Memory("later", view=self._view(one))
        return remembered(0, blank, ledger)

    def _view(self, one: Cr) -> tuple[object, ...] | None:
        return (one.wish, one.finalizer, one.status) if self.several else None

    def after(self, state: State) -> Iterator[Move]:
        """Every move from ``state``."""
        for process in range(len(state.processes)):
            for cr, one in enumerate(state.crs):
                if one.finalizer != "released":
                    yield from self._step(World(state, process, cr))
            yield from self._process_moves(state, process)
        for cr in range(len(state.crs)):
            yield from self._cr_moves(state, cr)
        yield Move("a tick", True, _ticked(state))

    # -- the operator's next step ----------------------------------------------------------------

    def _step(self, at: World) -> Iterator[Move]:
        process = at.state.processes[at.process]
        shown = None if process.listing is None else process.listing[at.cr]
        world, step = self._planner.ask(at.cr, at.one, at.memory, shown, process.listed)
        label = f"{at.process}/{at.cr} {type(step).__name__}"
        match step:
            case ReadSecret():
                yield Move(label, True, self._read(at).state)
            case AddFinalizer():
                yield Move(label, True, self._protect(at).state)
            case AwaitListing():
                yield from self._await(label, at, world, step)
            case DryRun():
                done = at.memory._replace(
                    dry=not self.rules.refusing, refused=self.rules.refusing
                )
                yield Move(label, True, at.with_memory(done).state)
            case RecordIssue(status):
                yield from self._record(label, at, told_status(at.cr, status))
            case Mint():
                yield from self._mint(f"{label} {step.serial}", at, world, step)
            case WriteSecret():
                yield from self._write(label, at, step)
            case Revoke():
                yield from self._revoke(f"{label} {step.key_id} {step.why}", at, world, step)
            case DeleteSecret():
                gone = at if at.one.secret == FOREIGN else at.with_cr(at.one._replace(secret=None))
                yield Move(label, True, self._unread(gone).state)
            case RemoveFinalizer():
                yield Move(label, True, self._release(at).state)
            case Report():
                yield Move(label, True, self._rest(at, told_status(at.cr, step.status)).state)
            case _:
                raise AssertionError(f"not modelled: {step}")

    def _stale(self, at: World) -> bool:
        return at.memory.view is not None and at.memory.view != self._view(at.one)

    def _unread(self, at: World) -> World:
        """The reconcile ends, or looks again: the object as it is now, the Secret unread."""
        memory = at.memory._replace(
            secret="unread", fresh=False, dry=False, refused=False, view=self._view(at.one)
        )
        return at.with_memory(memory)

    def _rest(self, at: World, status: Status) -> World:
        """Write status and end the reconcile; our Secret is remembered, without its freshness."""
        if self._stale(at):
            return self._unread(at)
        at = at.with_cr(at.one._replace(status=status))
        known = at.memory.secret if isinstance(at.memory.secret, Secret) else "unread"
        return at.with_memory(self._unread(at).memory._replace(secret=known))

    def _read(self, at: World) -> World:
        memory, secret = at.memory, at.one.secret
        seen = at.with_memory(memory._replace(secret=secret, fresh=True))
        held = memory.hand is not None and isinstance(secret, Secret) and secret.intact
        if held and secret.holder == key_id(at.cr, memory.hand.key):
            return seen.learnt(Ledger.written)
        return seen

    def _protect(self, at: World) -> World:
        if self._stale(at):
            return self._unread(at)
        new = at.one.status is None
        at = at.with_cr(at.one._replace(finalizer="on"))
        at = at.with_memory(at.memory._replace(view=self._view(at.one)))
        return at.learnt(lambda _: Ledger.for_new()) if new else at

    def _await(self, label: str, at: World, world: KeyWorld, step: AwaitListing) -> Iterator[Move]:
        early = step.since is not None and step.since > NOW
        if early or at.memory.settled == "later":
            yield Move(label, True, self._rest(at, told_status(at.cr, status_of(world))).state)
            return
        yield from self._listings(label, at.state, at.process)

    def _record(self, label: str, at: World, status: Status) -> Iterator[Move]:
        if self._stale(at):
            yield Move(label, True, self._unread(at).state)
            return
        written = at.with_cr(at.one._replace(status=status))
        seen = written.with_memory(at.memory._replace(view=self._view(written.one)))
        yield Move(label, True, seen.learnt(Ledger.issue_recorded).state)
        if at.state.chances.losses:
            yield Move(f"{label}, unanswered", False, self._unread(written.less("losses")).state)

    # -- the service -----------------------------------------------------------------------------

    def _mint(self, label: str, at: World, world: KeyWorld, step: Mint) -> Iterator[Move]:
        if self.rules.refusing:
            raise Broken("a key was issued for a Secret that cannot be written")
        if len(at.one.born) >= self.most_keys:
            return
        sent = at.learnt(lambda ledger: ledger.sending(step.serial))
        made = self._made(sent, step)
        hand = Hand(len(at.one.born), at.memory.view[0].rotation if at.memory.view else at.one.wish.rotation)
        key = in_hand(at.cr, hand, made.one.born[hand.key])
        got = made.learnt(lambda ledger: ledger.received(key, 0.0))
        yield Move(label, True, got.with_memory(got.memory._replace(fresh=False)).state)
        if not at.state.chances.losses:
            return
        status = told_status(at.cr, status_of(world))
        for what, lost in (("done", made), ("not done", sent)):
            if self.twice and what == "done":
                lost = self._made(lost, step)
            after = lost.less("losses").learnt(lambda ledger: ledger.lost(0.0, SETTLE))
            yield Move(f"{label}, unanswered, {what}", False, self._rest(after, status).state)

    def _made(self, at: World, step: Mint) -> World:
        """A key comes into being at the service."""
        one = at.one
        born = Born(step.serial, SCOPES.index(step.scope))
        one = one._replace(
            born=(*one.born, born), live=(*one.live, len(one.born)), minted=one.minted + 1
        )
        if not self.several:
            if len(one.live) > 2:
                raise Broken("more than two live keys")
            if one.minted > self.rules.budget + 1:
                raise Broken("more keys issued than the budget allows")
        return at.with_cr(one)

    def _revoke(self, label: str, at: World, world: KeyWorld, step: Revoke) -> Iterator[Move]:
        place = place_of(at.cr, step.key_id)
        if place is None:
            raise Broken("a key under another CR's marker is revoked")
        if place not in at.one.live:
            failed = at.learnt(lambda ledger: ledger.revoke_failed(step.key_id, 0.0))
            yield Move(f"{label}, not found", True, failed.state)
            return
        self._may_revoke(at, place, step)
        gone = at.with_cr(self._without(at.one, place))
        done = gone.learnt(lambda ledger: ledger.revoke_confirmed(step.key_id, 0.0))
        yield Move(label, True, done.state)
        if not at.state.chances.losses:
            return
        status = told_status(at.cr, status_of(world))
        for what, lost in (("done", gone), ("not done", at)):
            after = lost.less("losses").learnt(lambda ledger: ledger.revoke_failed(step.key_id, 0.0))
            yield Move(f"{label}, unanswered, {what}", False, self._rest(after, status).state)

    def _may_revoke(self, at: World, place: int, step: Revoke) -> None:
        one = at.one
        if self.several or one.wish.deleted:
            return
        secret = one.secret
        if isinstance(secret, Secret) and secret.intact and secret.holder == step.key_id:
            raise Broken("the key that the Secret holds is revoked")
        for freed, age in one.freed:
            if freed == place and age < GRACE and step.why == "retired":
                raise Broken("a replaced key is revoked before its grace ended")

    def _without(self, one: Cr, place: int) -> Cr:
        """A key is dead; where keys linger, a list may go on showing it until the next tick."""
        return one._replace(
            live=tuple(key for key in one.live if key != place),
            shadows=tuple(sorted({*one.shadows, place})) if self.rules.lingering else (),
            freed=tuple(pair for pair in one.freed if pair[0] != place),
            held=tuple(key for key in one.held if key != place),
        )

    def _listings(self, label: str, state: State, process: int) -> Iterator[Move]:
        """A complete listing: what is younger than the settle time may show or not."""
        per_cr = [list(_shown(one)) for one in state.crs]
        for number, shown in enumerate(_product(per_cr)):
            yield Move(f"{label}, listed {shown}", number == 0, _listed(state, process, shown))

    # -- the Secret ------------------------------------------------------------------------------

    def _write(self, label: str, at: World, step: WriteSecret) -> Iterator[Move]:
        hand, one = at.memory.hand, at.one
        assert hand is not None
        if self.careful and at.memory.secret != one.secret:
            yield Move(f"{label}, conflict", True, self._unread(at).state)
            return
        if one.secret == FOREIGN:
            raise Broken("a foreign Secret is overwritten")
        if not self.several and hand.key not in (*one.live, *one.killed):
            raise Broken("a dead key is written")
        if not self.several and {place_of(at.cr, key.id) for key in step.retiring} - {*one.held}:
            raise Broken("a key that no Secret ever held is given a grace")
        secret = Secret(
            key_id(at.cr, hand.key), True, told_retiring(step.retiring), hand.rotation
        )
        held = tuple(sorted({*one.held, hand.key}))
        written = at.with_cr(one._replace(secret=secret, freed=_freed(at.cr, one), held=held))
        seen = written.with_memory(at.memory._replace(secret=secret, fresh=True))
        yield Move(label, True, seen.learnt(Ledger.written).state)
        if at.state.chances.losses:
            yield Move(f"{label}, unanswered", False, self._unread(written.less("losses")).state)

    def _release(self, at: World) -> World:
        if self._stale(at):
            return self._unread(at)
        if at.one.live and not self.several:
            raise Broken("a CR is let go while a key of it lives")
        return at.with_cr(at.one._replace(finalizer="released"))

    # -- what happens by itself, and what others do ----------------------------------------------

    def _process_moves(self, state: State, process: int) -> Iterator[Move]:
        if self.rules.resyncs:
            yield from self._listings(f"{process} resync", state, process)
        for cr, one in enumerate(state.crs):
            at = World(state, process, cr)
            memory = at.memory
            if isinstance(memory.secret, Secret) and memory.secret != one.secret:
                told = memory._replace(secret="unread", fresh=False, dry=False)
                yield Move(f"{process}/{cr} the watch tells", True, at.with_memory(told).state)
            if self._stale(at):
                yield Move(f"{process}/{cr} the watch tells", True, self._unread(at).state)
        if state.chances.crashes:
            crashed = _put(state.processes, process, self._newborn(state.crs))
            after = less(state, "crashes")._replace(processes=crashed)
            yield Move(f"{process} crashes", False, after)

    def _cr_moves(self, state: State, cr: int) -> Iterator[Move]:
        one, chances = state.crs[cr], state.chances

        def move(label: str, chance: str, after: Cr) -> Move:
            return Move(f"{cr} {label}", False, with_cr(less(state, chance), cr, after))

        if chances.vandals and isinstance(one.secret, Secret):
            yield move("Secret deleted", "vandals", one._replace(secret=None))
            if one.secret.intact:
                edited = one.secret._replace(intact=False)
                yield move("Secret edited", "vandals", one._replace(secret=edited))
        if chances.strangers and one.secret is None:
            yield move("a stranger's Secret", "strangers", one._replace(secret=FOREIGN))
        if one.secret == FOREIGN:
            left = with_cr(state, cr, one._replace(secret=None))
            yield Move(f"{cr} the stranger's Secret goes", True, left)
        if chances.kills:
            for place in one.live:
                gone = self._without(one, place)
                killed = gone._replace(killed=(*one.killed, place))
                yield move(f"key {place} revoked by others", "kills", killed)
        if chances.forgeries and isinstance(one.secret, Secret) and len(state.crs) > 1:
            yield from self._forgeries(state, cr)
        yield from self._wishes(state, cr)
        spent = one.status.issues if one.status is not None else 0
        if max(one.minted, spent) >= self.rules.budget:
            yield Move("an hour", True, _rested(state))

    def _forgeries(self, state: State, cr: int) -> Iterator[Move]:
        """A tenant writes another CR's key into the record of his own Secret."""
        one, other = state.crs[cr], 1 - cr
        assert isinstance(one.secret, Secret)
        for place in state.crs[other].live:
            theirs = key_id(other, place)
            for label, forged in (
                ("held", one.secret._replace(holder=theirs)),
                ("retiring", one.secret._replace(retiring=((theirs, 0),))),
            ):
                after = with_cr(less(state, "forgeries"), cr, one._replace(secret=forged))
                yield Move(f"{cr} forges {theirs} as {label}", False, after)

    def _wishes(self, state: State, cr: int) -> Iterator[Move]:
        one, chances = state.crs[cr], state.chances
        if chances.changes and one.finalizer == "on" and not one.wish.deleted:
            wish = one.wish
            for label, changed in (
                ("rotation asked for", wish._replace(rotation=wish.rotation + 1)),
                ("scope changed", wish._replace(scope=1 - wish.scope)),
            ):
                after = with_cr(less(state, "changes"), cr, one._replace(wish=changed))
                yield Move(f"{cr} {label}", False, after)
        if chances.deletions and not one.wish.deleted:
            if one.finalizer == "on":
                gone = one._replace(wish=one.wish._replace(deleted=True))
            elif one.live:
                raise Broken("a key lives although nothing holds its CR")
            else:
                gone = one._replace(finalizer="released")
            yield Move(f"{cr} deleted", False, with_cr(less(state, "deletions"), cr, gone))


# ---------------------------------------------------------------- how things change


def _freed(cr: int, one: Cr) -> tuple[tuple[int, int], ...]:
    """Replaced from now on: the key that the Secret held until now, if pods can have it."""
    secret = one.secret
    if not isinstance(secret, Secret) or not secret.intact:
        return one.freed
    place = place_of(cr, secret.holder)
    return (*one.freed, (place, 0)) if place in one.live and place is not None else one.freed


def _shown(one: Cr) -> Iterator[tuple[int, ...]]:
    """What a list may show; first that which is true."""
    sure = [place for place in one.live if one.born[place].age >= SETTLE]
    young = [place for place in one.live if one.born[place].age < SETTLE]
    yield tuple(one.live)
    for extra in _subsets(young):
        for shadows in _subsets(one.shadows):
            if len(extra) < len(young) or shadows:
                yield tuple(sorted((*sure, *extra, *shadows)))


def _subsets(items: list[int] | tuple[int, ...]) -> list[tuple[int, ...]]:
    return list(chain.from_iterable(combinations(items, n) for n in range(len(items) + 1)))


def _product(lists: list[list[tuple[int, ...]]]) -> Iterator[tuple[tuple[int, ...], ...]]:
    if len(lists) == 1:
        yield from ((shown,) for shown in lists[0])
        return
    for shown in lists[0]:
        for rest in _product(lists[1:]):
            yield (shown, *rest)


def _listed(state: State, process: int, shown: tuple[tuple[int, ...], ...]) -> State:
    one = state.processes[process]
    memories = tuple(
        _heard(cr, memory, shown[cr], state.crs[cr].born)
        for cr, memory in enumerate(one.memories)
    )
    after = Process(memories, shown, 0)
    return state._replace(processes=_put(state.processes, process, after))


def _heard(cr: int, memory: Memory, shown: tuple[int, ...], born: tuple[Born, ...]) -> Memory:
    listing = listing_of(cr, shown, born, 0.0)
    told = remembered(cr, memory, ledger_of(cr, memory, born).heard(listing, SETTLE))
    return told._replace(settled="ok") if told.settled == "old" else told


def _ticked(state: State) -> State:
    return state._replace(
        crs=tuple(_older_cr(one) for one in state.crs),
        processes=tuple(
            process._replace(
                memories=tuple(_older_memory(memory) for memory in process.memories),
                listed=0 if process.listing is None else min(OLD, process.listed + 1),
            )
            for process in state.processes
        ),
    )


def _older_cr(one: Cr) -> Cr:
    return one._replace(
        born=tuple(born._replace(age=min(OLD, born.age + 1)) for born in one.born),
        shadows=(),
        freed=tuple((place, min(GRACE, age + 1)) for place, age in one.freed),
        secret=_older_secret(one.secret),
        status=_older_status(one.status),
    )


def _older_secret(secret: Secret | str | None) -> Secret | str | None:
    if not isinstance(secret, Secret):
        return secret
    return secret._replace(retiring=_sooner(secret.retiring), age=min(OLD, secret.age + 1))


def _older_status(status: Status | None) -> Status | None:
    return None if status is None else status._replace(retiring=_sooner(status.retiring))


def _sooner(retiring: tuple[tuple[str, int], ...]) -> tuple[tuple[str, int], ...]:
    return tuple((key, max(0, left - 1)) for key, left in retiring)


def _older_memory(memory: Memory) -> Memory:
    view = memory.view
    return memory._replace(
        settled="old" if memory.settled == "later" else memory.settled,
        minted=tuple((key, SETTLE) for key, _ in memory.minted),
        revoked=tuple((key, SETTLE) for key, _ in memory.revoked),
        secret=_older_secret(memory.secret),
        view=None if view is None else (view[0], view[1], _older_status(view[2])),
    )


def _rested(state: State) -> State:
    """An hour without an issue: the budget is whole again."""
    for _ in range(GRACE):
        state = _ticked(state)
    crs = tuple(
        one._replace(minted=0, status=_unspent(one.status)) for one in state.crs
    )
    processes = tuple(
        process._replace(
            memories=tuple(
                memory._replace(
                    view=None
                    if memory.view is None
                    else (memory.view[0], memory.view[1], _unspent(memory.view[2]))
                )
                for memory in process.memories
            )
        )
        for process in state.processes
    )
    return state._replace(crs=crs, processes=processes)


def _unspent(status: Status | None) -> Status | None:
    return None if status is None else status._replace(issues=0)


_DEAD = Born(1, 0, OLD)


def canonical(state: State) -> State:
    """The state without what cannot matter any more, so that equals look equal."""
    crs, processes = state.crs, state.processes
    for cr in range(len(crs)):
        one, memories = crs[cr], [process.memories[cr] for process in processes]
        hands = {memory.hand.key for memory in memories if memory.hand is not None}
        one = one._replace(
            killed=tuple(place for place in one.killed if place in hands),
            born=_forgetting(cr, one, memories, processes),
        )
        crs = _put(crs, cr, one)
        lean = [
            memory._replace(scopes=tuple(key for key in memory.scopes if key in one.live))
            for memory in memories
        ]
        processes = tuple(
            process._replace(memories=_put(process.memories, cr, memory))
            for process, memory in zip(processes, lean, strict=True)
        )
    return State(crs, processes, state.chances)


def _forgetting(
    cr: int, one: Cr, memories: list[Memory], processes: tuple[Process, ...]
) -> tuple[Born, ...]:
    """Nothing is told apart of a dead key that nobody mentions."""
    known = {*one.live, *one.shadows}
    for memory in memories:
        known.update(key for key, _ in memory.minted)
        known.update(_mentioned(cr, memory.secret, memory.view[2] if memory.view else None))
    for process in processes:
        known.update(process.listing[cr] if process.listing is not None else ())
    known.update(_mentioned(cr, one.secret, one.status))
    return tuple(born if place in known else _DEAD for place, born in enumerate(one.born))


def _mentioned(cr: int, secret: Secret | str | None, status: Status | None) -> Iterator[int]:
    holder = place_of(cr, secret.holder) if isinstance(secret, Secret) else None
    yield from () if holder is None else (holder,)
    yield from () if status is None or status.key is None else (status.key,)


def is_settled(state: State) -> bool:
    """Exactly one live key per CR, held by its Secret, as wished for and as status says."""
    return all(_is_settled(cr, one) for cr, one in enumerate(state.crs))


def _is_settled(cr: int, one: Cr) -> bool:
    if one.wish.deleted or one.finalizer == "released":
        return one.finalizer == "released" and not one.live and not isinstance(one.secret, Secret)
    secret, status = one.secret, one.status
    if not isinstance(secret, Secret) or status is None or len(one.live) != 1:
        return False
    held = place_of(cr, secret.holder)
    return (
        secret.intact
        and (held,) == one.live
        and one.born[one.live[0]].scope == one.wish.scope
        and secret.rotation == one.wish.rotation
        and status.key == held
        and status.reach
        and not status.retiring
    )


__all__ = ["Broken", "Chances", "Move", "Moves", "Rules", "State", "TICK", "is_settled"]
