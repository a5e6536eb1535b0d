"""How a bucket's name goes from one team to another, and what must hold of it.

Team red has the CRs and, at first, the bucket. Once it lets go of that, team blue asks for the
name, and gets it when the product says so. Nobody of red may reach it from then on.
"""

from __future__ import annotations

from collections.abc import Iterator

from amove_operator.core.keys import steps
from tests.model import bucket_names
from tests.model.bucket_names import is_given, known
from tests.model.changes import ticked
from tests.model.operator_moves import OperatorMoves
from tests.model.small_world import NAME, SCOPES, Broken, Cr, Process, Rules, State
from tests.model.states import Move, World, less, with_cr


class NameMoves(OperatorMoves):
    """What can happen to the name, where the rules have one."""

    def __init__(self, rules: Rules, most_keys: int, *, careful: bool = True) -> None:
        super().__init__(rules, most_keys, careful=careful)
        bucket_names.forget_answers()

    def _newborn(self, crs: tuple[Cr, ...]) -> Process:
        unlisted = self.rules.names and bucket_names.may_leave_unlisted(crs)
        return super()._newborn(crs)._replace(unlisted=unlisted)

    def _name_moves(self, state: State) -> Iterator[Move]:
        if not self.rules.names:
            return
        if state.name == "red" and state.chances.partings:
            yield Move("red lets the bucket go", False, _parted(state))
        if state.name == "wanted":
            for number, process in enumerate(state.processes):
                if self._gives(state, process):
                    yield Move(f"{number} gives blue the name", True, _given(state))
        if state.chances.vanishings and state.chances.crashes:
            for cr, one in enumerate(state.crs):
                if one.finalizer in ("on", "off"):
                    yield Move(f"{cr} goes while nobody leads", False, self._vanished(state, cr))
        for cr, one in enumerate(state.crs):
            if one.finalizer == "gone":
                for place in one.live:
                    revoked = with_cr(state, cr, self._without(one, place))
                    yield Move(f"an admin revokes orphan {place}", True, revoked)

    def _gives(self, state: State, process: Process) -> bool:
        crs = tuple(known(cr, one, process) for cr, one in enumerate(state.crs))
        return is_given(crs, process)

    def _vanished(self, state: State, cr: int) -> State:
        """The process ends, a tick passes, the CR is taken away, and another takes the lead."""
        one = state.crs[cr]._replace(finalizer="gone", secret=None)
        gone = ticked(with_cr(less(less(state, "crashes"), "vanishings"), cr, one))
        return gone._replace(processes=tuple(self._newborn(gone.crs) for _ in gone.processes))

    def _expecting(self, at: World, step: steps.Mint) -> World:
        """The names count before the create is sent: while it is under way nobody is given them."""
        if not self.rules.names:
            return at
        scope = SCOPES.index(step.scope)
        at = at.with_memory(at.memory._replace(expects=(*at.memory.expects, scope)))
        if NAME in step.scope.buckets:
            if at.state.name == "blue":
                raise Broken("a key is issued for another team's bucket")
            process = at.state.processes[at.process]
            listing = process.listing or tuple(() for _ in at.state.crs)
            if self._gives(at.state, process._replace(listing=listing, unlisted=False)):
                raise Broken("a name is given away while a key for it is being issued")
        return at


def _parted(state: State) -> State:
    return less(state, "partings")._replace(name="wanted")


def _given(state: State) -> State:
    for one in state.crs:
        if any(NAME in SCOPES[one.born[place].scope].buckets for place in one.live):
            raise Broken("another team is given a name that a live key reaches")
    return state._replace(name="blue")
