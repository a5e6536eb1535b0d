"""Whoever may be many is enqueued in slices, and nobody is lost who comes or goes meanwhile."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from typing import Any

from amove_operator.controllers.shared.enqueue import Enqueuer
from amove_operator.controllers.shared.memory import Memories
from amove_operator.controllers.shared.store import Store
from amove_operator.core.buckets.snapshot import Unknown
from amove_operator.core.reasons import Reason
from amove_operator.engine.slices import SLICE
from amove_operator.engine.workqueue import WorkQueue
from amove_operator.fairness import Urgency
from amove_operator.models import FINALIZER
from amove_operator.models.refs import Kind, ObjectId, Ref

COUNT = 3 * SLICE
SETTLED = [
    {
        "type": kind,
        "status": "True",
        "reason": "Available",
        "message": "",
        "lastTransitionTime": "2026-11-01T00:00:00Z",
        "observedGeneration": 1,
    }
    for kind in ("Ready", "Synced")
]


_versions = itertools.count(1)


def bucket(number: int, *, finalizers: tuple[str, ...] = (), **status: Any) -> dict[str, Any]:
    """As it is now: newer than any before."""
    uid = f"uid-{number}"
    return {
        "metadata": {
            "name": f"bucket-{number}",
            "namespace": "red",
            "uid": uid,
            "resourceVersion": str(next(_versions)),
            "generation": 1,
            "finalizers": list(finalizers),
        },
        "spec": {},
        "status": {"ownerUID": uid, "observedGeneration": 1, **status},
    }


def item(number: int) -> ObjectId:
    return ObjectId(Ref(Kind.BUCKET, "red", f"bucket-{number}"), f"uid-{number}")


class _Noting(WorkQueue[ObjectId]):
    """Who was added, and how urgently."""

    def __init__(self) -> None:
        super().__init__(clock=lambda: 0.0)
        self.added: dict[ObjectId, Urgency] = {}

    def add(self, item: ObjectId, urgency: Urgency = Urgency.CHANGE) -> None:
        self.added[item] = urgency


class Many:
    """A store of many buckets, the first of them settled, and what enqueues them."""

    def __init__(self) -> None:
        self.now = 100.0
        self.store, self.memories, self.queue = Store(), Memories(), _Noting()
        self.enqueue = Enqueuer(self.queue, self.store, self.memories, lambda: self.now)
        for number in range(COUNT):
            self.put(number, conditions=SETTLED if number == 0 else [])

    def put(self, number: int, **status: Any) -> None:
        self.store.put(Kind.BUCKET, bucket(number, **status))

    def drop(self, number: int) -> None:
        self.store.drop(item(number).ref)

    async def walked(self, work: Awaitable[None], meanwhile: Callable[[], None]) -> None:
        """Until all are enqueued; ``meanwhile`` happens after the first slice."""
        before, turns = 0, 0
        walking = asyncio.ensure_future(work)
        while not walking.done():
            await asyncio.sleep(0)
            assert len(self.queue.added) - before <= SLICE, "one callback walked more"
            before, turns = len(self.queue.added), turns + 1
            if turns == 1:
                meanwhile()
        assert turns >= COUNT // SLICE

    async def all_added(self) -> None:
        """Until what was spawned has ended."""
        while self.enqueue.spawn._tasks:  # type: ignore[attr-defined]
            await asyncio.sleep(0)


async def test_everybody_is_enqueued_in_slices_and_the_settled_in_no_hurry() -> None:
    many = Many()

    def meanwhile() -> None:
        many.drop(0)  # walked already
        many.drop(COUNT - 1)
        many.put(COUNT)  # its own event enqueues it
        many.put(COUNT - 2, conditions=SETTLED)

    await many.walked(many.enqueue.all(), meanwhile)
    assert many.queue.added.keys() == {item(number) for number in range(COUNT - 1)}
    hurried = [one for one, urgency in many.queue.added.items() if urgency is Urgency.CHANGE]
    assert len(hurried) == COUNT - 3, "as each is when it is reached"


def test_a_name_that_goes_free_wakes_a_copy_that_only_seems_to_have_it() -> None:
    """A restore carries the status of another object along: it says Ready, and proves nothing."""
    many = Many()
    many.put(0, conditions=SETTLED, provenance="Created", bucketName="bucket-0")
    many.enqueue.claimants("bucket-0")
    assert many.queue.added == {}, "it has the name"
    many.put(0, conditions=SETTLED, provenance="Created", bucketName="bucket-0", ownerUID="old")
    many.enqueue.claimants("bucket-0")
    assert many.queue.added.keys() == {item(0)}


async def test_these_are_enqueued_in_slices_but_for_those_that_went() -> None:
    many = Many()
    many.enqueue.each([item(number) for number in range(COUNT)])
    await many.walked(many.all_added(), lambda: many.drop(COUNT - 1))
    assert many.queue.added == {item(number): Urgency.CHANGE for number in range(COUNT - 1)}


async def test_after_an_outage_all_are_asked_again_but_those_that_were_asked_since() -> None:
    many = Many()
    asked = Unknown(Reason.ApiUnavailable, "")
    for number in (1, COUNT - 1, COUNT - 2):
        memory = many.memories.bucket(f"uid-{number}")
        memory.seen, memory.asked_at, memory.retry_at = asked, 90.0, 400.0

    def meanwhile() -> None:
        memory = many.memories.bucket(f"uid-{COUNT - 1}")
        memory.asked_at, memory.retry_at = 101.0, 500.0  # and failed anew
        many.now = 102.0
        many.drop(COUNT - 3)

    many.enqueue.after_outage()
    await many.walked(many.all_added(), meanwhile)
    assert set(many.queue.added.values()) == {Urgency.SWEEP}
    assert many.queue.added.keys() == {item(n) for n in range(COUNT) if n != COUNT - 3}
    due = [many.memories.bucket(f"uid-{n}").retry_at for n in (1, COUNT - 2, COUNT - 1)]
    assert due == [100.0, 102.0, 500.0]


async def test_what_is_to_be_served_is_noted_in_slices_as_the_lead_begins() -> None:
    store, turns = Store(), 0
    for number in range(COUNT):
        store.put(Kind.BUCKET, bucket(number, finalizers=(FINALIZER,)))
    store.unserved.discard("uid-5")  # as if another process had made it
    beginning = asyncio.ensure_future(store.lead_begins(()))
    while not beginning.done():
        await asyncio.sleep(0)
        turns += 1
        if turns == 1:
            store.drop(item(COUNT - 1).ref)
            store.put(Kind.BUCKET, bucket(COUNT, finalizers=(FINALIZER,)))
    assert turns >= COUNT // SLICE
    assert store.unserved == {f"uid-{n}" for n in range(COUNT + 1) if n != COUNT - 1}


async def test_a_namespace_that_cannot_be_listed_may_show_what_is_long_gone() -> None:
    store = Store()
    store.put(Kind.BUCKET, bucket(1, finalizers=(FINALIZER,)))
    await store.lead_begins({"red"})
    assert not store.unserved
