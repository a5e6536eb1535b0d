"""What a review of keys found, each as one story of the real reconciler on the stand-ins."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable
from datetime import timedelta
from itertools import count
from typing import Any

import pytest

from amove_operator.amove import NewKey
from amove_operator.core import names
from amove_operator.core.naming import mask_bit, names_digest
from amove_operator.core.secrets.record import KEY_ID
from amove_operator.engine.workers import run_workers
from amove_operator.engine.workqueue import WorkQueue
from amove_operator.errors import Conflict, KubeRefused, TransportFault
from amove_operator.models import FINALIZER
from amove_operator.models.refs import Kind, ObjectId, Ref
from tests.model.cluster_of_walks import ACCOUNT, SETTINGS, Walked
from tests.stand_ins.fate import Crash
from tests.stand_ins.ports import Body

REF = Ref(Kind.KEY, "red", "a")
OTHER = Ref(Kind.KEY, "blue", "a")
UNTRUSTING = SETTINGS.model_copy(update={"trusted_namespaces": ()})
AN_HOUR = 4000.0
RESYNC = SETTINGS.resync_interval.total_seconds()


@pytest.fixture
def walked() -> Walked:
    return Walked()


def unaccounted(walked: Walked, name: str) -> list[names.Keeper]:
    """What the listed keys keep that no record accounts for."""
    return [keeper for _, keeper in names.unaccounted_keys(walked.d.names, name)]


def created(walked: Walked, ref: Ref = REF, **spec: Any) -> Body:
    """A new AmoveStorageKey that the watch has shown."""
    version = walked.kube.version()
    grace = {"gracePeriod": spec.pop("grace", "10m")}
    if "bucketRefs" not in spec:
        spec.setdefault("bucketNames", ["aaa"])
    walked.kube.crs[ref] = {
        "metadata": {
            "name": ref.name,
            "namespace": ref.namespace,
            "uid": f"uid-{version}",
            "resourceVersion": version,
            "generation": 1,
            "annotations": {},
        },
        "spec": {"permission": "ReadWrite", "rotation": grace, **spec},
        "status": {"observedGeneration": -1},
    }
    walked.watch()
    return walked.kube.crs[ref]


def edited(walked: Walked, ref: Ref = REF, **spec: Any) -> None:
    """The spec is edited, and the watch shows it."""
    body = walked.kube.crs[ref]
    body["spec"] |= spec
    body["metadata"]["generation"] += 1
    walked.kube.touch(body)
    walked.watch()


def annotated(walked: Walked, name: str, value: str, ref: Ref = REF) -> None:
    """An annotation of ours is set, and the watch shows it."""
    body = walked.kube.crs[ref]
    body["metadata"]["annotations"][f"storage.amove.io/{name}"] = value
    walked.kube.touch(body)
    walked.watch()


def deleted(walked: Walked, ref: Ref = REF) -> None:
    """The object is asked to go."""
    body = walked.kube.crs[ref]
    body["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    walked.kube.touch(body)
    walked.watch()


def bucket(walked: Walked, namespace: str, name: str) -> None:
    """A ready AmoveBucket of that name is shown."""
    body = {
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": f"bucket-{namespace}-{name}",
            "resourceVersion": walked.kube.version(),
            "generation": 1,
            "finalizers": [FINALIZER],
            "creationTimestamp": "2026-01-01T00:00:00Z",
        },
        "spec": {},
        "status": {
            "ownerUID": f"bucket-{namespace}-{name}",
            "bucketName": name,
            "cloudAccountId": ACCOUNT,
            "provenance": "Created",
            "observedGeneration": 1,
            "conditions": [{"type": "Ready", "status": "True", "reason": "Available"}],
        },
    }
    walked.dispatcher.on_object_event(Kind.BUCKET, None, body)


def served(walked: Walked, *refs: Ref, times: int = 1, after: float = 0.0) -> None:
    """So many rounds of time passing, the watch, a listing, and a reconcile of each."""
    for _ in range(times):
        walked.time.seconds += after
        walked.watch()
        if after:
            walked.sweep()
        for ref in refs or (REF,):
            if ref in walked.kube.crs:
                walked.serve(ref)
        walked.check()


def live(walked: Walked) -> list[str]:
    """The ids of the keys that work."""
    return sorted(walked.service.keys)


def condition(walked: Walked, kind: str, ref: Ref = REF) -> tuple[str, str]:
    """Status and reason of one condition."""
    told = walked.kube.crs[ref]["status"]["conditions"]
    return next((one["status"], one["reason"]) for one in told if one["type"] == kind)


def reached(walked: Walked, name: str) -> list[str]:
    """The namespaces whose live keys reach a bucket name."""
    return [str(key.object_id.ref) for key in walked.d.store.keys_reaching(name)]


def swap(owner: object, name: str, new: Callable[..., Any]) -> None:
    """A method of a stand-in does something else from now on."""
    setattr(owner, name, new)


def while_creating(walked: Walked, then: Callable[[], None]) -> None:
    """Something happens while each create is in flight, and the watch shows it at once."""
    send = walked.service.create_storage_key

    async def create(new: NewKey) -> Any:
        issued = await send(new)
        then()
        walked.watch()
        return issued

    swap(walked.service, "create_storage_key", create)


def crash_after_the_secret(walked: Walked) -> None:
    """The operator dies right after its next write of a Secret, before status is written."""
    kube = walked.kube
    send, patch = kube.create_secret, kube.patch_secret

    def dies(wrapped: Any) -> Any:
        async def write(*args: Any, dry_run: bool = False, **more: Any) -> Any:
            view = await wrapped(*args, dry_run=dry_run, **more)
            if not dry_run:
                swap(kube, "create_secret", send)
                swap(kube, "patch_secret", patch)
                raise Crash
            return view

        return write

    swap(kube, "create_secret", dies(send))
    swap(kube, "patch_secret", dies(patch))


# ---------------------------------------------------------------- finalizers taken off


def test_a_finalizer_taken_off_during_each_create_starts_no_loop(walked: Walked) -> None:
    created(walked, grace="0s")
    while_creating(walked, lambda: walked.strip(REF, vanish=False))
    served(walked, times=8)
    assert len(walked.service.created) == 1
    for turn in range(8):
        annotated(walked, "rotate-requested-at", str(turn))
        served(walked, times=2)
    recorded = walked.kube.crs[REF]["status"]["recentIssues"]
    assert len(walked.service.created) == len(recorded) == SETTINGS.mint_budget
    assert len(live(walked)) <= 2


def test_an_object_that_vanishes_during_its_first_create_has_its_key_revoked(
    walked: Walked,
) -> None:
    created(walked)
    while_creating(walked, lambda: walked.strip(REF, vanish=True))
    served(walked)
    assert live(walked) == ["key-1"]
    assert walked.d.store.vanished
    walked.serve_ghosts()
    assert live(walked) == []
    assert not walked.d.store.vanished
    assert not walked.d.memories.keys


def test_a_vanished_object_waits_until_the_create_of_its_object_is_answered(walked: Walked) -> None:
    uid = created(walked)["metadata"]["uid"]
    item, create = ObjectId(REF, uid), walked.service.create_storage_key

    async def story() -> None:
        sent, answer = asyncio.Event(), asyncio.Event()

        async def slow(new: NewKey) -> Any:
            sent.set()
            await answer.wait()
            return await create(new)

        async def handled(one: ObjectId) -> None:
            walked.serving, walked.uid = one, one.uid
            await walked.dispatcher.handle(one)

        swap(walked.service, "create_storage_key", slow)
        queue: WorkQueue[ObjectId] = WorkQueue()
        object.__setattr__(walked.d, "queue", queue)
        workers = asyncio.create_task(run_workers(queue, handled, 2))
        queue.add(item)
        await sent.wait()
        walked.strip(REF, vanish=True)
        walked.watch()
        for _ in range(20):
            await asyncio.sleep(0)
        assert item in walked.d.store.unconfirmed
        answer.set()
        while item in walked.d.store.vanished:
            await asyncio.sleep(0)
        queue.shutdown()
        await workers

    asyncio.run(story())
    assert [name for _, name in walked.service.created]
    assert live(walked) == []


def test_a_secret_of_ours_tells_that_an_object_without_finalizer_is_not_new(
    walked: Walked,
) -> None:
    created(walked)
    crash_after_the_secret(walked)
    served(walked)
    walked.strip(REF, vanish=False)
    walked.time.jumped = timedelta(minutes=-90)  # the Secret's own time proves nothing now
    served(walked)
    assert len(walked.service.created) == 1
    walked.time.jumped = timedelta()
    served(walked, times=2, after=100)  # what that key reaches is on no record: it is replaced
    assert live(walked) == ["key-1", "key-2"]
    assert condition(walked, "Ready") == ("True", "Issued")


@pytest.mark.parametrize("paused", ["true", "false"])
@pytest.mark.parametrize(
    ("policy", "trusted", "kept"),
    [("Delete", True, []), ("Retain", True, ["key-1"]), ("Retain", False, [])],
)
def test_a_vanished_object_is_served_by_its_own_permitted_policy_and_never_paused(
    walked: Walked, policy: str, trusted: bool, kept: list[str], paused: str
) -> None:
    created(walked, deletionPolicy=policy)
    served(walked)
    annotated(walked, "paused", paused)
    if not trusted:
        walked.configure(UNTRUSTING)
    walked.strip(REF, vanish=True)
    walked.watch()
    walked.serve_ghosts()
    assert live(walked) == kept
    assert len(walked.kube.secrets) == len(kept)
    assert not walked.d.store.vanished


@pytest.mark.parametrize("what", ["its namespace goes", "its Secret is gone"])
def test_a_vanished_object_under_retain_that_has_nowhere_to_keep_its_key_has_it_revoked(
    walked: Walked, what: str
) -> None:
    created(walked, deletionPolicy="Retain")
    served(walked)
    if "namespace" in what:
        swap(walked.kube, "namespace_terminating", _terminating)
    else:
        walked.take_secret(REF)
    walked.strip(REF, vanish=True)
    walked.watch()
    walked.serve_ghosts()
    assert live(walked) == []
    assert not walked.d.store.vanished


async def _terminating(_namespace: str) -> bool:
    return True


def test_what_only_the_list_of_another_user_lacks_is_asked_for_before_it_is_forgotten(
    walked: Walked,
) -> None:
    created(walked)
    served(walked)
    walked.service.user = "user-2"
    walked.time.seconds += 100
    walked.sweep()
    walked.strip(REF, vanish=True)
    walked.watch()
    walked.service.user = "user-1"
    walked.serve_ghosts()
    assert live(walked) == []


def test_a_key_that_the_token_cannot_revoke_is_told_to_a_person(walked: Walked) -> None:
    created(walked)
    served(walked)
    walked.service.user = "user-2"
    walked.time.seconds += 100
    walked.sweep()
    deleted(walked)
    served(walked, times=2)
    assert REF not in walked.kube.crs
    assert "key-1" in walked.kube.to_be_checked


# ---------------------------------------------------------------- what a key reaches


def test_a_key_found_in_the_secret_alone_is_named_with_its_own_buckets(walked: Walked) -> None:
    created(walked, grace="168h")
    served(walked)
    edited(walked, bucketNames=["aaa", "bbb"])
    crash_after_the_secret(walked)
    served(walked)
    edited(walked, bucketNames=["aaa"])
    swap(walked.service, "create_storage_key", _down)
    served(walked, after=AN_HOUR)
    told = walked.kube.crs[REF]["status"]["key"]
    assert (told["id"], told["buckets"]) == ("key-2", ["aaa", "bbb"])
    assert reached(walked, "bbb") == [str(REF)]


def test_a_key_of_which_nothing_tells_the_scope_is_replaced_with_grace_and_keeps_its_names(
    walked: Walked,
) -> None:
    """The very first one is noted after the fact: a crash before that leaves it without a note."""
    created(walked, bucketNames=["aaa", "bbb"], grace="2h")
    crash_after_the_secret(walked)
    served(walked)
    walked.restart()
    served(walked, after=AN_HOUR)
    assert live(walked) == ["key-1", "key-2"]
    status = walked.kube.crs[REF]["status"]
    assert (status["key"]["id"], status["key"]["buckets"]) == ("key-2", ["aaa", "bbb"])
    assert [(one["id"], one.get("buckets", [])) for one in status["retiring"]] == [("key-1", [])]
    kept = list(unaccounted(walked, "bbb"))
    assert [keeper.namespace for keeper in kept] == ["red"]
    served(walked, times=3, after=AN_HOUR)
    assert live(walked) == ["key-2"]
    assert list(unaccounted(walked, "bbb")) == []


@pytest.mark.parametrize("restarts", [False, True])
def test_two_scopes_whose_digests_collide_are_never_taken_for_each_other(
    walked: Walked, restarts: bool
) -> None:
    """She edits her key to names of the same digest: the old key must not pass for the new one."""
    twin = _same_bit("payroll")
    wide, twins = ["mine", "payroll"], ["mine", twin]
    assert names_digest(wide) == names_digest(twins)
    created(walked, bucketNames=wide)
    served(walked)
    edited(walked, bucketNames=twins)
    if restarts:
        walked.restart()
    served(walked, times=2, after=100)
    assert live(walked) == ["key-1", "key-2"]
    told = walked.kube.crs[REF]["status"]
    assert told["key"]["buckets"] == sorted(twins)
    assert [one["buckets"] for one in told["retiring"]] == [wide]
    assert [one["scope"]["buckets"] for one in told["recentIssues"]] == [wide, sorted(twins)]
    assert reached(walked, "payroll") == [str(REF)]
    served(walked, times=2, after=AN_HOUR)
    assert live(walked) == ["key-2"]
    assert reached(walked, "payroll") == []


def _same_bit(name: str) -> str:
    others = (f"other-{number}" for number in count())
    return next(other for other in others if mask_bit(other) == mask_bit(name))


def test_a_crash_right_after_the_note_costs_its_serial_and_no_scope(walked: Walked) -> None:
    created(walked)
    served(walked)
    edited(walked, bucketNames=["bbb"])
    create = walked.service.create_storage_key

    async def dies(_new: NewKey) -> Any:
        swap(walked.service, "create_storage_key", create)
        raise Crash

    swap(walked.service, "create_storage_key", dies)
    served(walked)
    walked.restart()
    edited(walked, bucketNames=["ccc"])
    served(walked, times=2, after=100)
    issues = walked.kube.crs[REF]["status"]["recentIssues"]
    told = [(one["serial"], one["scope"]["buckets"]) for one in issues]
    assert told == [(1, ["aaa"]), (2, ["bbb"]), (3, ["ccc"])]
    assert walked.kube.crs[REF]["status"]["key"]["serial"] == 3


async def _down(*_args: Any) -> Any:
    raise TransportFault("time-out")


def test_a_minted_keys_names_count_however_long_status_cannot_be_written(walked: Walked) -> None:
    walked.configure(UNTRUSTING)
    bucket(walked, "red", "aaa")
    bucket(walked, "red", "bbb")
    created(walked, bucketRefs=[{"name": "aaa"}])
    served(walked)
    edited(walked, bucketRefs=[{"name": "aaa"}, {"name": "bbb"}])
    write = walked.kube.write_status
    sent = 0

    async def conflicts(*args: Any) -> Any:
        nonlocal sent
        sent += 1
        if sent > 1:  # the issue is noted, and from then on somebody is always quicker
            raise Conflict("the object has been modified")
        return await write(*args)

    swap(walked.kube, "write_status", conflicts)
    for _ in range(6):
        served(walked, after=AN_HOUR)
        key = walked.d.store.keys[REF]
        assert reached(walked, "bbb") == [str(REF)]
        assert walked.d.store.key_index.binds(key, "bbb")
    assert sent > 3
    assert live(walked) == ["key-2"]
    assert "bbb" not in walked.kube.crs[REF]["status"]["key"]["buckets"]


def test_a_key_by_name_whose_namespace_lost_trust_is_not_given_up_and_blocks_nobody(
    walked: Walked,
) -> None:
    created(walked, bucketNames=["shared"])
    served(walked)
    walked.restart()
    walked.configure(UNTRUSTING)
    bucket(walked, "blue", "shared")
    served(walked, times=3, after=AN_HOUR)
    assert live(walked) == ["key-1"]
    assert condition(walked, "Stalled") == ("True", "NotPermitted")
    assert not walked.d.store.key_index.binds(walked.d.store.keys[REF], "shared")


def test_a_changed_api_user_frees_no_bucket_names(walked: Walked) -> None:
    for ref in (REF, OTHER):
        created(walked, ref, bucketNames=["shared"])
        served(walked, ref)
    walked.service.user = "user-2"
    for _ in range(3):
        served(walked, REF, OTHER, after=AN_HOUR)
        assert reached(walked, "shared") == [str(OTHER), str(REF)]
    for ref in (REF, OTHER):
        assert condition(walked, "Synced", ref) == ("False", "ApiUserChanged")
    assert [key.id for key in walked.visible()] == []


def test_an_empty_list_frees_no_name_where_others_miss_their_keys_too(walked: Walked) -> None:
    """It may be another user's, who has no keys yet: the red key then still reaches its bucket."""
    bucket(walked, "red", "shared")
    created(walked, bucketRefs=[{"name": "shared"}])
    created(walked, OTHER)
    served(walked, REF, OTHER)
    walked.service.user = "user-2"
    walked.d.store.drop(Ref(Kind.BUCKET, "red", "shared"))
    served(walked, REF, times=3, after=AN_HOUR)
    assert condition(walked, "Synced") == ("False", "BucketNotFound")
    assert reached(walked, "shared") == [str(REF)]


