"""A tenant who means harm, with whatever rights in one namespace, harms nobody in another."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from amove_emulator import Emulator
from amove_operator.core.naming import mask_bit
from tests.cluster.fixtures import RunOperator
from tests.cluster.harness import (
    BUCKET,
    GROUP,
    KEY,
    Manifest,
    a_bucket,
    a_key,
    condition,
    refs,
)
from tests.cluster.harness_cluster import Cluster
from tests.cluster.harness_keys import KEY_ID, OURS, OWNER_UID, Stage, a_secret, another_key

RIGHTS = ["everything in the namespace", "the edit role of another release"]
"""The first includes the edit role of the same release."""
FINALIZER = f"{GROUP}/finalizer"
FENCED = "taken off by the operator alone"
"""What the fence says to who strips a finalizer."""


@pytest.fixture(params=RIGHTS)
def stage(
    request: pytest.FixtureRequest,
    whole_cluster: Cluster,
    make_namespace: Callable[[], str],
    namespace: str,
    emulator: Emulator,
    run_operator: RunOperator,
) -> Stage:
    """A victim, and a tenant with these rights next door."""
    victim = make_namespace()
    settings: dict[str, Any] = {}
    if request.param == RIGHTS[1]:
        run_operator(watch_namespaces=[namespace], lease_name="neighbour", mint_budget=20)
        settings = {"watch_namespaces": [victim]}
    everything = request.param == RIGHTS[0]
    names = (victim, namespace)
    return Stage(whole_cluster, names, emulator, run_operator, everything=everything, **settings)


def test_no_move_of_a_hostile_tenant_reaches_or_stops_another_namespace(
    stage: Stage, emulator: Emulator
) -> None:
    for move in MOVES:
        move(stage)
        stage.unharmed()
        goes_on(stage, emulator, move.__name__)


def goes_on(stage: Stage, emulator: Emulator, after: str) -> None:
    """A new bucket with a key costs the victim the calls that it costs on a quiet day."""
    name = after.replace("_", "-")[:40]
    victim, before = stage.victim, emulator.control.count()
    calls = {call: emulator.control.count(call) for call in ("create_bucket", "delete_bucket")}
    victim.apply(a_bucket(f"fine-{name}"), a_key(f"fine-{name}", bucketRefs=refs(f"fine-{name}")))
    victim.ready(BUCKET, f"fine-{name}")
    victim.ready(KEY, f"fine-{name}")
    made = emulator.control.count("create_bucket") - calls["create_bucket"]
    assert made == 1
    assert emulator.control.count("delete_bucket") == calls["delete_bucket"]
    # Nobody's moves go on calling the service: three looks, two creates, and what the tenant's own
    # last change still costs.
    assert emulator.control.count() - before <= 20


# ---------------------------------------------------------------- what the tenant tries


def writes_a_status_that_proves(stage: Stage) -> None:
    """By kubectl, on an object of her own that names the victim's bucket."""
    tenant, here = stage.tenant, stage.here
    tenant.applies(a_bucket("mine", bucketName="treasure", deletionPolicy="Delete"))
    seen = here.until(BUCKET, "mine", "Stalled")
    assert condition(seen, "Stalled")["reason"] in ("BucketClaimed", "BucketExists")
    forged = {
        "ownerUID": seen["metadata"]["uid"],
        "provenance": "Adopted",
        "bucketName": "treasure",
        "cloudAccountId": stage.key["status"]["key"]["cloudAccountId"],
    }
    patch = json.dumps({"status": forged})
    refused = tenant.tries(
        "patch", BUCKET, "mine", "--subresource=status", "--type=merge", f"--patch={patch}"
    )
    assert "forbidden" in refused, refused  # by the role, or by the fence
    assert "provenance" not in here.found(BUCKET, "mine")["status"]
    tenant.applies(a_key("thief", bucketRefs=refs("mine")))
    here.until(KEY, "thief", "Ready", status="False")
    for kind, name in ((KEY, "thief"), (BUCKET, "mine")):
        tenant.deletes(kind, name)
        here.gone(kind, name)


def takes_finalizers_off(stage: Stage) -> None:
    """By a patch, by a replace, and by an apply that once set them and leaves them out."""
    tenant, here = stage.tenant, stage.here
    for kind, name in ((KEY, "app"), (BUCKET, "photos")):
        assert FENCED in tenant.strips(kind, name)
        bare = here.found(kind, name)
        bare["metadata"] = {
            field: bare["metadata"][field] for field in ("name", "namespace", "resourceVersion")
        }
        assert FENCED in tenant.tries("replace", "-f", "-", given=bare)
        apply = ("apply", "--server-side", "--force-conflicts", "--field-manager=git", "-f", "-")
        spec = here.found(kind, name)["spec"]
        once = manifest(kind, name, spec, finalizers=[FINALIZER])
        tenant.does(*apply, given=once)
        tenant.tries(*apply, given=manifest(kind, name, spec))
        assert FINALIZER in here.found(kind, name)["metadata"]["finalizers"]


