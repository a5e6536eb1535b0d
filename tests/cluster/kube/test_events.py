"""Events as a person sees them in ``kubectl describe``."""

from __future__ import annotations

import json
from typing import Any

import pytest

from amove_operator.clock import Clock
from amove_operator.errors import NotLeading
from amove_operator.kube import Kube
from amove_operator.kube.events import EventLog
from amove_operator.kube.views import ObjectReference
from amove_operator.models.refs import Kind, Ref
from controlplane.launcher import ControlPlane


@pytest.fixture
async def photos(kube: Kube, namespace: str, bucket: str) -> ObjectReference:
    ref = Ref(Kind.BUCKET, namespace, bucket)
    found = await kube.get_object(ref)
    assert found is not None
    return ObjectReference.to(ref, found["metadata"]["uid"])


def events(plane: ControlPlane, namespace: str) -> list[dict[str, Any]]:
    listed = plane.kubectl("get", "events.v1.events.k8s.io", "-n", namespace, "-o", "json")
    items: list[dict[str, Any]] = json.loads(listed.stdout)["items"]
    return items


def describe(plane: ControlPlane, photos: ObjectReference) -> str:
    return plane.kubectl("describe", "amovebucket", photos.name, "-n", photos.namespace).stdout


async def test_an_event_is_visible_in_describe(
    kube: Kube, plane: ControlPlane, photos: ObjectReference
) -> None:
    await kube.emit_event(photos, type="Warning", reason="BucketExists", message="not ours: photos")
    shown = describe(plane, photos)
    assert "BucketExists" in shown
    assert "not ours: photos" in shown
    assert "amove-operator" in shown


async def test_the_same_event_within_ten_minutes_is_sent_once(
    kube: Kube, plane: ControlPlane, photos: ObjectReference
) -> None:
    for _ in range(3):
        await kube.emit_event(photos, type="Normal", reason="Created", message="made")
    await kube.emit_event(photos, type="Normal", reason="Created", message="made another")
    notes = sorted(event["note"] for event in events(plane, photos.namespace))
    assert notes == ["made", "made another"]


async def test_an_event_that_comes_back_after_ten_minutes_is_sent_again(
    kube: Kube, plane: ControlPlane, photos: ObjectReference
) -> None:
    now = [0.0]
    log = EventLog(kube.transport, clock=Clock(monotonic=lambda: now[0]))
    for moment in (0.0, 300.0, 599.0, 601.0, 900.0):
        now[0] = moment
        await log.emit(photos, type="Normal", reason="Repaired", message="a flag was put back")
    notes = [event["note"] for event in events(plane, photos.namespace)]
    assert notes == ["a flag was put back"] * 2
    assert describe(plane, photos).count("a flag was put back") == 2


async def test_an_event_that_expired_is_written_anew(
    kube: Kube, plane: ControlPlane, photos: ObjectReference
) -> None:
    now = [0.0]
    log = EventLog(kube.transport, clock=Clock(monotonic=lambda: now[0]))
    await log.emit(photos, type="Normal", reason="Repaired", message="again")
    plane.kubectl("delete", "events", "--all", "-n", photos.namespace)
    now[0] = 601.0
    await log.emit(photos, type="Normal", reason="Repaired", message="again")
    assert len(events(plane, photos.namespace)) == 1


async def test_a_long_message_is_cut_to_what_the_server_takes(
    kube: Kube, plane: ControlPlane, photos: ObjectReference
) -> None:
    await kube.emit_event(photos, type="Normal", reason="Long", message="ü" * 2000)
    (event,) = events(plane, photos.namespace)
    assert len(event["note"].encode()) <= 1024
    assert event["note"].endswith("ü…")


async def test_an_event_that_is_refused_fails_nothing_and_may_be_tried_again(
    kube: Kube, plane: ControlPlane, photos: ObjectReference
) -> None:
    elsewhere = ObjectReference("v1", "Secret", "never-was", "s", photos.uid)
    await kube.emit_event(elsewhere, type="Normal", reason="Created", message="made")
    await kube.emit_event(photos, type="Normal", reason="Created", message="made")
    assert len(events(plane, photos.namespace)) == 1


async def test_events_pass_a_closed_gate(
    kube: Kube, plane: ControlPlane, photos: ObjectReference
) -> None:
    def closed() -> None:
        raise NotLeading("closed")

    kube.gate = closed
    await kube.emit_event(photos, type="Normal", reason="Lost", message="the Lease is lost")
    assert len(events(plane, photos.namespace)) == 1


async def test_an_object_with_the_longest_name_gets_its_event(
    kube: Kube, plane: ControlPlane, namespace: str
) -> None:
    long = ObjectReference(
        "storage.amove.io/v1alpha1", "AmoveStorageKey", namespace, f"{'k' * 229}.{'y' * 23}", "u"
    )
    await kube.emit_event(long, type="Normal", reason="Issued", message="a key")
    assert len(events(plane, namespace)) == 1