def test_no_third_key_is_issued_by_a_list_of_another_user_once_the_right_token_is_back(
    walked: Walked,
) -> None:
    created(walked)
    served(walked)
    annotated(walked, "rotate-requested-at", "1")
    served(walked, after=100)
    assert live(walked) == ["key-1", "key-2"], "the first retires"
    walked.service.user = "user-2"
    walked.time.seconds += 100
    walked.sweep()
    walked.service.user = "user-1"
    walked.serve(REF)
    assert live(walked) == ["key-1", "key-2"]
    assert condition(walked, "Synced") == ("True", "Settled")


def test_who_accepts_another_user_learns_which_keys_of_the_former_live_on(walked: Walked) -> None:
    created(walked)
    served(walked)
    walked.service.user = "user-2"
    served(walked, after=100)
    assert condition(walked, "Synced") == ("False", "ApiUserChanged")
    assert condition(walked, "Ready") == ("False", "ApiUserChanged"), "no other key is promised"
    assert not walked.kube.to_be_checked
    annotated(walked, "accept-loss", "1")
    served(walked, times=2, after=100)
    assert [key.id for key in walked.visible()] == ["key-3"]
    assert "key-1" in walked.kube.to_be_checked


def test_a_deletion_that_waits_for_another_objects_missing_key_says_what_to_do(
    walked: Walked,
) -> None:
    """Whose the list is cannot be told as long as the other's key is missing too."""
    for ref in (REF, OTHER):
        created(walked, ref)
        served(walked, ref)
    walked.service.user = "user-2"
    foreign: Body = {"metadata": {"name": "a", "namespace": "red", "uid": "theirs"}, "data": {}}
    walked.kube.touch(foreign)
    walked.kube.secrets["red", "a"], walked.foreign["red", "a"] = foreign, copy.deepcopy(foreign)
    deleted(walked, OTHER)
    served(walked, REF, OTHER, times=2, after=100)
    assert condition(walked, "Synced") == ("False", "SecretConflict")
    told = walked.kube.crs[OTHER]["status"]["conditions"]
    message = next(one["message"] for one in told if one["type"] == "Synced")
    assert "Key key-2 is still to be revoked" in message
    assert "accept-loss" in message
    annotated(walked, "accept-loss", "1", OTHER)
    served(walked, OTHER)
    assert OTHER not in walked.kube.crs


