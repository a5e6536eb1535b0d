"""What a Secret of ours says of itself: the record in its annotations. Pure.

People can edit a Secret, so the record is a hint: an id counts only if the list shows it under the
CR's marker, and data count only while they match the checksum. Else a tenant who writes another
team's key id into his own Secret would have that key revoked when his own is replaced.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import astuple, dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import islice

from amove_operator.core.secrets.rendering import checksum
from amove_operator.models import ServiceId, spelling_of
from amove_operator.models.shared import GROUP
from amove_operator.times import parse_time, rfc3339, whole_seconds

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
            KEY_ID: spelling_of(self.key_id),
            CHECKSUM: self.checksum,
            FORMAT: self.format8,
            WRITTEN: _compact(astuple(self.written)),
        }
        if self.issued_at is not None:
            record[ISSUED_AT] = rfc3339(self.issued_at)
        if self.rotate_request:
            record[ROTATE_REQUEST] = self.rotate_request
        if self.retiring:
            times = {spelling_of(key.id): rfc3339(key.revoke_after) for key in self.retiring}
            record[RETIRING] = _compact(times)
        return record

    def matches(self, owner_uid: str, data: Mapping[str, bytes]) -> bool:
        """Whether the data keys that we wrote are all there and unedited."""
        ours = {name: data[name] for name in self.written.data if name in data}
        complete = len(ours) == len(self.written.data) > 0
        return complete and self.checksum == checksum(owner_uid, self.key_id, ours)


def _compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def issue_date(date: datetime | None, now: datetime) -> datetime | None:
    """The date, if a key can have been issued then; else ``None``.

    Whoever states it, a person or the service: an interval added to the year 9999 would raise.
    """
    return date if date is not None and _FIRST_ISSUE <= date <= now + _DAY else None


def read_record(
    annotations: Mapping[str, str], now: datetime, max_grace: timedelta
) -> SecretRecord:
    """The record that the annotations state; what cannot be read, or cannot be true, is left empty.

    A replaced key is revoked after ``max_grace`` from now at the latest, whatever date is stated.
    """
    stated = {
        key: annotations[key]
        for key, most in _LONGEST.items()
        if key in annotations and len(annotations[key]) <= most
    }
    return SecretRecord(
        key_id=ServiceId(stated.get(KEY_ID, "")),
        issued_at=issue_date(parse_time(annotations.get(ISSUED_AT)), now),
        rotate_request=stated.get(ROTATE_REQUEST, ""),
        format8=stated.get(FORMAT, ""),
        checksum=stated.get(CHECKSUM, ""),
        retiring=_read_retiring(annotations.get(RETIRING, ""), now + max_grace),
        written=read_written(annotations.get(WRITTEN, "")),
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
    pairs = ((key, parse_time(when)) for key, when in parsed.items() if isinstance(when, str))
    retiring = (
        Retiring(ServiceId(key), min(when, whole_seconds(latest)))
        for key, when in pairs
        if when is not None and _is_plain(key) and len(key) <= _LONGEST[KEY_ID]
    )
    return tuple(islice(retiring, 8))


@lru_cache(maxsize=32)
def read_written(text: str) -> Written:
    """What the annotation says; nothing where it cannot be read.

    Nearly all Secrets are written in a few formats: one copy of each serves them all.
    """
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

    What this process wrote or verified itself (``remembered``) wins over annotations: if somebody
    edits the checksum annotation, the data still match what is remembered, and the annotation is
    repaired. Going by the annotations alone, each such edit would cost a key. If instead the data
    are edited and a checksum is written to fit them, they match the annotations but not what is
    remembered of that very key: a forgery, so the key is replaced. Annotations of another key that
    match are believed: another process wrote it, or a backup was put back. An id that was edited
    away is found in status, if the checksum confirms it.
    """
    if remembered is not None and remembered.matches(owner_uid, data):
        return remembered, True
    stated = read_record(annotations, now, max_grace)
    if stated.matches(owner_uid, data):
        return stated, remembered is None or remembered.key_id != stated.key_id
    if status_key_id is not None:
        guess = replace(stated, key_id=status_key_id)
        if guess.matches(owner_uid, data):
            return guess, True
    return stated, False
