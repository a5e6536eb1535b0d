"""Whoever may be many is enqueued in slices, and nobody is lost who comes or goes meanwhile."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from amove_operator.amove import AmoveClient
from amove_operator.controllers.shared.enqueue import Enqueuer
from amove_operator.controllers.shared.key_list_cache import KeyListCache
from amove_operator.controllers.shared.known_secrets import KnownSecrets
from amove_operator.controllers.shared.memory import Memories
from amove_operator.controllers.shared.store import Store
from amove_operator.core.buckets.snapshot import Unknown
from amove_operator.core.key_list import KeyList, RemoteKey
from amove_operator.core.naming import key_name, marker_of, names_digest
from amove_operator.core.reasons import Reason
from amove_operator.core.secrets.record import KEY_ID
from amove_operator.engine.slices import SLICE
from amove_operator.engine.workqueue import WorkQueue
from amove_operator.fairness import Urgency
from amove_operator.kube.secret_watch import SecretMeta
from amove_operator.models import FINALIZER, ServiceId
from amove_operator.models.refs import Kind, ObjectId, Ref

COUNT = 3 * SLICE
NOW = datetime(2026, 11, 1, tzinfo=UTC)
MANAGER = "amove-operator"
NO_API = cast(AmoveClient, None)
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

        self.later: dict[ObjectId, float] = {}

    def add(self, item: ObjectId, urgency: Urgency = Urgency.CHANGE) -> None:
        self.added[item] = urgency

    def add_after(self, item: ObjectId, seconds: float, urgency: Urgency = Urgency.CHANGE) -> None:
        del urgency
        self.later[item] = seconds


class Many:
    """A store of many buckets, the first of them settled, and what enqueues them."""

    def __init__(self) -> None:
        self.now = 100.0
        self.store, self.memories, self.queue = Store(), Memories(), _Noting()
        self.secrets, self.key_lists = KnownSecrets(), KeyListCache(NO_API, lambda: self.now)
        self.enqueue = Enqueuer(
            self.queue,
            self.store,
            self.memories,
            self.secrets,
            self.key_lists,
            lambda: self.now,
            lambda: NOW,
            MANAGER,
        )
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


KEY = ObjectId(Ref(Kind.KEY, "red", "app"), "uid-app")


def settled_key(
    *,
    paused: bool = False,
    retiring: bool = False,
    ready: bool = True,
    asked: str = "",
    rotation: str | None = None,
) -> Any:
    notes = {"paused": "true" if paused else "", "rotate-requested-at": asked}
    current = {
        "id": "4711",
        "name": "red-app",
        "accessKey": "AK",
        "serial": 1,
        "issuedAt": "2026-11-01T00:00:00Z",
        "cloudAccountId": "11111111-1111-4111-8111-111111111111",
        "region": "us-east-1",
        "storageDn": "s3.example",
        "permission": "Read",
        "buckets": ["photos"],
    }
    going = {"id": "4710", "buckets": ["photos"], "revokeAfter": "2026-11-01T01:00:00Z"}
    return {
        "metadata": {
            "name": "app",
            "namespace": "red",
            "uid": "uid-app",
            "generation": 1,
            "resourceVersion": str(next(_versions)),
            "annotations": {
                f"storage.amove.io/{name}": text for name, text in notes.items() if text
            },
        },
        "spec": {"permission": "Read", "bucketRefs": [{"name": "photos"}]},
        "status": {
            "ownerUID": "uid-app",
            "key": current,
            "retiring": [going] if retiring else [],
            "nextRotation": rotation,
            "observedGeneration": 1,
            "conditions": SETTLED if ready else SETTLED[1:],
        },
    }


def showing(key_id: str, writer: str | None = None) -> SecretMeta:
    return SecretMeta("red", "app", "uid-of-secret", "1", {KEY_ID: key_id}, writer)


def listed(key_id: str, serial: int = 1) -> RemoteKey:
    name = key_name("app", marker_of("cluster", "uid-app"), names_digest(["photos"]), serial)
    return RemoteKey(id=ServiceId(key_id), name=name, access_key="AK", user_id="user")


async def test_a_settled_key_whose_secret_is_there_is_served_once_with_the_first_list() -> None:
    many = Many()
    many.store.put(Kind.KEY, settled_key())
    many.secrets.put(showing("4711"))
    await many.enqueue.all()
    assert KEY not in many.queue.added
    many.enqueue.after_first_list([KEY])
    await many.all_added()
    assert many.queue.added[KEY] is Urgency.SWEEP


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        pytest.param(settled_key(), None, id="its Secret is gone"),
        pytest.param(settled_key(), "4712", id="its Secret holds another key"),
        pytest.param(settled_key(paused=True), "4711", id="it was paused meanwhile"),
        pytest.param(settled_key(retiring=True), "4711", id="a former key is to be revoked"),
        pytest.param(settled_key(ready=False), "4711", id="it is not ready"),
    ],
)
async def test_a_key_that_may_need_something_is_served_at_once(key: Any, shown: str | None) -> None:
    many = Many()
    many.store.put(Kind.KEY, key)
    if shown is not None:
        many.secrets.put(showing(shown))
    await many.enqueue.all()
    assert KEY in many.queue.added


async def test_no_key_waits_for_a_first_list_that_is_there_or_for_a_secret_long_unseen() -> None:
    many = Many()
    many.store.put(Kind.KEY, settled_key())
    many.secrets.put(showing("4711"))
    many.secrets.note_sync(None, in_sync=False)
    await many.enqueue.all()
    assert many.queue.added.pop(KEY) is Urgency.SWEEP
    many.secrets.note_sync(None, in_sync=True)
    many.key_lists.latest = KeyList.of(90.0, ())
    await many.enqueue.all()
    assert KEY in many.queue.added


AS_LEFT = [listed("4711")]


async def test_a_key_that_is_as_it_was_left_is_the_sweeps_or_its_rotations() -> None:
    many = Many()
    many.store.put(Kind.KEY, settled_key(rotation="2026-11-01T02:00:00Z"))
    many.secrets.put(showing("4711", MANAGER))
    many.key_lists.latest = KeyList.of(90.0, AS_LEFT)
    many.enqueue.after_first_list([KEY])
    await many.all_added()
    assert many.queue.added == {}
    assert many.queue.later == {KEY: 7200.0}


@pytest.mark.parametrize(
    ("key", "writer", "keys"),
    [
        pytest.param(settled_key(), "kubectl-edit", AS_LEFT, id="somebody wrote to its Secret"),
        pytest.param(settled_key(), MANAGER, [], id="the list lacks it"),
        pytest.param(
            settled_key(), MANAGER, [*AS_LEFT, listed("4712", 2)], id="a crash left another"
        ),
        pytest.param(settled_key(asked="rotate"), MANAGER, AS_LEFT, id="a rotation was asked for"),
    ],
)
async def test_a_key_that_is_not_as_it_was_left_is_served_after_the_first_list(
    key: Any, writer: str, keys: list[RemoteKey]
) -> None:
    many = Many()
    many.store.put(Kind.KEY, key)
    many.secrets.put(showing("4711", writer))
    many.key_lists.latest = KeyList.of(90.0, keys)
    many.enqueue.after_first_list([KEY])
    await many.all_added()
    assert KEY in many.queue.added


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

    many.key_lists.retry_at = 400.0

    many.enqueue.after_outage()
    assert many.key_lists.retry_at == many.now, "who needs a list may have one"
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
