"""Everything that can happen next in the small world: by the operator, by others, by itself."""

from __future__ import annotations

from collections.abc import Iterator

from tests.model.changes import rested, ticked
from tests.model.name_moves import NameMoves
from tests.model.small_world import FOREIGN, OLD, Broken, Cr, Secret, State
from tests.model.states import Move, World, less, put, with_cr
from tests.model.translation import key_id


class Moves(NameMoves):
    """What can happen next, under some rules."""

    def after(self, state: State) -> Iterator[Move]:
        """Every move from ``state``."""
        for process in range(len(state.processes)):
            for cr, one in enumerate(state.crs):
                if one.finalizer not in ("released", "gone"):
                    yield from self._step(World(state, process, cr))
            yield from self._process_moves(state, process)
        for cr, one in enumerate(state.crs):
            if one.finalizer != "gone":
                yield from self._cr_moves(state, cr)
        yield from self._name_moves(state)
        yield from self._refusals(state)
        yield Move("a tick", True, ticked(state))

    def _process_moves(self, state: State, process: int) -> Iterator[Move]:
        if self.rules.resyncs or state.name == "wanted":
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
            crashed = put(state.processes, process, self._newborn(state.crs))
            after = less(state, "crashes")._replace(processes=crashed)
            yield Move(f"{process} crashes", False, after)

    def _refusals(self, state: State) -> Iterator[Move]:
        """Kubernetes takes no status for a while: a webhook is down, a policy forbids it."""
        if state.mute:
            yield Move("status can be written again", True, state._replace(mute=False))
        elif state.chances.refusals:
            mute = less(state, "refusals")._replace(mute=True)
            yield Move("status cannot be written", False, mute)

    def _cr_moves(self, state: State, cr: int) -> Iterator[Move]:
        one, chances = state.crs[cr], state.chances

        def move(label: str, chance: str, after: Cr) -> Move:
            return Move(f"{cr} {label}", False, with_cr(less(state, chance), cr, after))

        if chances.vandals and isinstance(one.secret, Secret):
            yield move("Secret deleted", "vandals", one._replace(secret=None))
            if one.secret.data_matches:
                edited = one.secret._replace(data_matches=False)
                yield move("Secret edited", "vandals", one._replace(secret=edited))
        if chances.restores and isinstance(one.secret, Secret):
            for place, _ in one.freed:
                older = Secret(key_id(cr, place), rotation=0, age=OLD)
                yield move("an older Secret put back", "restores", one._replace(secret=older))
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
        if any(process.memories[cr].renamed for process in state.processes):
            yield Move(f"{cr} keyName corrected", True, _corrected(state, cr))
        spent = [note for note in one.status.issues if note.recent] if one.status else ()
        if max(one.minted, len(spent)) >= self.rules.budget:
            yield Move("an hour", True, rested(state))

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
            others = (scope for scope in self.rules.scopes if scope != wish.scope)
            for label, changed in (
                ("rotation asked for", wish._replace(rotation=wish.rotation + 1)),
                *((f"scope {other} asked for", wish._replace(scope=other)) for other in others),
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


def _corrected(state: State, cr: int) -> State:
    """The CR is changed, so that a key is asked for again."""
    processes = tuple(
        one._replace(memories=put(one.memories, cr, one.memories[cr]._replace(renamed=False)))
        for one in state.processes
    )
    return state._replace(processes=processes)
