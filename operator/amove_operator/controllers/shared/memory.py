"""What one process remembers of an object between two reconciles. Lost at a restart, by design."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from amove_operator.core.buckets.snapshot import BucketSeen, Refusal
from amove_operator.core.keys.expectations import Expectations
from amove_operator.core.keys.snapshot import SecretOurs
from amove_operator.core.secrets.record import SecretRecord

REPAIRS = 2
"""How often in a row one drift is repaired (docs/bucket-protocol.md, "Repairing")."""


@dataclass(slots=True)
class BucketMemory:
    """One AmoveBucket. ``stale``: somebody wants a fresh look. Moments are monotonic.

    ``looked_at``: when the last look began, ``seen_at``: when the last clear answer came.
    ``created``: a create was answered 200 and status does not say so yet. ``effect_at``: when a
    create or delete was answered 200 that did not show yet. ``absent``: the last clear answer;
    ``accept_before``: the annotation ``accept-loss`` at the first such.
    """

    fingerprint: tuple[object, ...] | None = None
    seen: BucketSeen | None = None
    looked_at: float = -inf
    seen_at: float = -inf
    stale: bool = False
    refusal: Refusal | None = None
    refusals_in_a_row: int = 0
    repairs_left: int = REPAIRS
    created: bool = False
    delete_sent: bool = False
    effect_at: float = -inf
    retry_at: float = inf
    absent: bool = False
    accept_before: str | None = None


@dataclass(slots=True)
class KeyMemory:
    """One AmoveStorageKey. ``refused``: why the API server did not take the Secret, and when."""

    expectations: Expectations
    fingerprint: tuple[object, ...] | None = None
    secret: SecretOurs | None = None
    secret_version: tuple[str, str] | None = None
    record: SecretRecord | None = None
    record_uid: str | None = None
    refused: str = ""
    refused_at: float = -inf
