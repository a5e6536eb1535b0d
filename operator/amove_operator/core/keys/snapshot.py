"""What the key planner looks at."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from math import inf

from amove_operator.core.conditions import Conclusion
from amove_operator.core.key_list import RemoteKey
from amove_operator.core.keys.expectations import PendingKey
from amove_operator.core.policy import Defaults
from amove_operator.core.reasons import Reason
from amove_operator.core.scope import Scope
from amove_operator.core.secrets.record import SecretRecord
from amove_operator.models import KeySpec, KeyStatus

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
    """Our Secret, without its data.

    ``metadata_drifted``: labels, annotations or owner need repair.
    """

    uid: str
    resource_version: str
    record: SecretRecord
    data_matches: bool
    metadata_drifted: bool = False
    deleting: bool = False


SecretSeen = SecretAbsent | SecretForeign | SecretOurs

# ---------------------------------------------------------------- the buckets as a gate


@dataclass(frozen=True, slots=True)
class Gate:
    """Whether a key may be issued now. ``scope`` is what the spec asks for, where it is known."""

    scope: Scope | None
    closed: Reason | None = None
    message: str = ""


class LossVerdict(StrEnum):
    """Why nothing may be concluded from a missing key just now."""

    NONE = "none"
    LOSS = "loss"
    USER_CHANGED = "user changed"


@dataclass(frozen=True, slots=True)
class KeyLimits:
    """The settings that the planner needs."""

    mint_budget: int = 3


@dataclass(frozen=True, slots=True)
class KeySnapshot:
    """All that is known about one AmoveStorageKey at one moment.

    ``now`` and ``clock`` are one moment, by the wall clock and in monotonic seconds; a list begun
    since ``knows_from`` shows every key. ``status`` is empty unless its ``owner_uid`` is the CR's
    UID. ``live`` is ``None`` while the rule of time does not let us know. ``fault`` is a reason of
    our own to refuse. ``confirmed_gone``: ids in status that are proven gone or listed as somebody
    else's. ``presumed_gone``: keys that the list lacks, but that may still be alive: the list can
    be another user's, which shows only that user's keys. Until the service was asked to revoke them
    they count as alive. ``displaced``: ids in status that reach a bucket name which another team
    now takes. ``wanted``: names that another team waits for, where a key lives of which nobody
    knows the buckets. ``listed_at``: when the listing behind ``live`` was begun.
    ``outcome_unknown``: this process sent a call of which only a listing can tell what it did.
    ``scopes``: of the keys that this process minted. ``refused``: why the API server would not
    take, or did not take, the Secret. ``revoked``: ids whose revocation was answered 200.
    ``revoking``: ids whose revocation got no answer, so that it may still be under way.
    ``recorded``: the issue, serial and scope, that status says is about to be made.
    """

    now: datetime
    clock: float
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
    live: tuple[RemoteKey, ...] | None = None
    pending_key: PendingKey | None = None
    is_new: bool = False
    knows_from: float = -inf
    last_serial: int = 0
    listed_at: datetime | None = None
    settle: timedelta = timedelta(seconds=30)
    outcome_unknown: bool = False
    scopes: tuple[tuple[str, Scope], ...] = ()
    dry_run_passed: bool = False
    refused: str = ""
    recorded: tuple[int, Scope] | None = None
    mass: LossVerdict = LossVerdict.NONE
    clock_skewed: bool = False
    defaults: Defaults | None = None
    revoked: frozenset[str] = frozenset()
    revoking: frozenset[str] = frozenset()
    displaced: frozenset[str] = frozenset()
    wanted: tuple[str, ...] = ()
    confirmed_gone: frozenset[str] = frozenset()
    presumed_gone: frozenset[str] = frozenset()
    limits: KeyLimits = field(default_factory=KeyLimits)
