"""The longest callback of the event loop while something happens that concerns all objects.

CPU time of the thread, so a busy machine changes little. Each scenario stands for an item of work
that once grew with the number of objects.
"""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import objects
from bench.bare import Bare, Body, each
from bench.figures import table
from bench.measured import Slow, longest_by_name, slow_callbacks
from bench.objects import BUCKETS, KEYS, SECRETS, condition, path
from bench.processes import BenchError, Operator, wait_for
from bench.run import FAST, Outcome, Run
from bench.settled import settle
from bench.stage import Stage

_PATIENCE = 240.0
_SCRAPES, _COLLECTIONS = 5, 3
_LOOKED_AT = 100
_SHOWN = 3
_MISSING, _REFUSED, _RIVALLED = 1, 2, 3
"""Numbers of the pairs that something is done to."""
_POLICY = "bench-refuses"


@dataclass
class Stand:
    """One operator that notes its callbacks, and the stage that it is on."""

    run: Run
    here: Stage
    operator: Operator
    noted: Path

    def slow(self, since: float) -> list[Slow]:
        """What took long since a moment of the monotonic clock."""
        return [one for one in slow_callbacks(self.noted) if one.moment >= since]

    def wait(self, what: str, holds: Callable[[], bool], every: float = 0.5) -> None:
        """Raises BenchError where it does not come to hold, or the operator has ended."""

        def alive() -> bool:
            return self.operator.cpu_seconds > 0 and holds()

        wait_for(what, alive, _PATIENCE, every)

    def condition(self, plural: str, name: str, kind: str) -> dict[str, str]:
        """One condition of one object, now."""
        return condition(self.here.object(plural, name), kind)

    def look_at(self, numbers: range) -> None:
        """Ask for a look at each of these buckets, by annotation."""
        asked = {"storage.amove.io/reconcile-requested-at": f"{time.time()}"}

        async def ask_all(kube: Bare) -> None:
            async def ask(number: int) -> None:
                name = objects.bucket(number)["metadata"]["name"]
                await kube.patch(path(BUCKETS, name), {"metadata": {"annotations": asked}})

            await each(numbers, ask)

        self.here.in_cluster(ask_all)


def callbacks(run: Run) -> Outcome:
    """All of them on one stage, one after the other."""
    with run.stage() as here:
        settle(run, here)
        return _measured(run, here)


def _measured(run: Run, here: Stage) -> Outcome:
    noted = here.folder / "slow"
    began = time.monotonic()
    operator = here.operator(
        "callbacks",
        module=("bench.measured", str(noted)),
        rate_limit=FAST,
        listing_settle="5s",
        resync_interval=f"{max(10, run.count // 80)}s",
    )
    stand, rows, longest = Stand(run, here, operator, noted), [], 0.0
    for what, act in SCENARIOS.items():
        run.tell(what)
        try:
            act(stand)
            ended = ""
        except BenchError as error:  # the longest callback counts all the more
            ended = f"; {error}"
        slow = longest_by_name(stand.slow(began))
        longest = max(longest, slow[0].seconds if slow and act is not start else 0.0)
        rows.append((what + ended, ", ".join(f"{one.shown}" for one in slow[:_SHOWN]) or "-"))
        began = time.monotonic()
    details = table(("while", "longest callbacks, CPU ms"), rows)
    return Outcome({"callbacks longest": longest * 1000}, details)


def start(stand: Stand) -> None:
    """What is done once, such as reading certificates, is over with the first call."""
    stand.operator.wait_ready()
    stand.wait("the first call", lambda: stand.here.calls().total() > 0)


def first_listing(stand: Stand) -> None:
    pages = stand.run.count // 50
    stand.wait("the keys listed", lambda: stand.here.calls()["get_storage_key"] >= pages)
    time.sleep(5.0)  # what the list says of each key


def one_key_missing(stand: Stand) -> None:
    """A known key is gone from the list, and cannot be replaced while a new one is issued."""
    here, lost = stand.here, objects.key(_MISSING)["metadata"]["name"]
    fault = here.control.fault("create_storage_key", hold="before", contains=lost, times=None)
    key_id = here.object(KEYS, lost)["status"]["key"]["id"]
    here.control.revoke_key(key_id)

    def asked_for() -> bool:
        entries = here.control.journal("create_storage_key")
        return any(lost in entry["body"]["name"] for entry in entries)

    new = objects.key(stand.run.count)["metadata"]["name"]
    try:
        stand.wait("the lost key asked for anew", asked_for)
        here.create(objects.pairs([stand.run.count]))
        stand.wait("the new key Ready", lambda: objects.is_ready(here.object(KEYS, new)))
    finally:
        here.control.clear_faults(fault)


