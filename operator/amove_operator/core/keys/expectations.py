"""What one process knows of one CR's keys beyond what a list shows: the rule of time. Pure.

A new key may take up to the listing lag (``AMOVE_LISTING_SETTLE``) to show in a list, so the
process that leads remembers what it created and adds it. What an earlier process may have created
it learns only from a complete list begun at least the lag after it took the lead, or after an
answer to a create was lost (docs/key-protocol.md, "The rule of time"). The idea and the word are
those of Kubernetes' own controllers: creates and deletes of ours that a list may not show yet.
All moments are monotonic seconds.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass, replace
from math import inf
from typing import Any, TypeVar

from pydantic import SecretStr

from amove_operator.core.key_list import KeyList, RemoteKey
from amove_operator.core.naming import Marker
from amove_operator.core.scope import Scope

_SCOPES_KEPT = 4
_EMPTY: frozenset[Any] = frozenset()
Id = TypeVar("Id", str, int)


def _one(ids: frozenset[Id]) -> frozenset[Id]:
    """The same; if empty, the one empty set, since each that came to be empty takes 216 bytes."""
    return ids or _EMPTY


@dataclass(frozen=True, slots=True)
class PendingKey:
    """A key that was issued and that no Secret is known to hold yet: its secret is here alone.

    ``renamed``: the service gave it another name than was asked for, so it is not to be written.
    """

    key: RemoteKey
    secret_key: SecretStr
    scope: Scope
    rotate_request: str
    renamed: bool = False


@dataclass(frozen=True, slots=True)
class Expectations:
    """One process's own knowledge of one CR's keys; each method returns the next state of it.

    ``knows_from``: a list begun at or after this moment shows all keys that this process did not
    create itself; minus infinity for a CR that this process was the first to touch.
    ``is_new``: this process was the first to touch the CR and has not yet sent a create.
    ``created``, ``deleted``: what the service answered 200 to, and when, until a list must show it.
    ``recorded``: the issue (serial and scope) that status says is about to be made, until it is
    sent.
    ``scopes``: of the keys created here, since the spec may have moved on before status is written.
    ``asked``: ids whose revocation this process asked for, whatever the answer, as long as status
    or ``scopes`` name them.
    ``failed_revokes``: ids whose revocation got no 200, so that it may still be under way.
    ``unconfirmed``: ids that left the list without a 200, which a person must hear of.
    ``refused``: the serials of the creates that the service refused, and when, until a list must
    show what they made. ``given_back``: those of which such a list was read; what it does not show
    was never made. Both are empty once a key had to be revoked since: what was refused half-way
    has made one, and counts.
    ``other_user_at``: when the service issued a key to another user than the one on record.
    """

    knows_from: float
    is_new: bool = False
    pending_key: PendingKey | None = None
    created: tuple[tuple[RemoteKey, float], ...] = ()
    deleted: tuple[tuple[str, float], ...] = ()
    failed_revokes: frozenset[str] = frozenset()
    unconfirmed: frozenset[str] = frozenset()
    asked: frozenset[str] = frozenset()
    create_unanswered: bool = False
    last_serial: int = 0
    recorded: tuple[int, Scope] | None = None
    scopes: tuple[tuple[str, Scope], ...] = ()
    refused: tuple[tuple[int, float], ...] = ()
    given_back: frozenset[int] = frozenset()
    other_user_at: float | None = None

    @classmethod
    def for_new(cls) -> Expectations:
        """For a CR without finalizer and with untouched status: no process issued a key for it."""
        return cls(knows_from=-inf, is_new=True)

    @classmethod
    def for_known(cls, leading_since: float, lag: float) -> Expectations:
        """For a CR that an earlier process may have touched."""
        return cls(knows_from=leading_since + lag)

    def live(
        self,
        marker: Marker,
        listing: KeyList | None,
        lag: float,
        named: Set[str] = frozenset(),
    ) -> tuple[RemoteKey, ...] | None:
        """All live keys of the CR, oldest serial first; ``None`` while that cannot be known.

        A key is the CR's by its marker. One that this process issued, or that status names
        (``named``), is so too where the service lists it under a name without any: cut, or changed.

        With a lag of 30 s and a key created here at second 100: a list begun at 110 that lacks the
        key is believed to be late, and the key is added; one begun at 130 proves it gone. A key
        deleted here at second 100 is left out of lists begun before 130 in the same way. Without
        this the planner would miss its own key and issue another at once.
        """
        begun = listing.begun if listing else -inf
        if begun < self.knows_from:
            return None
        gone = {key_id for key_id, at in self.deleted if begun < at + lag}
        known = {key.id: key for key, at in self.created if begun < at + lag}
        if listing is not None:
            ours = named | {key_id for key_id, _ in self.scopes}
            known |= {key_id: listing.unmarked[key_id] for key_id in ours & listing.unmarked.keys()}
            known |= {key.id: key for key in listing.of_marker(marker)}
        alive = (key for key in known.values() if key.id not in gone)
        return tuple(sorted(alive, key=lambda key: (key.serial, key.id)))

    def sending(self, serial: int) -> Expectations:
        """A create is about to be sent; status was written, without what was given back."""
        serial = max(serial, self.last_serial)
        sent = replace(self, is_new=False, recorded=None, last_serial=serial)
        return replace(sent, given_back=_EMPTY)

    def issue_recorded(self, serial: int, scope: Scope) -> Expectations:
        """Status says that this key is about to be issued; one such note serves one create."""
        return replace(self, recorded=(serial, scope))

    def not_sent(self, before: Expectations) -> Expectations:
        """The create never left this process: the note in status still stands for it."""
        return replace(
            self, is_new=before.is_new, recorded=before.recorded, last_serial=before.last_serial
        )

    def create_refused(self, serial: int, at: float, lag: float) -> Expectations:
        """The service refused the create: a list begun after the lag shows if it made none."""
        return replace(self.lost(at, lag), refused=(*self.refused, (serial, at)))

    def spec_corrected(self, budget: int) -> Expectations:
        """A person changed what was refused: it is tried at once, as often as the budget allows.

        The list need not be begun the lag after the refusal: a key that was made all the same, and
        shows late, is dangling then, and revoked. So such a list gives nothing back, or somebody
        who edits the spec every two seconds would have a key made each time.
        """
        if not 0 < len(self.refused) < budget:
            return self
        serial, at = self.refused[-1]
        # Of a later create the answer may have been lost: for that one, the lag must pass.
        if serial != self.last_serial:
            return self
        return replace(self, knows_from=min(self.knows_from, at))

    def received(self, pending_key: PendingKey, at: float) -> Expectations:
        """The create was answered with a key."""
        key = pending_key.key
        return replace(
            self,
            pending_key=pending_key,
            created=(*self.created, (key, at)),
            scopes=(*self.scopes, (key.id, pending_key.scope))[-_SCOPES_KEPT:],
        )

    def lost(self, at: float, lag: float) -> Expectations:
        """The create's answer was lost: a list begun after the lag shows whether there is a key."""
        return replace(self, knows_from=at + lag, create_unanswered=True)

    def named(self, ids: Set[str]) -> Expectations:
        """Status names these ids: of all others but those issued here, nobody asks any more."""
        ours = ids | {key_id for key_id, _ in self.scopes}
        return self if self.asked <= ours else replace(self, asked=_one(self.asked & ours))

    def written(self) -> Expectations:
        """The Secret holds the pending key."""
        return replace(self, pending_key=None)

    def revoke_confirmed(self, key_id: str, at: float) -> Expectations:
        """The service answered 200 to the revocation."""
        return replace(
            self,
            pending_key=self._pending_unless({key_id}),
            deleted=(*self.deleted, (key_id, at)),
            created=tuple(pair for pair in self.created if pair[0].id != key_id),
            failed_revokes=_one(self.failed_revokes - {key_id}),
            asked=self.asked | {key_id},
            refused=(),
            given_back=_EMPTY,
        )

    def revoke_failed(self, key_id: str, at: float) -> Expectations:
        """No 200: only a list begun after the attempt can tell whether the key is gone."""
        return replace(
            self.require_newer_list(at),
            failed_revokes=self.failed_revokes | {key_id},
            asked=self.asked | {key_id},
            refused=(),
            given_back=_EMPTY,
        )

    def require_newer_list(self, at: float) -> Expectations:
        """Lists begun before that moment prove nothing any more."""
        return replace(self, knows_from=max(self.knows_from, at))

    def other_user(self, at: float) -> Expectations:
        """The service issued a key to another user than the one on record."""
        return replace(self, other_user_at=at)

    def same_user(self) -> Expectations:
        """The recorded user is back, or the change was accepted."""
        return replace(self, other_user_at=None)

    def unconfirmed_reported(self, key_ids: Set[str]) -> Expectations:
        """An Event names these keys, whose revocation was not confirmed: each is reported once."""
        return replace(self, unconfirmed=_one(self.unconfirmed - key_ids))

    def observe(self, listing: KeyList, lag: float) -> Expectations:
        """What is still to be expected after a complete list; what that list must show is dropped.

        A revocation of key 7 at second 100 timed out. A list begun at 110 that has the key changes
        nothing: it is revoked again. One that lacks it ends the matter, and since no 200 came, the
        key is ``unconfirmed``: gone from the list, it may still work at the storage. But if key 7
        was created here at second 95, a list of second 110 may lack it only because it is late:
        then the list of second 125 decides. Dropped too early, a live key would be forgotten.
        """
        proves = listing.begun >= self.knows_from
        awaits_list = self.created or self.deleted or self.refused or self.failed_revokes
        if not awaits_list and not (self.create_unanswered and proves):
            return self  # as of nearly all objects
        young = tuple(pair for pair in self.created if listing.begun < pair[1] + lag)
        gone = frozenset[str]()
        if proves and self.failed_revokes:
            # Each alone: a set of all that is listed, made for each of 10,000 objects, takes 10 s.
            may_live = {key.id for key, _ in young}
            lacked = (one for one in self.failed_revokes if one not in listing.owners)
            gone = frozenset(lacked) - may_live
        awaited = tuple(pair for pair in self.refused if listing.begun < pair[1] + lag)
        shown = (serial for serial, _ in self.refused[: len(self.refused) - len(awaited)])
        return replace(
            self,
            pending_key=self._pending_unless(gone),
            created=young,
            deleted=tuple(pair for pair in self.deleted if listing.begun < pair[1] + lag),
            create_unanswered=self.create_unanswered and not proves,
            failed_revokes=_one(self.failed_revokes - gone),
            unconfirmed=_one(self.unconfirmed | gone),
            refused=awaited,
            given_back=_one(self.given_back.union(shown)),
        )

    def _pending_unless(self, gone: Set[str]) -> PendingKey | None:
        pending = self.pending_key
        return None if pending is not None and pending.key.id in gone else pending

    @property
    def is_empty(self) -> bool:
        """Whether this process never sent a call for the CR, and noted nothing."""
        return self == Expectations(self.knows_from, is_new=self.is_new)

    @property
    def knows_from_the_start(self) -> bool:
        """Whether no list need show what an earlier process issued: there was none."""
        return self.knows_from == -inf

    @property
    def user_changed(self) -> bool:
        """Whether keys would now be issued to another user than the one on record."""
        return self.other_user_at is not None

    @property
    def outcome_unknown(self) -> bool:
        """Whether this process sent a call whose outcome only a list can tell."""
        return bool(self.failed_revokes) or self.create_unanswered

    def was_deleted(self, key_id: str) -> bool:
        """Whether the service answered 200 to the key's revocation, of late."""
        return any(key_id == deleted for deleted, _ in self.deleted)
