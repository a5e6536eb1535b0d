"""What a Secret of ours says of itself: the record in its annotations.

People can edit a Secret, so the record is a hint: an id counts only if the list shows it
under the CR's marker, and data count only while they match the checksum.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import islice

from amove_operator.core.secrets.rendering import checksum
from amove_operator.models.shared import GROUP

MANAGED = f"{GROUP}/managed"
"""The label by which our Secrets are watched. Whose a Secret is says OWNER_UID alone."""
MANAGED_BY = "app.kubernetes.io/managed-by"
MANAGER = "amove-operator"
OWNER_UID = f"{GROUP}/owner-uid"
KEY_ID = f"{GROUP}/key-id"
ISSUED_AT = f"{GROUP}/issued-at"
ROTATE_REQUEST = f"{GROUP}/rotate-requested-at"
CHECKSUM = f"{GROUP}/checksum"
FORMAT = f"{GROUP}/format"
RETIRING = f"{GROUP}/retiring"
WRITTEN = f"{GROUP}/written"
_LONGEST_NAME = 253 + 1 + 63
_MOST_NAMES = 64  # of each sort: more than a spec can ask for
_LONGEST = {KEY_ID: 64, ROTATE_REQUEST: 256, CHECKSUM: 64, FORMAT: 64}
_LONGEST_JSON = 65_536
_FIRST_ISSUE = datetime(2020, 1, 1, tzinfo=UTC)
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Retiring:
    """A replaced key and the moment from which it may be revoked."""

    id: str
    revoke_after: datetime


@dataclass(frozen=True, slots=True)
class Written:
    """The names that we put into the Secret, so that we can take them out again."""

    data: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    annotations: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SecretRecord:
    """Which key the Secret holds and how it was written."""

    key_id: str
    issued_at: datetime | None
    rotate_request: str
    format8: str
    checksum: str
    retiring: tuple[Retiring, ...] = ()
    written: Written = Written()

    def annotations(self, owner_uid: str) -> dict[str, str]:
        """The record as annotations, written in one request with the data."""
        record = {
            OWNER_UID: owner_uid,
            KEY_ID: self.key_id,
            CHECKSUM: self.checksum,
            FORMAT: self.format8,
            WRITTEN: json.dumps(
                [self.written.data, self.written.labels, self.written.annotations],
                separators=(",", ":"),
            ),
        }
        if self.issued_at is not None:
            record[ISSUED_AT] = rfc3339(self.issued_at)
        if self.rotate_request:
            record[ROTATE_REQUEST] = self.rotate_request
        if self.retiring:
            record[RETIRING] = json.dumps(
                {key.id: rfc3339(key.revoke_after) for key in self.retiring}, separators=(",", ":")
            )
        return record

    def matches(self, owner_uid: str, data: Mapping[str, bytes]) -> bool:
        """Whether the data keys that we wrote are all there and unedited."""
        ours = {name: data[name] for name in self.written.data if name in data}
        return len(ours) == len(self.written.data) > 0 and self.checksum == checksum(
            owner_uid, self.key_id, ours
        )


def rfc3339(moment: datetime) -> str:
    """UTC to the second, as Kubernetes writes times."""
    return f"{moment.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat()}Z"


def moment(text: str | None) -> datetime | None:
    """Read a time a person may have edited; ``None`` where it is none."""
    try:
        found = datetime.fromisoformat(text or "")
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError):  # overflow: the year 1 with an offset to the east
        return None


def issue_date(told: datetime | None, now: datetime) -> datetime | None:
    """A moment at which a key can have been issued; ``None`` for any other.

    Whoever says it, a person or the service: what is added to it stays within the calendar.
    """
    return told if told is not None and _FIRST_ISSUE <= told <= now + _DAY else None


def read_record(
    annotations: Mapping[str, str], now: datetime, max_grace: timedelta
) -> SecretRecord:
    """The record as the annotations tell it; what cannot be read, or cannot be, is left empty.

    A replaced key is revoked after ``max_grace`` from now at the latest.
    """
    told = {
        key: annotations[key]
        for key, most in _LONGEST.items()
        if key in annotations and len(annotations[key]) <= most
    }
    return SecretRecord(
        key_id=told.get(KEY_ID, ""),
        issued_at=issue_date(moment(annotations.get(ISSUED_AT)), now),
        rotate_request=told.get(ROTATE_REQUEST, ""),
        format8=told.get(FORMAT, ""),
        checksum=told.get(CHECKSUM, ""),
        retiring=_read_retiring(annotations.get(RETIRING, ""), now + max_grace),
        written=_read_written(annotations.get(WRITTEN, "")),
    )


def _parsed(text: str) -> object:
    if len(text) > _LONGEST_JSON:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _read_retiring(text: str, latest: datetime) -> tuple[Retiring, ...]:
    parsed = _parsed(text)
    if not isinstance(parsed, dict):
        return ()
    pairs = ((key, moment(when)) for key, when in parsed.items() if isinstance(when, str))
    told = (
        Retiring(key, min(when, latest.replace(microsecond=0)))
        for key, when in pairs
        if when is not None and _is_plain(key) and len(key) <= _LONGEST[KEY_ID]
    )
    return tuple(islice(told, 8))


def _read_written(text: str) -> Written:
    parsed = _parsed(text)
    lists = parsed if isinstance(parsed, list) and len(parsed) == 3 else [[], [], []]
    if not all(isinstance(names, list) for names in lists):
        return Written()
    data, labels, annotations = (
        tuple(islice((n for n in names if isinstance(n, str) and _is_plain(n)), _MOST_NAMES))
        for names in lists
    )
    return Written(data, labels, annotations)


def _is_plain(name: str) -> bool:
    """What an id or a name can be at most; JSON can also say half a character, "\\ud800"."""
    return name.isascii() and name.isprintable() and 0 < len(name) <= _LONGEST_NAME


def sound_record(
    owner_uid: str,
    annotations: Mapping[str, str],
    data: Mapping[str, bytes],
    *,
    remembered: SecretRecord | None,
    status_key_id: str | None,
    now: datetime,
    max_grace: timedelta,
) -> tuple[SecretRecord, bool]:
    """The record to go by, and whether the data match it.

    What this process wrote or verified itself (``remembered``) wins over annotations, so
    that edited annotations are repaired instead of costing a key. An id that was edited
    away is found in status, if the checksum confirms it.
    """
    told = read_record(annotations, now, max_grace)
    if remembered is not None and remembered.matches(owner_uid, data):
        return remembered, True
    if told.matches(owner_uid, data):
        forged = remembered is not None and remembered.key_id == told.key_id
        return told, not forged
    if status_key_id is not None:
        guess = replace(told, key_id=status_key_id)
        if guess.matches(owner_uid, data):
            return guess, True
    return told, False
