"""A world small enough to be walked through entirely, around the real key planner.

Everything is a tuple and every moment is relative to now, in ticks, cut off where it cannot
matter any more: so that two moments that look alike are one state. A tick is the settle time,
two ticks are the grace. The decisions are those of the product: ``plan_key``, ``Expectations`` and
``status_of``, and of names ``plan_bucket`` on core/names.py and the real cache; only the two
stores and the executor's hand movements are modelled.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from amove_operator.core.naming import mask_bit
from amove_operator.core.scope import Scope
from amove_operator.models import KeySpec

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
TICK = timedelta(seconds=60)
SETTLE, GRACE = 1, 2
OLD = 2
"""The age in ticks from which a key's age makes no difference."""
SPEC = KeySpec(permission="ReadWrite")
NAME = "two"
"""The bucket name that goes from team to team, in the worlds that have it."""
_TWIN = next(name for name in (f"twin{n}" for n in range(999)) if mask_bit(name) == mask_bit(NAME))
SCOPES = (
    Scope.of("a", "r", "d", "ReadWrite", ("one", NAME)),
    Scope.of("a", "r", "d", "ReadWrite", ("one",)),
    Scope.of("a", "r", "d", "ReadWrite", ("one", _TWIN)),  # its mark is that of the first
)
FOREIGN = "foreign"


class Broken(AssertionError):
    """An invariant does not hold."""


class Born(NamedTuple):
    """A key that was ever made for a CR; its place in the list is its identity.

    ``renamed``: the service gave it another name than was asked for, without the CR's marker.
    """

    serial: int
    scope: int
    age: int = 0
    renamed: bool = False


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
    data_matches: bool = True
    retiring: tuple[tuple[str, int], ...] = ()
    rotation: int = 0
    age: int = 0


class Note(NamedTuple):
    """An issue that status notes. ``scope`` of -1: it names none, or none that matters."""

    serial: int
    scope: int
    recent: bool = True


class Status(NamedTuple):
    """The CR's status. ``key`` is the place of the current key; ``reach``: it names its buckets.

    ``retiring``: id, ticks left, and whether its buckets are named. ``begun``: it says that its
    keys are being revoked, the CR being deleted.
    """

    key: int | None = None
    reach: bool = False
    retiring: tuple[tuple[str, int, bool], ...] = ()
    issues: tuple[Note, ...] = ()
    begun: bool = False


class Cr(NamedTuple):
    """One AmoveStorageKey with all that belongs to it in both stores.

    ``live``: the keys that work. ``shadows``: revoked ones that a list may still show.
    ``killed``: revoked by somebody else. ``freed``: replaced ones, by ticks since. ``minted``:
    how many in the current hour. ``held``: live ones that a Secret held once. ``finalizer``: off,
    on, released (the CR is let go of), or gone (it was taken away while nobody led).
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


View = tuple[Wish, str, Status | None]
"""A CR as a process's cache has it: wish, finalizer, status."""


class Memory(NamedTuple):
    """What a process remembers of one CR: its ledger, and its look at CR and Secret.

    ``settled``: ``new`` (nobody came before), ``ok`` (the listing at hand tells all), ``old``
    (a newer one is needed) or ``later`` (one begun after the next tick). ``expects``: scopes whose
    names the cache keeps until status tells of them. ``renamed``: the last key came back under
    another name. ``missed``: ticks since the first list that lacked the key of status;
    ``lasting``: the list at hand is another one, the settle time later.
    """

    settled: str
    is_new: bool = False
    hand: Hand | None = None
    minted: tuple[tuple[int, int], ...] = ()
    revoked: tuple[tuple[str, int], ...] = ()
    failed: tuple[str, ...] = ()
    asked: tuple[str, ...] = ()
    lost: bool = False
    last_serial: int = 0
    recorded: tuple[int, int] | None = None
    refused: tuple[tuple[int, int], ...] = ()
    given_back: tuple[int, ...] = ()
    renamed: bool = False
    missed: int | None = None
    lasting: bool = False
    scopes: tuple[int, ...] = ()
    expects: tuple[int, ...] = ()
    secret: Secret | str | None = "unread"
    fresh: bool = False
    dry: bool = False
    view: View | None = None


class Process(NamedTuple):
    """One operator. ``listing``: the keys that its last listing showed, per CR.

    ``unlisted``: the process before it may have left a key that no list of this one would have
    shown yet; ``led``: a tick has passed meanwhile, so that the next one will.
    """

    memories: tuple[Memory, ...]
    listing: tuple[tuple[int, ...], ...] | None = None
    listed: int = 0
    led: bool = False
    unlisted: bool = False


class Chances(NamedTuple):
    """What may still go wrong, or be asked for."""

    crashes: int = 0
    vandals: int = 0
    restores: int = 0
    kills: int = 0
    losses: int = 0
    changes: int = 0
    strangers: int = 0
    forgeries: int = 0
    deletions: int = 0
    partings: int = 0
    vanishings: int = 0
    refusals: int = 0
    rejections: int = 0
    renames: int = 0
    flaps: int = 0


class State(NamedTuple):
    """The whole small world at one moment.

    ``name``: who has the bucket name. ``red``, the team of all CRs here; ``wanted``, nobody, and
    the other team asks for it; ``blue``, that team. ``mute``: Kubernetes refuses every status.
    """

    crs: tuple[Cr, ...]
    processes: tuple[Process, ...]
    chances: Chances
    name: str = "red"
    mute: bool = False


class Rules(NamedTuple):
    """The settings, and what a test of the test takes out of the worlds the planner sees.

    ``gives_back``: no issue is counted that made no key, as where nothing but refusals goes wrong.
    """

    budget: int = 3
    scopes: tuple[int, ...] = (0, 1)
    names: bool = False
    refusing: bool = False
    reads: bool = True
    doubts: bool = True
    grace: int = GRACE
    dry_runs: bool = True
    lingering: bool = False
    resyncs: bool = True
    gives_back: bool = False
    keeps: bool = True
