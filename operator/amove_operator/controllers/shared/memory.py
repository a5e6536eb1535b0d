"""What one process remembers of an object between two reconciles. Lost at a restart, by design."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from amove_operator.core.buckets import snapshot
from amove_operator.core.keys.expectations import Expectations
from amove_operator.core.keys.snapshot import SecretOurs
from amove_operator.core.reasons import Reason
from amove_operator.core.secrets.record import SecretRecord
from amove_operator.errors import Rejected
from amove_operator.kube.secret_watch import SecretMeta
from amove_operator.models import AmoveBucket, BucketFlags, BucketStatus

REPAIRS = 2
"""How often in a row one drift is repaired (docs/bucket-protocol.md, "Repairing")."""


APART = 5.0
"""Seconds between two observations that prove together that a bucket of ours is absent."""


@dataclass(slots=True)
class BucketMemory:
    """One AmoveBucket: what was observed, what was refused, what was begun. Moments are monotonic.

    ``asked_at``: when the last ``bucket_status`` was sent; ``seen_at``: when its last clear answer
    came; ``absent_since``: when the first of the absences came that were answered last, if any.
    ``stale``: somebody wants a fresh observation. ``intent_unused``: this process wrote the intent,
    and sent no create under it yet. ``created``: a create was answered 200 and status does not say
    so yet. ``delete_sent``: our delete may have been done; ``delete_answered``: it was answered
    200. ``effect_at``: when a create or delete was answered that does not show yet.
    ``retry_at``: when the back-off ends; until then an event alone calls nothing.
    """

    fingerprint: tuple[object, ...] | None = None
    seen: snapshot.BucketSeen | None = None
    asked_at: float = -inf
    seen_at: float = -inf
    absent_since: float = inf
    stale: bool = False
    refusal: snapshot.Refusal | None = None
    refusals_in_a_row: int = 0
    repairs_left: int = REPAIRS
    intent_unused: bool = False
    created: bool = False
    delete_sent: bool = False
    delete_answered: bool = False
    effect_at: float = -inf
    retry_at: float = inf
    retry_after: float = 0.0

    @property
    def name_is_taken(self) -> bool:
        """The service said so: nothing is tried again before a person changes the object.

        ``bucket_status`` is still asked at each resync, and shows a bucket that became ours to see.
        """
        return self.refusal is not None and self.refusal.what is snapshot.Refused.EXISTS

    def expire(self, bucket: AmoveBucket, clock: float) -> None:
        """Forget the observation when a person changed something, or a resync or retry is due."""
        print_now = bucket.metadata.fingerprint
        changed = self.fingerprint is not None and self.fingerprint != print_now
        if changed:
            self.refusals_in_a_row = 0
            self.repairs_left = REPAIRS
            self.delete_sent = self.delete_answered = False
        elif self.stale:
            self.repairs_left = max(self.repairs_left, 1)
        if changed or self.stale or clock >= self.retry_at:
            self.seen = None
            if (changed or not self.name_is_taken) and not self._must_disown(bucket):
                self.refusal = None
            self.retry_at = inf
        elif self.fingerprint is None and bucket.in_sync and bucket.status.observed:
            # First seen after a restart: a bucket in sync waits for the sweep to reach it.
            self.seen = snapshot.Present(bucket.status.observed)
        if bucket.proven.provenance is not None:
            self.created = False  # from here on status is the proof
        self.fingerprint = print_now
        self.stale = False

    def _must_disown(self, bucket: AmoveBucket) -> bool:
        """Our create surely made nothing, and status still says that it may have: mend that first.

        Else a stranger's bucket that appears later under the name would be taken for ours.
        """
        status, what = bucket.proven, self.refusal.what if self.refusal else None
        if what is snapshot.Refused.EXISTS:
            return bool(status.create_intent) or status.provenance == "Created"
        return what is snapshot.Refused.UNSENT and bool(status.create_intent)

    @property
    def awaits_effect(self) -> bool:
        """Whether a create or delete of ours was answered and does not show yet, as far as seen."""
        return self.effect_at > -inf

    @property
    def confirmable_at(self) -> float:
        """From when another observation may confirm an absence that was seen once."""
        once = isinstance(self.seen, snapshot.Absent) and not self.seen.confirmed
        return self.absent_since + APART if once else -inf

    def is_outdated(self, since: float) -> bool:
        """Whether the service's last clear answer is older than that.

        That a call failed does not go out of date: it ends the pass, however long the call took.
        """
        return isinstance(self.seen, snapshot.Absent | snapshot.Present) and self.seen_at < since

    def observed_absent(self, at: float) -> None:
        """``bucket_status`` says that there is no such bucket: a service may say so once in error.

        Our own delete that was answered 200 needs no second observation, APART from the first.
        """
        self.seen_at = at
        self.absent_since = min(self.absent_since, at)
        apart = self.asked_at - self.absent_since >= APART
        self.seen = snapshot.Absent(confirmed=apart or self.delete_answered)

    def observed_present(self, flags: BucketFlags, at: float) -> None:
        """``bucket_status`` answered with the bucket's flags."""
        self.seen, self.seen_at, self.absent_since = snapshot.Present(flags), at, inf
        if self.name_is_taken:
            self.refusal = None  # answered: the bucket is there, ours or a stranger's
        if not self.delete_sent:
            self.effect_at = -inf  # the create shows; a deleted one may still show for a while

    def set_aside(self) -> None:
        """Nothing is learnt by a pass that is not remembered."""

    def finalizer_added(self, _status: BucketStatus) -> None:
        """Of a bucket that proves nothing."""

    def status_written(self, before: BucketStatus, now: BucketStatus) -> None:
        """An intent that was just written is no proof of a bucket before a create is sent.

        After a refusal because the name is taken, whose bucket it is must be observed. A create
        that was not done is settled once its intent is gone: the next intent is another one's.
        """
        self.intent_unused = bool(now.create_intent) and not before.create_intent
        unsent = self.refusal is not None and self.refusal.what is snapshot.Refused.UNSENT
        if unsent and not now.create_intent:
            self.refusal = None
        if self.name_is_taken:
            self.seen = None

    def backed_off(self, since: float, seconds: float) -> None:
        """It is not observed again until the back-off has passed."""
        self.retry_at = since + seconds

    def not_observed(self, error: Exception, reason: Reason, message: str, at: float) -> None:
        """A call failed: nothing is known of the bucket until it is tried again."""
        self.seen = snapshot.Unknown(reason, message)
        self.retry_after = getattr(error, "retry_after", None) or 0.0
        if isinstance(error, Rejected):
            self.seen_at = at  # an answer about this bucket: it is no loss

    def refused(self, what: snapshot.Refused, error: Exception) -> None:
        """The service refused a write."""
        self.refusals_in_a_row += 1
        message = f"The service answered {error}"
        self.refusal = snapshot.Refusal(what, message, self.refusals_in_a_row)

    def accepted(self) -> None:
        """A write was answered 200: observe what came of it."""
        self.refusals_in_a_row = 0
        self.refusal = None
        self.disprove()

    def disprove(self) -> None:
        """What was observed until now says nothing any more."""
        self.seen, self.absent_since = None, inf

    def effect_began(self, at: float) -> None:
        """A create or delete was done: it may take a while to show, and is not repeated."""
        self.accepted()
        self.effect_at = at


