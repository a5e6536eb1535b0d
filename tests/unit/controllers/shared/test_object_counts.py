"""The counts of the metrics follow every change of the store, and are never counted anew."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from amove_operator.controllers.shared.store import Store
from amove_operator.models import AmoveStorageKey, KeyStatus
from amove_operator.models.refs import Kind, Ref

NAMES = ("one", "two", "three")
REASONS = ("Issued", "MintBudgetExhausted", "NotPermitted", "OfANewerVersion")
MADE = datetime(2026, 11, 1, tzinfo=UTC)


def a_moment(rng: random.Random) -> str:
    return (MADE + timedelta(seconds=rng.randrange(1000))).isoformat()


def body(rng: random.Random, kind: Kind, name: str, version: int) -> dict[str, Any]:
    uid = f"uid-{kind.value}-{name}-{rng.randrange(2)}"
    ready = {
        "type": "Ready",
        "status": rng.choice(["True", "False"]),
        "reason": rng.choice(REASONS),
        "lastTransitionTime": a_moment(rng),
    }
    halted = {**ready, "type": "Stalled", "status": "True"}
    status: dict[str, Any] = {"ownerUID": uid, "conditions": [ready, halted][: rng.randrange(3)]}
    if kind is Kind.KEY and rng.random() < 0.5:
        status["key"] = {
            "id": "7",
            "name": "red-photos",
            "accessKey": "AK7",
            "serial": 1,
            "issuedAt": a_moment(rng),
            "cloudAccountId": "11111111-1111-4111-8111-111111111111",
            "region": "us-east-1",
            "storageDn": "s3.example",
            "permission": "Read",
            "buckets": ["photos"],
        }
        retiring = {"id": "6", "buckets": ["photos"], "revokeAfter": a_moment(rng)}
        status["retiring"] = [retiring][: rng.randrange(2)]
    spec = {"permission": "Read", "allBuckets": True} if kind is Kind.KEY else {}
    meta: dict[str, Any] = {
        "name": name,
        "namespace": "red",
        "uid": uid,
        "resourceVersion": str(version),
        "creationTimestamp": MADE.isoformat(),
        "finalizers": ["storage.amove.io/finalizer"],
    }
    if rng.random() < 0.2:
        meta["deletionTimestamp"] = a_moment(rng)
    return {"metadata": meta, "spec": spec, "status": status}


def is_ready(seen: Any) -> bool:
    return any(one.type == "Ready" and one.status == "True" for one in seen.status.conditions)


def is_halted(seen: Any) -> bool:
    return any(one.type == "Stalled" for one in seen.status.conditions)


def shown_reason(seen: Any) -> str:
    reason = next((one.reason for one in seen.status.conditions if one.type == "Ready"), "none")
    return "other" if reason == "OfANewerVersion" else reason


def unready_since(seen: Any) -> datetime | None:
    ready = next((one for one in seen.status.conditions if one.type == "Ready"), None)
    if ready is None:
        return MADE
    return None if ready.status == "True" else ready.last_transition_time


def issued_at(key: AmoveStorageKey) -> datetime | None:
    return key.proven.key.issued_at if key.proven.key is not None else None


def due_of(key: AmoveStorageKey) -> Iterator[datetime | None]:
    yield from (one.revoke_after for one in key.proven.retiring)
    if key.proven.key is not None:
        yield key.metadata.deletion_timestamp


def earliest(moments: Iterable[datetime | None]) -> float | None:
    return min((one.timestamp() for one in moments if one is not None), default=None)


def has_reason(key: AmoveStorageKey, reason: str) -> bool:
    return any(one.reason == reason for one in key.status.conditions)


def test_the_counts_are_those_of_the_objects_that_are_there_after_any_changes() -> None:
    rng, store, seen = random.Random(7), Store(), set()  # noqa: S311 - what changes
    for version in range(1, 2000):
        kind = rng.choice(list(Kind))
        name = rng.choice(NAMES)
        ref = Ref(kind, "red", name)
        known = store.get(ref)
        match rng.randrange(5):
            case 0 if known is not None:
                store.drop(ref)
            case 1 if known is not None:
                store.drop(ref)
                store.keep_vanished(known)
                store.confirm_vanished(known.object_id)
            case 2 if isinstance(known, AmoveStorageKey):
                store.note_status(known, KeyStatus())
            case _:
                now = body(rng, kind, name, version)
                if known is not None and known.metadata.uid != now["metadata"]["uid"]:
                    store.drop(ref)
                store.put(kind, now)
        keys = list(store.keys.values())
        held = [*store.buckets.values(), *keys]
        by_readiness = Counter((one.KIND, is_ready(one), shown_reason(one)) for one in held)
        assert +Counter(store.counts.by_readiness()) == by_readiness
        for (of, halted), since in store.counts.unready_since.items():
            assert since.first() == earliest(
                unready_since(one) for one in held if (one.KIND, is_halted(one)) == (of, halted)
            )
        assert store.counts.issued.first() == earliest(issued_at(key) for key in keys)
        due = [one for key in keys for one in due_of(key)]
        assert store.counts.revocations_due.first() == earliest(due)
        exhausted = sum(has_reason(key, "MintBudgetExhausted") for key in keys)
        untrusted = sum(
            has_reason(key, "NotPermitted") and key.proven.key is not None for key in keys
        )
        assert (store.counts.exhausted, store.counts.untrusted) == (exhausted, untrusted)
        seen.add((exhausted > 0, untrusted > 0))
    assert len(seen) == 4
