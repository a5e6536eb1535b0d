"""How the small world changes by itself, and when two states are one. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, combinations

from tests.model.small_world import (
    GRACE,
    NAME,
    OLD,
    SCOPES,
    SETTLE,
    Born,
    Cr,
    Memory,
    Note,
    Process,
    Secret,
    State,
    Status,
)
from tests.model.states import put
from tests.model.translation import key_id, ledger_of, listing_of, place_of, remembered


def freed_by_a_write(cr: int, one: Cr) -> tuple[tuple[int, int], ...]:
    """Replaced from now on: the key that the Secret held until now, if pods can have it."""
    secret = one.secret
    if not isinstance(secret, Secret) or not secret.data_matches:
        return one.freed
    place = place_of(cr, secret.holder)
    return (*one.freed, (place, 0)) if place in one.live and place is not None else one.freed


def shown_by_a_list(one: Cr) -> Iterator[tuple[int, ...]]:
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


def all_pairs(lists: list[list[tuple[int, ...]]]) -> Iterator[tuple[tuple[int, ...], ...]]:
    if len(lists) == 1:
        yield from ((shown,) for shown in lists[0])
        return
    for shown in lists[0]:
        for rest in all_pairs(lists[1:]):
            yield (shown, *rest)


def listed(state: State, process: int, shown: tuple[tuple[int, ...], ...]) -> State:
    one = state.processes[process]
    memories = tuple(
        _heard(cr, memory, shown[cr], state.crs[cr].born) for cr, memory in enumerate(one.memories)
    )
    if state.name != "red":  # elsewhere it makes no difference
        memories = tuple(
            _missing(cr, memory, shown[cr], state.crs[cr]) for cr, memory in enumerate(memories)
        )
    unlisted = one.unlisted and not one.led
    after = Process(memories, shown, unlisted=unlisted)
    return state._replace(processes=put(state.processes, process, after))


def _heard(cr: int, memory: Memory, shown: tuple[int, ...], born: tuple[Born, ...]) -> Memory:
    listing = listing_of(cr, shown, born, 0.0)
    told = remembered(cr, memory, ledger_of(cr, memory, born).observe(listing, SETTLE))
    return told._replace(settled="ok") if told.settled == "old" else told


def _missing(cr: int, memory: Memory, shown: tuple[int, ...], one: Cr) -> Memory:
    """Whether a list lacks the key that status names, and whether one before it did.

    As the real guard against a mass loss notes it, but for a key that is too new to show.
    """
    status = memory.view[2] if memory.view is not None else one.status
    place = status.key if status is not None and status.reach else None
    young = {key for key, age in memory.minted if age < SETTLE}
    if place is None or place in {*shown, *young}:
        return memory._replace(missed=None, lasting=False)
    lasting = memory.missed is not None and memory.missed >= SETTLE
    return memory._replace(missed=memory.missed or 0, lasting=lasting)


def ticked(state: State) -> State:
    return state._replace(
        crs=tuple(_older_cr(one) for one in state.crs),
        processes=tuple(
            process._replace(
                memories=tuple(_older_memory(memory) for memory in process.memories),
                listed=0 if process.listing is None else min(OLD, process.listed + 1),
                led=process.unlisted,
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
    retiring = tuple((key, max(0, left - 1)) for key, left in secret.retiring)
    return secret._replace(retiring=retiring, age=min(OLD, secret.age + 1))


def _older_status(status: Status | None) -> Status | None:
    if status is None:
        return None
    retiring = tuple((key, max(0, left - 1), told) for key, left, told in status.retiring)
    return status._replace(retiring=retiring)


def _older_memory(memory: Memory) -> Memory:
    view = memory.view
    return memory._replace(
        settled="old" if memory.settled == "later" else memory.settled,
        minted=tuple((key, SETTLE) for key, _ in memory.minted),
        revoked=tuple((key, SETTLE) for key, _ in memory.revoked),
        refused=tuple((serial, SETTLE) for serial, _ in memory.refused),
        missed=None if memory.missed is None else SETTLE,
        secret=_older_secret(memory.secret),
        view=None if view is None else (view[0], view[1], _older_status(view[2])),
    )


def rested(state: State) -> State:
    """An hour without an issue: the budget is whole again."""
    for _ in range(GRACE):
        state = ticked(state)
    crs = tuple(one._replace(minted=0, status=_unspent(one.status)) for one in state.crs)
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
    if status is None:
        return None
    return status._replace(issues=tuple(note._replace(recent=False) for note in status.issues))


_DEAD = Born(1, 0, OLD)


def _named(cr: int, status: Status | None) -> set[str]:
    """The ids that status names."""
    if status is None:
        return set()
    current = {key_id(cr, status.key)} if status.key is not None else set()
    return current | {key for key, _, _ in status.retiring}


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
        one = one._replace(status=_without_old_notes(one, memories))
        crs = put(crs, cr, one)
        named = _named(cr, one.status)
        lean = [
            memory._replace(
                scopes=tuple(key for key in memory.scopes if key in one.live),
                asked=tuple(key for key in memory.asked if one.wish.deleted or key in named),
            )
            for memory in memories
        ]
        processes = tuple(
            process._replace(memories=put(process.memories, cr, memory))
            for process, memory in zip(processes, lean, strict=True)
        )
    return state._replace(crs=crs, processes=processes)


def _without_old_notes(one: Cr, memories: list[Memory]) -> Status | None:
    """Of a note that can speak of no key any more only its number in the budget counts."""
    status = one.status
    if status is None or not status.issues:
        return status
    serials = {one.born[place].serial for place in (*one.live, *one.shadows)}
    serials |= {memory.recorded[0] for memory in memories if memory.recorded is not None}
    # The next serial is above them all, but for one that is noted and not sent yet.
    last = sorted(note.serial for note in status.issues)[-2:]
    kept = []
    for note in status.issues:
        if note.serial in serials:
            kept.append(note)
        elif note.serial in last:
            kept.append(note._replace(scope=-1))
        elif note.recent:
            kept.append(Note(1, -1))
    return status._replace(issues=tuple(kept))


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
    """Exactly one live key per CR, held by its Secret, as wished for and as status says.

    A CR that asks for a bucket which its team let go of has none, or one of before.
    """
    if state.name == "wanted" or state.mute:
        return False
    return all(
        _is_settled(cr, one) if _may_be_served(state, one) else len(one.live) <= 1
        for cr, one in enumerate(state.crs)
    )


def _may_be_served(state: State, one: Cr) -> bool:
    """Whether its team has the buckets that it asks for."""
    going = one.wish.deleted or one.finalizer in ("released", "gone")
    return going or state.name == "red" or NAME not in SCOPES[one.wish.scope].buckets


def _is_settled(cr: int, one: Cr) -> bool:
    if one.finalizer == "gone":
        return not one.live
    if one.wish.deleted or one.finalizer == "released":
        return one.finalizer == "released" and not one.live and not isinstance(one.secret, Secret)
    secret, status = one.secret, one.status
    if not isinstance(secret, Secret) or status is None or len(one.live) != 1:
        return False
    held = place_of(cr, secret.holder)
    return (
        secret.data_matches
        and (held,) == one.live
        and one.born[one.live[0]].scope == one.wish.scope
        and secret.rotation == one.wish.rotation
        and status.key == held
        and status.reach
        and not status.retiring
    )
