"""What the bucket planner looks at."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from amove_operator.core.conditions import Conclusion
from amove_operator.core.reasons import Reason
from amove_operator.models.bucket import BucketFlags, BucketSpec, BucketStatus

# ---------------------------------------------------------------- observations


@dataclass(frozen=True, slots=True)
class Absent:
    """The service said that there is no such bucket (the only proof there is)."""


@dataclass(frozen=True, slots=True)
class Present:
    """The bucket is there, with these flags."""

    flags: BucketFlags


@dataclass(frozen=True, slots=True)
class Unknown:
    """The service could not be asked. Never a reason to create, change or delete."""

    reason: Reason
    message: str


BucketSeen = Absent | Present | Unknown

# ---------------------------------------------------------------- claims


@dataclass(frozen=True, slots=True)
class ClaimHeld:
    """This CR is the one AmoveBucket of its name."""


@dataclass(frozen=True, slots=True)
class ClaimLost:
    """Another CR has the name."""

    namespace: str
    name: str


Claim = ClaimHeld | ClaimLost


class Refused(StrEnum):
    """Which write the service refused in this reconcile."""

    CREATE = "create"
    UNSENT = "create, which surely was not done"
    EXISTS = "create, since the name is taken"
    UPDATE = "update"
    DELETE = "delete"
    NOT_EMPTY = "not empty"


@dataclass(frozen=True, slots=True)
class Refusal:
    """A 499 to a write of ours: what, its words, and how many came in a row."""

    what: Refused
    message: str
    in_a_row: int


@dataclass(frozen=True, slots=True)
class BucketSnapshot:
    """All that is known about one AmoveBucket at one moment.

    ``status`` is empty unless its ``owner_uid`` is the CR's UID and its name and account
    are this CR's. ``blockers`` are the keys that keep a deletion waiting.
    ``name_in_use``: whose live keys still reach the name, in words for a person.
    ``keys_listed``: a key list at hand tells of all live keys; ``list_since``: else from when one
    must be begun (monotonic). ``orphaned``: a key whose CR is gone may reach the bucket.
    ``loss_unconfirmed``: other buckets of ours must be looked at first, or too many are gone.
    ``created``: this process had a 200 to its create, whatever became of the intent in status.
    ``effect_pending``: a create or delete was answered 200 and must show before another is sent.
    ``default_account``: the one for buckets that name none.
    ``repairs_left``: how many more ``update_bucket`` calls this drift is worth now.
    """

    now: datetime
    uid: str
    namespace: str
    cr_name: str
    spec: BucketSpec
    status: BucketStatus
    name: str
    account: str
    finalizer: bool = True
    deleting: bool = False
    paused: bool = False
    fault: Conclusion | None = None
    claim: Claim = ClaimHeld()
    name_in_use: str | None = None
    keys_listed: bool = True
    list_since: float = 0.0
    orphaned: bool = False
    seen: BucketSeen | None = None
    refusal: Refusal | None = None
    blockers: tuple[str, ...] = ()
    mass_loss: bool = False
    loss_unconfirmed: bool = False
    default_account: str | None = None
    delete_sent: bool = False
    created: bool = False
    effect_pending: bool = False
    repairs_left: int = 2

    @property
    def intent(self) -> bool:
        """A create of ours was sent, or was about to be, and its outcome was not seen."""
        return bool(self.status.create_intent) and self.status.provenance is None

    @property
    def ours(self) -> bool:
        """Created or adopted here, or created by a call whose answer we may not have seen."""
        return self.status.provenance is not None or self.intent or self.created

    @property
    def recreating(self) -> bool:
        """A bucket of ours was lost: its provenance is intent enough for making it again."""
        return self.status.provenance == "Created"

    @property
    def intent_void(self) -> bool:
        """Our create surely did not make the bucket: what status says proves nothing any more."""
        what = self.refusal.what if self.refusal is not None else None
        if what is Refused.EXISTS:
            return self.intent or (self.recreating and isinstance(self.seen, Absent))
        return what is Refused.UNSENT and self.intent

    @property
    def may_adopt(self) -> bool:
        """A bucket that exists already may become ours: taken over, or only watched."""
        return self.observe_only or self.spec.adoption_policy == "IfExists"

    @property
    def observe_only(self) -> bool:
        """Only read calls for this CR."""
        return self.spec.management_policy == "Observe"