def test_who_was_let_go_is_missed_no_more(walked: Walked) -> None:
    for ref in (REF, OTHER):
        created(walked, ref)
        served(walked, ref)
    walked.service.keys.clear()  # by a person, at the service
    walked.time.seconds += AN_HOUR
    walked.sweep()
    for ref in (REF, OTHER):
        deleted(walked, ref)
    assert len(walked.d.key_losses.missing) == 2
    served(walked, REF, OTHER, times=4, after=100)
    assert walked.kube.crs == {}
    assert not walked.d.key_losses.missing


SIX = [Ref(Kind.KEY, space, name) for space in ("red", "blue") for name in "abc"]


def issued_one_after_the_other(walked: Walked) -> None:
    """Six keys, so that the next list can judge the first, but not yet the others."""
    for number, ref in enumerate(SIX):
        walked.time.seconds += 20.0 if number == 1 else 1.0
        created(walked, ref)
        served(walked, ref)
    walked.time.seconds += 11.0


def test_keys_too_new_to_be_judged_may_be_lost_with_the_one_that_is_missing(
    walked: Walked,
) -> None:
    """Else one of one is no mass loss, and each is replaced in turn as it gets old enough."""
    issued_one_after_the_other(walked)
    walked.service.unlisted = {*walked.service.keys}  # the account is in trouble
    for after in (0.001, 10.0, 3.0, 3.0, 3.0, 10.0):
        served(walked, *SIX, after=after)
        assert walked.service.count("create key") == len(SIX)
    assert walked.d.key_losses.is_mass
    walked.service.unlisted.clear()
    served(walked, *SIX, after=10.0)
    assert walked.service.count("create key") == len(SIX)
    assert condition(walked, "Synced", SIX[0])[0] == "True"


