"""Losses of keys are judged in slices, and seen all at once."""

from __future__ import annotations

import asyncio
from typing import Any

from amove_operator.controllers.shared.key_losses import KeyLosses
from amove_operator.controllers.shared.memory import Memories
from amove_operator.controllers.shared.store import Store
from amove_operator.core.key_list import KeyList
from amove_operator.models.refs import Kind, Ref

COUNT = 1000


def body(number: int) -> dict[str, Any]:
    uid = f"uid-{number}"
    key = {
        "id": f"id-{number}",
        "name": f"red-{number}",
        "accessKey": f"AK{number}",
        "serial": 1,
        "issuedAt": "2026-11-01T00:00:00Z",
        "cloudAccountId": "11111111-1111-4111-8111-111111111111",
        "region": "us-east-1",
        "storageDn": "s3.example",
        "permission": "Read",
        "buckets": ["photos"],
    }
    return {
        "metadata": {"name": f"key-{number}", "namespace": "red", "uid": uid, "generation": 1},
        "spec": {"permission": "Read", "bucketRefs": [{"name": "photos"}]},
        "status": {"ownerUID": uid, "key": key, "observedGeneration": 1},
    }


def test_no_loss_is_seen_before_it_is_known_of_how_many() -> None:
    """Else the first thousandth would be replaced before it shows that all are gone."""

    async def scenario() -> None:
        store = Store()
        for number in range(COUNT):
            store.put(Kind.KEY, body(number))
        losses = KeyLosses(store, Memories(), 30.0)
        turns = 0
        judging = asyncio.create_task(losses.judge(KeyList.of(100.0, ())))
        while not judging.done():
            await asyncio.sleep(0)
            turns += 1
            assert (losses.missing, losses.is_mass) == ({}, False)
            if turns == 3:
                for number in (0, COUNT - 1):  # one that was judged already, one that was not
                    store.drop(Ref(Kind.KEY, "red", f"key-{number}"))
                    losses.forget(f"uid-{number}")
        losses.conclude(judging.result())
        assert turns > 3
        assert losses.is_mass
        assert losses.missing == {f"uid-{number}": 100.0 for number in range(1, COUNT - 1)}

    asyncio.run(scenario())