def resync(stand: Stand) -> None:
    """A whole sweep with its own list of all objects, and its list of keys."""
    looks = stand.here.calls()["bucket_status"] + int(1.2 * stand.run.count)
    stand.wait("a sweep", lambda: stand.here.calls()["bucket_status"] >= looks)


def scrape(stand: Stand) -> None:
    for _ in range(_SCRAPES):
        stand.operator.scrape()


def garbage_collection(stand: Stand) -> None:
    for number in range(_COLLECTIONS):
        stand.operator.process.send_signal(signal.SIGUSR1)
        time.sleep(1.0 + number)


def rivals(stand: Stand) -> None:
    """15 % more buckets, all of one name that somebody has."""
    here, name = stand.here, objects.bucket(_RIVALLED)["metadata"]["name"]
    first, many = 50_000, max(3, stand.run.count * 3 // 20)
    numbers = range(first, first + many)
    here.create((BUCKETS, objects.bucket(number, bucketName=name)) for number in numbers)
    last = objects.bucket(numbers[-1])["metadata"]["name"]

    def refused() -> bool:
        return bool(stand.condition(BUCKETS, last, "Ready"))

    stand.wait("the last rival refused", refused)
    stand.look_at(numbers[:_LOOKED_AT])
    stand.operator.wait_quiet(_PATIENCE, share=0.6)


def refused_secret(stand: Stand) -> None:
    """A Secret at its limits, in one of nearly 1 MB, that a policy refuses at length."""
    here, name = stand.here, objects.key(_REFUSED)["metadata"]["name"]
    here.change(SECRETS, name, {"stringData": {"others": "x" * 900_000}})
    here.plane.kubectl("apply", "-f", "-", input=json.dumps(_refusing(name)))
    template = {f"key-{number}": "${secretKey}" + "x" * 3900 for number in range(15)}
    time.sleep(5.0)  # until the API server goes by the policy
    here.change(KEYS, name, {"spec": {"secret": {"template": template}}})

    def refused() -> bool:
        conditions = here.object(KEYS, name)["status"]["conditions"]
        return any(one["reason"] == "SecretWriteRefused" for one in conditions)

    stand.wait("the Secret refused", refused)


def mass_loss(stand: Stand) -> None:
    """The account shows none of its buckets, and many of them are looked at."""
    control, name = stand.here.control, objects.bucket(0)["metadata"]["name"]
    control.behave(inactive_account="hide")
    control.change_account(active=False)
    stand.look_at(range(min(_LOOKED_AT, stand.run.count)))

    def noticed() -> bool:
        return stand.condition(BUCKETS, name, "Synced").get("reason") == "MassBucketLoss"

    try:
        stand.wait("the loss noticed", noticed)
        stand.look_at(range(min(_LOOKED_AT, stand.run.count)))
        time.sleep(10.0)
    finally:
        control.change_account(active=True)


def _refusing(secret: str) -> Body:
    """A policy under which nobody changes that Secret."""
    kind = {"apiVersion": "admissionregistration.k8s.io/v1"}
    rule: Body = {"apiGroups": [""], "apiVersions": ["v1"], "resources": ["secrets"]}
    rule |= {"operations": ["CREATE", "UPDATE"]}
    spec: dict[str, Any] = {
        "failurePolicy": "Fail",
        "matchConstraints": {"resourceRules": [rule]},
        "validations": [
            {"expression": f"object.metadata.name != '{secret}'", "message": "no! " * 250}
        ],
    }
    bound = {"policyName": _POLICY, "validationActions": ["Deny"]}
    policy = kind | {"kind": "ValidatingAdmissionPolicy", "metadata": {"name": _POLICY}}
    binding = kind | {"kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": _POLICY}}
    items = [policy | {"spec": spec}, binding | {"spec": bound}]
    return {"apiVersion": "v1", "kind": "List", "items": items}


SCENARIOS: dict[str, Callable[[Stand], None]] = {
    "the start, until the first call": start,
    "the first key listing": first_listing,
    "one key missing, another new": one_key_missing,
    "a sweep, with its lists": resync,
    f"{_SCRAPES} scrapes of /metrics": scrape,
    f"{_COLLECTIONS} full garbage collections": garbage_collection,
    "rivals for one name": rivals,
    "a refused Secret": refused_secret,
    "a mass loss": mass_loss,
}
