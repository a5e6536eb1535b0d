"""What the operator can do next in the small world, and what it must never do.

The step is the real planner's choice; each has the outcomes that its executor can meet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from amove_operator.core.keys import steps
from amove_operator.core.keys.expectations import Expectations
from amove_operator.core.keys.snapshot import KeySnapshot
from amove_operator.core.keys.status import status_of
from amove_operator.core.reasons import Reason
from amove_operator.models import KeyStatus
from tests.model.changes import all_pairs, freed_by_a_write, listed, shown_by_a_list
from tests.model.small_world import (
    FOREIGN,
    GRACE,
    NAME,
    SCOPES,
    SETTLE,
    Born,
    Broken,
    Chances,
    Cr,
    Hand,
    Memory,
    Process,
    Rules,
    Secret,
    State,
    Status,
    View,
)
from tests.model.states import Move, World, less
from tests.model.translation import (
    Planner,
    key_id,
    live_keys,
    pending_key,
    place_of,
    remembered,
    told_retiring,
    told_status,
)


class OperatorMoves:
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
        """A process that took the lead just now."""
        return Process(tuple(self._blank(one) for one in crs))

    def _blank(self, one: Cr) -> Memory:
        expectations = Expectations.for_known(0.0, float(SETTLE))
        blank = Memory("later", view=self._view(one))
        return remembered(0, blank, expectations)

    def _view(self, one: Cr) -> View | None:
        return (one.wish, one.finalizer, one.status) if self.several else None

    # -- the operator's next step ----------------------------------------------------------------

    def _step(self, at: World) -> Iterator[Move]:
        process = at.state.processes[at.process]
        shown = None if process.listing is None else process.listing[at.cr]
        world, step = self._planner.ask(
            at.cr, at.one, at.memory, shown, process.listed, at.state.name
        )
        label = f"{at.process}/{at.cr} {type(step).__name__}"
        match step:
            case steps.ReadSecret():
                yield Move(label, True, self._read(at).state)
            case steps.AddFinalizer():
                yield Move(label, True, self._protect(at).state)
            case steps.AwaitKeyList():
                yield from self._await(label, at, step)
            case steps.DryRun():
                yield Move(label, True, self._dry_run(at, world).state)
            case steps.RecordIssue(serial, scope, status):
                noted = told_status(at.cr, status, at.one.born)
                yield from self._record(
                    label,
                    at,
                    noted,
                    lambda expectations: expectations.issue_recorded(serial, scope),
                )
            case steps.WriteStatus(status):
                begun = told_status(at.cr, status, at.one.born)._replace(begun=True)
                yield from self._record(label, at, begun, _same)
            case steps.Mint():
                yield from self._mint(f"{label} {step.serial}", at, world, step)
            case steps.WriteSecret():
                yield from self._write(label, at, step)
            case steps.Revoke():
                yield from self._revoke(f"{label} {step.key_id} {step.why}", at, world, step)
            case steps.DeleteSecret():
                gone = at if at.one.secret == FOREIGN else at.with_cr(at.one._replace(secret=None))
                yield Move(label, True, self._unread(gone).state)
            case steps.RemoveFinalizer():
                yield Move(label, True, self._release(at).state)
            case steps.Finish():
                self._may_wait(at, step)
                told = told_status(at.cr, step.status, at.one.born)
                yield Move(label, True, self._rest(at, told).state)
            case _:
                raise AssertionError(f"not modelled: {step}")

    def _may_wait(self, at: World, step: steps.Finish[KeyStatus]) -> None:
        """For a grace nobody waits who has no Secret, or whose replaced key reaches too much.

        And nobody for the end of a budget that no keys were issued of.
        """
        spent = step.conclusion.synced.reason is Reason.MintBudgetExhausted
        if spent and self.rules.gives_back and at.one.minted < self.rules.budget:
            raise Broken("a key that was never made counts against the budget")
        if step.conclusion.synced.reason is not Reason.WaitingForGrace or self._stale(at):
            return
        one, secret = at.one, at.memory.secret
        if not isinstance(secret, Secret) or not secret.data_matches:
            raise Broken("a missing Secret waits for the grace of a replaced key")
        others = [key for key in one.live if key_id(at.cr, key) != secret.holder]
        if one.wish.scope == 1 and any(one.born[key].scope == 0 for key in others):
            raise Broken("a key that reaches too much keeps its grace")

    def _stale(self, at: World) -> bool:
        return at.memory.view is not None and at.memory.view != self._view(at.one)

    def _unread(self, at: World) -> World:
        """The reconcile ends, or looks again: the object as it is now, the Secret unread."""
        memory = at.memory._replace(
            secret="unread", fresh=False, dry=False, view=self._view(at.one)
        )
        return at.with_memory(memory)

    def _rest(self, at: World, status: Status) -> World:
        """Write status and end the reconcile; our Secret is remembered, without its freshness."""
        if self._stale(at):
            return self._unread(at)
        begun = at.one.status is not None and at.one.status.begun
        status = status._replace(begun=begun)
        known = at.memory.secret if isinstance(at.memory.secret, Secret) else "unread"
        if not at.state.mute or status == at.one.status:
            at = self._expecting_less(at.with_cr(at.one._replace(status=status)), status)
        return at.with_memory(self._unread(at).memory._replace(secret=known))

    def _expecting_less(self, at: World, status: Status) -> World:
        """Once status names all that lives, the names of what was on its way are told by it."""
        process = at.state.processes[at.process]
        if not at.memory.expects or at.memory.hand is not None:
            return at
        shown = None if process.listing is None else process.listing[at.cr]
        live, _ = live_keys(at.cr, at.memory, shown, at.one.born)
        named = {key for key, _, _ in status.retiring}
        named |= {key_id(at.cr, status.key)} if status.key is not None else set()
        secret, issued = at.memory.secret, {key_id(at.cr, key) for key in at.memory.scopes}
        unnamed = issued - named - set(at.memory.asked)
        if self.rules.keeps and isinstance(secret, Secret) and secret.holder in unnamed:
            return at
        if live is None or not {key.id for key in live} <= named:
            return at
        return at.with_memory(at.memory._replace(expects=()))

    def _read(self, at: World) -> World:
        memory, secret = at.memory, at.one.secret
        seen = at.with_memory(memory._replace(secret=secret, fresh=True))
        if memory.hand is None or not isinstance(secret, Secret) or not secret.data_matches:
            return seen
        held = secret.holder == key_id(at.cr, memory.hand.key)
        return seen.learnt(Expectations.written) if held else seen

    def _dry_run(self, at: World, world: KeySnapshot) -> World:
        """A create that passes proves that there is no Secret; on a conflict it is read."""
        if self.rules.refusing:
            return self._rest(at, told_status(at.cr, status_of(world), at.one.born))
        known = None if at.memory.secret == "unread" else at.memory.secret
        if known != at.one.secret:
            return self._read(at)
        return at.with_memory(at.memory._replace(secret=known, fresh=True, dry=True))

    def _protect(self, at: World) -> World:
        if self._stale(at):
            return self._unread(at)
        new = at.one.status is None
        at = at.with_cr(at.one._replace(finalizer="on"))
        at = at.with_memory(at.memory._replace(view=self._view(at.one)))
        return at.learnt(lambda _: Expectations.for_new()) if new else at

    def _await(self, label: str, at: World, step: steps.AwaitKeyList[KeyStatus]) -> Iterator[Move]:
        if step.since > 0.0:
            told = told_status(at.cr, step.status, at.one.born)
            yield Move(label, True, self._rest(at, told).state)
            return
        yield from self._listings(label, at.state, at.process)

    def _record(
        self, label: str, at: World, status: Status, learn: Callable[[Expectations], Expectations]
    ) -> Iterator[Move]:
        if self._stale(at) or at.state.mute:
            yield Move(label, True, self._unread(at).state)
            return
        if self.several and any(note.serial > self.most_keys + 1 for note in status.issues):
            return  # two that note against each other count up for ever: cut off
        written = at.with_cr(at.one._replace(status=status))
        seen = written.with_memory(at.memory._replace(view=self._view(written.one)))
        yield Move(label, True, seen.learnt(learn).state)
        if at.state.chances.losses:
            yield Move(f"{label}, unanswered", False, self._unread(written.less("losses")).state)

    # -- the service -----------------------------------------------------------------------------

    def _mint(self, label: str, at: World, world: KeySnapshot, step: steps.Mint) -> Iterator[Move]:
        if self.rules.refusing:
            raise Broken("a key was issued for a Secret that cannot be written")
        if self._is_served(at):
            raise Broken("a key is issued although the Secret holds one that works")
        if at.memory.renamed:
            raise Broken("a key is asked for although the service gave the last one another name")
        if len(at.one.born) >= self.most_keys:
            return
        sent = self._expecting(
            at.learnt(lambda expectations: expectations.sending(step.serial)), step
        )
        made, chances = self._made(sent, step), at.state.chances
        yield Move(label, True, self._got(made).state)
        if chances.renames:
            other = self._got(self._made(sent.less("renames"), step, renamed=True))
            told = other.with_memory(other.memory._replace(renamed=True))
            yield Move(f"{label}, under another name", False, told.state)
        status = told_status(at.cr, status_of(world), at.one.born)
        for what, lost in (("half done", made), ("not done", sent)) if chances.rejections else ():
            after = lost.less("rejections").learnt(
                lambda expectations: expectations.create_refused(step.serial, 0.0, SETTLE)
            )
            yield Move(f"{label}, refused, {what}", False, self._rest(after, status).state)
        if not chances.losses:
            return
        done = self._made(made, step) if self.twice else made
        for what, lost in (("done", done), ("not done", sent)):
            after = lost.less("losses").learnt(lambda expectations: expectations.lost(0.0, SETTLE))
            yield Move(f"{label}, unanswered, {what}", False, self._rest(after, status).state)

    def _got(self, made: World) -> World:
        """The create was answered with the key that was made last."""
        memory, one = made.memory, made.one
        rotation = memory.view[0].rotation if memory.view else one.wish.rotation
        hand = Hand(len(one.born) - 1, rotation)
        key = pending_key(made.cr, hand, one.born[hand.key])
        return made.learnt(lambda expectations: expectations.received(key, 0.0))

    def _expecting(self, at: World, _step: steps.Mint) -> World:
        return at

    def _is_served(self, at: World) -> bool:
        """Whether the Secret as it was read just now holds what the CR asks for.

        Of a first key that a crash left in the Secret nobody knows the scope; of a later one
        status noted it.
        """
        one, secret = at.one, at.one.secret
        if not isinstance(secret, Secret) or secret != at.memory.secret or not secret.data_matches:
            return False
        place, wished = place_of(at.cr, secret.holder), one.wish
        if place is None or place not in one.live or self._stale(at):
            return False
        may_be_unknown = self.several or one.born[place].serial == 1
        if may_be_unknown and not self._is_known(at, place):
            return False
        return one.born[place].scope == wished.scope and secret.rotation == wished.rotation

    def _is_known(self, at: World, place: int) -> bool:
        one, status = at.one, at.one.status
        noted = status is not None and one.born[place][:2] in [note[:2] for note in status.issues]
        # Two operators may use one serial twice: then its note speaks of neither key.
        other = status.key if status is not None and status.key != place else None
        twice = other is not None and one.born[other].serial == one.born[place].serial
        return (noted and not twice) or place in at.memory.scopes

    def _made(self, at: World, step: steps.Mint, *, renamed: bool = False) -> World:
        """A key comes into being at the service."""
        one = at.one
        born = Born(step.serial, SCOPES.index(step.scope), renamed=renamed)
        one = one._replace(
            born=(*one.born, born), live=(*one.live, len(one.born)), minted=one.minted + 1
        )
        if not self.several:
            self._as_noted(at.one, born)
            if len(one.live) > 2:
                raise Broken("more than two live keys")
            if one.minted > self.rules.budget + 1:
                raise Broken("more keys issued than the budget allows")
        return at.with_cr(one)

    def _as_noted(self, one: Cr, born: Born) -> None:
        """What status notes of an issue is what is asked for."""
        notes = one.status.issues if one.status is not None else ()
        if any(note.serial == born.serial and note.scope != born.scope for note in notes):
            raise Broken("status notes another scope than the key has")

    def _revoke(
        self, label: str, at: World, world: KeySnapshot, step: steps.Revoke
    ) -> Iterator[Move]:
        place = place_of(at.cr, step.key_id)
        if place is None:
            raise Broken("a key under another CR's marker is revoked")
        if place not in at.one.live:
            failed = at.learnt(lambda expectations: expectations.revoke_failed(step.key_id, 0.0))
            yield Move(f"{label}, not found", True, failed.state)
            return
        self._may_revoke(at, place, step)
        gone = at.with_cr(self._without(at.one, place))
        done = gone.learnt(lambda expectations: expectations.revoke_confirmed(step.key_id, 0.0))
        yield Move(label, True, done.state)
        if not at.state.chances.losses:
            return
        status = told_status(at.cr, status_of(world), at.one.born)
        for what, lost in (("done", gone), ("not done", at)):
            after = lost.less("losses").learnt(
                lambda expectations: expectations.revoke_failed(step.key_id, 0.0)
            )
            yield Move(f"{label}, unanswered, {what}", False, self._rest(after, status).state)

    def _may_revoke(self, at: World, place: int, step: steps.Revoke) -> None:
        one = at.one
        if self.several or one.wish.deleted:
            return
        if step.why == "bucket name given up":
            if at.state.name == "red" or NAME not in SCOPES[one.born[place].scope].buckets:
                raise Broken("a key is given up that reaches no bucket of another team")
            return
        secret = one.secret
        if at.memory.fresh and at.memory.secret != secret:
            return  # changed since it was read a moment ago
        if isinstance(secret, Secret) and secret.data_matches and secret.holder == step.key_id:
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
        per_cr = [list(shown_by_a_list(one)) for one in state.crs]
        for number, shown in enumerate(all_pairs(per_cr)):
            yield Move(f"{label}, listed {shown}", number == 0, listed(state, process, shown))
        if state.chances.flaps and state.name != "red":
            flapped = less(state, "flaps")
            for shown in _without_an_old_key(state):
                yield Move(f"{label}, listed {shown} alone", False, listed(flapped, process, shown))

    # -- the Secret ------------------------------------------------------------------------------

    def _write(self, label: str, at: World, step: steps.WriteSecret) -> Iterator[Move]:
        hand, one = at.memory.hand, at.one
        assert hand is not None
        if self.careful and at.memory.secret != one.secret:
            yield Move(f"{label}, conflict", True, self._unread(at).state)
            return
        if one.secret == FOREIGN:
            raise Broken("a foreign Secret is overwritten")
        if not self.several and hand.key not in (*one.live, *one.killed):
            raise Broken("a dead key is written")
        if one.born[hand.key].renamed:
            raise Broken("a key is written that no process after this one would find")
        unheld = {key_id(at.cr, key) for key in one.live if key not in one.held}
        if not self.several and unheld & {key.id for key in step.retiring}:
            raise Broken("a key that no Secret ever held is given a grace")
        secret = Secret(key_id(at.cr, hand.key), True, told_retiring(step.retiring), hand.rotation)
        held = () if self.several else tuple(sorted({*one.held, hand.key}))
        written = at.with_cr(
            one._replace(secret=secret, freed=freed_by_a_write(at.cr, one), held=held)
        )
        seen = written.with_memory(at.memory._replace(secret=secret, fresh=True))
        yield Move(label, True, seen.learnt(Expectations.written).state)
        if at.state.chances.losses:
            yield Move(f"{label}, unanswered", False, self._unread(written.less("losses")).state)

    def _release(self, at: World) -> World:
        if self._stale(at):
            return self._unread(at)
        if at.one.live and not self.several:
            raise Broken("a CR is let go while a key of it lives")
        return at.with_cr(at.one._replace(finalizer="released"))


def _without_an_old_key(state: State) -> Iterator[tuple[tuple[int, ...], ...]]:
    """What a list shows that lacks a key by an error of the service.

    Only of a CR that waits for its bucket: another one is issued another key on the word of it.
    """
    for cr, one in enumerate(state.crs):
        if NAME not in SCOPES[one.wish.scope].buckets:
            continue
        for place in one.live:
            if one.born[place].age >= SETTLE:
                others = tuple(key for key in one.live if key != place)
                yield tuple(others if at == cr else each.live for at, each in enumerate(state.crs))


def _same(expectations: Expectations) -> Expectations:
    return expectations