def writes_our_finalizer_twice(stage: Stage) -> None:
    """What is let go of and stays all the same would have a claim again after a restart."""
    tenant, here = stage.tenant, stage.here
    tenant.applies(a_bucket("twice", deletionPolicy="Delete"))
    here.ready(BUCKET, "twice")
    patch = json.dumps({"metadata": {"finalizers": [FINALIZER, FINALIZER]}})
    tenant.does("patch", BUCKET, "twice", "--type=merge", f"--patch={patch}")
    tenant.deletes(BUCKET, "twice")
    here.gone(BUCKET, "twice")


def makes_digests_collide(stage: Stage) -> None:
    """A key is edited to names with the marks of its former ones: another is issued."""
    tenant, here = stage.tenant, stage.here
    twins = {name: twin_of(name) for name in ("gallery", "letters")}
    tenant.applies(*(a_bucket(name) for name in (*twins, *twins.values())))
    tenant.applies(a_key("wide", bucketRefs=refs(*twins), rotation={"gracePeriod": "0s"}))
    first = here.ready(KEY, "wide")["status"]["key"]
    tenant.applies(a_key("wide", bucketRefs=refs(*twins.values()), rotation={"gracePeriod": "0s"}))
    now = another_key(here, KEY, "wide", first["id"])["status"]["key"]
    assert sorted(now["buckets"]) == sorted(twins.values())


def forges_secrets_about_the_victims_key(stage: Stage) -> None:
    """In annotations of Secrets of her own: held, retiring, or kept from an earlier object."""
    tenant, here = stage.tenant, stage.here
    theirs = {OWNER_UID: stage.key["metadata"]["uid"], KEY_ID: stage.id}
    own = here.found("Secret", "app")["metadata"]["annotations"]
    forged = {"theirs": theirs, "mixed": {**theirs, OWNER_UID: own[OWNER_UID]}}
    tenant.makes(
        *(
            a_secret(name, {"a": "b"}, labels=OURS, annotations=notes)
            for name, notes in forged.items()
        )
    )
    tenant.forges("app", **{KEY_ID: stage.id})
    here.ready(KEY, "app")


def writes_dates_out_of_the_calendar(stage: Stage) -> None:
    """Into the records of her own Secret: every write of that status would fail for ever."""
    tenant, here = stage.tenant, stage.here
    for date in ("9999-12-31T23:59:59Z", "0001-01-01T00:00:00+14:00", "not a date"):
        retiring = json.dumps({stage.id: date, "x": date})
        tenant.forges("app", **{f"{GROUP}/issued-at": date, f"{GROUP}/retiring": retiring})
        here.ready(KEY, "app")
    wish = a_key("app", bucketRefs=refs("photos"), permission="Read")
    tenant.applies(wish)
    here.ready(KEY, "app")


def drops_bombs(stage: Stage) -> None:
    """A template that grows at rendering; Secrets and objects as large as they can be."""
    tenant = stage.tenant
    bomb = a_key(
        "bomb",
        bucketRefs=refs(*(f"{number:02}" + "b" * 251 for number in range(64))),
        secret={"template": {f"k{number}": "${buckets}" * 1600 for number in range(32)}},
    )
    assert "spec.secret.template" in tenant.tries("create", "-f", "-", given=bomb)
    names = [f"bomb-{number}" for number in range(8)]
    notes = {f"{GROUP}/retained-buckets": "a," * 100_000, KEY_ID: "k" * 20_000}
    large = {"a": "b" * 250_000}
    tenant.makes(
        *(a_secret(name, {}, labels=OURS, annotations=notes) for name in names),
        *(a_key(name, annotations=large, bucketRefs=refs("none")) for name in names),
    )
    for number in range(8):
        tenant.forges("bomb-0", stamp=str(number))
    tenant.does("delete", KEY, *names, "--wait=false")
    tenant.does("delete", "secret", *names)


MOVES: tuple[Callable[[Stage], None], ...] = (
    writes_a_status_that_proves,
    takes_finalizers_off,
    writes_our_finalizer_twice,
    makes_digests_collide,
    forges_secrets_about_the_victims_key,
    writes_dates_out_of_the_calendar,
    drops_bombs,
)


# ---------------------------------------------------------------- in other words


def manifest(kind: str, name: str, spec: Manifest, finalizers: list[str] | None = None) -> Manifest:
    metadata: Manifest = {"name": name}
    if finalizers is not None:
        metadata["finalizers"] = finalizers
    return {"apiVersion": f"{GROUP}/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}


def twin_of(name: str) -> str:
    """Another bucket name that has the same bit in a mask."""
    return next(twin for twin in numbered(name) if mask_bit(twin) == mask_bit(name))


def numbered(name: str) -> Iterator[str]:
    number = 0
    while True:
        number += 1
        yield f"{name}-{number}"
