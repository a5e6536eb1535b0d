"""Snapshots for the key planner's tables: settled unless a row says otherwise."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from math import inf
from typing import Any

from pydantic import SecretStr

from amove_operator.core.key_list import RemoteKey
from amove_operator.core.keys import steps
from amove_operator.core.keys.derived import next_serial
from amove_operator.core.keys.expectations import Expectations, PendingKey
from amove_operator.core.keys.plan import plan_key
from amove_operator.core.keys.snapshot import KeySnapshot, Rotation, SecretOurs
from amove_operator.core.naming import key_name, marker_of, mask_bit
from amove_operator.core.reasons import Reason
from amove_operator.core.scope import Scope
from amove_operator.core.secrets.manifest import DesiredSecret, SecretOwner
from amove_operator.core.secrets.record import Retiring, SecretRecord
from amove_operator.models import CurrentKey, KeySpec, KeyStatus, RecentIssue, SecretSpec
from amove_operator.models.key_status import RetiringKey


def _same_bit(name: str) -> str:
    """A bucket name that the mask of a digest cannot tell from another."""
    others = (f"other-{number}" for number in count())
    return next(other for other in others if mask_bit(other) == mask_bit(name))


NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
GRACE = timedelta(hours=1)
UID = "uid-1"
MARKER = marker_of("cluster", UID)
DESIRED_SECRET = DesiredSecret(SecretOwner("team", "app", UID), "app", SecretSpec())
WIDE = Scope.of("account", "region", "s3.example", "ReadWrite", ("one", "two"))
NARROW = Scope.of("account", "region", "s3.example", "Read", ("one",))
TWIN = Scope.of("account", "region", "s3.example", "ReadWrite", ("one", _same_bit("two")))
"""Another scope than WIDE with the same digest: everything in a remote name is the same."""


def key(serial: int, scope: Scope = WIDE, age: timedelta = 5 * HOUR) -> RemoteKey:
    """The key of that serial, as a list shows it."""
    name = key_name("team-app", MARKER, scope.names9, serial)
    return RemoteKey(f"id-{serial}", name, f"AK{serial}", NOW - age, "user-1")


def record(held: RemoteKey, *retiring: Retiring, age: timedelta = 5 * HOUR) -> SecretRecord:
    """What the Secret that holds ``held`` says of itself."""
    return SecretRecord(held.id, NOW - age, "", DESIRED_SECRET.format8, "sum", retiring)


def ours(
    held: RemoteKey, *retiring: Retiring, age: timedelta = 5 * HOUR, **more: Any
) -> SecretOurs:
    """Our Secret with that key."""
    seen = SecretOurs("secret-uid", "7", record(held, *retiring, age=age), data_matches=True)
    return replace(seen, **more)


def current(held: RemoteKey, scope: Scope = WIDE) -> CurrentKey:
    """That key as status names it."""
    assert held.created is not None
    return CurrentKey(
        id=held.id,
        name=held.name,
        access_key=held.access_key,
        serial=held.serial,
        issued_at=held.created,
        user_id="user-1",
        cloud_account_id=scope.account,
        region=scope.region,
        storage_dn=scope.storage_dn,
        permission=scope.permission,
        issued_for=scope.issued_for,
        buckets=scope.buckets,
    )


def issue(serial: int, scope: Scope | None = WIDE, age: timedelta = 5 * HOUR) -> RecentIssue:
    """An issue as status notes it; of old ones it keeps no scope."""
    noted = None if scope is None else scope.record
    return RecentIssue(serial=serial, issued_at=NOW - age, scope=noted)


def retiring(old: RemoteKey, left: timedelta, scope: Scope = WIDE) -> RetiringKey:
    """That key as status lists it, with so much of its grace left."""
    return RetiringKey(id=old.id, buckets=scope.buckets, revoke_after=NOW + left)


def status(held: RemoteKey | None, *old: RetiringKey, issues: int = 1) -> KeyStatus:
    """The status of a CR that was issued so many keys of late, the held one the first of them."""
    noted = WIDE if held is not None else None
    many = issues - 1 + (held.serial if held is not None else 0)
    ages = [*[5 * HOUR] * (many - issues + 1), *[timedelta(0)] * (issues - 1)]
    return KeyStatus(
        owner_uid=UID,
        key=None if held is None else current(held),
        retiring=old,
        recent_issues=tuple(issue(n, noted, age) for n, age in enumerate(ages, start=1)),
    )


def pending_key(fresh: RemoteKey, scope: Scope = WIDE) -> PendingKey:
    """A key that no Secret holds yet."""
    return PendingKey(fresh, SecretStr("secret"), scope, "")


FIRST = key(1)


_OF_EXPECTATIONS = ("pending_key", "is_new", "knows_from", "last_serial", "scopes", "recorded")
_SHORT = {
    "rotate_request": ("rotation", "requested"),
    "outcome_unknown": ("expectations", "create_unanswered"),
    "confirmed_gone": ("gone", "confirmed"),
    "presumed_gone": ("gone", "presumed"),
    "lasting_gone": ("gone", "lasting"),
    "displaced": ("displaced", "keys"),
    "wanted": ("displaced", "names"),
    "grace": ("rotation", "grace"),
    "interval": ("rotation", "interval"),
    **{field: ("expectations", field) for field in _OF_EXPECTATIONS},
}
"""What a row says in a word: in which part of a snapshot that stands, and as which field."""


def changed(snapshot: KeySnapshot, **changes: Any) -> KeySnapshot:
    """The snapshot with other fields, or with others of its parts."""
    parts: dict[str, dict[str, Any]] = {}
    for word in _SHORT.keys() & changes.keys():
        part, field = _SHORT[word]
        parts.setdefault(part, {})[field] = changes.pop(word)
    if "revoked" in changes:
        answered = tuple((key_id, 0.0) for key_id in changes.pop("revoked"))
        parts.setdefault("expectations", {})["deleted"] = answered
    for part, fields in parts.items():
        changes[part] = replace(getattr(snapshot, part), **fields)
    return replace(snapshot, **changes)


def settled(**changes: Any) -> KeySnapshot:
    """One live key, held by a sound Secret and named by status; then what the row changes."""
    sound = KeySnapshot(
        now=NOW,
        clock=0.0,
        uid=UID,
        spec=KeySpec(permission="ReadWrite"),
        status=status(FIRST),
        gate=WIDE,
        desired_secret=DESIRED_SECRET,
        rotation=Rotation(GRACE),
        expectations=Expectations.for_known(-inf, 0.0),
        secret=ours(FIRST),
        secret_fresh=True,
        live=(FIRST,),
        listed_at=NOW,
        dry_run_passed=True,
    )
    snapshot = changed(sound, **changes)
    # Unless a row is about it, status notes the issue that comes next.
    scope = snapshot.wanted_scope
    noted = (next_serial(snapshot), scope) if scope is not None else None
    return snapshot if "recorded" in changes else changed(snapshot, recorded=noted)


def said(step: steps.KeyStep) -> str:
    """A step in one line: its name and what tells it from others of its kind."""
    name = type(step).__name__
    if isinstance(step, steps.Finish):
        return f"{name} {step.conclusion.synced.reason.value}"
    told = [getattr(step, field, None) for field in ("serial", "key_id", "why")]
    return " ".join([name, *(str(one) for one in told if one is not None)])


def planned(**changes: Any) -> str:
    """What the planner chooses for the changed snapshot, in one line."""
    return said(plan_key(settled(**changes)))


def reported(**changes: Any) -> steps.Finish[KeyStatus]:
    """The report that the changed snapshot ends in."""
    step = plan_key(settled(**changes))
    assert isinstance(step, steps.Finish), step
    return step


def reason(report: steps.Finish[KeyStatus]) -> Reason:
    """The reason of its Synced."""
    return report.conclusion.synced.reason
