"""Orphans: live keys of this cluster whose CR is gone and that no Secret holds. Pure.

One look is not enough: the list may still show a key that was revoked a moment ago, and a key
issued a moment ago may be older than our sight of its Secret. So a key is an orphan only if it
looked like one before, in a listing begun at least the settle time earlier, and in every look
since (design.md §5.10).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from amove_operator.core.ledger import Listing, LiveKey
from amove_operator.core.naming import digest
from amove_operator.core.secret_record import KEY_ID, OWNER_UID


@dataclass(frozen=True, slots=True)
class Look:
    """The world at one moment: a complete listing, and whom its keys could belong to.

    ``cluster8``: the digest in the names of this cluster's keys. ``owners``: the digests of all
    CRs that exist. ``held``: the digest of the CR and the id of each key that a Secret of that CR
    says to hold; another CR's Secret hides no orphan.
    """

    cluster8: str
    listing: Listing
    owners: frozenset[str]
    held: frozenset[tuple[str, str]]

    @classmethod
    def of(
        cls,
        cluster_uid: str,
        listing: Listing,
        cr_uids: Iterable[str],
        secrets: Iterable[Mapping[str, str]],
    ) -> Look:
        """From the UIDs of namespace kube-system and of every CR, and our Secrets' annotations."""
        owners = frozenset(digest(uid, 10) for uid in cr_uids)
        held = frozenset(
            (digest(each.get(OWNER_UID, ""), 10), each[KEY_ID])
            for each in secrets
            if KEY_ID in each
        )
        return cls(digest(cluster_uid, 8), listing, owners, held)

    def unowned(self) -> dict[str, LiveKey]:
        """The keys that look like orphans now, by id."""
        return {
            key.id: key
            for marker, keys in self.listing.marked.items()
            if marker.cluster == self.cluster8 and marker.owner not in self.owners
            for key in keys
            if (marker.owner, key.id) not in self.held
        }


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the looks so far prove. ``suspects``: id → when the first such listing was begun."""

    suspects: Mapping[str, float] = field(default_factory=dict)
    orphans: tuple[LiveKey, ...] = ()

    def after(self, look: Look, settle: float) -> Judgement:
        """With one more look; looks are given in the order of their listings."""
        unowned = look.unowned()
        proven = (
            key
            for key in unowned.values()
            if key.id in self.suspects and look.listing.begun >= self.suspects[key.id] + settle
        )
        since = {key_id: self.suspects.get(key_id, look.listing.begun) for key_id in unowned}
        return Judgement(since, tuple(sorted(proven, key=lambda key: (key.name, key.id))))
