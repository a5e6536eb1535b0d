"""The sentences that a key's conditions say: what is the matter and what to do. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from enum import StrEnum

from amove_operator.core import conditions
from amove_operator.core.conditions import Conclusion, Verdict, progressing, stalled, unsynced
from amove_operator.core.keys.derived import is_usable, live_key, revoke_times
from amove_operator.core.keys.snapshot import Blocked, KeySnapshot, LossVerdict, SecretForeign
from amove_operator.core.keys.steps import IssueReason
from amove_operator.core.reasons import Reason
from amove_operator.models import AmoveBucket
from amove_operator.models.shared import Condition
from amove_operator.times import rfc3339

_REFUSED = (Reason.ApiRefused,)
_TRIED_AGAIN = (Reason.ApiRefused, Reason.ApiUnavailable, Reason.ApiUnauthorized)
"""Why a key that is tried again was not issued before: its conditions stay meanwhile."""

DISPLACED = progressing(
    Reason.BucketNotFound,
    "The bucket's CR is gone and another takes its name; the key will be revoked.",
)
_LOSSES = {
    LossVerdict.MASS_LOSS: (
        Reason.MassKeyLoss,
        "Too many keys vanished from the service at once; nothing is replaced or let go until "
        "they are back, or the annotation storage.amove.io/accept-loss is set to a new value.",
    ),
    LossVerdict.OTHER_USER: (
        Reason.ApiUserChanged,
        "The API token belongs to another user than the one who issued the key; put the former "
        "user's token back, or set the annotation storage.amove.io/accept-loss to a new value.",
    ),
}
_ONLY_THE_FORMER = (
    "The key list shows another user's keys alone: only the former user's token can revoke the key "
    "and so end this; accept-loss does not."
)
STORAGE_UNKNOWN = (
    "The storage host of the cloud account is not known: have the operator's admin set "
    "AMOVE_STORAGE_DN, or set spec.storageDn in a trusted namespace."
)
CLOCK_SKEW = unsynced(
    Reason.ClockSkew, "The local clock differs from the API server's by over a minute."
)
NOT_OURS_ANY_MORE = unsynced(
    Reason.Deleting,
    "Waiting for others: the object goes once the rest of metadata.finalizers is removed.",
)


# ---------------------------------------------------------------- all is well, or held up


def in_sync(snapshot: KeySnapshot, name: str) -> Conclusion:
    """The key is in its Secret; a note says what cannot be done, or was not, though it is."""
    held = f"Key {name} is in Secret {snapshot.desired_secret.name}."
    conclusion = conditions.in_sync(Reason.Issued, held, pinned(snapshot))
    gate = snapshot.gate
    if isinstance(gate, Blocked) and gate.reason in (Reason.BucketNotFound, Reason.AccountMismatch):
        # The key that is out stays as it is; only a reader of the status must know.
        return replace(conclusion, synced=Verdict("False", gate.reason, gate.message))
    if snapshot.clock_skewed and (snapshot.rotation.interval is not None or revoke_times(snapshot)):
        return replace(conclusion, synced=CLOCK_SKEW.synced)
    return conclusion


def pinned(snapshot: KeySnapshot) -> str:
    """That defaults which changed since have moved nothing; empty where they are the same."""
    key, spec, defaults = snapshot.status.key, snapshot.spec, snapshot.defaults
    if key is None or defaults is None:
        return ""
    same_account = key.cloud_account_id == defaults.account
    by_default = (
        ("cloud account", spec.cloud_account_id, key.cloud_account_id, defaults.account),
        ("region", spec.region, key.region, defaults.region),
        ("storage", spec.storage_dn, key.storage_dn, defaults.storage_dn if same_account else None),
    )
    moved = [
        f"{what} {was} (the default is {now} by now)"
        for what, asked, was, now in by_default
        if asked is None
        and now not in (None, was)
        # A key of bucketRefs is where its buckets are, and their own status says in which account.
        and (what != "cloud account" or spec.bucket_refs is None)
    ]
    return f"Pinned to {', '.join(moved)}: the key stays as it was issued." if moved else ""


def paused(snapshot: KeySnapshot) -> Conclusion:
    """A pause; Ready becomes False where even so the key went to make room for another team."""
    waits = ", and the deletion waits" if snapshot.deleting else ""
    conclusion = unsynced(Reason.Paused, f"Paused by annotation; nothing is called{waits}.")
    if not snapshot.displaced.keys or is_usable(snapshot):
        return conclusion
    revoked = "The key was revoked: its bucket is another team's."
    return replace(conclusion, ready=Verdict("False", Reason.BucketNotFound, revoked))


# ---------------------------------------------------------------- waiting for a key list


class Showing(StrEnum):
    """What a key list is waited for."""

    RECENT_KEY = "can show the key in the Secret"
    STILL_NEEDED = "shows whether the new key is still needed"
    STILL_GONE = "shows whether the key is still missing"
    EARLIER_KEYS = "would show a key that an earlier process issued"
    LOST_CALL = "shows what became of a call without an answer"
    ALL_KEYS = "shows every key that must be revoked before the object goes"


def await_list(snapshot: KeySnapshot, showing: Showing, *, keep_ready: bool = True) -> Conclusion:
    """Nothing is decided before a key list that shows every key; a refusal's words stay."""
    same = conditions.unchanged(snapshot.status.conditions, _REFUSED, keep_ready=keep_ready)
    if same is not None:
        return same
    message = _waiting(snapshot, showing)
    return progressing(Reason.WaitingForListing, message, keep_ready=keep_ready)


