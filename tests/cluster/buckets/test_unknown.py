"""What the service did not say clearly leads to nothing (docs/bucket-protocol.md, "Observing")."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from amove_emulator import Emulator
from tests.cluster.bucket_words import CHANGING, about, unsynced
from tests.cluster.fixtures import RunOperator
from tests.cluster.harness import BUCKET, Manifest, a_bucket, condition, eventually
from tests.cluster.harness_cluster import Cluster

IMPATIENT = (str(Path(__file__).parents[2] / "faults" / "impatient_operator.py"),)
PAGE = "<html><body><h1>404 Object not found.</h1></body></html>"

UNCLEAR: dict[str, tuple[dict[str, Any], str]] = {
    "s500": ({"status": 500}, "ApiUnavailable"),
    "s502": ({"status": 502, "body": PAGE, "content_type": "text/html"}, "ApiUnavailable"),
    "s503": ({"status": 503}, "ApiUnavailable"),
    "s401": ({"status": 401}, "ApiUnauthorized"),
    "token": ({"status": 499, "code": "TOKEN"}, "ApiUnauthorized"),
    "silent": ({"hang": "before"}, "ApiUnavailable"),
    "dropped": ({"drop": "before"}, "ApiUnavailable"),
    "dropafter": ({"drop": "after"}, "ApiUnavailable"),
    "strange": ({"status": 499, "code": "MOON_PHASE", "message": "Not today."}, "ApiRefused"),
    "vague": ({"status": 499, "code": "Global", "message": "Something failed."}, "ApiRefused"),
    "page499": ({"status": 499, "body": PAGE, "content_type": "text/html"}, "ApiUnavailable"),
    "bare499": ({"status": 499}, "ApiUnavailable"),
    "page404": ({"status": 404, "body": PAGE, "content_type": "text/html"}, "ApiUnavailable"),
    "bare404": ({"status": 404}, "ApiUnavailable"),
    "json404": (
        {"status": 404, "body": '{"type": "NOT_FOUND"}', "content_type": "application/json"},
        "ApiUnavailable",
    ),
    "page200": ({"status": 200, "body": PAGE, "content_type": "text/html"}, "ApiUnavailable"),
    "text200": ({"status": 200, "body": "Object not found."}, "ApiUnavailable"),
    "empty200": ({"status": 200, "body": ""}, "ApiUnavailable"),
    "halfway": ({"truncate_at": 20}, "ApiUnavailable"),
    "cut200": ({"status": 200, "body": '{"versioningEnabled": fal'}, "ApiUnavailable"),
}
"""By a name: what ``bucket_status`` answers, and the reason that Synced then has."""

SOME = ("s500", "silent", "s401", "dropafter", "strange", "page404", "text200")
"""One of each sort. Whatever the answer was, the planner is told but one thing: unknown. So every
answer is given in one state, where a clear one would lead to most; these where one would lead to
each of a create, an update and a delete; and a few in all the others."""
FEW = ("s500", "silent", "strange")

STATES = {
    "lost": UNCLEAR,
    "new": SOME,
    "drifted": SOME,
    "going": SOME,
    "intended": FEW,  # its create was done, and the answer lost
    "unmade": FEW,  # its create was not done, and the answer lost
    "adopted": FEW,  # and lost, which is no reason to make it
    "foreign": FEW,  # a stranger's, which may be adopted
    "watched": FEW,  # observed only, and drifted
}
UNPROVEN = ("new", "intended", "unmade", "foreign")
MANIFESTS: dict[str, dict[str, Any]] = {
    "new": {},
    "intended": {"versioningEnabled": True},
    "unmade": {},
    "adopted": {"adoptionPolicy": "IfExists", "versioningEnabled": True},
    "foreign": {"adoptionPolicy": "IfExists", "versioningEnabled": True},
    "watched": {"managementPolicy": "Observe", "versioningEnabled": True},
}
SETTLED: dict[str, Any] = {"versioningEnabled": True, "deletionPolicy": "Delete"}


def names(*states: str) -> list[str]:
    """One bucket in each of these states for each of its unclear answers."""
    return [f"{state}-{what}" for state in states for what in STATES[state]]


def manifests(*states: str) -> list[Manifest]:
    return [
        a_bucket(f"{state}-{what}", **MANIFESTS.get(state, SETTLED))
        for state in states
        for what in STATES[state]
    ]


def prepare(cluster: Cluster, emulator: Emulator) -> None:
    """Settled buckets that a clear answer would have repaired, made again, missed or deleted."""
    for name in names("adopted", "foreign", "watched"):
        emulator.control.add_bucket(name, versioningEnabled=not name.startswith("foreign"))
    settled = ("drifted", "lost", "going", "adopted", "watched")
    cluster.apply(*manifests(*settled))
    for name in names(*settled):
        cluster.until(BUCKET, name, "Synced")
    for name in names("drifted", "watched"):
        emulator.control.set_flags(name, versioningEnabled=False)
    for name in names("lost", "adopted"):
        emulator.control.drop_bucket(name)


def cloud(emulator: Emulator) -> None:
    """From now on no look at any bucket is answered clearly; the first, of one to be made, is."""
    for state, answers in STATES.items():
        first = 2 if state in ("intended", "unmade") else 1
        for what in answers:
            fault, _ = UNCLEAR[what]
            about_it = {"contains": f'"{state}-{what}"', "nth": first, "times": None}
            emulator.control.fault("bucket_status", **about_it, **fault)
    emulator.control.fault("create_bucket", contains='"intended-', times=None, drop="after")
    emulator.control.fault("create_bucket", contains='"unmade-', times=None, drop="before")


def observe_again(cluster: Cluster, value: str, *states: str) -> None:
    for name in names(*states):
        cluster.annotate(BUCKET, name, reconcile_requested_at=value)


def test_an_unclear_observation_never_leads_to_a_create_an_update_or_a_delete(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator, namespace: str
) -> None:
    operator = run_operator(program=IMPATIENT, trusted_namespaces=[namespace])
    prepare(cluster, emulator)
    after = emulator.control.last_seq()
    cloud(emulator)

    cluster.apply(*manifests(*UNPROVEN))
    observe_again(cluster, "1", "drifted", "lost", "adopted", "watched")
    for name in names("going"):
        cluster.delete(BUCKET, name)

    for state, answers in STATES.items():
        for what in answers:
            is_unclear(cluster, f"{state}-{what}", UNCLEAR[what][1], proven=state not in UNPROVEN)
    looks = observations(emulator, after)
    eventually(
        lambda: all(observations(emulator, after)[name] > looks[name] for name in looks),
        60,
        what="each tried again",
    )
    # The two creates whose answers were lost are all there was, and sent once.
    changed = [call for call in emulator.control.journal(after=after) if call["call"] in CHANGING]
    assert {call["call"] for call in changed} == {"create_bucket"}
    assert Counter(map(about, changed)) == Counter(names("intended", "unmade"))
    assert operator.metric("buckets_lost_total") == 0
    for name in names("intended", "unmade"):
        assert cluster.found(BUCKET, name)["status"]["createIntent"] is True
    heal(cluster, emulator)


def is_unclear(cluster: Cluster, name: str, reason: str, *, proven: bool) -> None:
    seen = cluster.until(BUCKET, name, "Synced", reason, status="False")
    ready = "True" if proven else "False"
    assert condition(seen, "Ready")["status"] == ready, (name, seen["status"])
    assert condition(seen, "Stalled") == {}, (name, seen["status"])
    assert ("provenance" in seen["status"]) == proven


def observations(emulator: Emulator, after: int) -> dict[str, int]:
    """How often each bucket was looked at."""
    found = dict.fromkeys(names(*STATES), 0)
    for call in emulator.control.journal("bucket_status", after):
        found[about(call)] += 1
    return found


def heal(cluster: Cluster, emulator: Emulator) -> None:
    """A clear answer leads to what each was about to do, and a mass of losses to nothing."""
    after = emulator.control.last_seq()
    emulator.control.clear_faults()
    observe_again(cluster, "2", "lost", "adopted")
    for name in names("lost", "adopted"):
        cluster.until(BUCKET, name, "Synced", "MassBucketLoss", status="False")
    observe_again(cluster, "2", "new", "drifted", "intended", "unmade", "foreign", "watched")
    for name in names("drifted", "intended", "foreign"):
        cluster.until(BUCKET, name, "Synced", "Settled")
    for name in names("watched"):
        unsynced(cluster, name, "DriftObserved")
    for name in names("going"):
        cluster.gone(BUCKET, name)
    for state, provenance in (("intended", "Created"), ("foreign", "Adopted")):
        for name in names(state):
            assert cluster.found(BUCKET, name)["status"]["provenance"] == provenance

    for name in names("lost", "adopted"):
        cluster.annotate(BUCKET, name, accept_loss="yes")
    for name in names("lost"):
        cluster.until(BUCKET, name, "Synced", "Settled")
    for name in names("adopted"):
        cluster.until(BUCKET, name, "Stalled", "BucketMissing")
    observe_again(cluster, "3", "new", "unmade")
    for name in names("new", "unmade"):
        cluster.until(BUCKET, name, "Synced", "Settled")

    left = ("lost", "new", "unmade", "drifted", "intended", "foreign", "watched")
    assert set(emulator.control.buckets()) == set(names(*left))
    done = Counter(
        (call["call"], about(call))
        for call in emulator.control.journal(after=after)
        if call["call"] in CHANGING
    )
    assert done == Counter(
        [("create_bucket", name) for name in names("lost", "new", "unmade")]
        + [("update_bucket", name) for name in names("drifted", "foreign")]
        + [("delete_bucket", name) for name in names("going")]
    )


# ---------------------------------------------------------------- unclear answers to writes

WRITES: dict[str, tuple[dict[str, Any], str]] = {
    "s500": ({"status": 500}, "ApiUnavailable"),
    "done500": ({"status": 500, "effect": True}, ""),
    "s401": ({"status": 401}, "ApiUnauthorized"),
    "s429": ({"status": 429, "headers": {"Retry-After": "1"}}, "ApiUnavailable"),
    "silent": ({"hang": "before"}, "ApiUnavailable"),
    "unheard": ({"hang": "after"}, ""),
    "dropped": ({"drop": "before"}, "ApiUnavailable"),
    "dropafter": ({"drop": "after"}, ""),
    "strange": ({"status": 499, "code": "MOON_PHASE", "message": "Not today."}, "ApiRefused"),
    "page499": ({"status": 499, "body": PAGE, "content_type": "text/html"}, "ApiUnavailable"),
    "page404": ({"status": 404, "body": PAGE, "content_type": "text/html"}, "ApiUnavailable"),
    "page200": ({"effect": True, "body": PAGE, "content_type": "text/html"}, ""),
}
"""By a name: what a write answers, and the reason that Synced then has; empty: it was done."""
KINDS = {"made": "create_bucket", "moved": "update_bucket", "going": "delete_bucket"}


def written(kind: str) -> list[str]:
    """One bucket to be made, moved or deleted for each answer."""
    return [f"{kind}-{what}" for what in WRITES]


def test_an_unclear_answer_to_a_write_never_leads_to_another_effect(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    """No bucket is made or deleted twice, none but the right one, and all ends as it should."""
    run_operator(program=IMPATIENT)
    cluster.apply(*(a_bucket(name, encryptionEnabled=True) for name in written("moved")))
    cluster.apply(*(a_bucket(name, deletionPolicy="Delete") for name in written("going")))
    for name in written("moved") + written("going"):
        cluster.until(BUCKET, name, "Synced")
    after = emulator.control.last_seq()
    for what, (fault, _) in WRITES.items():
        for call in KINDS.values():
            emulator.control.fault(call, contains=f"-{what}", times=None, **fault)

    cluster.apply(*(a_bucket(name, versioningEnabled=True) for name in written("made")))
    for name in written("moved"):
        cluster.apply(a_bucket(name, encryptionEnabled=True, versioningEnabled=True))
    for name in written("going"):
        cluster.delete(BUCKET, name)

    for what, (_, reason) in WRITES.items():
        for kind in ("made", "moved"):
            name = f"{kind}-{what}"
            status = "False" if reason else "True"
            seen = cluster.until(BUCKET, name, "Synced", reason or None, status=status)
            ready = "False" if reason and kind == "made" else "True"
            assert condition(seen, "Ready")["status"] == ready, (name, seen["status"])
        if reason:
            refused = "DeleteRefused" if reason == "ApiRefused" else reason
            cluster.until(BUCKET, f"going-{what}", "Synced", refused, status="False")
        else:
            cluster.gone(BUCKET, f"going-{what}")

    emulator.control.clear_faults()
    for name in written("made") + written("moved"):
        cluster.annotate(BUCKET, name, reconcile_requested_at="it answers again")
        cluster.until(BUCKET, name, "Synced", "Settled")
    for name in written("going"):
        cluster.gone(BUCKET, name)
    had_their_effects_once(emulator, after)


def had_their_effects_once(emulator: Emulator, after: int) -> None:
    found = emulator.control.buckets()
    assert set(found) == set(written("made") + written("moved"))
    assert all(found[name]["versioningEnabled"] for name in found)
    assert all(found[name]["encryptionEnabled"] for name in written("moved"))
    calls = [call for call in emulator.control.journal(after=after) if call["call"] in CHANGING]
    # Each bucket got but one kind of write, to the effect of its own.
    assert {(call["call"], about(call)) for call in calls} == {
        (call, name) for kind, call in KINDS.items() for name in written(kind)
    }
    effects = Counter((call["call"], about(call)) for call in calls if call["effect"])
    for kind in ("made", "going"):
        assert {effects[KINDS[kind], name] for name in written(kind)} == {1}
    assert {call["body"]["isEncrypted"] for call in calls if call["call"] == "update_bucket"} == {
        True
    }
