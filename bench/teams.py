"""Fairness: one team asks for much, and another for little. Counted in calls, not in seconds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from bench import objects
from bench.bare import Body
from bench.figures import table
from bench.objects import BUCKETS, KEYS
from bench.processes import Operator, wait_for
from bench.run import FAST, Outcome, Run
from bench.stage import Stage

_RATE = "10"
_LOUD, _QUIET = "loud", "quiet"
_CROWD, _LEAKED, _WAITING = 50_000, 1, 2
"""Numbers of the pairs: of the loud team's from here on; of the quiet team's two."""
_PATIENCE = 420.0


def fairness(run: Run) -> Outcome:
    """A bucket while ``count`` are made; a leaked key revoked while they are deleted."""
    with run.stage() as here:
        for namespace in (_LOUD, _QUIET):
            here.plane.kubectl("create", "namespace", namespace)
        leaked = [_leaked_bucket(), _leaked_key()]
        here.create(leaked)
        with_leak = here.operator("before", rate_limit=FAST, listing_settle="1s")
        wait_for("the quiet team's key", lambda: _ready(here, KEYS, _LEAKED), 60.0)
        with_leak.stop()
        bucket = _until_another_is_ready(run, here)
        leak = _until_the_leak_is_revoked(run, here)
    rows = [
        (f"{run.count} buckets of one team are made", "another's is Ready", _shown(bucket)),
        (f"{run.count} are deleted", "another's key is revoked", _shown(leak)),
    ]
    figures = {"fairness bucket": bucket.total(), "fairness leak": leak.total()}
    return Outcome(figures, table(("while", "until", "calls to Amove"), rows))


def _leaked_bucket() -> tuple[str, Body]:
    return BUCKETS, objects.bucket(_LEAKED, _QUIET)


def _leaked_key() -> tuple[str, Body]:
    # Without a grace: the answer to a leak (docs/rotation.md).
    return KEYS, objects.key(_LEAKED, _QUIET, rotation={"gracePeriod": "0s"})


def _crowd(run: Run) -> range:
    return range(_CROWD, _CROWD + run.count)


def _ready(here: Stage, plural: str, number: int, namespace: str = _QUIET) -> bool:
    made = objects.bucket(number) if plural == BUCKETS else objects.key(number)
    return objects.is_ready(here.object(plural, made["metadata"]["name"], namespace))


def _slow_operator(here: Stage, name: str) -> Operator:
    """At the rate in question, and at rest."""
    operator = here.operator(name, rate_limit=_RATE, listing_settle="1s", resync_interval="24h")
    operator.wait_ready()
    here.control.clear_journal()
    wait_for("the key listing", lambda: here.calls()["get_storage_key"] > 0, 60.0)
    operator.wait_quiet(60.0, window=3.0)
    return operator


def _until_another_is_ready(run: Run, here: Stage) -> Counter[str]:
    run.tell(f"{run.count} buckets of one team, then one of another")
    operator = _slow_operator(here, "making")
    many = (objects.bucket(number, _LOUD, deletionPolicy="Delete") for number in _crowd(run))
    here.create((BUCKETS, body) for body in many)
    asked = here.control.last_seq()
    here.create([(BUCKETS, objects.bucket(_WAITING, _QUIET))])
    wait_for("the quiet bucket", lambda: _ready(here, BUCKETS, _WAITING), _PATIENCE, 0.1)
    name = objects.bucket(_WAITING)["metadata"]["name"]
    turns = turns_until(here.control.journal(after=asked), name)
    operator.stop()
    return turns


def _until_the_leak_is_revoked(run: Run, here: Stage) -> Counter[str]:
    run.tell("the rest of them made quickly")
    fast = here.operator("making-fast", rate_limit=FAST, listing_settle="1s")
    wait_for("all buckets made", lambda: _made(here) == run.count, _PATIENCE, every=1.0)
    fast.wait_quiet(60.0)
    fast.stop()
    operator = _slow_operator(here, "deleting")
    key = here.object(KEYS, objects.key(_LEAKED)["metadata"]["name"], _QUIET)
    run.tell("all of them deleted, then a key of another replaced")
    collection = objects.path(BUCKETS, namespace=_LOUD)
    here.in_cluster(lambda kube: kube.send("DELETE", collection))
    request = {"annotations": {"storage.amove.io/rotate-requested-at": "leaked"}}
    asked = here.control.last_seq()
    here.change(KEYS, key["metadata"]["name"], {"metadata": request}, _QUIET)
    leaked = key["status"]["key"]["id"]
    wait_for("the leaked key revoked", lambda: _revoked(here, leaked), _PATIENCE, 0.1)
    turns = turns_until(here.control.journal(after=asked), leaked)
    operator.stop()
    return turns


def turns_until(journal: Sequence[Mapping[str, Any]], about: str) -> Counter[str]:
    """The calls, by name, up to the last one about a bucket's name or a key's id."""
    last = max(
        turn
        for turn, entry in enumerate(journal, start=1)
        if about in (entry["query"].get("id"), (entry["body"] or {}).get("bucketName"))
    )
    return Counter(entry["call"] for entry in journal[:last])


def _shown(turns: Counter[str]) -> str:
    calls = ", ".join(f"{number} {name}" for name, number in turns.most_common())
    return f"{turns.total()}: {calls}"


def _made(here: Stage) -> int:
    found = here.in_cluster(lambda kube: objects.listed(kube, BUCKETS, _LOUD))
    return sum(objects.is_ready(one) for one in found)


def _revoked(here: Stage, key_id: str) -> bool:
    """Whether its ``delete_storage_key`` is over."""
    entries = here.control.journal("delete_storage_key")
    return any(entry["query"].get("id") == key_id and entry["done"] for entry in entries)
