"""The lives that the judges look at: every stage that a bucket and a key can be found in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from amove_emulator import Emulator
from tests.cluster.harness import BUCKET, KEY, Manifest, a_bucket, a_key, condition, refs
from tests.cluster.harness_cluster import Cluster
from tests.gitops.consumers.watching import Watched, watching

CURRENT, IN_PROGRESS, FAILED, TERMINATING = "Current", "InProgress", "Failed", "Terminating"
HEALTHY, PROGRESSING, DEGRADED, SUSPENDED = "Healthy", "Progressing", "Degraded", "Suspended"

STAGES = {
    "a bucket just declared": (IN_PROGRESS, PROGRESSING),
    "a key just declared": (IN_PROGRESS, PROGRESSING),
    "a bucket that is there": (CURRENT, HEALTHY),
    "a key that is issued": (CURRENT, HEALTHY),
    "a key whose bucket is not declared": (IN_PROGRESS, PROGRESSING),
    "a key with a wrong template": (FAILED, DEGRADED),
    "a bucket that is another's": (FAILED, DEGRADED),
    "a key that was rotated": (CURRENT, HEALTHY),
    "a bucket that is paused": (CURRENT, SUSPENDED),
    "a paused bucket that was edited": (IN_PROGRESS, SUSPENDED),
    "a bucket edited while the service is down": (IN_PROGRESS, PROGRESSING),
    "a key edited while the service is down": (IN_PROGRESS, PROGRESSING),
    "a bucket deleted while the service is down": (TERMINATING, None),
    "a key deleted while the service is down": (TERMINATING, None),
    "a bucket declared while the service is down": (IN_PROGRESS, PROGRESSING),
    "the edited bucket, the service up again": (CURRENT, HEALTHY),
    "the edited key, the service up again": (CURRENT, HEALTHY),
}
"""By what an object is in: how kstatus and Argo CD read it. Argo CD asks no check of ours for what
is being deleted: it says Progressing of itself."""


def says(condition_type: str, status: str, reason: str = "") -> Callable[[Manifest], bool]:
    """Whether an object has this condition, for its spec as it is."""

    def holds(seen: Manifest) -> bool:
        one = condition(seen, condition_type)
        now = one.get("observedGeneration") == seen["metadata"]["generation"]
        return now and one["status"] == status and reason in ("", one["reason"])

    return holds


def settled(seen: Manifest) -> bool:
    """Whether it is Ready and Synced, for its spec as it is."""
    return says("Ready", "True")(seen) and says("Synced", "True")(seen)


def live(
    team: Cluster, service: Emulator, start_operator: Callable[[], object], folder: Path
) -> Watched:
    """Lead objects through all stages, and answer what was seen."""
    with watching(team, folder) as watched:
        _begin(team, watched, start_operator)
        _go_wrong(team, service, watched)
        _change(team, watched)
        _outage(team, service, watched)
    return watched


def _begin(team: Cluster, watched: Watched, start_operator: Callable[[], object]) -> None:
    team.apply(
        a_bucket("photos"),
        a_bucket("attic", deletionPolicy="Delete"),
        a_key("app", bucketRefs=refs("photos")),
        a_key("old", bucketRefs=refs("photos")),
    )
    watched.pick("a bucket just declared", BUCKET, "photos", lambda _: True)
    watched.pick("a key just declared", KEY, "app", lambda _: True)
    start_operator()
    watched.pick("a bucket that is there", BUCKET, "photos", settled)
    watched.pick("a key that is issued", KEY, "app", settled)
    team.ready(BUCKET, "attic")
    team.ready(KEY, "old")


def _go_wrong(team: Cluster, service: Emulator, watched: Watched) -> None:
    service.control.add_bucket("taken")
    template = {"template": {"a": "${secretKey} ${nothing}"}}
    team.apply(
        a_bucket("taken"),
        a_key("early", bucketRefs=refs("nowhere")),
        a_key("wrong", bucketRefs=refs("photos"), secret=template),
    )
    early, wrong = "a key whose bucket is not declared", "a key with a wrong template"
    watched.pick(early, KEY, "early", says("Reconciling", "True", "BucketNotFound"))
    watched.pick(wrong, KEY, "wrong", says("Stalled", "True", "InvalidTemplate"))
    stalled = says("Stalled", "True", "BucketExists")
    watched.pick("a bucket that is another's", BUCKET, "taken", stalled)


def _change(team: Cluster, watched: Watched) -> None:
    former = watched.stages["a key that is issued"]["status"]["key"]["id"]
    team.annotate(KEY, "app", rotate_requested_at="now")

    def rotated(seen: Manifest) -> bool:
        return settled(seen) and seen["status"]["key"]["id"] != former

    watched.pick("a key that was rotated", KEY, "app", rotated)
    team.annotate(BUCKET, "attic", paused="true")
    paused = says("Synced", "False", "Paused")
    watched.pick("a bucket that is paused", BUCKET, "attic", paused)
    team.patch(BUCKET, "attic", {"spec": {"versioningEnabled": True}})

    def edited(seen: Manifest) -> bool:
        return paused(seen) and "versioningEnabled" in seen["spec"]  # a watch may be late

    watched.pick("a paused bucket that was edited", BUCKET, "attic", edited)
    team.annotate(BUCKET, "attic", paused=None)
    watched.pick("a bucket that is there", BUCKET, "attic", settled)


def _outage(team: Cluster, service: Emulator, watched: Watched) -> None:
    outage = service.control.fault("*", status=503, times=None)
    team.patch(BUCKET, "photos", {"spec": {"versioningEnabled": True}})
    team.patch(KEY, "app", {"spec": {"permission": "Read"}})
    team.delete(KEY, "old")
    team.delete(BUCKET, "attic")
    team.apply(a_bucket("late"))
    unsynced = says("Synced", "False")
    for name, kind, stage in (
        ("photos", BUCKET, "a bucket edited while the service is down"),
        ("app", KEY, "a key edited while the service is down"),
        ("attic", BUCKET, "a bucket deleted while the service is down"),
        ("old", KEY, "a key deleted while the service is down"),
        ("late", BUCKET, "a bucket declared while the service is down"),
    ):
        watched.pick(stage, kind, name, unsynced)
    service.control.clear_faults(outage)
    watched.pick("the edited bucket, the service up again", BUCKET, "photos", settled)
    watched.pick("the edited key, the service up again", KEY, "app", settled)
    team.gone(KEY, "old")
    team.gone(BUCKET, "attic")
