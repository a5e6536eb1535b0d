"""Rotation: one new key, one Secret write, an overlap, at most two keys, and never in a loop."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Self

from amove_emulator import Emulator
from tests.cluster.fixtures import RunOperator
from tests.cluster.harness import (
    KEY,
    Manifest,
    a_bucket,
    a_key,
    eventually,
    refs,
    refusal,
    s3_with_only,
)
from tests.cluster.harness_cluster import Cluster
from tests.cluster.harness_keys import another_key, live_of, mints, most_live
from tests.patience import PATIENCE


def secret_writes(cluster: Cluster, since: datetime, name: str) -> list[str]:
    """The operator's writes of that Secret."""
    found = cluster.kube_writes(since)
    return [each for each in found if " secrets " in each and each.endswith(f" {name}")]


def changed(name: str, **spec: Any) -> Any:
    """The key of these tests; ``spec`` on top."""
    return a_key(name, **{"bucketRefs": refs("photos"), "permission": "Read", **spec})


ROTATIONS: dict[str, Callable[[Cluster], object]] = {
    "annotation": lambda c: c.annotate(KEY, "annotation", rotate_requested_at="now"),
    "scope": lambda c: c.apply(changed("scope", permission="ReadWrite")),
    "buckets": lambda c: c.apply(changed("buckets", bucketRefs=refs("photos", "films"))),
    "format": lambda c: c.apply(changed("format", secret={"format": "CredentialsFile"})),
    "template": lambda c: c.apply(
        changed("template", secret={"template": {"a": "${accessKey}:${secretKey}"}})
    ),
}


