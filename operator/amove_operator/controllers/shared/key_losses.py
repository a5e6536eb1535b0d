"""Too many keys gone at once is an account's trouble: the guard against a mass loss of keys.

Said in docs/key-protocol.md, "When nothing may be concluded".
"""

from __future__ import annotations

from dataclasses import dataclass, field

from amove_operator.controllers.shared.memory import Memories
from amove_operator.controllers.shared.store import Store
from amove_operator.core.key_list import KeyList
from amove_operator.core.mass_loss import is_being_ended, is_mass_loss, is_new_acceptance
from amove_operator.models import AmoveStorageKey


@dataclass(slots=True)
class KeyLosses:
    """Which AmoveStorageKeys miss the key that status names, by complete lists.

    ``missing``: their UIDs. ``is_mass``: more than max(3, 20 %) of the known keys are missing.
    """

    _store: Store
    _memories: Memories
    _settle: float
    _accept_before: dict[str, str | None] = field(default_factory=dict)
    missing: set[str] = field(default_factory=set)
    is_mass: bool = False

    def observe(self, listing: KeyList) -> None:
        """Judge every known key by a complete list.

        Known are the keys that status names. One that this process issued or revoked is judged
        only by a list that can show it.
        """
        known = missing = 0
        for key in self._store.keys.values():
            current, uid = key.proven.key, key.metadata.uid
            dead = current is None or current.dead or key.metadata.let_go
            if current is None or dead or self._changed_since(uid, current.id, listing):
                self.missing.discard(uid)
                continue
            gone = current.id not in listing.owners
            self._note(key, gone=gone)
            if not is_being_ended(key):  # by us, now or before a restart: no loss
                known += 1
                missing += gone
        self.is_mass = is_mass_loss(missing, known)

    def accepted(self, uid: str, accept_loss: str | None) -> bool:
        """Whether ``accept-loss`` was set to a new value after the loss was seen."""
        return is_new_acceptance(accept_loss, self._accept_before.get(uid, accept_loss))

    def other_user(self, uid: str, accept_loss: str | None) -> None:
        """A key came back for another user: only a later ``accept-loss`` accepts that."""
        self._accept_before[uid] = accept_loss

    def unexplained(self) -> set[str]:
        """The UIDs of CRs whose key a list lacks although we did not revoke it.

        Keys of CRs being deleted are left out: a foreign finalizer could keep such a CR, and its
        missing key, for ever.
        """
        if not self.missing:
            return set()
        keys = self._store.keys.values()
        return self.missing - {key.metadata.uid for key in keys if is_being_ended(key)}

    def forget(self, uid: str) -> None:
        """The AmoveStorageKey is gone."""
        self.missing.discard(uid)
        self._accept_before.pop(uid, None)

    def _changed_since(self, uid: str, key_id: str, listing: KeyList) -> bool:
        memory = self._memories.keys.get(uid)
        if memory is None:
            return False
        made = memory.expectations
        recent = {key.id for key, at in made.created if listing.begun < at + self._settle}
        return key_id in recent or made.was_deleted(key_id)

    def _note(self, key: AmoveStorageKey, *, gone: bool) -> None:
        """Note a loss with the ``accept-loss`` of that moment: only a later value accepts it."""
        uid = key.metadata.uid
        memory = self._memories.keys.get(uid)
        noted = uid in self.missing or (memory is not None and memory.expectations.user_changed)
        (self.missing.add if gone else self.missing.discard)(uid)
        if not noted:
            self._accept_before[uid] = key.metadata.annotation("accept-loss")
