"""The journal, the state, vandalism, reset."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from amove_emulator import ControlError, Emulator, EmulatorControl
from amove_emulator.plain_client import PlainClient
from tests.patience import PATIENCE

S3Factory = Callable[..., Any]


def test_the_journal_tells_each_call_in_order(api: PlainClient, control: EmulatorControl) -> None:
    api.create_bucket()
    api.bucket_status("absent-bucket")
    api.get_storage_key(pagesize=5)
    first, second, third = control.journal()
    assert [e["call"] for e in (first, second, third)] == [
        "create_bucket", "bucket_status", "get_storage_key",
    ]  # fmt: skip
    assert (first["method"], first["path"]) == ("POST", "/api/v1/storage/create_bucket")
    assert first["body"]["bucketName"] == "one-bucket"
    assert (first["status"], first["effect"], first["code"]) == (200, True, None)
    assert (second["status"], second["effect"], second["code"]) == (499, False, "NOT_FOUND")
    assert third["query"] == {"pagesize": "5"}
    assert first["user"] == "operator@example.com"
    assert first["seq"] < second["seq"] < third["seq"]
    assert first["time"] <= second["time"] <= third["time"]


def test_the_journal_can_be_read_by_call_and_from_a_point_on(
    api: PlainClient, control: EmulatorControl
) -> None:
    api.create_bucket()
    seen = control.last_seq()
    api.get_storage_key()
    assert [entry["call"] for entry in control.journal(after=seen)] == ["get_storage_key"]
    assert len(control.journal("create_bucket")) == 1
    assert (control.count(), control.count("create_bucket"), control.count("get_all")) == (2, 1, 0)


def test_a_cleared_journal_is_empty_and_its_numbers_go_on(
    api: PlainClient, control: EmulatorControl
) -> None:
    api.create_bucket()
    seen = control.last_seq()
    control.clear_journal()
    assert (control.journal(), control.count()) == ([], 0)
    api.get_storage_key()
    assert control.last_seq() > seen


def test_waiting_for_calls_ends_with_their_entries_or_says_how_many_there_were(
    api: PlainClient, control: EmulatorControl
) -> None:
    api.get_storage_key()
    assert len(control.wait_for_calls("get_storage_key", 1)) == 1
    with pytest.raises(TimeoutError, match="1 of 2 calls get_storage_key"):
        control.wait_for_calls("get_storage_key", 2, deadline=0.05)


def test_the_most_keys_live_at_one_moment_are_counted_per_group_of_names(
    api: PlainClient, control: EmulatorControl
) -> None:
    first = api.create_storage_key("team-a-1").json()
    api.create_storage_key("team-a-2")
    api.delete_storage_key(first["id"])
    api.create_storage_key("team-a-3")
    api.create_storage_key("team-b-1")
    assert control.max_live_keys_per_name_prefix("team-a-") == 2
    assert control.max_live_keys_per_name_prefix("team-c-") == 0
    by_team = control.max_live_keys(lambda name: re.sub(r"-\d$", "", name))
    assert by_team == {"team-a": 2, "team-b": 1}


def test_a_key_that_no_list_shows_counts_as_live(
    api: PlainClient, control: EmulatorControl
) -> None:
    control.fault("create_storage_key", odd="key_made_unlisted")
    api.create_storage_key("ghost-1")
    api.create_storage_key("ghost-2")
    assert control.max_live_keys_per_name_prefix("ghost-") == 2


def test_the_state_tells_scope_and_life_of_each_key(
    api: PlainClient, control: EmulatorControl, emulator: Emulator
) -> None:
    made = api.create_storage_key(selectedBuckets=["b-bucket", "a-bucket"], permission=1).json()
    (key,) = control.keys()
    assert key["id"] == made["id"]
    assert (key["permission"], key["allBuckets"]) == (1, False)
    assert key["buckets"] == ["a-bucket", "b-bucket"]
    assert (key["listed"], key["live"]) == (True, True)
    assert key["cloudAccountId"] == emulator.cloud_account_id


def test_flags_can_be_set_behind_the_apis_back(api: PlainClient, control: EmulatorControl) -> None:
    api.create_bucket()
    control.set_flags("one-bucket", versioningEnabled=True, isPublic=True)
    status = api.bucket_status().json()
    assert (status["versioningEnabled"], status["isPublic"]) == (True, True)


def test_a_stuck_flag_is_not_moved_by_an_update_that_answers_200(
    api: PlainClient, control: EmulatorControl
) -> None:
    api.create_bucket()
    control.stick_flags("one-bucket", "isPublic")
    assert api.update_bucket(isPublic=True, versioningEnabled=True).status_code == 200
    status = api.bucket_status().json()
    assert (status["isPublic"], status["versioningEnabled"]) == (False, True)
    control.stick_flags("one-bucket")
    api.update_bucket(isPublic=True)
    assert api.bucket_status().json()["isPublic"] is True


def test_a_hidden_bucket_is_absent_to_the_api_yet_its_name_is_taken(
    api: PlainClient, control: EmulatorControl
) -> None:
    api.create_bucket()
    control.hide_bucket("one-bucket")
    assert api.bucket_status().headers["error-code"] == "NOT_FOUND"
    assert api.list_buckets().json()["data"] == []
    assert api.create_bucket().headers["error-code"] == "DUPLICATE"
    control.hide_bucket("one-bucket", hidden=False)
    assert api.bucket_status().status_code == 200


def test_a_bucket_can_vanish_with_what_it_holds(
    api: PlainClient, control: EmulatorControl, s3: S3Factory
) -> None:
    api.create_bucket()
    control.put_object("one-bucket", "k", "x")
    client = s3(api.create_storage_key().json())
    control.drop_bucket("one-bucket")
    assert api.bucket_status().headers["error-code"] == "NOT_FOUND"
    with pytest.raises(client.exceptions.NoSuchBucket):
        client.list_objects_v2(Bucket="one-bucket")


def test_a_foreign_bucket_and_a_foreign_key_can_be_there_first(
    api: PlainClient, control: EmulatorControl, s3: S3Factory
) -> None:
    control.add_bucket("foreign-bucket", encryptionEnabled=True)
    assert api.bucket_status("foreign-bucket").json()["encryptionEnabled"] is True
    key = control.add_key("somebody's", buckets=["foreign-bucket"], permission=0)
    s3(key).list_objects_v2(Bucket="foreign-bucket")
    assert [k["name"] for k in api.get_storage_key().json()["data"]] == ["somebody's"]
    others = control.add_key("another user's", user_id=control.add_user())
    assert others["id"] not in {k["id"] for k in api.get_storage_key().json()["data"]}


@pytest.mark.parametrize(
    ("part", "listed", "live"),
    [("both", False, False), ("backing", True, False), ("record", False, True)],
)
def test_a_key_can_be_revoked_from_outside_wholly_or_in_part(
    api: PlainClient, control: EmulatorControl, part: str, listed: bool, live: bool
) -> None:
    key_id = api.create_storage_key().json()["id"]
    control.revoke_key(key_id, part)
    (key,) = control.keys()
    assert (key["listed"], key["live"]) == (listed, live)
    assert api.get_storage_key().json()["total"] == int(listed)


def test_a_key_can_be_renamed_and_made_older(api: PlainClient, control: EmulatorControl) -> None:
    old = api.create_storage_key("older").json()["id"]
    control.change_key(old, name="oldest", created_seconds_ago=86_400 * 365)
    api.create_storage_key("newest")
    listed = api.get_storage_key().json()["data"]
    assert [key["name"] for key in listed] == ["newest", "oldest"]
    assert listed[1]["createDate"][:4] < listed[0]["createDate"][:4]


def test_vandalism_on_what_is_not_there_says_what_is_missing(control: EmulatorControl) -> None:
    with pytest.raises(ControlError, match="no-such-bucket"):
        control.drop_bucket("no-such-bucket")
    with pytest.raises(ControlError, match="key 1234"):
        control.revoke_key("1234")
    with pytest.raises(ControlError, match="latencyy"):
        control.behave(latencyy=1)


def test_a_reset_leaves_nothing_but_the_credentials_to_search_for(
    api: PlainClient, control: EmulatorControl, s3: S3Factory, emulator: Emulator
) -> None:
    api.create_bucket()
    key = api.create_storage_key().json()
    control.behave(latency=0.001)
    control.fault("get_all", status=500)
    control.add_account()
    token = control.set_token()
    control.reset()
    state = control.state()
    assert (state["buckets"], state["keys"], len(state["accounts"])) == ([], [], 1)
    assert (control.journal(), control.key_events(), control.faults()) == ([], [], [])
    assert control.behave()["latency"] == 0
    client = s3(key)
    with pytest.raises(client.exceptions.ClientError, match="InvalidAccessKeyId"):
        client.list_objects_v2(Bucket="one-bucket")
    assert key["secretKey"] in control.issued_secrets()
    assert token in control.credentials()["others"]
    assert api.get_storage_key().status_code == 200
    assert emulator.facts()["apiToken"] == emulator.api_token


def test_a_call_that_began_before_a_reset_does_not_touch_what_comes_after(
    api: PlainClient, control: EmulatorControl
) -> None:
    control.fault("create_bucket", delay_before=3600)
    with ThreadPoolExecutor(max_workers=1) as pool:
        late = pool.submit(api.create_bucket)
        control.wait_for_calls("create_bucket", 1, arrived=True)
        control.reset()
        assert isinstance(late.exception(timeout=PATIENCE), httpx.TransportError)
    assert (control.buckets(), control.count()) == ({}, 0)
    api.create_bucket()
    assert control.counts() == {"create_bucket": {"arrived": 1, "done": 1}}


def test_two_emulators_of_one_process_share_nothing(
    api: PlainClient, control: EmulatorControl
) -> None:
    with Emulator() as other, PlainClient(other.url, other.api_token) as elsewhere:
        api.create_bucket()
        assert elsewhere.create_bucket().status_code == 200
        assert elsewhere.create_storage_key().status_code == 200
    assert (len(control.buckets()), control.keys()) == (1, [])


def test_the_facts_are_those_of_the_python_interface(
    control: EmulatorControl, emulator: Emulator
) -> None:
    facts = control.facts()
    assert facts["url"] == emulator.url
    assert facts["s3Url"] == emulator.s3_url == f"http://{facts['storageDn']}"
    assert facts["cloudAccountId"] == emulator.cloud_account_id
    assert facts["apiToken"] == emulator.api_token
