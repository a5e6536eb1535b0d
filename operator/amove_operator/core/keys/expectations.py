"""What one process knows of one CR's keys beyond what a list shows: the rule of time.

A new key may take up to the settle time to show in a list, so the process that leads
remembers what it minted and adds it. What an earlier process may have minted it learns
only from a complete listing begun at least the settle time after it took the lead, or
after an answer to a create was lost (docs/key-protocol.md, "The rule of time"). All moments
are monotonic seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf

from pydantic import SecretStr

from amove_operator.core.key_list import KeyList, RemoteKey
from amove_operator.core.naming import Marker
from amove_operator.core.scope import Scope

_SCOPES_KEPT = 4


@dataclass(frozen=True, slots=True)
class PendingKey:
    """A freshly minted key that no Secret is known to hold yet. The only place of its secret."""

    key: RemoteKey
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
    minted: tuple[tuple[RemoteKey, float], ...] = ()
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
    ) -> tuple[RemoteKey, ...] | None:
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