def test_a_lost_key_does_not_wait_for_others_that_are_issued_all_the_time(walked: Walked) -> None:
    issued_one_after_the_other(walked)
    walked.service.unlisted = {*walked.service.keys}
    del walked.service.keys["key-1"]
    served(walked, SIX[0], after=0.001)
    assert walked.service.count("create key") == len(SIX), "it may be one of six"
    for number in range(4):
        walked.time.seconds += 5.0
        for letter in "xyz":
            ref = Ref(Kind.KEY, "blue", f"{letter}{number}")
            created(walked, ref)
            served(walked, ref)
    walked.service.unlisted = {f"key-{number}" for number in range(7, 19)}
    served(walked, SIX[0], after=10.0)
    assert "key-19" in live(walked), "those that were issued since then hold it up no longer"


def test_a_lost_key_is_replaced_at_once_where_a_list_shows_the_others_however_new(
    walked: Walked,
) -> None:
    issued_one_after_the_other(walked)
    del walked.service.keys["key-1"]
    served(walked, SIX[0], after=0.001)
    assert "key-7" in live(walked)


# ---------------------------------------------------------------- time, budget, and words


def test_a_clock_that_was_a_month_ahead_holds_nothing_up_for_longer_than_an_hour(
    walked: Walked,
) -> None:
    created(walked, grace="0s")
    served(walked)
    walked.time.jumped = timedelta(days=30)
    for _ in range(4):
        walked.take_secret(REF)
        served(walked)
    assert condition(walked, "Synced") == ("False", "MintBudgetExhausted")
    walked.time.jumped = timedelta()
    served(walked, times=13, after=300)
    assert ("red", "a") in walked.kube.secrets
    assert condition(walked, "Ready") == ("True", "Issued")


