"""What the bucket planner decides by: one AmoveBucket, and all that is known of its bucket."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum, auto

from amove_operator.core.conditions import Conclusion
from amove_operator.core.reasons import Reason
from amove_operator.models import BucketFlags, BucketSpec, BucketStatus, ObjectMeta
from amove_operator.models.refs import Ref

# ---------------------------------------------------------------- observations


@dataclass(frozen=True, slots=True)
class Absent:
    """The service said that there is no such bucket (the only proof there is).

    ``confirmed``: it said so in two observations apart, or after it answered our delete with 200.
    One alone may be an error of the service, and nothing of ours is taken for gone by it.
    """

    confirmed: bool = False


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


class BucketLoss(Enum):
    """Whether a bucket that is absent may be acted on."""

    NONE = auto()
    UNCONFIRMED = auto()
    """Other buckets of ours must be observed first: if they are gone too, the account may be."""
    MASS = auto()
    """Too many buckets of ours are gone at once."""


# ---------------------------------------------------------------- refusals


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

    ``status`` proves: it is empty if it was written for another object or bucket. ``name``: the
    bucket's at the service; ``account``: its cloud account; ``default_account``: the one of a spec
    that names none. ``fault``: why our own rules refuse the spec. ``claimed_by``: another
    AmoveBucket that has the name. ``name_in_use``: whose live keys still reach the bucket name, in
    words for a person. ``list_needed_since``: from when a key list must be begun (monotonic) before
    the name is taken or the bucket deleted; None: the list at hand is recent enough. ``orphaned``:
    a live key whose CR is gone may reach the bucket. ``blockers``: the keys that keep a deletion
    waiting.

    ``created``: our create was answered 200; status may not say so yet. ``delete_sent``: our
    delete was sent. ``effect_pending``: one of them was answered 200 a moment ago and may not
    show yet. ``repairs_left``: update_bucket calls left before FlagRejected.
    """

    meta: ObjectMeta
    spec: BucketSpec
    status: BucketStatus
    name: str
    account: str
    default_account: str | None = None
    fault: Conclusion | None = None
    claimed_by: Ref | None = None
    name_in_use: str | None = None
    list_needed_since: float | None = None
    orphaned: bool = False
    blockers: tuple[str, ...] = ()
    seen: BucketSeen | None = None
    loss: BucketLoss = BucketLoss.NONE
    refusal: Refusal | None = None
    created: bool = False
    delete_sent: bool = False
    effect_pending: bool = False
    repairs_left: int = 2

    @property
    def absent(self) -> bool:
        """The service answered that there is no such bucket."""
        return isinstance(self.seen, Absent)

    @property
    def absent_once(self) -> bool:
        """The service answered so only once, or not long enough ago."""
        return isinstance(self.seen, Absent) and not self.seen.confirmed

    @property
    def flags(self) -> BucketFlags:
        """The flags of a bucket that is there; those of a new one where it is not."""
        return self.seen.flags if isinstance(self.seen, Present) else BucketFlags()

    @property
    def intent(self) -> bool:
        """A create of ours was sent, or was about to be, and its outcome was not seen."""
        return bool(self.status.create_intent) and self.status.provenance is None

    @property
    def ours(self) -> bool:
        """Created or adopted here, or created by a call whose answer we may not have seen."""
        return self.status.ours or self.created

    @property
    def recreating(self) -> bool:
        """A bucket of ours was lost: its provenance is intent enough for making it again."""
        return self.status.provenance == "Created"

    @property
    def intent_void(self) -> bool:
        """Our create surely did not make the bucket: what status says proves nothing any more.

        For example a crash between intent and create, and a stranger who took the name meanwhile:
        our next create is answered "exists". A bucket that shows up later is the stranger's. One
        that we made before and lost stays ours, unless it is absent from our account even then.
        """
        if self.refused(Refused.EXISTS):
            gone = self.absent and not self.absent_once
            return self.intent or (self.recreating and gone)
        return self.intent and self.refused(Refused.UNSENT) is not None

    def refused(self, what: Refused) -> Refusal | None:
        """The refusal of that write, if it was refused."""
        return self.refusal if self.refusal is not None and self.refusal.what is what else None

    @property
    def may_adopt(self) -> bool:
        """A bucket that exists already may become ours: taken over, or only watched."""
        return self.observe_only or self.spec.adoption_policy == "IfExists"

    @property
    def observe_only(self) -> bool:
        """Only read calls for this CR."""
        return self.spec.management_policy == "Observe"
