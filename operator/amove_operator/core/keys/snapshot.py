"""What the key planner decides by: one AmoveStorageKey as it is known at one moment. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from math import inf

from amove_operator.core.conditions import Conclusion
from amove_operator.core.key_list import RemoteKey
from amove_operator.core.keys.expectations import Expectations
from amove_operator.core.policy import Defaults
from amove_operator.core.reasons import Reason
from amove_operator.core.scope import Scope
from amove_operator.core.secrets.manifest import DesiredSecret
from amove_operator.core.secrets.record import SecretRecord
from amove_operator.models import KeySpec, KeyStatus


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


@dataclass(frozen=True, slots=True)
class Blocked:
    """No key may be issued now, and why; ``scope``: what the spec asks for, where it is known.

    ``passing``: it will be otherwise in a moment, and no status need tell of it till then.
    """

    reason: Reason
    message: str
    scope: Scope | None = None
    passing: bool = False


class LossVerdict(StrEnum):
    """Why nothing may be concluded from a missing key just now."""

    NONE = "none"
    MASS_LOSS = "mass loss"
    OTHER_USER = "other user"


@dataclass(frozen=True, slots=True)
class Rotation:
    """What spec and annotation ask for: the grace of a replaced key, and when to replace one."""

    grace: timedelta
    interval: timedelta | None = None
    requested: str = ""


@dataclass(frozen=True, slots=True)
class GoneKeys:
    """Ids of ours that the list lacks.

    ``confirmed``: ids in status that are proven gone or listed as somebody else's. ``lasting``:
    those that lists of their user, at least the settle time apart, lacked.
    ``presumed``: keys that may still be alive: the list can be another user's, which shows only
    that user's keys. Until the service was asked to revoke them they count as alive. ``unseen``: it
    is another user's, and shows only that user's keys.
    """

    confirmed: frozenset[str] = frozenset()
    presumed: frozenset[str] = frozenset()
    lasting: frozenset[str] = frozenset()
    unseen: bool = False


@dataclass(frozen=True, slots=True)
class Displaced:
    """What another team takes from this CR, whose AmoveBucket is gone.

    ``keys``: ids in status that reach a bucket name which the other team takes. ``names``: such
    names, while a key lives of which nobody knows the buckets.
    """

    keys: frozenset[str] = frozenset()
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class KeyLimits:
    """The settings that the planner needs. ``listing_lag``: how late a key may show in a list."""

    mint_budget: int = 3
    listing_lag: timedelta = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class KeySnapshot:
    """All that is known about one AmoveStorageKey at one moment.

    ``now`` and ``clock`` are one moment, by the wall clock and in monotonic seconds. ``status`` is
    empty unless its ``owner_uid`` is the CR's UID. ``gate``: the scope that a key may be issued
    for, or what blocks that; ``None`` while the account or its storage is not known. ``live`` is
    ``None`` while the rule of time does not let us know; ``listed_at``: when the list behind it was
    begun; ``list_outdated``: it is from before this pass, lacks keys of ours, and may be another
    user's. ``fault``: why we refuse the spec ourselves. ``refused``: why the API server would not
    take, or did not take, the Secret. ``renamed``: which other name the service gave the last key.
    ``loss_accepted``: a person accepts that the key is gone. ``first_seen``: when this process
    first looked at the CR, in monotonic seconds.
    """

    now: datetime
    clock: float
    uid: str
    spec: KeySpec
    status: KeyStatus
    gate: Scope | Blocked | None
    desired_secret: DesiredSecret
    rotation: Rotation
    expectations: Expectations
    limits: KeyLimits = KeyLimits()
    finalizer: bool = True
    deleting: bool = False
    paused: bool = False
    trusted: bool = False
    namespace_terminating: bool = False
    fault: Conclusion | None = None
    secret: SecretSeen | None = None
    secret_fresh: bool = False
    live: tuple[RemoteKey, ...] | None = None
    listed_at: datetime | None = None
    list_outdated: bool = False
    gone: GoneKeys = GoneKeys()
    displaced: Displaced = Displaced()
    dry_run_passed: bool = False
    refused: str = ""
    renamed: str = ""
    loss: LossVerdict = LossVerdict.NONE
    loss_accepted: bool = False
    clock_skewed: bool = False
    defaults: Defaults | None = None
    first_seen: float = -inf

    @property
    def wanted_scope(self) -> Scope | None:
        """What the spec asks for, whether or not a key may be issued for it now."""
        return self.gate.scope if isinstance(self.gate, Blocked) else self.gate

    @property
    def our_secret(self) -> SecretOurs | None:
        """The Secret, if it is ours."""
        return self.secret if isinstance(self.secret, SecretOurs) else None

    @property
    def sound_secret(self) -> SecretOurs | None:
        """The Secret, if it is ours and its data are as they were written."""
        ours = self.our_secret
        return ours if ours is not None and ours.data_matches else None
