"""What tenants write is read within bounds: nothing costs more than its own size, or raises."""

from __future__ import annotations

import json
import tracemalloc
import weakref
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amove_operator.amove import AmoveClient, CloudAccount
from amove_operator.app.watches import kopf_settings
from amove_operator.controllers.shared.accounts import CloudAccounts
from amove_operator.controllers.shared.store import Store
from amove_operator.core import reading
from amove_operator.core.conditions import in_sync, noting, stalled
from amove_operator.core.keys.plan import plan_key
from amove_operator.core.keys.status import status_of
from amove_operator.core.policy import overlong
from amove_operator.core.reading import MAX_OBJECT_BYTES, json_bytes, read_object
from amove_operator.core.reasons import Reason
from amove_operator.core.secrets.record import ISSUED_AT, RETIRING, read_record
from amove_operator.kube.listing import each_item
from amove_operator.kube.secret_watch import SecretMeta
from amove_operator.kube.transport import Request, Transport
from amove_operator.models import (
    FINALIZER,
    AmoveBucket,
    AmoveStorageKey,
    KeyStatus,
    ObjectMeta,
)
from amove_operator.models.refs import Kind, Ref
from amove_operator.settings import Settings
from tests.unit.core.keys.key_snapshots import FIRST, GRACE, HOUR, NOW, key, ours, record, status
from tests.unit.core.keys.key_snapshots import settled as settled_world

REF = Ref(Kind.KEY, "team", "app")
KIB = 1024


def body(
    kind: Kind = Kind.KEY, *, spec: dict[str, Any] | None = None, **meta: Any
) -> dict[str, Any]:
    """An object as the API server shows it."""
    plain = {"bucketRefs": [{"name": "photos"}], "permission": "Read"} if kind is Kind.KEY else {}
    return {
        "kind": kind.value,
        "metadata": {
            "name": "app",
            "namespace": "team",
            "uid": "uid-1",
            "resourceVersion": "1",
            "generation": 1,
            **meta,
        },
        "spec": plain if spec is None else spec,
    }


