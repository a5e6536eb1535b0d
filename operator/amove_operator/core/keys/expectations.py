"""What one process knows of one CR's keys beyond what a list shows: the rule of time.

A new key may take up to the settle time to show in a list, so the process that leads
remembers what it minted and adds it. What an earlier process may have minted it learns
only from a complete listing begun at least the settle time after it took the lead, or
after an answer to a create was lost (docs/key-protocol.md, "The rule of time"). All moments
are monotonic seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from math import inf

from pydantic import SecretStr

from amove_operator.core.naming import Marker, mask_bit, mask_bits, names_digest, parse_name
from amove_operator.core.scope import Scope

_SCOPES_KEPT = 4


@dataclass(frozen=True, slots=True)
class LiveKey:
    """A key under some CR's marker that is alive as far as is known."""

    id: str
    name: str
    access_key: str
    created: datetime | None = None
    user_id: str | None = None

    @property
    def names9(self) -> str:
        """The digest of the bucket names that it may reach, from its name."""
        parsed = parse_name(self.name)
        return parsed.names if parsed else ""

    @property
    def serial(self) -> int:
        """Which issue it is, from the name."""
        parsed = parse_name(self.name)
        return parsed.serial if parsed else 0


@dataclass(frozen=True, slots=True)
class KeyList:
    """One complete listing, indexed by marker. ``begun`` is when its first call was sent.

    ``owners`` has every listed id, with the marker of its name or ``None``. ``kept``: the keys of
    one bucket by their ``names9``, those of several by each bit of their mask.
    """

    begun: float
    marked: dict[Marker, tuple[LiveKey, ...]] = field(repr=False)
    owners: dict[str, Marker | None] = field(repr=False)
    user_ids: frozenset[str] = frozenset()
    kept: dict[str | int, list[LiveKey]] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, begun: float, keys: Iterable[LiveKey]) -> KeyList:
        """Index the keys of one complete list."""
        listed = tuple(keys)
        users = frozenset(key.user_id for key in listed if key.user_id)
        listing = cls(begun, {}, {}, users)
        for key in listed:
            listing.add(key)
        return listing

    def add(self, key: LiveKey) -> None:
        """A key was issued that the list may not show yet: it is spoken of as if it did."""
        if key.id in self.owners:
            return
        parsed = parse_name(key.name)
        self.owners[key.id] = parsed.marker if parsed else None
        if parsed is not None:
            self.marked[parsed.marker] = (*self.marked.get(parsed.marker, ()), key)
            for place in _places(parsed.names):
                self.kept.setdefault(place, []).append(key)

    def forget(self, key_id: str) -> None:
        """A listed key was revoked, by a 200: this listing is spoken of as if it had been before.

        In place, since a copy for each of many revocations would take long.
        """
        marker = self.owners.pop(key_id, None)
        if marker is not None:
            self.marked[marker] = tuple(key for key in self.marked[marker] if key.id != key_id)

    def of_marker(self, marker: Marker) -> tuple[LiveKey, ...]:
        """The keys under one CR's marker."""
        return self.marked.get(marker, ())

    def names9_of(self, key_id: str) -> str:
        """Which bucket names a listed key may reach, by its own name; empty for one not listed."""
        marker = self.owners.get(key_id)
        keys = self.of_marker(marker) if marker is not None else ()
        return next((key.names9 for key in keys if key.id == key_id), "")

    def keeping(self, name: str) -> Iterator[LiveKey]:
        """The listed keys, of any cluster, whose own names keep a bucket's name."""
        one, several = names_digest([name]), mask_bit(name)
        for key in (*self.kept.get(one, ()), *self.kept.get(several, ())):
            if key.id in self.owners:
                yield key


def _places(names9: str) -> Iterable[str | int]:
    """Under which keys of :attr:`KeyList.kept` a key stands; one of all buckets keeps no name."""
    if names9.startswith("m"):
        return mask_bits(names9)
    return (names9,) if names9.startswith("o") else ()


@dataclass(frozen=True, slots=True)
class PendingKey:
    """A freshly minted key that no Secret is known to hold yet. The only place of its secret."""

    key: LiveKey
    secret_key: SecretStr
    scope: Scope
    rotate_request: str


