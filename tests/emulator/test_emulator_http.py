"""The wire: statuses, error bodies, dates, strictness of inputs."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from amove_emulator import Emulator, EmulatorControl
from amove_emulator.plain_client import PlainClient

AsUser = Callable[[str | None], PlainClient]
UNKNOWN_ID = "00000000-0000-4000-8000-000000000000"


def refusal(answer: Any) -> tuple[int, str | None, str]:
    """Status, code and message of a 499, having checked that all three places agree."""
    assert answer.status_code == 499, answer.text
    details = answer.json()
    code = details["type"]
    assert details == {"type": code, "status": 499, "errors": {code: [details["errors"][code][0]]}}
    assert answer.headers["error-code"] == code
    return 499, code, details["errors"][code][0]


def test_an_application_error_is_a_499_with_problem_details_and_its_code_in_a_header(
    api: PlainClient,
) -> None:
    answer = api.bucket_status("absent-bucket")
    assert refusal(answer) == (499, "NOT_FOUND", "Object not found.")
    assert answer.headers["content-type"].startswith("application/problem+json")


@pytest.mark.parametrize("token", [None, "wrong"])
def test_a_missing_or_wrong_token_is_a_bodiless_401(as_user: AsUser, token: str | None) -> None:
    answer = as_user(token).get_storage_key()
    assert (answer.status_code, answer.content) == (401, b"")


def test_another_scheme_than_bearer_is_a_401(emulator: Emulator, as_user: AsUser) -> None:
    answer = as_user(None).http.get(
        "/api/v1/storage/get_storage_key",
        headers={"Authorization": f"Token {emulator.api_token}"},
    )
    assert answer.status_code == 401


def test_a_revoked_token_stops_working_and_a_new_one_works(
    control: EmulatorControl, emulator: Emulator, as_user: AsUser
) -> None:
    fresh = control.set_token()
    control.revoke_token(emulator.api_token)
    assert as_user(emulator.api_token).get_storage_key().status_code == 401
    assert as_user(fresh).get_storage_key().status_code == 200


def test_failed_authentication_may_be_told_as_a_499(
    control: EmulatorControl, as_user: AsUser
) -> None:
    control.behave(auth_failure_code="TOKEN")
    assert refusal(as_user("wrong").get_storage_key())[1] == "TOKEN"


def test_calls_without_an_answer_of_their_own_are_200_without_a_body(api: PlainClient) -> None:
    key = api.create_storage_key().json()
    answers = [
        api.create_bucket(),
        api.update_bucket(versioningEnabled=True),
        api.delete_bucket(),
        api.delete_storage_key(key["id"]),
    ]
    for answer in answers:
        assert (answer.status_code, answer.content) == (200, b"")
        assert "content-type" not in answer.headers


def test_an_unknown_route_is_a_404_and_journaled(
    api: PlainClient, control: EmulatorControl
) -> None:
    assert api.http.get("/api/v1/storage/get_bucket").status_code == 404
    assert api.http.post("/api/v1/storage/get_storage_key").status_code == 404
    assert control.count("unknown") == 2


def test_dates_are_dotnet_dates_with_seven_digits_and_no_zone(api: PlainClient) -> None:
    date = api.create_storage_key().json()["createDate"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{7}", date)


@pytest.mark.parametrize(
    ("style", "pattern"),
    [
        ("zulu", r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{7}Z"),
        ("minimum", r"0001-01-01T00:00:00"),
    ],
)
def test_dates_come_in_the_other_dotnet_forms_on_request(
    api: PlainClient, control: EmulatorControl, style: str, pattern: str
) -> None:
    control.behave(dates=style)
    assert re.fullmatch(pattern, api.create_storage_key().json()["createDate"])


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"permission": "Read"}, "permission"),
        ({"permission": "2"}, "permission"),
        ({"permission": 3}, "permission"),
        ({"permission": True}, "permission"),
        ({"permission": None}, "permission"),
        ({"name": None}, "name"),
        ({"name": ""}, "name"),
        ({"region": None}, "region"),
        ({"storageDn": ""}, "storageDn"),
        ({"allBuckets": "false"}, "allBuckets"),
        ({"selectedBuckets": []}, "selectedBuckets"),
        ({"selectedBuckets": "one-bucket"}, "selectedBuckets"),
        ({"selectedBuckets": ["UPPER"]}, "selectedBuckets.0"),
        ({"cloudAccountId": "not-a-uuid"}, "cloudAccountId"),
        ({"Name": "twice"}, "Name"),
        ({"secret": "x"}, "secret"),
    ],
)
def test_a_wrong_create_storage_key_is_refused_by_the_name_of_its_member(
    api: PlainClient, change: dict[str, Any], named: str
) -> None:
    assert named in refusal(api.create_storage_key(**change))[2]
    assert api.get_storage_key().json()["total"] == 0


@pytest.mark.parametrize(
    "name",
    [
        "ab", "a" * 64, "Upper", "under_score", "-edge", "edge-", ".edge", "edge.", "a..b",
        "192.168.0.1",
    ],
)  # fmt: skip
def test_a_bucket_name_against_the_rules_of_s3_is_refused(api: PlainClient, name: str) -> None:
    assert "valid bucket name" in refusal(api.create_bucket(name))[2]


@pytest.mark.parametrize("name", ["abc", "a" * 63, "a.b-c", "1a1", "1.2.3"])
def test_a_bucket_name_within_the_rules_of_s3_is_taken(api: PlainClient, name: str) -> None:
    assert api.create_bucket(name).status_code == 200


def test_members_of_another_call_are_refused(api: PlainClient) -> None:
    api.create_bucket()
    assert "objectLockEnabled" in refusal(api.update_bucket(objectLockEnabled=False))[2]
    assert "encryptionEnabled" in refusal(api.update_bucket(encryptionEnabled=True))[2]
    assert "isPublic" in refusal(api.bucket_status(isPublic=True))[2]


def test_a_body_that_is_no_json_or_not_declared_as_such_is_refused(api: PlainClient) -> None:
    where = "/api/v1/storage/bucket_status"
    assert refusal(api.http.post(where, content=b"{"))[1] == "DEFAULT"
    assert "application/json" in refusal(api.http.post(where, content=b"{}"))[2]


@pytest.mark.parametrize(
    "query",
    [{"page": 0}, {"pagesize": 0}, {"page": "x"}, {"sortfield": "Secret"}, {"pageSize": 5}],
)
def test_a_wrong_query_is_refused(api: PlainClient, query: dict[str, Any]) -> None:
    assert refusal(api.get_storage_key(**query))[1] == "DEFAULT"


def test_an_unknown_a_foreign_and_an_external_account_are_refused_everywhere(
    api: PlainClient, control: EmulatorControl
) -> None:
    accounts = [
        UNKNOWN_ID,
        control.add_account(tenant=UNKNOWN_ID),
        control.add_account(internal=False),
    ]
    for account in accounts:
        for call in (api.create_bucket, api.bucket_status, api.update_bucket, api.delete_bucket):
            assert refusal(call(cloudAccountId=account))[1] == "ACCESS"
        assert refusal(api.create_storage_key(cloudAccountId=account))[1] == "ACCESS"
        assert refusal(api.list_buckets(cloudAccountId=account))[1] == "ACCESS"


def test_an_inactive_account_takes_no_new_bucket_but_the_other_calls_go_on(
    api: PlainClient, control: EmulatorControl
) -> None:
    api.create_bucket()
    control.change_account(active=False)
    assert refusal(api.create_bucket("another-one"))[1] == "ACCESS"
    assert api.bucket_status().status_code == 200


def test_an_inactive_account_may_also_hide_all_its_buckets(
    api: PlainClient, control: EmulatorControl
) -> None:
    api.create_bucket()
    control.behave(inactive_account="hide")
    control.change_account(active=False)
    assert refusal(api.bucket_status())[1] == "NOT_FOUND"
    control.change_account(active=True)
    assert api.bucket_status().status_code == 200


def test_get_all_shows_the_accounts_of_the_tenant_with_the_address_of_the_storage(
    api: PlainClient, control: EmulatorControl, emulator: Emulator
) -> None:
    other = control.add_account(tier=4, active=False, internal=False, service_url=None)
    control.add_account(tenant=UNKNOWN_ID)
    answer = api.get_all().json()
    first, second = answer["data"]
    assert answer["total"] == 2
    assert first == {
        "id": emulator.cloud_account_id,
        "accountId": first["accountId"],
        "userId": first["userId"],
        "cloudType": first["cloudType"],
        "name": "internal storage",
        "serviceUrl": f"http://{emulator.storage_dn}",
        "active": True,
        "shared": False,
        "internalStorage": True,
        "storageTier": 2,
    }
    assert second["id"] == other
    assert (second["active"], second["internalStorage"]) == (False, False)
    assert (second["serviceUrl"], second["storageTier"]) == (None, 4)


def test_list_buckets_comes_in_both_envelopes(api: PlainClient, control: EmulatorControl) -> None:
    api.create_bucket()
    enveloped = api.list_buckets().json()
    (bucket,) = enveloped["data"]
    assert enveloped["continuationToken"] == ""
    assert (bucket["name"], bucket["region"]) == ("one-bucket", "us-east-1")
    assert bucket["creationTime"].startswith("20")
    control.behave(list_buckets="array")
    assert api.list_buckets().json() == [bucket]
