"""Too many keys gone at once is an account's trouble: the guard against a mass loss of keys.

Said in docs/key-protocol.md, "When nothing may be concluded".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf

from amove_operator.controllers.shared.memory import Memories
from amove_operator.controllers.shared.store import Store
from amove_operator.core.key_list import KeyList
from amove_operator.core.mass_loss import (
    Tally,
    holds_up,
    is_being_ended,
    is_mass_loss,
    is_new_acceptance,
)
from amove_operator.engine.slices import in_slices
from amove_operator.models import AmoveStorageKey
from amove_operator.models.refs import ObjectId


@dataclass(slots=True)
class JudgedKeys:
    """What a list begun at ``begun`` says of each AmoveStorageKey's key; sets of UIDs.

    ``key_ids``: the key that each of them had then. ``resurfaced``: objects whose status calls a
    key dead that the list shows.
    """

    begun: float
    gone: set[str] = field(default_factory=set)
    not_missing: set[str] = field(default_factory=set)
    lost: Tally = field(default_factory=Tally)
    known: Tally = field(default_factory=Tally)
    too_new: list[float] = field(default_factory=list)
    resurfaced: list[ObjectId] = field(default_factory=list)
    lacking: set[str] = field(default_factory=set)
    accept_before: dict[str, str | None] = field(default_factory=dict)
    key_ids: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class KeyLosses:
    """Which AmoveStorageKeys miss the key that status names, by complete lists.

    ``missing``: their UIDs, and when the first list that lacked the key was begun.
    ``_lacked``: the same, also of keys that we asked to be revoked, whose going is no loss.
    """

    _store: Store
    _memories: Memories
    _settle: float
    _accept_before: dict[str, str | None] = field(default_factory=dict)
    missing: dict[str, float] = field(default_factory=dict)
    _lacked: dict[str, float] = field(default_factory=dict)
    _lost: Tally = field(default_factory=Tally)
    _known: Tally = field(default_factory=Tally)
    _too_new: list[float] = field(default_factory=list)

    async def judge(self, listing: KeyList) -> JudgedKeys:
        """Judge every known key by a complete list, in slices; :meth:`conclude` makes it count.

        Known are the keys that status names, without those whose revocation we asked for. One that
        this process issued is judged only by a list that can show it; until then it may be lost as
        well, if this one lacks it.
        """
        found = JudgedKeys(listing.begun)
        async for ref in in_slices(self._store.keys):
            if (key := self._store.keys.get(ref)) is not None:
                self._judge(key, listing, found)
        return found

    def _judge(self, key: AmoveStorageKey, listing: KeyList, found: JudgedKeys) -> None:
        current, uid = key.proven.key, key.metadata.uid
        if current is not None and current.dead and current.id in listing.owners:
            found.resurfaced.append(key.object_id)
        dead = current is None or current.dead or key.metadata.let_go
        if current is None or dead:
            found.not_missing.add(uid)
            return
        found.key_ids[uid] = current.id
        # A revocation without an answer, or one that status could not note, is seen to be done.
        if current.id not in listing.owners and current.id not in self._too_new_for(uid, listing):
            found.lacking.add(uid)
        if self._changed_since(uid, current.id, listing, found):
            found.not_missing.add(uid)
            return
        gone = current.id not in listing.owners
        self._note(key, found, gone=gone)
        if not is_being_ended(key):  # by us, now or before a restart: no loss
            found.known.add(key.metadata.namespace)
            if gone:
                found.lost.add(key.metadata.namespace)

    def conclude(self, found: JudgedKeys) -> None:
        """From now on these are the losses: all at once, so that no loss is seen without others."""
        self._lost, self._known, self._too_new = found.lost, found.known, found.too_new
        changed = {uid for uid in found.key_ids if not self._is_as_judged(found, uid)}
        for uid in self.missing.keys() & found.not_missing:
            del self.missing[uid]
        for uid in self._lacked.keys() - found.lacking:
            del self._lacked[uid]
        # In a mass loss these are all there are: so each is looked up once, above.
        self.missing |= dict.fromkeys(found.gone - changed - self.missing.keys(), found.begun)
        self._lacked |= dict.fromkeys(found.lacking - changed - self._lacked.keys(), found.begun)
        for uid in changed:
            found.accept_before.pop(uid, None)
        self._accept_before |= found.accept_before

    def _is_as_judged(self, found: JudgedKeys, uid: str) -> bool:
        """Whether the object has the key still by which it was judged: it may be rotated by now."""
        key = self._store.find(uid)
        named = key.proven.key if isinstance(key, AmoveStorageKey) else None
        return named is not None and named.id == found.key_ids.get(uid)

    @property
    def is_mass(self) -> bool:
        """Whether more than max(3, 20 %) of the known keys are missing."""
        return is_mass_loss(self._lost.total, self._known.total)

    def holds_up(self, namespace: str) -> bool:
        """Whether so many are missing that nothing is concluded of keys of this namespace.

        A team that loses only its own holds up itself alone.
        """
        return holds_up(namespace, self._lost, self._known)

    def may_be_mass(self, key: AmoveStorageKey) -> bool:
        """Whether the missing key of this CR is one of too many, as far as can be known.

        Six keys were issued within five seconds when the token becomes another user's. The next
        list can judge the oldest alone, since one so new may be missing because the list is late:
        one of one is no mass loss, and a key would be issued for each in turn. So the others count
        as lost until they can be judged, which is soon. Those that were issued after this loss was
        seen do not: whoever goes on issuing keys holds nobody up.
        """
        if (seen := self.missing.get(key.metadata.uid)) is None:
            return False
        too_new = sum(at <= seen for at in self._too_new)
        if not too_new:
            return self.holds_up(key.metadata.namespace)
        return is_mass_loss(self._lost.total + too_new, self._known.total + too_new)

    def accepted(self, uid: str, accept_loss: str | None) -> bool:
        """Whether ``accept-loss`` was set to a new value after the loss was seen."""
        return is_new_acceptance(accept_loss, self._accept_before.get(uid, accept_loss))

    def named(self, key: AmoveStorageKey, before: str, now: str) -> None:
        """Status names another key than before: a loss is over, and what was accepted is spent.

        Else the same value would accept the next loss, and the next user, as well.
        """
        if now != before:
            self.missing.pop(key.metadata.uid, None)
            self._lacked.pop(key.metadata.uid, None)
            self._accept_before[key.metadata.uid] = key.metadata.annotation("accept-loss")

    def other_user(self, uid: str, accept_loss: str | None) -> None:
        """A key came back for another user: only a later ``accept-loss`` accepts that."""
        self._accept_before[uid] = accept_loss

    def others_unexplained(self, uid: str) -> bool:
        """Whether a list lacks the key of another CR although we did not revoke it.

        Keys of CRs being deleted are left out: a foreign finalizer could keep such a CR, and its
        missing key, for ever.
        """
        return any(other != uid and not self._is_being_ended(other) for other in self.missing)

    def _is_being_ended(self, uid: str) -> bool:
        key = self._store.find(uid)
        return key is not None and not key.metadata.vanished and is_being_ended(key)

    def lacked_since(self, uid: str) -> float:
        """When the first of the lists was begun that lack its key in a row; infinity for none."""
        return self._lacked.get(uid, inf)

    def forget(self, uid: str) -> None:
        """The AmoveStorageKey is gone."""
        self.missing.pop(uid, None)
        self._lacked.pop(uid, None)
        self._accept_before.pop(uid, None)

    def _too_new_for(self, uid: str, listing: KeyList) -> dict[str, float]:
        """The keys that this process issued too late for a list to judge them, and when."""
        memory = self._memories.keys.get(uid)
        created = memory.expectations.created if memory is not None else ()
        return {key.id: at for key, at in created if listing.begun < at + self._settle}

    def _changed_since(self, uid: str, key_id: str, listing: KeyList, found: JudgedKeys) -> bool:
        """Whether a list can say nothing of the key's loss; one too new that it lacks is noted."""
        memory = self._memories.keys.get(uid)
        if memory is None:
            return False
        made = memory.expectations
        recent = self._too_new_for(uid, listing)
        if key_id in recent and not listing.shows(key_id):
            found.too_new.append(recent[key_id])
        return key_id in recent or made.was_deleted(key_id) or key_id in made.asked

    def _note(self, key: AmoveStorageKey, found: JudgedKeys, *, gone: bool) -> None:
        """Note a loss with the ``accept-loss`` of that moment: only a later value accepts it.

        What was accepted of a key that is back is spent: the next loss is another one.
        """
        uid = key.metadata.uid
        memory = self._memories.keys.get(uid)
        user_changed = memory is not None and memory.expectations.user_changed
        noted = user_changed or (gone and uid in self.missing)
        (found.gone if gone else found.not_missing).add(uid)
        if not noted:
            found.accept_before[uid] = key.metadata.annotation("accept-loss")