def test_ready_is_false_where_the_secret_is_gone_and_the_service_down(walked: Walked) -> None:
    created(walked)
    served(walked)
    walked.restart()
    walked.time.seconds += 100
    walked.take_secret(REF)
    swap(walked.service, "get_storage_keys", _down)
    served(walked)
    assert condition(walked, "Ready") == ("False", "ApiUnavailable")


def test_a_spec_that_is_refused_keeps_no_retired_key_alive_and_calls_nothing_else(
    walked: Walked,
) -> None:
    created(walked)
    served(walked)
    annotated(walked, "rotate-requested-at", "1")
    served(walked)
    assert live(walked) == ["key-1", "key-2"]
    edited(walked, secret={"template": {"a": "${nonsense}${secretKey}"}})
    before = copy.deepcopy(walked.kube.secrets)
    served(walked)
    assert live(walked) == ["key-1", "key-2"]
    served(walked, times=3, after=AN_HOUR)
    assert live(walked) == ["key-2"]
    assert condition(walked, "Stalled") == ("True", "InvalidTemplate")
    assert len(walked.service.created) == 2
    assert walked.kube.secrets == before


def test_a_refusal_that_no_dry_run_foretold_costs_one_key_each_resync_at_most(
    walked: Walked,
) -> None:
    send = walked.kube.create_secret

    async def refused(manifest: Body, *, dry_run: bool = False) -> Any:
        if not dry_run:
            raise KubeRefused("refused by a webhook", status=403)
        return await send(manifest, dry_run=dry_run)

    swap(walked.kube, "create_secret", refused)
    created(walked)
    served(walked, times=3)
    assert condition(walked, "Stalled") == ("True", "SecretWriteRefused")
    step = RESYNC / 10
    for done in range(1, 40):
        served(walked, times=2)
        assert live(walked) == []
        assert len(walked.service.created) <= 1 + done * step / RESYNC
        assert condition(walked, "Ready")[0] == "False"
        walked.time.seconds += step
    assert len(walked.service.created) > 1


