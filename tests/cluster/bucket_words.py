"""What the tests of buckets ask again and again."""

from __future__ import annotations

import json
import shlex
from datetime import datetime

from amove_emulator import Emulator
from tests.cluster.harness import BUCKET, Manifest, condition, eventually
from tests.cluster.harness_cluster import Cluster
from tests.patience import PATIENCE

CHANGING = ("create_bucket", "update_bucket", "delete_bucket")
CALLS = ("bucket_status", *CHANGING)


def about(call: Manifest) -> str:
    """The bucket that a call of the journal was about."""
    return str((call["body"] or call["query"])["bucketName"])


def calls(emulator: Emulator, name: str, *which: str) -> int:
    """How many of these calls were about the bucket of that name."""
    made = [entry for call in which for entry in emulator.control.journal(call)]
    return sum(f'"{name}"' in json.dumps([entry["query"], entry["body"]]) for entry in made)


def pauses(emulator: Emulator, name: str, call: str) -> list[float]:
    """Seconds from each refusal of such a call about that bucket to the next of these calls."""
    made = [
        entry
        for entry in emulator.control.journal(call)
        if about(entry) == name and entry["status"] != 200
    ]
    answered = [entry["time"] + (entry["duration"] or 0.0) for entry in made]
    return [late["time"] - early for early, late in zip(answered, made[1:], strict=False)]


def backs_off(emulator: Emulator, name: str, call: str) -> bool:
    """Wait for three such calls; whether each pause is what a back-off from 1 s makes of it."""
    eventually(lambda: len(pauses(emulator, name, call)) >= 2, what=f"{name}: {call} again")
    return all(pause >= 0.75 * 2**n for n, pause in enumerate(pauses(emulator, name, call)[:2]))


def stalled(cluster: Cluster, name: str, reason: str, deadline: float = PATIENCE) -> str:
    """Wait until the AmoveBucket is Stalled for that reason and for no other; the message."""

    def ask() -> str:
        seen = cluster.until(BUCKET, name, "Stalled", reason, deadline=0)
        for kind in ("Ready", "Synced"):
            one = condition(seen, kind)
            assert (one["status"], one["reason"]) == ("False", reason), seen["status"]
        return str(condition(seen, "Stalled")["message"])

    return eventually(ask, deadline, what=f"{name} stalled: {reason}")


def unsynced(cluster: Cluster, name: str, reason: str) -> Manifest:
    """Wait until the AmoveBucket is not Synced for that reason, and Stalled for none."""
    seen = cluster.until(BUCKET, name, "Synced", reason, status="False")
    assert condition(seen, "Stalled") == {}
    return seen


def kubectl_line(message: str) -> list[str]:
    """The arguments of the ``kubectl`` line that a message tells an admin to run."""
    return shlex.split(message[message.index("kubectl ") :])[1:]


def writes_since(cluster: Cluster, since: datetime) -> list[str]:
    """What the operator wrote, Events included: a settled object has nothing to tell."""
    return [
        f"{event.verb} {event.resource} {event.name}"
        for event in cluster.requests(since)
        if event.writes
    ]