def test_each_reason_to_rotate_costs_one_key_and_one_write_of_the_secret(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    run_operator()
    cluster.apply(a_bucket("photos"), a_bucket("films"), *(changed(name) for name in ROTATIONS))
    old = {name: cluster.ready(KEY, name)["status"]["key"]["id"] for name in ROTATIONS}
    since = cluster.now()

    for rotate in ROTATIONS.values():
        rotate(cluster)

    for name in ROTATIONS:
        key = another_key(cluster, KEY, name, old[name])
        assert [each["id"] for each in key["status"]["retiring"]] == [old[name]]
        assert live_of(emulator, key) == [old[name], key["status"]["key"]["id"]]
        cluster.ready(KEY, name)
        assert len(secret_writes(cluster, since, name)) == 1
    assert mints(emulator) == 2 * len(ROTATIONS)


def test_reordered_or_repeated_buckets_and_a_new_key_name_are_no_reason_to_rotate(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    run_operator()
    cluster.apply(a_bucket("photos"), a_bucket("films"))
    cluster.apply(changed("app", bucketRefs=refs("photos", "films")))
    cluster.ready(KEY, "app")
    since = cluster.now()
    cluster.apply(changed("app", bucketRefs=refs("films", "photos", "films"), keyName="other"))
    cluster.ready(KEY, "app")
    assert mints(emulator) == 1
    assert secret_writes(cluster, since, "app") == []

    cluster.annotate(KEY, "app", rotate_requested_at="now")

    eventually(lambda: mints(emulator) == 2, what="the rotation")
    assert emulator.control.journal("create_storage_key")[-1]["body"]["name"].startswith("other-")


def test_without_a_grace_the_old_key_is_revoked_right_after_the_secret_holds_the_new_one(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    run_operator()
    cluster.apply(a_bucket("photos"), changed("app", rotation={"gracePeriod": "0s"}))
    old = cluster.ready(KEY, "app")["status"]["key"]["id"]
    former = cluster.secret("app")

    cluster.annotate(KEY, "app", rotate_requested_at="leaked")

    key = another_key(cluster, KEY, "app", old)
    only = [key["status"]["key"]["id"]]
    eventually(lambda: live_of(emulator, key) == only, what="the leaked key's end")
    with s3_with_only(former) as s3:
        assert refusal(s3.list_objects_v2, Bucket="photos") == "InvalidAccessKeyId"


def test_a_grace_that_is_shortened_counts_for_a_key_that_retires_already(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    run_operator()
    cluster.apply(a_bucket("photos"), changed("app", rotation={"gracePeriod": "1h"}))
    old = cluster.ready(KEY, "app")["status"]["key"]["id"]
    cluster.annotate(KEY, "app", rotate_requested_at="now")
    key = another_key(cluster, KEY, "app", old)
    assert len(live_of(emulator, key)) == 2

    cluster.apply(changed("app", rotation={"gracePeriod": "0s"}))

    only = [key["status"]["key"]["id"]]
    eventually(lambda: live_of(emulator, key) == only, what="the old key's end")


def test_a_second_rotation_within_the_grace_waits_for_it_unless_it_takes_something_away(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    run_operator()
    long = {"gracePeriod": "1h"}
    cluster.apply(a_bucket("photos"), a_bucket("films"))
    for name in ("same", "narrower"):
        both = refs("photos", "films")
        cluster.apply(changed(name, bucketRefs=both, permission="ReadWrite", rotation=long))
    first = {n: cluster.ready(KEY, n)["status"]["key"]["id"] for n in ("same", "narrower")}
    for name in first:
        cluster.annotate(KEY, name, rotate_requested_at="1")
    second = {n: another_key(cluster, KEY, n, first[n])["status"]["key"]["id"] for n in first}

    cluster.annotate(KEY, "same", rotate_requested_at="2")
    cluster.apply(changed("narrower", permission="ReadWrite", rotation=long))

    key = another_key(cluster, KEY, "narrower", second["narrower"])
    eventually(lambda: live_of(emulator, key) == [second["narrower"], key["status"]["key"]["id"]])
    waiting = cluster.until(KEY, "same", "Reconciling", "WaitingForGrace")
    assert live_of(emulator, waiting) == [first["same"], second["same"]]
    assert most_live(emulator) == 2


# ---------------------------------------------------------------- by the clock


def test_a_key_is_rotated_by_the_clock_and_status_says_when_next(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    run_operator(min_rotation_interval="1s", mint_budget=20)
    rotation = {"interval": "4s", "gracePeriod": "1s"}
    names = ["a", "b", "c"]
    cluster.apply(a_bucket("photos"), *(changed(name, rotation=rotation) for name in names))
    for name in names:
        status = cluster.ready(KEY, name)["status"]
        issued = datetime.fromisoformat(status["key"]["issuedAt"])
        due = datetime.fromisoformat(status["nextRotation"])
        # To the second, and up to a tenth earlier than asked for.
        assert timedelta(seconds=2) <= due - issued <= timedelta(seconds=4)

        def third(name: str = name) -> bool:
            return int(cluster.found(KEY, name)["status"]["key"]["serial"]) >= 3

        eventually(third, what="two rotations")
    assert most_live(emulator) <= 2


def test_a_rotation_that_falls_due_while_the_operator_is_down_happens_once(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    operator = run_operator()
    spec = changed("app", rotation={"interval": "48h", "gracePeriod": "0s"})
    cluster.apply(a_bucket("photos"), spec, changed("asked"))
    cluster.ready(KEY, "app")
    asked = cluster.ready(KEY, "asked")["status"]["key"]["id"]
    operator.kill()
    cluster.annotate(KEY, "asked", rotate_requested_at="now")
    # As if it had been down for three days.
    issued = (cluster.now() - timedelta(days=3)).isoformat(timespec="seconds")
    old = {"status": {"key": {"issuedAt": issued.replace("+00:00", "Z")}}}
    cluster.patch(KEY, "app", old, subresource="status")

    run_operator()

    again = another_key(cluster, KEY, "asked", asked)
    key = eventually(lambda: serial(cluster, "app") == 2 and cluster.found(KEY, "app"))
    assert key
    assert datetime.fromisoformat(key["status"]["nextRotation"]) > cluster.now()
    assert serial(cluster, "asked") == 2
    assert again["status"]["key"]["serial"] == 2
    names = [entry["body"]["name"] for entry in emulator.control.journal("create_storage_key")]
    assert len(names) == len(set(names)) == 4


def serial(cluster: Cluster, name: str) -> int:
    return int(cluster.found(KEY, name)["status"]["key"]["serial"])


def test_many_rotations_exhaust_the_budget_and_are_slowed_down_with_the_key_still_in_use(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    operator = run_operator(mint_budget=2)
    cluster.apply(a_bucket("photos"), changed("app", rotation={"gracePeriod": "0s"}))
    cluster.ready(KEY, "app")
    for number in range(3):
        cluster.annotate(KEY, "app", rotate_requested_at=str(number))

        def answered() -> bool:
            seen = cluster.found(KEY, "app")
            reasons = {one["reason"] for one in seen["status"]["conditions"]}
            notes = cluster.found("Secret", "app")["metadata"]["annotations"]
            return "MintBudgetExhausted" in reasons or (
                notes.get("storage.amove.io/rotate-requested-at") == str(number)  # noqa: B023
            )

        eventually(answered)
    key = cluster.until(KEY, "app", "Reconciling", "MintBudgetExhausted")
    made = mints(emulator)
    assert made <= 3
    cluster.ready(KEY, "app")
    with s3_with_only(cluster.secret("app")) as s3:
        assert refusal(s3.list_objects_v2, Bucket="photos") is None
    eventually(lambda: operator.metric("mint_budget_exhausted") == 1, what="the metric")

    operator.kill()
    key_lists = emulator.control.count("get_storage_key")
    run_operator(mint_budget=2)
    emulator.control.wait_for_calls("get_storage_key", key_lists + 1)
    cluster.annotate(KEY, "app", rotate_requested_at="again")
    cluster.apply(changed("beside"))
    cluster.ready(KEY, "beside")
    cluster.until(KEY, "app", "Reconciling", "MintBudgetExhausted")

    assert mints(emulator) == made + 1, "only that of the key beside it"
    assert live_of(emulator, key) == [key["status"]["key"]["id"]]


# ---------------------------------------------------------------- real use


def lives_alone(emulator: Emulator, key: Manifest) -> bool:
    return live_of(emulator, key) == [key["status"]["key"]["id"]]


class Client:
    """Reads the Secret every second and writes an object all the time, in a thread of its own."""

    def __init__(self, cluster: Cluster, secret: str) -> None:
        self.refused: list[str] = []
        self.used: list[str] = []
        """The access key of each second."""
        self._cluster = cluster
        self._secret = secret
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._use)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(PATIENCE)

    def uses(self, access_key: str, seconds: int = 2) -> bool:
        """Whether it has used that pair alone for so many seconds."""
        return self.used[-seconds - 1 :] == [access_key] * (seconds + 1)

    def _use(self) -> None:
        while not self._over.is_set():
            secret = self._cluster.secret(self._secret)
            self.used.append(secret["AWS_ACCESS_KEY_ID"])
            with s3_with_only(secret) as s3:
                until = time.monotonic() + 1.0
                while time.monotonic() < until and not self._over.is_set():
                    refused = refusal(s3.put_object, Bucket="photos", Key="a", Body=b"b")
                    self.refused += [refused] if refused else []


def test_a_client_that_reads_the_secret_every_second_loses_no_request_while_keys_are_rotated(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    """And one that holds the old pair works until the grace ends."""
    run_operator(mint_budget=20)
    spec = {"permission": "ReadWrite", "rotation": {"gracePeriod": "1h"}}
    cluster.apply(a_bucket("photos"), changed("app", **spec))
    old = cluster.ready(KEY, "app")["status"]["key"]
    with s3_with_only(cluster.secret("app")) as holds_the_old, Client(cluster, "app") as client:
        eventually(partial(client.uses, old["accessKey"]), what="the client at work")
        cluster.annotate(KEY, "app", rotate_requested_at="now")
        key = another_key(cluster, KEY, "app", old["id"])
        eventually(partial(client.uses, key["status"]["key"]["accessKey"]), what="the new pair")
        assert refusal(holds_the_old.list_objects_v2, Bucket="photos") is None

        # The grace ends now.
        cluster.apply(changed("app", permission="ReadWrite", rotation={"gracePeriod": "0s"}))
        eventually(partial(lives_alone, emulator, key), what="the old key's end")
        eventually(partial(client.uses, key["status"]["key"]["accessKey"], 4), what="more use")
        assert refusal(holds_the_old.list_objects_v2, Bucket="photos") == "InvalidAccessKeyId"
    assert client.refused == []
