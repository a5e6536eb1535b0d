"""Tells a person of keys that may live on though nothing here will revoke them: one Event each."""

from __future__ import annotations

from collections.abc import Iterable

from amove_operator.controllers.shared.dependencies import Dependencies
from amove_operator.core.reasons import EventReason
from amove_operator.models import AmoveStorageKey

_GONE_FROM_LIST = (
    "Key {key} is gone from the list, but its revocation was never confirmed: check the storage "
    "service."
)
_LET_GO = (
    "Key {key} may live on: its revocation was never confirmed, and the key list may be another "
    "user's. If it lives, {reach}, and nothing here keeps it from whoever has such a bucket next: "
    "revoke it with the token of user {user}."
)
_FORMER_USER = (
    "Key {key} belongs to the former API user and may live on, but only his token can revoke it: "
    "check the storage service."
)


class UnconfirmedKeys:
    """Emits ``RevokeUnconfirmed`` and counts it."""

    def __init__(self, dependencies: Dependencies) -> None:
        self._d = dependencies

    async def report_gone(self, key: AmoveStorageKey, key_ids: Iterable[str]) -> None:
        """They left the list without a 200.

        A list that shows keys of the recorded user is that user's: such a key is off the record at
        least. Of any other list, an empty one above all, nobody knows whose it is.
        """
        listing, current = self._d.key_lists.latest, key.proven.key
        user_id = current.user_id if current is not None else None
        known = current is None or (listing is not None and listing.speaks_for(user_id))
        for key_id in sorted(key_ids):
            said = _GONE_FROM_LIST if known else _LET_GO
            await self._report(
                key, said.format(key=key_id, reach=_reach(key, key_id), user=user_id)
            )

    async def report_former_users(self, key: AmoveStorageKey) -> None:
        """From now on lists are the new user's: nobody here sees the former one's keys any more."""
        for key_id in sorted(key.proven.named_ids):
            await self._report(key, _FORMER_USER.format(key=key_id))

    async def _report(self, key: AmoveStorageKey, message: str) -> None:
        self._d.metrics.revoke_unconfirmed.inc()
        reason = EventReason.RevokeUnconfirmed
        await self._d.status.emit_event(key, reason, message, warning=True)


def _reach(key: AmoveStorageKey, key_id: str) -> str:
    """What one key of this object may be used on, as far as status says."""
    buckets = next((one.buckets for one in key.named_keys if one.id == key_id), ())
    return f"it reaches {', '.join(buckets)}" if buckets else "nobody knows what it reaches"
