"""What Kubernetes refuses shows on the object that it concerns: a condition, else an Event."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from amove_operator.errors import KubeInternalError, KubeRefused
from amove_operator.kube.views import SecretView
from amove_operator.models.refs import Ref
from tests.unit.bucket_cluster import BucketCluster, on_cluster

WORDS = 'admission webhook "team" denied the request: not today'
DOWN = 'failed calling webhook "team": connection refused'
HOURS = 6
Allowed = Callable[[], None]


def refusing(cluster: BucketCluster, *calls: str, down: bool = False) -> Allowed:
    """These requests are refused until the function that is returned is called."""

    async def refused(*_: Any, **__: Any) -> Any:
        raise KubeInternalError(DOWN) if down else KubeRefused(WORDS, status=403)

    for call in calls:
        setattr(cluster.kube, call, refused)

    def allowed() -> None:
        for call in calls:
            delattr(cluster.kube, call)

    return allowed


def message(cluster: BucketCluster, ref: Ref, kind: str) -> str:
    found = cluster.kube.crs[ref]["status"]["conditions"]
    return str(next(one["message"] for one in found if one["type"] == kind))


def events(cluster: BucketCluster, reason: str) -> int:
    return cluster.kube.events.count(reason)


async def a_ready_key(cluster: BucketCluster) -> Ref:
    cluster.apply("team", "media")
    key = cluster.apply_key("team", "app", "media")
    await cluster.passes(60)
    assert cluster.says(key)["Ready"] == ("True", "Issued")
    return key


# ---------------------------------------------------------------- in status


@pytest.mark.parametrize("down", [False, True], ids=["denied", "webhook down"])
def test_a_refused_finalizer_is_told_in_the_servers_words_and_nothing_is_stalled(
    down: bool,
) -> None:
    async def scenario(cluster: BucketCluster) -> None:
        allowed = refusing(cluster, "add_finalizer", down=down)
        ref = cluster.apply("team", "media")
        await cluster.passes()
        said = {"Ready": ("False", "KubernetesRefused"), "Synced": ("False", "KubernetesRefused")}
        assert cluster.says(ref) == said
        assert (DOWN if down else WORDS) in message(cluster, ref, "Synced")
        assert cluster.service.buckets == {}
        writes = cluster.kube.writes
        await cluster.passes(HOURS * 3600)
        assert (cluster.kube.writes, events(cluster, "KubernetesRefused")) == (writes, 1)
        allowed()
        await cluster.passes(30 if down else 3600)
        assert cluster.says(ref)["Ready"] == ("True", "Available")

    on_cluster(scenario)


@pytest.mark.parametrize("call", ["read_secret", "delete_secret", "remove_finalizer"])
def test_what_is_refused_of_a_deletion_is_told_and_the_object_stays(call: str) -> None:
    async def scenario(cluster: BucketCluster) -> None:
        key = await a_ready_key(cluster)
        allowed = refusing(cluster, call)
        cluster.d.memories.keys.clear()  # as after a restart: the Secret is read anew
        cluster.delete(key)
        await cluster.passes(HOURS * 3600)
        assert cluster.says(key)["Synced"] == ("False", "KubernetesRefused")
        assert WORDS in message(cluster, key, "Synced")
        assert events(cluster, "KubernetesRefused") == 1
        allowed()
        await cluster.passes(3600)
        assert key not in cluster.kube.crs

    on_cluster(scenario)


def test_a_ready_key_whose_secret_may_not_be_read_stays_ready() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        key = await a_ready_key(cluster)
        refusing(cluster, "read_secret")
        cluster.annotate(key, reconcile_requested_at="now")
        await cluster.passes()
        assert cluster.says(key) == {
            "Ready": ("True", "Issued"),
            "Synced": ("False", "KubernetesRefused"),
        }

    on_cluster(scenario)


def test_a_status_that_is_refused_leaves_the_former_one_and_says_so() -> None:
    """Such as by the schema of an older CRD: what it knows already may pass."""

    async def scenario(cluster: BucketCluster) -> None:
        write = cluster.kube.write_status

        async def invalid(ref: Ref, version: str, old: Any, new: Any) -> Any:
            if "provenance" in new:
                raise KubeRefused("status.provenance: Unsupported value", status=422)
            return await write(ref, version, old, new)

        setattr(cluster.kube, "write_status", invalid)  # noqa: B010
        ref = cluster.apply("team", "media")
        await cluster.passes()
        assert cluster.says(ref)["Synced"] == ("False", "KubernetesRefused")
        assert "Unsupported value" in message(cluster, ref, "Synced")
        assert cluster.kube.crs[ref]["status"]["createIntent"] is True
        delattr(cluster.kube, "write_status")
        await cluster.passes(3600)
        assert cluster.provenance(ref) == "Created"

    on_cluster(scenario)


# ---------------------------------------------------------------- where status cannot be written


@pytest.mark.parametrize("down", [False, True], ids=["denied", "webhook down"])
def test_where_status_is_refused_too_one_event_says_so_however_often_it_is_tried(
    down: bool,
) -> None:
    async def scenario(cluster: BucketCluster) -> None:
        everything = ("add_finalizer", "write_status")
        allowed = refusing(cluster, *everything, down=down)
        ref = cluster.apply("team", "media")
        await cluster.passes(HOURS * 3600)
        assert cluster.kube.crs[ref]["status"] == {"observedGeneration": -1}
        assert events(cluster, "KubernetesRefused") == 1
        allowed()
        await cluster.passes(3600)
        assert cluster.says(ref)["Ready"] == ("True", "Available")
        refusing(cluster, *everything, down=down)
        cluster.annotate(ref, paused="true")
        await cluster.passes(HOURS * 3600)
        assert events(cluster, "KubernetesRefused") == 2

    on_cluster(scenario)


def test_what_is_refused_of_a_vanished_object_is_told_by_one_event() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        key = await a_ready_key(cluster)
        allowed = refusing(cluster, "delete_secret")
        cluster.strip(key)
        await cluster.passes(HOURS * 3600)
        assert events(cluster, "KubernetesRefused") == 1
        assert cluster.service.keys == {}
        allowed()
        await cluster.passes(3600)
        assert cluster.kube.secrets == {}

    on_cluster(scenario)


# ---------------------------------------------------------------- the Secret of a key


def test_a_webhook_that_is_down_holds_up_the_secret_and_costs_no_key_and_no_stall() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        allowed = refusing(cluster, "create_secret", down=True)
        cluster.apply("team", "media")
        key = cluster.apply_key("team", "app", "media")
        await cluster.passes(HOURS * 3600)
        refused = ("False", "SecretWriteRefused")
        assert cluster.says(key) == {"Ready": refused, "Synced": refused}
        assert DOWN in message(cluster, key, "Synced")
        assert cluster.service.created == []
        allowed()
        await cluster.passes(30)
        assert cluster.says(key)["Ready"] == ("True", "Issued")
        assert len(cluster.service.created) == 1

    on_cluster(scenario)


def test_a_webhook_that_goes_down_after_the_dry_run_costs_no_second_key() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        create = cluster.kube.create_secret

        async def down(manifest: Any, *, dry_run: bool = False) -> Any:
            if not dry_run:
                raise KubeInternalError(DOWN)
            return await create(manifest, dry_run=dry_run)

        setattr(cluster.kube, "create_secret", down)  # noqa: B010
        cluster.apply("team", "media")
        key = cluster.apply_key("team", "app", "media")
        await cluster.passes(HOURS * 3600)
        assert cluster.says(key)["Synced"] == ("False", "SecretWriteRefused")
        assert "Stalled" not in cluster.says(key)
        delattr(cluster.kube, "create_secret")
        await cluster.passes(30)
        assert cluster.says(key)["Ready"] == ("True", "Issued")
        assert len(cluster.service.created) == len(cluster.service.keys) == 1

    on_cluster(scenario)


def test_a_repair_of_the_secret_that_is_refused_stalls_and_one_that_is_held_up_does_not() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        key = await a_ready_key(cluster)
        for down in (True, False):
            allowed = refusing(cluster, "patch_secret", down=down)
            cluster.edit_secret(("team", "app"), key_id="edited")
            await cluster.passes()
            said = cluster.says(key)
            assert said["Synced"] == ("False", "SecretWriteRefused")
            assert said["Ready"][0] == ("True" if down else "False")
            assert ("Stalled" in said) is not down
            allowed()
            await cluster.passes(3600)
            assert cluster.says(key)["Ready"] == ("True", "Issued")
        assert len(cluster.service.created) == 1

    on_cluster(scenario)


# ---------------------------------------------------------------- admission that changes the Secret

Admission = Callable[[SecretView], SecretView]
SECRET = ("team", "app")


def admitting(cluster: BucketCluster, admission: Admission, *, dry_runs: bool) -> Allowed:
    """Admission changes what is written of Secrets; ``dry_runs``: also what is only tried."""
    sent = {call: getattr(cluster.kube, call) for call in ("create_secret", "patch_secret")}

    def changing(call: str) -> Callable[..., Any]:
        async def changed(*given: Any, dry_run: bool = False, **named: Any) -> Any:
            view = await sent[call](*given, dry_run=dry_run, **named)
            if dry_run and not dry_runs:
                return view
            view = admission(view)
            if not dry_run:
                stored = cluster.kube.secrets[view.namespace, view.name]
                stored["metadata"]["labels"] = dict(view.labels)
                stored["metadata"]["annotations"] = dict(view.annotations)
                encoded = {
                    name: base64.b64encode(data).decode() for name, data in view.data.items()
                }
                stored["data"] = encoded
            return view

        return changed

    for call in sent:
        setattr(cluster.kube, call, changing(call))

    def allowed() -> None:
        for call in sent:
            delattr(cluster.kube, call)

    return allowed


def relabelled(view: SecretView) -> SecretView:
    return replace(view, labels={**view.labels, "team": "platform"})


def disowned(view: SecretView) -> SecretView:
    left = {name: text for name, text in view.annotations.items() if "owner-uid" not in name}
    return replace(view, annotations=left)


def blanked(view: SecretView) -> SecretView:
    return replace(view, data={**view.data, "AWS_REGION": b"elsewhere"})


def decorated(view: SecretView) -> SecretView:
    labels = {**view.labels, "app.kubernetes.io/managed-by": "platform", "scanned": "yes"}
    return replace(view, labels=labels, data={**view.data, "injected": b"1"})


async def a_labelled_key(cluster: BucketCluster) -> Ref:
    cluster.apply("team", "media")
    key = cluster.apply_key("team", "app", "media", secret={"labels": {"team": "web"}})
    await cluster.passes(60)
    return key


@pytest.mark.parametrize(
    ("admission", "field"),
    [
        (relabelled, "metadata.labels[team]"),
        (disowned, "metadata.annotations[storage.amove.io/owner-uid]"),
        (blanked, "data[AWS_REGION]"),
    ],
)
@pytest.mark.parametrize("dry_runs", [True, False], ids=["dry runs too", "writes alone"])
def test_admission_that_changes_what_is_sent_stalls_and_leaves_no_key(
    admission: Admission, field: str, dry_runs: bool
) -> None:
    async def scenario(cluster: BucketCluster) -> None:
        allowed = admitting(cluster, admission, dry_runs=dry_runs)
        key = await a_labelled_key(cluster)
        said = cluster.says(key)
        assert said["Stalled"] == ("True", "SecretWriteRefused")
        assert said["Ready"] == ("False", "SecretWriteRefused")
        assert f"changes or drops {field};" in message(cluster, key, "Stalled")
        assert cluster.service.keys == {}
        await cluster.passes(2 * 3600)
        assert cluster.service.keys == {}
        assert len(cluster.service.created) <= (0 if dry_runs else 4)
        allowed()
        if admission is disowned:
            cluster.kube.secrets.clear()  # without our mark it is nobody's: a person deletes it
        cluster.annotate(key, reconcile_requested_at="now")
        await cluster.passes(3600)
        assert cluster.says(key)["Ready"] == ("True", "Issued")
        assert len(cluster.service.keys) == 1

    on_cluster(scenario)


def test_what_admission_adds_is_its_own_and_so_is_who_manages_the_secret() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        admitting(cluster, decorated, dry_runs=True)
        key = await a_labelled_key(cluster)
        assert cluster.says(key) == {"Ready": ("True", "Issued"), "Synced": ("True", "Settled")}
        version = cluster.kube.secrets[SECRET]["metadata"]["resourceVersion"]
        cluster.annotate(key, reconcile_requested_at="now")
        await cluster.passes(2 * 3600)
        assert cluster.kube.secrets[SECRET]["metadata"]["resourceVersion"] == version
        assert len(cluster.service.created) == 1

    on_cluster(scenario)


def test_a_repair_that_admission_undoes_stalls_with_few_tries_and_the_key_stays() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        key = await a_labelled_key(cluster)
        allowed = admitting(cluster, relabelled, dry_runs=True)
        cluster.edit_secret(SECRET, format="edited")
        await cluster.passes(3600)
        assert cluster.says(key)["Stalled"] == ("True", "SecretWriteRefused")
        version = int(cluster.kube.secrets[SECRET]["metadata"]["resourceVersion"])
        await cluster.passes(24 * 3600)
        assert int(cluster.kube.secrets[SECRET]["metadata"]["resourceVersion"]) - version < 60
        assert len(cluster.service.created) == len(cluster.service.keys) == 1
        allowed()
        await cluster.passes(3600)
        assert cluster.says(key)["Ready"] == ("True", "Issued")

    on_cluster(scenario)


# ---------------------------------------------------------------- what is sent


def test_a_new_key_costs_no_read_of_its_secret_and_a_dry_run_of_the_very_write() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        refusing(cluster, "read_secret")
        create, bodies = cluster.kube.create_secret, {False: [], True: []}  # type: ignore[var-annotated]

        async def noted(manifest: Any, *, dry_run: bool = False) -> Any:
            bodies[dry_run].append(manifest)
            return await create(manifest, dry_run=dry_run)

        setattr(cluster.kube, "create_secret", noted)  # noqa: B010
        cluster.apply("team", "media")
        key = cluster.apply_key("team", "app", "media")
        cluster.annotate(key, rotate_requested_at="r" * 256)
        await cluster.passes(60)
        assert cluster.says(key)["Ready"] == ("True", "Issued")
        ((tried,), (written,)) = bodies[True], bodies[False]
        for part in ("labels", "annotations"):
            assert tried["metadata"][part].keys() == written["metadata"][part].keys()
        for name, text in written["metadata"]["annotations"].items():
            assert len(tried["metadata"]["annotations"][name]) >= len(text), name
        for name, text in written["data"].items():
            assert len(tried["data"][name]) >= len(text), name
        assert len(json.dumps(tried)) >= len(json.dumps(written))

    on_cluster(scenario)


def test_the_dry_run_of_a_rotation_says_which_keys_retire() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        key = await a_ready_key(cluster)
        patch, bodies = cluster.kube.patch_secret, []

        async def noted(*given: Any, dry_run: bool = False, **named: Any) -> Any:
            bodies.append((dry_run, given[2]["metadata"]["annotations"]))
            return await patch(*given, dry_run=dry_run, **named)

        setattr(cluster.kube, "patch_secret", noted)  # noqa: B010
        cluster.annotate(key, rotate_requested_at="now")
        await cluster.passes(60)
        (tried, tried_notes), (written, written_notes) = bodies
        assert (tried, written) == (True, False)
        for name in ("retiring", "rotate-requested-at"):
            full = f"storage.amove.io/{name}"
            assert tried_notes[full] == written_notes[full] is not None

    on_cluster(scenario)


# ---------------------------------------------------------------- a stranger's Secret in its place


def test_a_key_whose_secret_was_replaced_by_a_strangers_retires_with_its_grace() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        key = await a_ready_key(cluster)
        theirs = cluster.kube.secrets[SECRET]
        theirs |= {"data": {"password": "dGhlaXJz"}}
        theirs["metadata"] |= {"labels": {}, "annotations": {}, "ownerReferences": []}
        cluster.kube.touch(theirs)
        before = json.dumps(theirs)
        cluster.show_secrets()
        await cluster.passes(60)
        assert cluster.says(key)["Stalled"] == ("True", "SecretConflict")
        assert len(cluster.kube.crs[key]["status"]["retiring"]) == 1
        assert len(cluster.service.keys) == 1
        await cluster.passes(3600)
        assert cluster.service.keys == {}
        assert json.dumps(cluster.kube.secrets[SECRET]) == before
        cluster.kube.secrets.clear()
        cluster.annotate(key, reconcile_requested_at="now")
        await cluster.passes(60)
        assert cluster.says(key)["Ready"] == ("True", "Issued")
        assert cluster.kube.crs[key]["status"].get("retiring", []) == []

    on_cluster(scenario)
