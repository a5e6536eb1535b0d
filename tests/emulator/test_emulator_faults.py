"""Faults on request."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from amove_emulator import ControlError, EmulatorControl
from amove_emulator.plain_client import PlainClient
from tests.patience import PATIENCE

S3Factory = Callable[..., Any]


def names(api: PlainClient) -> list[str]:
    return [key["name"] for key in api.get_storage_key().json()["data"]]


def test_a_status_replaces_the_answer_once_and_nothing_takes_effect(
    api: PlainClient, control: EmulatorControl
) -> None:
    control.fault("create_bucket", status=503, headers={"Retry-After": "7"})
    answer = api.create_bucket()
    assert (answer.status_code, answer.content) == (503, b"")
    assert answer.headers["retry-after"] == "7"
    assert control.buckets() == {}
    assert api.create_bucket().status_code == 200


@pytest.mark.parametrize("status", [401, 500, 502])
def test_a_bodiless_status_is_bodiless(
    api: PlainClient, control: EmulatorControl, status: int
) -> None:
    control.fault("get_storage_key", status=status)
    answer = api.get_storage_key()
    assert (answer.status_code, answer.content) == (status, b"")


def test_a_499_carries_the_code_in_header_and_body(
    api: PlainClient, control: EmulatorControl
) -> None:
    control.fault("get_storage_key", status=499, code="COST", message="Too dear.")
    answer = api.get_storage_key()
    assert answer.headers["error-code"] == "COST"
    assert answer.json()["errors"] == {"COST": ["Too dear."]}


def test_a_499_without_a_code_is_a_proxys(api: PlainClient, control: EmulatorControl) -> None:
    control.fault("get_storage_key", status=499)
    answer = api.get_storage_key()
    assert (answer.status_code, answer.content) == (499, b"")
    assert "error-code" not in answer.headers


def test_a_code_may_be_in_the_header_only_or_in_the_body_only(
    api: PlainClient, control: EmulatorControl
) -> None:
    control.fault("get_storage_key", status=499, code="COST", body="")
    answer = api.get_storage_key()
    assert (answer.headers["error-code"], answer.content) == ("COST", b"")
    control.fault("get_storage_key", status=499, body='{"type": "COST"}')
    answer = api.get_storage_key()
    assert "error-code" not in answer.headers
    assert answer.json() == {"type": "COST"}


def test_a_raw_body_can_be_an_html_page(api: PlainClient, control: EmulatorControl) -> None:
    page = "<html><body>Bucket not found</body></html>"
    control.fault("bucket_status", status=404, body=page, content_type="text/html")
    answer = api.bucket_status()
    assert (answer.status_code, answer.text) == (404, page)
    assert answer.headers["content-type"] == "text/html"


def test_a_status_may_come_after_the_effect(api: PlainClient, control: EmulatorControl) -> None:
    control.fault("create_storage_key", status=504, effect=True)
    assert api.create_storage_key("made-anyway").status_code == 504
    assert names(api) == ["made-anyway"]


def test_a_fault_strikes_the_nth_matching_call_and_so_many_after_it(
    api: PlainClient, control: EmulatorControl
) -> None:
    control.fault("get_storage_key", status=500, nth=2, times=2)
    statuses = [api.get_storage_key().status_code for _ in range(5)]
    assert statuses == [200, 500, 500, 200, 200]


def test_a_fault_without_end_strikes_until_it_is_cleared(
    api: PlainClient, control: EmulatorControl
) -> None:
    fault = control.fault("get_storage_key", status=500, times=None)
    assert {api.get_storage_key().status_code for _ in range(4)} == {500}
    (shown,) = control.faults()
    assert (shown["id"], shown["matched"], shown["struck"]) == (fault, 4, 4)
    control.clear_faults(fault)
    assert api.get_storage_key().status_code == 200


def test_a_fault_may_match_by_a_text_in_body_or_query(
    api: PlainClient, control: EmulatorControl
) -> None:
    control.fault("create_storage_key", contains="unlucky", status=500)
    control.fault("get_storage_key", contains="pagesize=7", status=500)
    assert api.create_storage_key("lucky").status_code == 200
    assert api.create_storage_key("unlucky").status_code == 500
    assert api.get_storage_key(pagesize=8).status_code == 200
    assert api.get_storage_key(pagesize=7).status_code == 500


def test_a_fault_for_any_call_strikes_whichever_comes(
    api: PlainClient, control: EmulatorControl
) -> None:
    control.fault("*", status=503)
    assert api.get_all().status_code == 503


def test_a_connection_dropped_before_the_effect_leaves_nothing_behind(
    api: PlainClient, control: EmulatorControl
) -> None:
    control.fault("create_storage_key", drop="before")
    with pytest.raises(httpx.TransportError):
        api.create_storage_key()
    assert control.keys() == []
    (entry,) = control.journal("create_storage_key")
    assert (entry["status"], entry["effect"], entry["done"]) == (None, False, True)


def test_a_connection_dropped_after_the_effect_leaves_the_effect(
    api: PlainClient, control: EmulatorControl
) -> None:
    control.fault("create_storage_key", drop="after")
    with pytest.raises(httpx.TransportError):
        api.create_storage_key("lost-answer")
    assert names(api) == ["lost-answer"]
    (entry,) = control.journal("create_storage_key")
    assert (entry["status"], entry["effect"]) == (None, True)


def test_a_half_made_key_lives_on_the_storage_but_is_in_no_list(
    api: PlainClient, control: EmulatorControl
) -> None:
    control.fault("create_storage_key", odd="key_made_unlisted")
    answer = api.create_storage_key("ghost")
    assert (answer.status_code, answer.content) == (500, b"")
    assert names(api) == []
    assert [key["listed"] for key in control.live_keys("ghost")] == [False]


def test_a_half_made_key_may_be_listed_but_dead(api: PlainClient, control: EmulatorControl) -> None:
    control.fault("create_storage_key", odd="key_made_dead")
    assert api.create_storage_key("husk").status_code == 500
    assert names(api) == ["husk"]
    assert control.live_keys() == []


def test_a_half_deleted_key_may_be_alive_but_in_no_list(
    api: PlainClient, control: EmulatorControl, s3: S3Factory
) -> None:
    api.create_bucket()
    key = api.create_storage_key().json()
    control.fault("delete_storage_key", odd="key_deleted_unlisted")
    assert api.delete_storage_key(key["id"]).status_code == 500
    assert names(api) == []
    s3(key).list_objects_v2(Bucket="one-bucket")


def test_a_half_deleted_key_may_be_listed_but_dead_and_then_be_deleted(
    api: PlainClient, control: EmulatorControl
) -> None:
    key = api.create_storage_key().json()
    control.fault("delete_storage_key", odd="key_deleted_listed")
    assert api.delete_storage_key(key["id"]).status_code == 500
    assert (names(api), control.live_keys()) == (["a-key"], [])
    assert api.delete_storage_key(key["id"]).status_code == 200
    assert names(api) == []


def test_a_half_made_bucket_lacks_its_flags(api: PlainClient, control: EmulatorControl) -> None:
    control.fault("create_bucket", odd="bucket_made_bare")
    assert api.create_bucket(versioningEnabled=True, isEncrypted=True).status_code == 500
    assert not any(api.bucket_status().json().values())


def test_a_half_done_update_moves_one_flag(api: PlainClient, control: EmulatorControl) -> None:
    api.create_bucket()
    control.fault("update_bucket", odd="bucket_updated_by_one_flag")
    assert api.update_bucket(versioningEnabled=True, isEncrypted=True).status_code == 500
    assert sum(api.bucket_status().json().values()) == 1


def test_a_body_breaks_off_at_the_byte_asked_for(
    api: PlainClient, control: EmulatorControl
) -> None:
    control.fault("get_storage_key", truncate_at=10)
    got: list[bytes] = []
    with api.http.stream("GET", "/api/v1/storage/get_storage_key") as answer:
        assert int(answer.headers["content-length"]) > 10
        with pytest.raises(httpx.RemoteProtocolError):
            got.extend(answer.iter_bytes(1))
    assert b"".join(got) == b'{"data":[]'


def test_a_cut_body_may_be_declared_as_whole(api: PlainClient, control: EmulatorControl) -> None:
    control.fault("create_storage_key", truncate_at=5, declare="cut")
    answer = api.create_storage_key("cut-off")
    assert (answer.status_code, answer.content) == (200, b'{"id"')
    assert names(api) == ["cut-off"]


@pytest.mark.parametrize(("when", "made"), [("before", 0), ("after", 1)])
def test_a_call_hangs_before_or_after_its_effect_until_the_fault_is_cleared(
    api: PlainClient, control: EmulatorControl, when: str, made: int
) -> None:
    control.fault("create_bucket", hang=when)
    with ThreadPoolExecutor(max_workers=1) as pool:
        hanging = pool.submit(api.create_bucket)
        control.wait_for_calls("create_bucket", 1, arrived=True)
        (entry,) = control.journal("create_bucket")
        assert (entry["done"], len(control.buckets())) == (False, made)
        control.clear_faults()
        assert isinstance(hanging.exception(timeout=PATIENCE), httpx.TransportError)


def test_a_client_that_gives_up_waiting_finds_the_next_call_served(
    api: PlainClient, control: EmulatorControl
) -> None:
    control.fault("get_storage_key", hang="before")
    url = api.http.base_url
    with socket.create_connection((url.host, url.port or 80)) as impatient:
        impatient.sendall(b"GET /api/v1/storage/get_storage_key HTTP/1.1\r\nHost: here\r\n\r\n")
        control.wait_for_calls("get_storage_key", 1, arrived=True)
    assert api.get_storage_key().status_code == 200


@pytest.mark.parametrize(("when", "made"), [("before", 0), ("after", 1)])
def test_a_call_is_held_before_or_after_its_effect_until_the_fault_is_cleared_and_goes_on(
    api: PlainClient, control: EmulatorControl, when: str, made: int
) -> None:
    control.fault("create_bucket", hold=when)
    with ThreadPoolExecutor(max_workers=1) as pool:
        held = pool.submit(api.create_bucket)
        control.wait_for_calls("create_bucket", 1, arrived=True)
        (entry,) = control.journal("create_bucket")
        assert (entry["done"], len(control.buckets())) == (False, made)
        control.clear_faults()
        assert held.result(timeout=PATIENCE).status_code == 200
    assert len(control.buckets()) == 1


def test_a_held_call_then_fails_as_the_rest_of_its_fault_says(
    api: PlainClient, control: EmulatorControl
) -> None:
    control.fault("create_bucket", hold="after", drop="after")
    with ThreadPoolExecutor(max_workers=1) as pool:
        held = pool.submit(api.create_bucket)
        control.wait_for_calls("create_bucket", 1, arrived=True)
        control.clear_faults()
        assert isinstance(held.exception(timeout=PATIENCE), httpx.TransportError)
    assert len(control.buckets()) == 1


def test_clearing_a_fault_ends_its_delay(api: PlainClient, control: EmulatorControl) -> None:
    control.fault("create_bucket", delay_after=3600)
    with ThreadPoolExecutor(max_workers=1) as pool:
        delayed = pool.submit(api.create_bucket)
        control.wait_for_calls("create_bucket", 1, arrived=True)
        control.clear_faults()
        assert delayed.result(timeout=PATIENCE).status_code == 200


def test_delays_are_kept_before_and_after_the_effect(
    api: PlainClient, control: EmulatorControl
) -> None:
    control.fault("create_bucket", delay_before=0.05, delay_after=0.05)
    control.behave(latency=0.05)
    api.create_bucket()
    (entry,) = control.journal("create_bucket")
    assert entry["duration"] >= 0.15


@pytest.mark.parametrize(("when", "live"), [("before", 0), ("after", 1)])
def test_a_process_is_killed_before_or_after_the_effect_of_the_nth_call(
    api: PlainClient, control: EmulatorControl, when: str, live: int
) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as victim:
        control.fault("create_storage_key", nth=2, kill={"pid": victim.pid, "when": when})
        assert api.create_storage_key("first").status_code == 200
        with pytest.raises(httpx.TransportError):
            api.create_storage_key("second")
        assert victim.wait(timeout=PATIENCE) == -9
    assert len(control.live_keys("second")) == live


@pytest.mark.parametrize(
    ("spec", "named"),
    [
        ({"call": "create_key", "status": 500}, "create_storage_key"),
        ({"call": "create_bucket", "odd": "half_a_bucket"}, "bucket_made_bare"),
        ({"call": "create_bucket", "odd": "page_lost"}, "get_storage_key"),
        ({"call": "create_bucket", "rate": 1.5}, "rate"),
        ({"call": "create_bucket", "drop": "before", "hang": "after"}, "exclude"),
        ({"call": "create_bucket", "nonsense": 1}, "nonsense"),
        ({"call": "create_bucket", "kill": {"pid": 1, "when": "after"}}, "pid"),
    ],
)
def test_a_fault_that_cannot_be_is_refused_with_the_reason(
    control: EmulatorControl, spec: dict[str, Any], named: str
) -> None:
    with pytest.raises(ControlError, match=named):
        control.fault(**spec)


def test_what_is_not_authenticated_takes_no_effect_under_a_fault_either(
    control: EmulatorControl, as_user: Callable[[str | None], PlainClient]
) -> None:
    control.fault("create_storage_key", odd="key_made_unlisted")
    assert as_user("wrong").create_storage_key().status_code == 401
    assert control.keys() == []


def test_a_journal_entry_names_the_fault_that_struck(
    api: PlainClient, control: EmulatorControl
) -> None:
    fault = control.fault("get_storage_key", status=500)
    api.get_storage_key()
    api.get_storage_key()
    assert [entry["fault"] for entry in control.journal()] == [fault, None]
    assert json.dumps(control.journal())