@dataclass(frozen=True, slots=True)
class Expectations:
    """One process's own knowledge of one CR's keys.

    ``knows_from``: a listing begun at or after this moment shows all that this process did
    not mint itself; minus infinity for a CR that this process was the first to touch.
    ``is_new``: this process was the first to touch the CR and has not yet sent a create.
    ``recorded``: the issue (serial and scope) that status says is about to be made, until it is
    sent.
    ``scopes``: of the keys minted here, since the spec may have moved on before status is written.
    ``asked``: ids whose revocation this process asked for.
    ``other_user_at``: when the service issued a key to another user than the one on record.
    """

    knows_from: float
    is_new: bool = False
    pending_key: PendingKey | None = None
    minted: tuple[tuple[LiveKey, float], ...] = ()
    revoked: tuple[tuple[str, float], ...] = ()
    failed_revokes: frozenset[str] = frozenset()
    unconfirmed: frozenset[str] = frozenset()
    asked: frozenset[str] = frozenset()
    create_unanswered: bool = False
    last_serial: int = 0
    recorded: tuple[int, Scope] | None = None
    scopes: tuple[tuple[str, Scope], ...] = ()
    other_user_at: float | None = None

    @classmethod
    def for_new(cls) -> Expectations:
        """For a CR without finalizer and with untouched status: nobody can have minted for it."""
        return cls(knows_from=-inf, is_new=True)

    @classmethod
    def for_known(cls, leading_since: float, settle: float) -> Expectations:
        """For a CR that an earlier process may have touched."""
        return cls(knows_from=leading_since + settle)

    def live(
        self, marker: Marker, listing: KeyList | None, settle: float
    ) -> tuple[LiveKey, ...] | None:
        """All live keys of the CR, oldest serial first; ``None`` while that cannot be known."""
        begun = listing.begun if listing else -inf
        if begun < self.knows_from:
            return None
        gone = {key_id for key_id, at in self.revoked if begun < at + settle}
        known = {key.id: key for key, at in self.minted if begun < at + settle}
        if listing is not None:
            known |= {key.id: key for key in listing.of_marker(marker)}
        alive = (key for key in known.values() if key.id not in gone)
        return tuple(sorted(alive, key=lambda key: (key.serial, key.id)))

    def sending(self, serial: int) -> Expectations:
        """A create is about to be sent."""
        serial = max(serial, self.last_serial)
        return replace(self, is_new=False, recorded=None, last_serial=serial)

    def issue_recorded(self, serial: int, scope: Scope) -> Expectations:
        """Status says that this key is about to be issued; one such note serves one create."""
        return replace(self, recorded=(serial, scope))

    def not_sent(self, before: Expectations) -> Expectations:
        """The create never left this process: the note in status still stands for it."""
        return replace(
            self,
            is_new=before.is_new,
            recorded=before.recorded,
            last_serial=before.last_serial,
        )

    def received(self, pending_key: PendingKey, at: float) -> Expectations:
        """The create was answered: the key is in hand."""
        return replace(
            self,
            pending_key=pending_key,
            minted=(*self.minted, (pending_key.key, at)),
            scopes=(*self.scopes, (pending_key.key.id, pending_key.scope))[-_SCOPES_KEPT:],
        )

    def lost(self, at: float, settle: float) -> Expectations:
        """The create's answer was lost: whether there is a key shows after the settle time."""
        return replace(self, knows_from=at + settle, create_unanswered=True)

    def written(self) -> Expectations:
        """The Secret holds what was in hand."""
        return replace(self, pending_key=None)

    def revoke_confirmed(self, key_id: str, at: float) -> Expectations:
        """The service answered 200 to the revocation."""
        held = self.pending_key
        return replace(
            self,
            pending_key=None if held is not None and held.key.id == key_id else held,
            revoked=(*self.revoked, (key_id, at)),
            minted=tuple(pair for pair in self.minted if pair[0].id != key_id),
            failed_revokes=self.failed_revokes - {key_id},
            asked=self.asked | {key_id},
        )

    def revoke_failed(self, key_id: str, at: float) -> Expectations:
        """No 200: only a listing begun after the attempt can tell whether the key is gone."""
        return replace(
            self,
            knows_from=max(self.knows_from, at),
            failed_revokes=self.failed_revokes | {key_id},
            asked=self.asked | {key_id},
        )

    def require_newer_list(self, at: float) -> Expectations:
        """What a listing begun before tells counts no more."""
        return replace(self, knows_from=max(self.knows_from, at))

    def other_user(self, at: float) -> Expectations:
        """The service issued a key to another user than the one on record."""
        return replace(self, other_user_at=at)

    def same_user(self) -> Expectations:
        """The recorded user is back, or the change was accepted."""
        return replace(self, other_user_at=None)

    @property
    def pristine(self) -> bool:
        """Whether this process never sent a call for the CR, and noted nothing."""
        return self == Expectations(self.knows_from, is_new=self.is_new)

    @property
    def user_changed(self) -> bool:
        """Whether keys would now be issued to another user than the one on record."""
        return self.other_user_at is not None

    @property
    def outcome_unknown(self) -> bool:
        """Whether this process sent a call whose outcome only a listing can tell."""
        return bool(self.failed_revokes) or self.create_unanswered

    def observe(self, listing: KeyList, settle: float) -> Expectations:
        """Without what a complete listing tells by itself.

        A key whose revocation got no 200 and that a listing which must show it lacks is gone from
        the list: ``unconfirmed``, for a person to check.
        """
        pending = tuple(pair for pair in self.minted if listing.begun < pair[1] + settle)
        held, in_sync = self.pending_key, listing.begun >= self.knows_from
        young = {key.id for key, _ in pending}
        gone = {one for one in self.failed_revokes if one not in young | listing.owners.keys()}
        gone = gone if in_sync else set()
        return replace(
            self,
            pending_key=None if held is not None and held.key.id in gone else held,
            minted=pending,
            revoked=tuple(pair for pair in self.revoked if listing.begun < pair[1] + settle),
            create_unanswered=self.create_unanswered and not in_sync,
            failed_revokes=self.failed_revokes - gone,
            unconfirmed=self.unconfirmed | gone,
        )

    def told(self) -> Expectations:
        """The unconfirmed revocations were told to a person."""
        return replace(self, unconfirmed=frozenset())