@pytest.mark.parametrize("scope", [None, "red"])
def test_a_secret_that_is_deleted_while_its_watch_is_down_is_missed_by_the_next_sweep(
    walked: Walked, scope: str | None
) -> None:
    created(walked)
    served(walked, times=3, after=60.0)
    (former,) = live(walked)
    walked.d.secrets.note_sync(scope, in_sync=False)
    del walked.kube.secrets["red", "a"]
    walked.serve(REF)
    current = walked.kube.crs[REF]["status"]["key"]["id"]
    assert current != former
    assert walked.kube.secrets["red", "a"]["metadata"]["annotations"][KEY_ID] == current


def test_while_its_watch_is_down_a_secret_is_read_once_a_pass_and_never_while_it_is_in_sync(
    walked: Walked,
) -> None:
    created(walked)
    served(walked, times=3, after=60.0)
    reads: list[str] = []
    read = walked.kube.read_secret

    async def counted(namespace: str, name: str) -> Any:
        reads.append(name)
        return await read(namespace, name)

    setattr(walked.kube, "read_secret", counted)  # noqa: B010
    walked.serve(REF)
    assert reads == []
    walked.d.secrets.note_sync(None, in_sync=False)
    for _ in range(3):
        walked.serve(REF)
    assert reads == ["a"] * 3


def test_a_deletion_that_only_the_former_users_token_can_end_advises_nothing_else(
    walked: Walked,
) -> None:
    created(walked)
    served(walked)
    walked.service.user = "user-2"
    theirs = Ref(Kind.KEY, "green", "a")
    created(walked, theirs)
    served(walked, theirs)
    served(walked, after=100)
    deleted(walked)
    for value in ("", "mine"):
        annotated(walked, "accept-loss", value)
        served(walked, times=3, after=100)
        said = walked.kube.crs[REF]["status"]["conditions"]
        [message] = [one["message"] for one in said if one["type"] == "Synced"]
        assert "only the former user's token" in message
        assert "set the annotation" not in message
    walked.service.user = "user-1"
    served(walked, times=3, after=100)
    assert REF not in walked.kube.crs
