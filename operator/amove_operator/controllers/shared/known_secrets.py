"""The Secrets of ours as the watch shows them, by place and by the key that they say to hold."""

from __future__ import annotations

from collections.abc import Iterator

from amove_operator.core.secrets.record import KEY_ID
from amove_operator.kube.secret_watch import SecretMeta
from amove_operator.models import canonical_id

SecretPlace = tuple[str, str]
"""Namespace and name of a Secret."""


class KnownSecrets:
    """What they say of themselves is a hint: whoever may write Secrets can write it.

    And it is news of the past while the watch is not in sync: a Secret that the watch showed may
    be gone, and one that holds a key may not be shown.
    """

    def __init__(self) -> None:
        self._behind: set[str | None] = set()
        self._by_place: dict[SecretPlace, SecretMeta] = {}
        self._by_key: dict[str, tuple[SecretPlace, ...]] = {}

    def __iter__(self) -> Iterator[SecretMeta]:
        yield from list(self._by_place.values())

    def note_sync(self, scope: str | None, *, in_sync: bool) -> None:
        """The watch of a namespace, or of all, is in sync with the cluster, or not any more."""
        if in_sync:
            self._behind.discard(scope)
        else:
            self._behind.add(scope)

    @property
    def all_in_sync(self) -> bool:
        """Whether a Secret that is not here is nowhere, if all namespaces are watched."""
        return not self._behind

    def get(self, place: SecretPlace) -> SecretMeta | None:
        """The Secret at that place, where it is known that it still is as the watch showed it."""
        if self._behind and not self._behind.isdisjoint((None, place[0])):
            return None
        return self._by_place.get(place)

    def put(self, secret: SecretMeta) -> None:
        """Take in a Secret as it is now."""
        place = (secret.namespace, secret.name)
        self.drop(place)
        self._by_place[place] = secret
        if key_id := claimed_key(secret):
            self._by_key[key_id] = (*self._by_key.get(key_id, ()), place)

    def drop(self, place: SecretPlace) -> None:
        """Forget a Secret that is gone."""
        former = self._by_place.pop(place, None)
        if former is None or not (key_id := claimed_key(former)):
            return
        left = tuple(one for one in self._by_key.pop(key_id) if one != place)
        if left:
            self._by_key[key_id] = left

    def claiming(self, key_id: str) -> list[SecretMeta]:
        """The Secrets that say to hold that key, in a stable order."""
        return [self._by_place[place] for place in sorted(self._by_key.get(key_id, ()))]


def claimed_key(secret: SecretMeta) -> str:
    """The id of the key that a Secret says to hold; empty where it says nothing."""
    return canonical_id(secret.annotations.get(KEY_ID, ""))