@dataclass(slots=True)
class KeyMemory:
    """One AmoveStorageKey: its keys, and its Secret without the data.

    ``first_seen``: when this process first looked at it, in monotonic seconds.
    ``secret``, ``secret_version``: what the last read or write showed, and its UID and
    resourceVersion: it serves another pass only while the watch shows that version. ``record``,
    ``record_uid``: what this process last wrote or verified in the Secret of that UID, by which an
    edit is told. ``refused``, ``refused_at``: why the API server did not take a write, and when.
    ``renamed``: which other name the service gave the last key. ``refusals``: how many creates in a
    row it refused. ``refused_revokes``: ids whose revocation it refused once, so that a second
    refusal ends the pass, however long it waited for a list. ``set_aside``: the pass that waits.
    ``secret_moved``: the watch showed the Secret during the present pass.
    """

    expectations: Expectations
    first_seen: float = -inf
    fingerprint: tuple[object, ...] | None = None
    secret: SecretOurs | None = None
    secret_version: tuple[str, str] | None = None
    record: SecretRecord | None = None
    record_uid: str | None = None
    refused: str = ""
    refused_at: float = -inf
    renamed: str = ""
    refusals: int = 0
    refused_revokes: frozenset[str] = frozenset()
    set_aside: object = None
    secret_moved: bool = False

    def forget_refused_revokes(self) -> None:
        """The pass has ended: each revocation may be sent again. An empty set takes 216 bytes."""
        if self.refused_revokes:
            self.refused_revokes = frozenset()

    def recall_secret(self, known: SecretMeta | None) -> None:
        """Trust what was read before only while the watch shows the same version."""
        version = (known.uid, known.resource_version) if known is not None else None
        if self.secret is not None and version != self.secret_version:
            self.secret = None


class Memories:
    """What is remembered of each object, by UID."""

    def __init__(self) -> None:
        self.buckets: dict[str, BucketMemory] = {}
        self.keys: dict[str, KeyMemory] = {}

    def bucket(self, uid: str) -> BucketMemory:
        """The memory of an AmoveBucket, which begins empty."""
        return self.buckets.setdefault(uid, BucketMemory())

    def forget(self, uid: str) -> None:
        """The object is gone."""
        self.buckets.pop(uid, None)
        self.keys.pop(uid, None)
