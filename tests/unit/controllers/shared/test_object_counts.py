"""The counts of the metrics follow every change of the store, and are never counted anew."""

from __future__ import annotations

import random
from typing import Any

from amove_operator.controllers.shared.store import Store
from amove_operator.models import AmoveStorageKey, KeyStatus
from amove_operator.models.refs import Kind, Ref

NAMES = ("one", "two", "three")
REASONS = ("Issued", "MintBudgetExhausted", "NotPermitted")


def body(rng: random.Random, kind: Kind, name: str, version: int) -> dict[str, Any]:
    uid = f"uid-{kind.value}-{name}-{rng.randrange(2)}"
    ready = {
        "type": "Ready",
        "status": rng.choice(["True", "False"]),
        "reason": rng.choice(REASONS),
        "lastTransitionTime": "2026-11-01T00:00:00Z",
    }
    status: dict[str, Any] = {"ownerUID": uid, "conditions": [ready][: rng.randrange(2)]}
    if kind is Kind.KEY and rng.random() < 0.5:
        status["key"] = {
            "id": "7",
            "name": "red-photos",
            "accessKey": "AK7",
            "serial": 1,
            "issuedAt": "2026-11-01T00:00:00Z",
            "cloudAccountId": "11111111-1111-4111-8111-111111111111",
            "region": "us-east-1",
            "storageDn": "s3.example",
            "permission": "Read",
            "buckets": ["photos"],
        }
    spec = {"permission": "Read", "allBuckets": True} if kind is Kind.KEY else {}
    meta = {"name": name, "namespace": "red", "uid": uid, "resourceVersion": str(version)}
    return {"metadata": meta, "spec": spec, "status": status}


def is_ready(seen: Any) -> bool:
    return any(one.type == "Ready" and one.status == "True" for one in seen.status.conditions)


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
        for one, held in ((Kind.BUCKET, list(store.buckets.values())), (Kind.KEY, keys)):
            for ready in (True, False):
                counted = sum(is_ready(each) == ready for each in held)
                assert store.counts.of(one, ready=ready) == counted
        exhausted = sum(has_reason(key, "MintBudgetExhausted") for key in keys)
        untrusted = sum(
            has_reason(key, "NotPermitted") and key.proven.key is not None for key in keys
        )
        assert (store.counts.exhausted, store.counts.untrusted) == (exhausted, untrusted)
        seen.add((exhausted > 0, untrusted > 0))
    assert len(seen) == 4
