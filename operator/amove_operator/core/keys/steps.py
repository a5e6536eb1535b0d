"""The steps that the key planner can choose; the reconciler performs them. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from amove_operator.core import steps
from amove_operator.core.conditions import Conclusion
from amove_operator.core.keys.expectations import PendingKey
from amove_operator.core.keys.snapshot import SecretOurs
from amove_operator.core.scope import Scope
from amove_operator.core.secrets.record import Retiring
from amove_operator.models import KeyStatus

AddFinalizer = steps.AddFinalizer
RemoveFinalizer = steps.RemoveFinalizer
WriteStatus = steps.WriteStatus
AwaitKeyList = steps.AwaitKeyList
ComeAgain = steps.ComeAgain
Finish = steps.Finish


class IssueReason(StrEnum):
    """Why a key must be issued, in words for conditions and Events; as far as is known now.

    ``FIRST`` is also said of an object whose only key a crash left and that is revoked by now;
    ``SECRET_MISSING`` also while the first key waits to be written.
    """

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
class ReadSecret:
    """Read the Secret by a GET."""


@dataclass(frozen=True, slots=True)
class DryRun:
    """Ask the API server whether it would take the Secret of a key that has this scope.

    Without it, a quota or a webhook that refuses the Secret would cost a key at each try.
    ``retiring``: the keys that the Secret would list beside it.
    """

    scope: Scope
    retiring: tuple[Retiring, ...] = ()


@dataclass(frozen=True, slots=True)
class RecordIssue:
    """Write to ``status.recentIssues`` that a key is about to be issued, so that a crash counts."""

    serial: int
    scope: Scope
    status: KeyStatus
    conclusion: Conclusion


@dataclass(frozen=True, slots=True)
class Mint:
    """Create a key at the service: sent once."""

    serial: int
    scope: Scope
    why: IssueReason


@dataclass(frozen=True, slots=True)
class WriteSecret:
    """Put the pending key into the Secret, the replaced ones listed as retiring, in one request."""

    pending_key: PendingKey
    retiring: tuple[Retiring, ...]


@dataclass(frozen=True, slots=True)
class RepairSecretMetadata:
    """Repair labels, annotations and owner of the Secret that was just read; the data stay."""

    secret: SecretOurs


class RevokeReason(StrEnum):
    """Why a key is revoked, as an Event says it; :attr:`label` is the counter's."""

    NAME_RELEASED = "bucket name given up"
    SHOWN_AGAIN = "shown again after its names were given up"
    NOT_HELD = "unheld"
    MAKING_ROOM = "making room"
    RETIRED = "retired"
    UNWRITTEN = "unwritten"
    DELETED = "deleted"

    @property
    def label(self) -> str:
        """One word for a label: ``name_released``."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Revoke:
    """Delete a key at the service."""

    key_id: str
    why: RevokeReason


@dataclass(frozen=True, slots=True)
class DeleteSecret:
    """Delete our Secret, with its uid as precondition."""

    uid: str


KeyStep = (
    steps.CommonStep[KeyStatus]
    | ReadSecret
    | DryRun
    | RecordIssue
    | Mint
    | WriteSecret
    | RepairSecretMetadata
    | Revoke
    | DeleteSecret
)