def await_revocation(snapshot: KeySnapshot, key_id: str) -> Conclusion:
    """A revocation got no answer."""
    message = _waiting(snapshot, f"shows whether key {key_id} is revoked")
    return progressing(Reason.RevokePending, message, keep_ready=True)


def revoke_failed(snapshot: KeySnapshot, key_id: str, why: str, *, refused: bool) -> str:
    """A revocation failed; if no list shows the key either, nobody knows whose keys it shows."""
    message = f"Key {key_id} is still to be revoked. {why}"
    if not refused or live_key(snapshot, key_id) is not None:
        return message
    if snapshot.gone.unseen:
        return f"{message}. {_ONLY_THE_FORMER}"
    return (
        f"{message}. No list shows it, but those of other objects are missing as well: put the "
        "former user's token back if the API token is another user's now; if the key is gone, set "
        "the annotation storage.amove.io/accept-loss to a new value."
    )


def _waiting(snapshot: KeySnapshot, showing: str) -> str:
    lag = snapshot.limits.listing_lag.total_seconds()
    return f"Waiting for a key list that {showing}: up to AMOVE_LISTING_SETTLE ({lag:g}s)."


# ---------------------------------------------------------------- why no key is issued


def no_bucket(name: str) -> Blocked:
    """``bucketRefs`` names an AmoveBucket that is not there."""
    return Blocked(
        Reason.BucketNotFound,
        f"There is no AmoveBucket {name} here: create it, or correct spec.bucketRefs.",
    )


def bucket_not_created(before: Iterable[Condition], bucket: AmoveBucket) -> Blocked:
    """The AmoveBucket is there, and its bucket is not; ``before``: the key's conditions until now.

    A key that waits for the AmoveBucket goes on saying so while the bucket is on its way: Ready
    comes next, and is worth a write.
    """
    waiting = conditions.find(before, "Reconciling")
    begun = bucket.status.conditions
    on_its_way = not begun or conditions.is_true(begun, "Reconciling")
    if waiting is not None and waiting.reason == Reason.BucketNotFound and on_its_way:
        return Blocked(Reason.BucketNotFound, waiting.message)
    message = f"AmoveBucket {bucket.metadata.name} is not ready yet."
    return Blocked(Reason.BucketNotReady, message, passing=on_its_way)


def bucket_not_ready(bucket: AmoveBucket, *, holds_name: bool) -> str | None:
    """Why no key is issued for the bucket now; ``None``: it is ready."""
    name = bucket.metadata.name
    if bucket.metadata.deleting:
        return f"AmoveBucket {name} is being deleted."
    if not holds_name:
        return f"Another AmoveBucket has the bucket name of {name}; see its conditions."
    ready = conditions.is_true(bucket.status.conditions, "Ready")
    return None if ready else f"AmoveBucket {name} is not ready."


def account_mismatch(named: str | None, accounts: set[str]) -> Blocked:
    """A key is of one cloud account, and its buckets are not."""
    message = "spec.bucketRefs: the buckets are in several cloud accounts; one key, one account."
    if len(accounts) == 1:
        message = (
            f"spec.cloudAccountId is {named}, but the buckets are in "
            f"{next(iter(accounts))}: leave it out."
        )
    return Blocked(Reason.AccountMismatch, message)


