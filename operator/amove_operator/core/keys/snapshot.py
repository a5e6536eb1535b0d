"""What the key planner looks at, and the steps it can choose."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from amove_operator.core.conditions import Conclusion
from amove_operator.core.keys.expectations import InHand, LiveKey
from amove_operator.core.policy import Defaults
from amove_operator.core.reasons import Reason
from amove_operator.core.scope import Scope
from amove_operator.core.secrets.record import Retiring, SecretRecord
from amove_operator.models.key import KeySpec, KeyStatus

# ---------------------------------------------------------------- the Secret as it was seen


@dataclass(frozen=True, slots=True)
class SecretAbsent:
    """A GET answered that there is none."""


@dataclass(frozen=True, slots=True)
class SecretForeign:
    """A Secret of that name that is not ours; ``leftover``: its CR is gone, it will follow."""

    message: str
    leftover: bool = False


@dataclass(frozen=True, slots=True)
class SecretOurs:
    """Our Secret, without its data. ``untidy``: labels, annotations or owner need repair."""

    uid: str
    resource_version: str
    record: SecretRecord
    intact: bool
    untidy: bool = False
    deleting: bool = False


SecretSeen = SecretAbsent | SecretForeign | SecretOurs

# ---------------------------------------------------------------- the buckets as a gate


@dataclass(frozen=True, slots=True)
class Gate:
    """Whether a key may be issued now. ``scope`` is what the spec asks for, where it is known."""

    scope: Scope | None
    closed: Reason | None = None
    message: str = ""


class Mass(StrEnum):
    """Why nothing may be concluded from a missing key just now."""

    NONE = "none"
    LOSS = "loss"
    USER_CHANGED = "user changed"


@dataclass(frozen=True, slots=True)
class KeyLimits:
    """The settings that the planner needs."""

    mint_budget: int = 3


@dataclass(frozen=True, slots=True)
class KeyWorld:
    """All that is known about one AmoveStorageKey at one moment.

    ``status`` is empty unless its ``owner_uid`` is the CR's UID. ``live`` is ``None`` while
    the rule of time does not let us know. ``fault`` is a reason of our own to refuse.
    ``forgotten``: ids in status that are proven gone or listed as somebody else's.
    ``unasked``: ids in status, or minted here, that only a list says are gone, which may be that
    of another user: nobody asked the service yet to revoke them.
    ``given_up``: ids in status that reach a bucket name which another team now takes.
    ``wanted``: names that another team waits for, where a key lives of which nobody knows the
    buckets.
    ``listed_at``: when the listing behind ``live`` was begun. ``unclear``: this process sent a
    call of which only a listing can tell what it did. ``scopes``: of the keys that this process
    minted. ``refused``: why the API server would not take, or did not take, the Secret.
    ``revoked``: ids whose revocation was answered 200. ``revoking``: ids whose revocation got no
    answer, so that it may still be under way. ``recorded``: the issue, serial and scope, that
    status says is about to be made.
    """

    now: datetime
    uid: str
    spec: KeySpec
    status: KeyStatus
    gate: Gate
    secret_name: str
    format8: str
    grace: timedelta
    interval: timedelta | None = None
    rotate_request: str = ""
    finalizer: bool = True
    deleting: bool = False
    paused: bool = False
    trusted: bool = False
    namespace_terminating: bool = False
    fault: Conclusion | None = None
    secret: SecretSeen | None = None
    secret_fresh: bool = False
    live: tuple[LiveKey, ...] | None = None
    in_hand: InHand | None = None
    untouched: bool = False
    last_serial: int = 0
    listed_at: datetime | None = None
    settle: timedelta = timedelta(seconds=30)
    unclear: bool = False
    scopes: tuple[tuple[str, Scope], ...] = ()
    dry_run_passed: bool = False
    refused: str = ""
    recorded: tuple[int, Scope] | None = None
    mass: Mass = Mass.NONE
    clock_skewed: bool = False
    defaults: Defaults | None = None
    revoked: frozenset[str] = frozenset()
    revoking: frozenset[str] = frozenset()
    given_up: frozenset[str] = frozenset()
    wanted: tuple[str, ...] = ()
    forgotten: frozenset[str] = frozenset()
    unasked: frozenset[str] = frozenset()
    limits: KeyLimits = field(default_factory=KeyLimits)


# ---------------------------------------------------------------- steps


class Why(StrEnum):
    """Why a key must be issued; the text is for events."""

    FIRST = "no key was issued yet"
    SECRET_MISSING = "the Secret is gone"  # noqa: S105
    DATA_EDITED = "the Secret's data were edited"
    KEY_GONE = "the key is gone at the service"
    SCOPE_UNKNOWN = "nothing proves which buckets the key reaches"
    SCOPE = "the scope changed"
    FORMAT = "the Secret's format changed"
    REQUESTED = "a rotation was requested"
    DUE = "the rotation interval has passed"


@dataclass(frozen=True, slots=True)
class AddFinalizer:
    """Put our finalizer on, tested on the resourceVersion that was read."""


@dataclass(frozen=True, slots=True)
class ReadSecret:
    """Read the Secret by a GET."""


@dataclass(frozen=True, slots=True)
class AwaitListing:
    """Nothing can be decided before a listing that the rule of time accepts.

    ``since``: where even that is too old, the moment from which a listing must be begun.
    """

    waiting: Conclusion
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class DryRun:
    """Ask the server whether it would take the Secret, before a key is issued for it."""


@dataclass(frozen=True, slots=True)
class RecordIssue:
    """Write to ``status.recentIssues`` that a key is about to be issued."""

    serial: int
    scope: Scope
    status: KeyStatus
    conclusion: Conclusion


@dataclass(frozen=True, slots=True)
class RecordStatus:
    """Write status before going on: a later step relies on what it says."""

    status: KeyStatus
    conclusion: Conclusion


@dataclass(frozen=True, slots=True)
class Mint:
    """Create a key at the service: sent once."""

    serial: int
    scope: Scope
    why: Why


@dataclass(frozen=True, slots=True)
class WriteSecret:
    """Put the key in hand into the Secret, the replaced ones listed as retiring, in one request."""

    retiring: tuple[Retiring, ...]


@dataclass(frozen=True, slots=True)
class TidySecret:
    """Repair labels, annotations and owner in place; the data stay."""


@dataclass(frozen=True, slots=True)
class Revoke:
    """Delete a key at the service; ``why`` is the counter's label."""

    key_id: str
    why: str


@dataclass(frozen=True, slots=True)
class DeleteSecret:
    """Delete our Secret, with its uid as precondition."""

    uid: str


@dataclass(frozen=True, slots=True)
class RemoveFinalizer:
    """Nothing of the CR is left: let it go."""


@dataclass(frozen=True, slots=True)
class Report:
    """Write status and stop until ``wake`` or until something changes.

    ``retry``: come back with back-off, since nobody will tell us when it changes.
    """

    status: KeyStatus
    conclusion: Conclusion
    wake: datetime | None = None
    retry: bool = False


KeyStep = (
    AddFinalizer
    | ReadSecret
    | AwaitListing
    | DryRun
    | RecordIssue
    | RecordStatus
    | Mint
    | WriteSecret
    | TidySecret
    | Revoke
    | DeleteSecret
    | RemoveFinalizer
    | Report
)
