"""Whether another team is given a bucket's name: the product's decision on the small world.

The real cache holds the CRs as the API server has them, the real listing the keys as a process
knows of them, and the real bucket planner decides for a bucket of the other team.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from math import inf
from typing import NamedTuple

from amove_operator.controllers.shared import name_registry
from amove_operator.controllers.shared.store import Store
from amove_operator.core import names
from amove_operator.core.buckets import plan as bucket_plan
from amove_operator.core.buckets import steps
from amove_operator.core.buckets.snapshot import Absent, BucketSnapshot
from amove_operator.core.key_list import KeyList
from amove_operator.core.naming import Marker, cluster_digest
from amove_operator.models import FINALIZER, AmoveBucket
from amove_operator.models.refs import Kind, Ref
from tests.model.small_world import NAME, SCOPES, SETTLE, Born, Cr, Process, Status
from tests.model.translation import key_id, live_key, status_in_words

TEAM, OTHER_TEAM = "red", "blue"
_LED, _SETTLED = 0.0, float(SETTLE)
"""Moments of the process's clock: it took the lead, and a tick later."""
_OTHERS = AmoveBucket.model_validate(
    {
        "metadata": {"name": "b", "namespace": OTHER_TEAM, "finalizers": [FINALIZER]},
        "spec": {"bucketName": NAME},
    }
)


class Known(NamedTuple):
    """One CR that is there, or not, and what a process knows of its keys, by their places."""

    there: bool
    finalizer: str
    status: Status | None
    born: tuple[Born, ...]
    listed: tuple[int, ...]
    issued_here: tuple[int, ...] = ()
    expects: tuple[int, ...] = ()


def known(cr: int, one: Cr, process: Process) -> Known:
    """The list as the process has it: what it issued is added, what it revoked is left out."""
    memory, listing = process.memories[cr], process.listing
    revoked = {key for key, _ in memory.revoked}
    shown = {*(place for place, _ in memory.minted), *(listing[cr] if listing is not None else ())}
    listed = tuple(sorted(place for place in shown if key_id(cr, place) not in revoked))
    there = one.finalizer not in ("released", "gone")
    return Known(there, one.finalizer, one.status, one.born, listed, memory.scopes, memory.expects)


def is_given(state_of: tuple[Known, ...], process: Process) -> bool:
    """Whether the other team's bucket is created now, as far as this process knows."""
    listed = -inf if process.listing is None else _LED
    now = _SETTLED if process.led else _LED
    return _is_given(state_of, listed, now, unlisted=process.unlisted)


@cache
def _is_given(crs: tuple[Known, ...], listed: float, now: float, *, unlisted: bool) -> bool:
    cache, keys, here = Store(), [], set()
    for cr, one in enumerate(crs):
        keys += [live_key(cr, place, one.born[place]) for place in one.listed]
        if one.there:
            _put(cache, cr, one)
            here |= {key_id(cr, place) for place in one.issued_here}
    records = _Records(cache, KeyList.of(listed, keys) if listed > -inf else None, here)
    since = names.list_needed_since(_LED, SETTLE, [TEAM] if unlisted else (), OTHER_TEAM)
    keeper = names.kept_from(records, OTHER_TEAM, NAME)
    world = BucketSnapshot(
        meta=_OTHERS.metadata,
        spec=_OTHERS.spec,
        status=_OTHERS.proven,
        name=_OTHERS.bucket_name,
        account="a",
        seen=Absent(),
        name_in_use=None if keeper is None else keeper.what,
        list_needed_since=None if listed >= since else since,
    )
    return (
        isinstance(bucket_plan.plan_bucket(world), steps.WriteStatus | steps.Create)
        and now >= since
    )


def _put(cache: Store, cr: int, one: Known) -> None:
    ref, uid = Ref(Kind.KEY, TEAM, f"key-{cr}"), f"uid-{cr}"
    body = {
        "metadata": {
            "name": ref.name,
            "namespace": ref.namespace,
            "uid": uid,
            "resourceVersion": "1",
            "finalizers": [FINALIZER] if one.finalizer == "on" else [],
        },
        "spec": {"permission": "ReadWrite", "bucketRefs": [{"name": "b"}]},
        "status": status_in_words(cr, one.status, one.born).model_dump(mode="json", by_alias=True),
    }
    cache.put(Kind.KEY, body)
    for scope in one.expects:
        cache.key_index.reserve(uid, SCOPES[scope].buckets)


def may_leave_unlisted(crs: tuple[Cr, ...]) -> bool:
    """Whether a process that takes the lead must reckon with keys that no list shows yet."""
    cache = Store()
    for cr, one in enumerate(crs):
        if one.finalizer not in ("released", "gone"):
            _put(cache, cr, Known(True, one.finalizer, one.status, one.born, ()))
    return any(name_registry.may_have_unlisted_key(key) for key in cache.keys.values())


class _Records:
    """What a process has on record, in the product's words; no Secret here outlives its CR."""

    def __init__(self, cache: Store, listing: KeyList | None, issued_here: Iterable[str]) -> None:
        self.cluster8 = cluster_digest("cluster")
        self.listing = listing
        self.hidden = ()
        self._cache = cache
        self._issued_here = frozenset(issued_here)

    def namespaces_binding(self, name: str) -> Iterable[str]:
        return self._cache.namespaces_binding(name)

    def accounts_for(self, key_id: str, _marker: Marker) -> bool:
        return key_id in self._issued_here or self._cache.key_index.is_named(key_id)

    def namespace_of(self, marker: Marker) -> str | None:
        owner = self._cache.owner_of(marker)
        return owner.metadata.namespace if owner is not None else None

    def holder_of(self, _key_id: str) -> str | None:
        return None

    def is_this_releases(self, _key_id: str) -> bool:
        return True


def forget_answers() -> None:
    """Ask the product anew: a test has taken one of its rules out."""
    _is_given.cache_clear()