def blocked(snapshot: KeySnapshot) -> Conclusion:
    """The buckets, or the account, are not ready for a key."""
    reason, message = Reason.BucketNotReady, "The account of the buckets is not known yet."
    if isinstance(snapshot.gate, Blocked):
        reason, message = snapshot.gate.reason, snapshot.gate.message
    return progressing(reason, message, keep_ready=is_usable(snapshot))


def grace_running(snapshot: KeySnapshot, why: IssueReason, ends: datetime) -> Conclusion:
    """Two keys live already."""
    message = (
        f"{_sentence(why)}; two keys live already, so the new one waits until the grace of the "
        f"replaced one ends at {rfc3339(ends)}."
    )
    return progressing(Reason.WaitingForGrace, message, keep_ready=is_usable(snapshot))


def budget_exhausted(snapshot: KeySnapshot, why: IssueReason, ready_at: datetime) -> Conclusion:
    """Too many keys were issued of late."""
    message = f"{_sentence(why)}; the next key may be issued at {rfc3339(ready_at)}."
    return progressing(Reason.MintBudgetExhausted, message, keep_ready=is_usable(snapshot))


def issuing(snapshot: KeySnapshot, why: IssueReason) -> Conclusion:
    """The next call issues a key; where one was refused before, its words stay until then."""
    usable, before = is_usable(snapshot), snapshot.status.conditions
    if (same := conditions.unchanged(before, _TRIED_AGAIN, keep_ready=usable)) is not None:
        return same
    message = f"{_sentence(why)}; a key is being issued."
    return progressing(Reason.Progressing, message, keep_ready=usable)


def create_refused(snapshot: KeySnapshot, message: str, in_a_row: int) -> Conclusion:
    """The service refused to issue a key, so often in a row; what is in use stays so."""
    refused = unsynced(Reason.ApiRefused, message)
    if is_usable(snapshot):
        return refused
    if in_a_row >= conditions.REFUSALS_UNTIL_STALLED:
        return stalled(Reason.ApiRefused, message)
    return replace(refused, ready=refused.synced)


def renamed(snapshot: KeySnapshot) -> Conclusion:
    """The service does not keep the names of keys, by which a crash finds what it left."""
    return create_refused(snapshot, snapshot.renamed, conditions.REFUSALS_UNTIL_STALLED)


def _sentence(why: IssueReason) -> str:
    """The reason with a capital letter; ``str.capitalize`` would make "the secret" of a Secret."""
    return why[0].upper() + why[1:]


# ---------------------------------------------------------------- the Secret


def secret_refused(snapshot: KeySnapshot, why: str) -> Conclusion:
    """Kubernetes would not take, or did not take, the Secret: a person must change something."""
    message = f"Kubernetes refuses Secret {snapshot.desired_secret.name}: {why}"
    return stalled(Reason.SecretWriteRefused, message)


def secret_not_taken(snapshot: KeySnapshot, why: str) -> Conclusion:
    """Kubernetes could not take the Secret just now, such as for a webhook that is down."""
    reason = Reason.SecretWriteRefused
    message = f"Kubernetes could not take Secret {snapshot.desired_secret.name}, tried again: {why}"
    unready = None if is_usable(snapshot) else Verdict("False", reason, message)
    return replace(unsynced(reason, message), ready=unready)


def secret_foreign(secret: SecretForeign) -> Conclusion:
    """A Secret of that name is there and not ours; a leftover goes by itself."""
    if secret.leftover:
        return progressing(Reason.SecretBeingCollected, secret.message)
    return stalled(Reason.SecretConflict, secret.message)


def secret_going(snapshot: KeySnapshot) -> Conclusion:
    """Our Secret is being deleted."""
    message = (
        f"Secret {snapshot.desired_secret.name} is being deleted; its successor waits for that."
    )
    return progressing(Reason.SecretBeingCollected, message)


# ---------------------------------------------------------------- a loss


def loss(snapshot: KeySnapshot) -> Conclusion:
    """Why nothing may be concluded from a missing key: only Synced says so, if pods have a key.

    Unless Ready promises another key: none is issued now, and the promise may not stay.
    """
    reason, message = _LOSSES[snapshot.loss]
    if snapshot.deleting and snapshot.gone.unseen:
        message = f"The API token belongs to another user than the issuer. {_ONLY_THE_FORMER}"
    before = conditions.find(snapshot.status.conditions, "Ready")
    promised = before is not None and before.reason == Reason.Progressing
    stays = snapshot.sound_secret is not None and not promised
    unready = None if stays else Verdict("False", reason, message)
    return replace(unsynced(reason, message), ready=unready)
