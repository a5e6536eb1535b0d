"""Values that exist elsewhere, counted when they are scraped."""

from __future__ import annotations

from amove_operator.controllers.shared.store import Store
from amove_operator.core import conditions
from amove_operator.core.reasons import Reason
from amove_operator.core.refs import Kind
from amove_operator.models import AmoveStorageKey


def count_objects(store: Store, kind: Kind, *, ready: bool) -> int:
    """How many objects of a kind are Ready, or are not."""
    found = store.buckets.values() if kind is Kind.BUCKET else store.keys.values()
    return sum(conditions.is_true(one.status.conditions, "Ready") == ready for one in found)


def count_exhausted_keys(store: Store) -> int:
    """How many AmoveStorageKeys wait because they had too many keys issued."""
    return sum(_has_reason(key, Reason.MintBudgetExhausted) for key in store.keys.values())


def count_untrusted_keys(store: Store) -> int:
    """How many AmoveStorageKeys hold a live key that their namespace is not trusted with."""
    return sum(
        key.proven.key is not None and _has_reason(key, Reason.NotPermitted)
        for key in store.keys.values()
    )


def _has_reason(key: AmoveStorageKey, reason: Reason) -> bool:
    return any(one.reason == reason for one in key.status.conditions)