def heavy(size: int = MAX_OBJECT_BYTES) -> dict[str, str]:
    """Labels of so many bytes."""
    return {f"example.com/{number}": "x" * 63 for number in range(size // 80 + 1)}


# ---------------------------------------------------------------- metadata


def heavy_with_what_is_others(name: str) -> dict[str, Any]:
    """An object of megabytes, of whose metadata one finalizer and one annotation are ours."""
    foreign = [f"example.com/{number}" for number in range(20_000)]
    notes = {f"example.com/{number}": "n" * 1000 for number in range(250)}
    full = body(
        name=name,
        uid=f"uid-{name}",
        finalizers=[*foreign[:7], FINALIZER, *foreign[7:]],
        annotations={**notes, "storage.amove.io/paused": "true"},
        ownerReferences=[{"kind": "Pod", "name": f"p-{n}", "uid": str(n)} for n in range(500)],
        managedFields=[{"manager": f"m-{number}"} for number in range(999)],
    )
    return cast("dict[str, Any]", json.loads(json.dumps(full)))


def test_of_metadata_only_what_is_acted_on_is_kept() -> None:
    cache = Store()
    # What Python keeps for the first object of all (classes it was compared with) is nobody's.
    cache.put(Kind.KEY, heavy_with_what_is_others("first"))
    tracemalloc.start()
    try:
        cache.put(Kind.KEY, heavy_with_what_is_others("app"))
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    meta = cache.keys[REF].metadata
    assert (meta.finalizer_at, meta.finalizer_count) == (7, 20_001)
    assert meta.annotations == {"paused": "true"}
    assert kept < 32 * KIB


def test_an_annotation_of_256_characters_is_acted_on_and_a_longer_one_is_told() -> None:
    def read(text: str) -> ObjectMeta:
        given = {"name": "app", "annotations": {"storage.amove.io/rotate-requested-at": text}}
        return ObjectMeta.model_validate(given)

    fits, over = read("x" * 256), read("x" * 257)
    assert fits.annotation("rotate-requested-at") == "x" * 256
    assert overlong(fits.overlong) == ""
    assert over.annotation("rotate-requested-at") is None
    assert "storage.amove.io/rotate-requested-at" in overlong(over.overlong)
    assert "256" in overlong(over.overlong)


def test_a_note_is_told_once_and_not_pushed_out_by_a_long_message() -> None:
    long = noting(stalled(Reason.InvalidSpec, "x" * 2000), "note")
    assert long.synced.message.endswith(" note")
    assert len(long.synced.message) == 1024
    assert noting(long, "note") == long
    assert noting(in_sync(Reason.Issued, "held"), "note").synced.message == "note"


def test_an_event_that_changes_nothing_we_act_on_wakes_nobody() -> None:
    cache = Store()
    assert cache.put(Kind.KEY, body(finalizers=[FINALIZER])) is not None
    touched = body(
        resourceVersion="2",
        labels={"a": "b"},
        annotations={"c": "d"},
        finalizers=["x/y", FINALIZER],
    )
    assert cache.put(Kind.KEY, touched) is None
    meta = cache.keys[REF].metadata
    assert (meta.resource_version, meta.finalizer_at, meta.finalizer_count) == ("2", 1, 2)
    paused: dict[str, Any] = {"annotations": {"storage.amove.io/paused": "true"}}
    assert (
        cache.put(Kind.KEY, body(resourceVersion="3", finalizers=[FINALIZER], **paused)) is not None
    )
    assert cache.put(Kind.KEY, body(resourceVersion="4", finalizers=[], **paused)) is not None


# ---------------------------------------------------------------- objects that are too large


def test_the_size_is_that_of_the_json_in_bytes() -> None:
    for text in ("plain", "ünïcode", '"quoted"\n', "\ud800"):
        given = {"a": [text, 1, None, {"b": True}]}
        whole = json.dumps(given, ensure_ascii=False, separators=(",", ":"))
        assert json_bytes(given) == len(whole.encode(errors="surrogatepass"))


LEAVES = st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False)
TEXT = st.text(max_size=5)
VALUES = st.recursive(
    LEAVES | TEXT | st.sampled_from(["\x07" * 9, "\ud800", "é" * 3]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
)


@given(st.dictionaries(TEXT, VALUES, max_size=4))
def test_what_counts_as_small_without_a_count_is_small(value: dict[str, Any]) -> None:
    with patch.object(reading, "MAX_OBJECT_BYTES", json_bytes(value) - 1):
        assert not reading._is_small(value)


@pytest.mark.parametrize("kind", list(Kind))
def test_an_object_over_512_kib_is_refused_and_one_of_just_that_is_not(kind: Kind) -> None:
    spare = MAX_OBJECT_BYTES - json_bytes(body(kind, labels={"a": ""}))
    _, fault = read_object(kind, body(kind, labels={"a": "x" * spare}))
    assert fault is None
    _, fault = read_object(kind, body(kind, labels={"a": "x" * (spare + 1)}))
    assert fault is not None
    assert fault.stalled is not None
    assert fault.stalled.reason is Reason.ObjectTooLarge
    assert "512 KiB" in fault.stalled.message


def test_of_a_key_that_is_too_large_its_policies_and_its_names_are_kept_and_its_spec_is_not() -> (
    None
):
    spec = {
        "bucketRefs": [{"name": "photos"}],
        "permission": "Write",
        "deletionPolicy": "Retain",
        "rotation": {"interval": "720h", "gracePeriod": "24h"},
        "secret": {"name": "mine", "type": "example.com/x", "template": {"a": "${secretKey}"}},
    }
    found, _ = read_object(Kind.KEY, body(spec=spec, labels=heavy()))
    assert isinstance(found, AmoveStorageKey)
    assert found.spec.to_kube() == {
        "permission": "Write",
        "deletionPolicy": "Retain",
        "rotation": {"gracePeriod": "24h"},
        "secret": {"name": "mine", "type": "example.com/x"},
    }


@pytest.mark.parametrize(
    ("written", "policy"), [({}, "Delete"), ({"deletionPolicy": "Retain"}, "Retain")]
)
def test_a_key_that_is_too_large_is_let_go_by_the_policy_that_was_asked_for(
    written: dict[str, Any], policy: str
) -> None:
    spec = {"permission": "Read", "allBuckets": True, **written}
    found, _ = read_object(Kind.KEY, body(spec=spec, labels=heavy()))
    assert isinstance(found, AmoveStorageKey)
    assert found.spec.deletion_policy == policy


def test_a_policy_that_cannot_be_read_is_the_one_that_keeps() -> None:
    key_spec = {"permission": "Read", "allBuckets": True, "deletionPolicy": {"a": 1}}
    key_found, fault = read_object(Kind.KEY, body(spec=key_spec))
    assert isinstance(key_found, AmoveStorageKey)
    assert key_found.spec.deletion_policy == "Retain"
    assert fault is not None
    spec = {"bucketName": "photos", "deletionPolicy": 7, "managementPolicy": [], "public": True}
    found, _ = read_object(Kind.BUCKET, body(Kind.BUCKET, spec=spec))
    assert isinstance(found, AmoveBucket)
    policies = (found.spec.deletion_policy, found.spec.management_policy)
    assert policies == ("Retain", "Observe")


def test_the_status_of_what_is_too_large_or_unreadable_still_proves_whose_the_bucket_is() -> None:
    spec = {"bucketName": "photos", "deletionPolicy": "Delete"}
    status = {"ownerUID": "uid-1", "bucketName": "photos", "provenance": "Created"}
    for written in (
        {**body(Kind.BUCKET, spec=spec, labels=heavy()), "status": status},
        {**body(Kind.BUCKET, spec=spec | {"public": "perhaps"}), "status": status},
    ):
        found, fault = read_object(Kind.BUCKET, written)
        assert isinstance(found, AmoveBucket)
        assert fault is not None
        assert found.bucket_name == "photos"
        assert found.proven.provenance == "Created"
        assert found.spec.deletion_policy == "Delete"


def test_a_thousand_large_objects_keep_no_more_than_small_ones() -> None:
    cache = Store()
    large: dict[str, Any] = {}
    texts: dict[str, str] = {}
    spec: dict[str, Any] = {}
    tracemalloc.start()
    try:
        for number in range(50):
            texts = {f"key-{n}": "${secretKey}" + "x" * 4084 for n in range(16)}
            spec = {"permission": "Read", "allBuckets": True, "secret": {"template": texts}}
            large = body(labels=heavy(), spec=spec)
            large["metadata"] |= {"name": f"app-{number}", "uid": f"uid-{number}"}
            cache.put(Kind.KEY, large)
        large, texts, spec = {}, {}, {}
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(cache.keys) == 50
    assert kept < 50 * 16 * KIB


# ---------------------------------------------------------------- Secrets that the watch shows


def test_of_a_secret_in_the_watch_only_bounded_annotations_are_kept() -> None:
    def seen(**told: str) -> SecretMeta:
        annotations = {f"storage.amove.io/{name.replace('_', '-')}": v for name, v in told.items()}
        return SecretMeta.parse(
            {
                "metadata": {
                    "namespace": "team",
                    "name": "app",
                    "uid": "u",
                    "resourceVersion": "7",
                    "annotations": {**annotations, "example.com/x": "x" * 99_999},
                }
            }
        )

    sound = seen(owner_uid="uid-1", key_id="key-1", written="[]", checksum="c")
    assert sound.annotations == {
        "storage.amove.io/owner-uid": "uid-1",
        "storage.amove.io/key-id": "key-1",
    }
    bomb = seen(owner_uid="u" * 65, key_id="k" * 65, retained_buckets="abc," * 62_500)
    assert bomb.annotations == {}


# ---------------------------------------------------------------- dates

years = st.sampled_from(
    [
        "9999-12-31T23:59:59Z",
        "0001-01-01T00:00:00Z",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
        "1970-01-01T00:00:00Z",
        "2019-12-31T23:59:59Z",
        "2026-03-01T12:00:00Z",
        "2099-01-01T00:00:00",
        "never",
    ]
)


def test_an_issue_date_is_between_2020_and_tomorrow() -> None:
    def read(moment: datetime) -> datetime | None:
        told = {ISSUED_AT: moment.isoformat()}
        return read_record(told, NOW, timedelta(days=7)).issued_at

    day = timedelta(days=1)
    first = datetime(2020, 1, 1, tzinfo=UTC)
    assert read(first) == first
    assert read(first - timedelta(seconds=1)) is None
    assert read(NOW + day) == NOW + day
    assert read(NOW + day + timedelta(seconds=1)) is None


def test_a_replaced_key_is_revoked_after_the_longest_grace_at_the_latest() -> None:
    told = {
        RETIRING: json.dumps({"key-0": "9999-12-31T23:59:59Z", "key-1": "2020-01-01T00:00:00Z"})
    }
    found = {key.id: key.revoke_after for key in read_record(told, NOW, GRACE).retiring}
    assert found == {"key-0": NOW + GRACE, "key-1": datetime(2020, 1, 1, tzinfo=UTC)}


@given(years, years, years, st.sampled_from([None, HOUR, timedelta(hours=999_999)]))
def test_no_date_that_anybody_wrote_keeps_a_status_from_being_made(
    issued: str, revoked: str, created: str, interval: timedelta | None
) -> None:
    annotations = {ISSUED_AT: issued, RETIRING: json.dumps({"id-0": revoked})}
    told = read_record(annotations, NOW, timedelta(days=7))
    held = ours(FIRST)
    written = record(FIRST)
    secret = settled_world(
        interval=interval,
        status=_status(created),
        secret=held.__class__(
            held.uid,
            held.resource_version,
            written.__class__(
                FIRST.id, told.issued_at, "", "format", "sum", retiring=told.retiring
            ),
            data_matches=True,
        ),
        live=(FIRST.__class__(FIRST.id, FIRST.name, "AK", _moment(created), "user-1"), key(0)),
    )
    plan_key(secret)
    json.dumps(status_of(secret).to_kube())


def _moment(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC)
    except ValueError:
        return None


def _status(issued: str) -> KeyStatus:
    found = status(FIRST)
    assert found.key is not None
    moment = _moment(issued) or NOW
    return found.model_copy(update={"key": found.key.model_copy(update={"issued_at": moment})})


@given(years, st.sampled_from(["issuedAt", "nextRotation", "recentIssues", "lastTransitionTime"]))
def test_no_date_in_a_status_keeps_its_object_from_being_read(date: str, where: str) -> None:
    key_status: dict[str, Any] = {"ownerUID": "uid-1", "observedGeneration": 1}
    match where:
        case "nextRotation":
            key_status[where] = date
        case "recentIssues":
            key_status[where] = [date]
        case "lastTransitionTime":
            key_status["conditions"] = [
                {"type": "Ready", "status": "True", "reason": "A", where: date}
            ]
        case _:
            key_status["key"] = {where: date}
    found, fault = read_object(Kind.KEY, {**body(), "status": key_status})
    assert fault is None
    assert isinstance(found, AmoveStorageKey)
    assert found.proven.observed_generation != -1  # nobody takes it for new


# ---------------------------------------------------------------- service URLs


@pytest.mark.parametrize(
    "url", ["https://[x", "[", "https://", "://", "https:// /", f"https://{'a' * 300}", "https://é"]
)
async def test_a_service_url_that_is_none_tells_no_host_and_raises_nowhere(url: str) -> None:
    account = CloudAccount.model_validate(
        {"id": "acc", "active": True, "internalStorage": True, "serviceUrl": url}
    )

    async def accounts() -> tuple[CloudAccount, ...]:
        return (account,)

    settings = Settings.model_validate({"token_file": "/dev/null"})
    book = CloudAccounts(settings, cast(AmoveClient, SimpleNamespace(cloud_accounts=accounts)))
    await book.load()
    assert book.storage_dn("acc") is None
    assert book.endpoint("acc", "s3.example") == "https://s3.example"
    assert book.defaults().storage_dn is None


# ---------------------------------------------------------------- lists


class Page(dict[str, Any]):
    """An answer of the API server of which one can tell whether anybody still holds it."""


async def test_a_page_of_a_list_is_let_go_before_the_next_is_read() -> None:
    pages: list[weakref.ref[Page]] = []

    class Pages:
        async def call(self, request: Request) -> Page:
            assert [page for page in pages if page() is not None] == []
            assert int(request.query["limit"]) <= 20
            more = str(len(pages)) if len(pages) < 3 else ""
            page = Page(
                kind="XList", metadata={"resourceVersion": "7", "continue": more}, items=[{}]
            )
            pages.append(weakref.ref(page))
            return page

    seen: list[dict[str, Any]] = []
    assert await each_item(cast(Transport, Pages()), "/x", seen.append) == "7"
    assert len(seen) == len(pages) == 4


def test_kopf_reads_lists_in_small_chunks_and_its_idle_workers_end_at_once() -> None:
    settings = kopf_settings()
    assert settings.watching.chunk_size == 20
    assert 0 < settings.queueing.idle_timeout < 1
