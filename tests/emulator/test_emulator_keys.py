"""Storage keys: what the API shows of them, and what they open on the real S3 port."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from amove_emulator import USER_ID, Emulator, EmulatorControl
from amove_emulator.plain_client import PlainClient

S3Factory = Callable[..., Any]
AsUser = Callable[[str | None], PlainClient]
READ, WRITE, READ_WRITE = 0, 1, 2


def code_of(call: Callable[..., Any], **arguments: Any) -> str:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return str(caught.value.response["Error"]["Code"])


@pytest.fixture
def bucket(api: PlainClient, control: EmulatorControl) -> str:
    api.create_bucket()
    control.put_object("one-bucket", "there", "hello")
    return "one-bucket"


def test_the_secret_is_in_the_answer_to_create_and_nowhere_else(
    api: PlainClient, control: EmulatorControl
) -> None:
    key = api.create_storage_key().json()
    assert len(key["secretKey"]) == 40
    (listed,) = api.get_storage_key().json()["data"]
    assert "secretKey" not in listed
    for told in (control.journal(), control.state(), control.key_events()):
        assert key["secretKey"] not in str(told)
    assert key["secretKey"] in control.issued_secrets()


def test_the_list_shows_neither_permission_nor_buckets(api: PlainClient) -> None:
    api.create_storage_key(permission=WRITE)
    (key,) = api.get_storage_key().json()["data"]
    assert sorted(key) == [
        "accessKey", "accountId", "createDate", "description", "id", "name", "region",
        "storageDn", "storageTier", "userId",
    ]  # fmt: skip
    assert (key["userId"], key["storageTier"]) == (USER_ID, 2)


@pytest.mark.parametrize(
    ("permission", "every", "description"),
    [
        (READ, False, "Read access on selected buckets"),
        (WRITE, False, "Write access on selected buckets"),
        (READ_WRITE, True, "Read and write access on all buckets"),
    ],
)
def test_the_description_is_made_by_the_server(
    api: PlainClient, permission: int, every: bool, description: str
) -> None:
    key = api.create_storage_key(permission=permission, allBuckets=every).json()
    assert key["description"] == description


def test_the_storage_tier_is_in_the_create_answer_only_on_request(
    api: PlainClient, control: EmulatorControl
) -> None:
    assert "storageTier" not in api.create_storage_key().json()
    control.behave(storage_tier_in_create=True)
    assert api.create_storage_key().json()["storageTier"] == 2


def test_two_keys_may_have_one_name(api: PlainClient) -> None:
    ids = {api.create_storage_key("same").json()["id"] for _ in range(2)}
    assert len(ids) == 2
    assert {k["id"] for k in api.get_storage_key().json()["data"]} == ids


def test_pages_are_newest_first_and_cover_everything_once(api: PlainClient) -> None:
    made = [api.create_storage_key(f"key-{n}").json()["id"] for n in range(7)]
    pages = [api.get_storage_key(page=n, pagesize=3).json() for n in (1, 2, 3, 4)]
    assert [len(page["data"]) for page in pages] == [3, 3, 1, 0]
    assert [key["id"] for page in pages for key in page["data"]] == made[::-1]
    assert {page["total"] for page in pages} == {7}
    assert pages[1]["options"] == {
        "page": 2, "pageSize": 3, "sortField": "CreateDate", "descending": True,
    }  # fmt: skip


def test_the_list_sorts_by_name_and_ascending_on_request(api: PlainClient) -> None:
    for name in ("b", "a", "c"):
        api.create_storage_key(name)
    listed = api.get_storage_key(sortfield="Name", descending=False).json()["data"]
    assert [key["name"] for key in listed] == ["a", "b", "c"]
    oldest_first = api.get_storage_key(descending="false").json()["data"]
    assert [key["name"] for key in oldest_first] == ["b", "a", "c"]


def test_create_dates_of_keys_made_at_once_differ(api: PlainClient) -> None:
    dates = [api.create_storage_key().json()["createDate"] for _ in range(20)]
    assert sorted(set(dates)) == dates


def test_a_listing_shows_the_calling_users_keys_only(
    api: PlainClient, control: EmulatorControl, as_user: AsUser
) -> None:
    mine = api.create_storage_key().json()
    another = as_user(control.set_token(user_id=control.add_user()))
    theirs = another.create_storage_key().json()
    assert [k["id"] for k in api.get_storage_key().json()["data"]] == [mine["id"]]
    assert [k["id"] for k in another.get_storage_key().json()["data"]] == [theirs["id"]]
    assert another.delete_storage_key(mine["id"]).headers["error-code"] == "ACCESS"


def test_a_token_may_come_to_speak_for_another_user(
    api: PlainClient, control: EmulatorControl, emulator: Emulator
) -> None:
    api.create_storage_key()
    control.set_token(emulator.api_token, user_id=control.add_user())
    assert api.get_storage_key().json()["total"] == 0
    control.set_token(emulator.api_token, user_id=USER_ID)
    assert api.get_storage_key().json()["total"] == 1


def test_deleting_a_missing_key_is_an_error_or_not_as_one_likes(
    api: PlainClient, control: EmulatorControl
) -> None:
    key_id = api.create_storage_key().json()["id"]
    assert api.delete_storage_key(key_id).status_code == 200
    assert api.delete_storage_key(key_id).headers["error-code"] == "NOT_FOUND"
    control.behave(delete_missing_key="ok")
    assert api.delete_storage_key(key_id).status_code == 200


def test_a_new_key_shows_in_the_list_only_after_the_lag_but_works_at_once(
    api: PlainClient, control: EmulatorControl, s3: S3Factory, bucket: str
) -> None:
    control.behave(listing_lag=3600)
    late = api.create_storage_key().json()
    control.behave(listing_lag=0)
    prompt = api.create_storage_key().json()
    listed = api.get_storage_key().json()
    assert ([key["id"] for key in listed["data"]], listed["total"]) == ([prompt["id"]], 1)
    assert s3(late).list_objects_v2(Bucket=bucket)["KeyCount"] == 1


def test_a_read_write_key_puts_gets_lists_and_deletes(
    api: PlainClient, s3: S3Factory, bucket: str
) -> None:
    client = s3(api.create_storage_key().json())
    client.put_object(Bucket=bucket, Key="a dir/ü+k", Body=b"content")
    assert client.get_object(Bucket=bucket, Key="a dir/ü+k")["Body"].read() == b"content"
    assert client.list_objects_v2(Bucket=bucket)["KeyCount"] == 2
    client.delete_object(Bucket=bucket, Key="there")
    client.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "a dir/ü+k"}]})
    assert client.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_a_read_key_gets_and_lists_but_neither_puts_nor_deletes(
    api: PlainClient, s3: S3Factory, bucket: str
) -> None:
    client = s3(api.create_storage_key(permission=READ).json())
    assert client.get_object(Bucket=bucket, Key="there")["Body"].read() == b"hello"
    assert client.list_objects_v2(Bucket=bucket)["KeyCount"] == 1
    client.head_bucket(Bucket=bucket)
    assert code_of(client.put_object, Bucket=bucket, Key="k", Body=b"x") == "AccessDenied"
    assert code_of(client.delete_object, Bucket=bucket, Key="there") == "AccessDenied"
    assert code_of(client.create_multipart_upload, Bucket=bucket, Key="k") == "AccessDenied"


def test_a_write_key_puts_and_deletes_but_neither_gets_nor_lists(
    api: PlainClient, s3: S3Factory, bucket: str
) -> None:
    client = s3(api.create_storage_key(permission=WRITE).json())
    client.put_object(Bucket=bucket, Key="k", Body=b"x")
    client.delete_object(Bucket=bucket, Key="k")
    assert code_of(client.get_object, Bucket=bucket, Key="there") == "AccessDenied"
    assert code_of(client.head_object, Bucket=bucket, Key="there") == "403"
    assert code_of(client.list_objects_v2, Bucket=bucket) == "AccessDenied"


def test_a_write_key_uploads_in_several_parts(
    api: PlainClient, control: EmulatorControl, s3: S3Factory, bucket: str
) -> None:
    client = s3(api.create_storage_key(permission=WRITE).json())
    client.upload_fileobj(io.BytesIO(b"x" * 9_000_000), bucket, "large")
    upload = client.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    client.abort_multipart_upload(Bucket=bucket, Key="k", UploadId=upload)
    assert control.buckets()[bucket]["objects"] == 2


def test_no_key_may_change_buckets(api: PlainClient, s3: S3Factory, bucket: str) -> None:
    client = s3(api.create_storage_key(allBuckets=True).json())
    assert code_of(client.create_bucket, Bucket="another-one") == "AccessDenied"
    assert code_of(client.delete_bucket, Bucket=bucket) == "AccessDenied"
    assert code_of(client.put_bucket_policy, Bucket=bucket, Policy="{}") == "AccessDenied"
    versioning = {"Status": "Enabled"}
    assert (
        code_of(client.put_bucket_versioning, Bucket=bucket, VersioningConfiguration=versioning)
        == "AccessDenied"
    )


def test_another_bucket_is_closed_to_a_key_for_listing_getting_and_copying(
    api: PlainClient, control: EmulatorControl, s3: S3Factory, bucket: str
) -> None:
    api.create_bucket("other-bucket")
    control.put_object("other-bucket", "secret", "theirs")
    client = s3(api.create_storage_key().json())
    assert code_of(client.get_object, Bucket="other-bucket", Key="secret") == "AccessDenied"
    assert code_of(client.list_objects_v2, Bucket="other-bucket") == "AccessDenied"
    assert code_of(client.list_buckets) == "AccessDenied"
    source = {"Bucket": "other-bucket", "Key": "secret"}
    assert code_of(client.copy_object, Bucket=bucket, Key="k", CopySource=source) == "AccessDenied"


@pytest.mark.parametrize("permission", [READ, WRITE, READ_WRITE])
def test_a_key_of_a_dotted_name_does_not_reach_the_name_with_another_character(
    api: PlainClient, s3: S3Factory, permission: int
) -> None:
    for name in ("a.b", "a-b", "axb"):
        api.create_bucket(name)
    client = s3(api.create_storage_key(selectedBuckets=["a.b"], permission=permission).json())
    if permission != READ:
        client.put_object(Bucket="a.b", Key="k", Body=b"x")
    for name in ("a-b", "axb"):
        assert code_of(client.put_object, Bucket=name, Key="k", Body=b"x") == "AccessDenied"
        assert code_of(client.get_object, Bucket=name, Key="k") == "AccessDenied"


def test_a_key_of_a_name_does_not_reach_names_that_begin_or_end_with_it(
    api: PlainClient, s3: S3Factory, bucket: str
) -> None:
    client = s3(api.create_storage_key().json())
    for name in (bucket + "-more", "more-" + bucket):
        api.create_bucket(name)
        assert code_of(client.list_objects_v2, Bucket=name) == "AccessDenied"


def test_a_key_of_several_buckets_reaches_each(api: PlainClient, s3: S3Factory) -> None:
    for name in ("first-bucket", "second-bucket", "third-bucket"):
        api.create_bucket(name)
    key = api.create_storage_key(selectedBuckets=["first-bucket", "second-bucket"]).json()
    client = s3(key)
    client.put_object(Bucket="first-bucket", Key="k", Body=b"x")
    client.put_object(Bucket="second-bucket", Key="k", Body=b"x")
    assert code_of(client.put_object, Bucket="third-bucket", Key="k", Body=b"x") == "AccessDenied"


def test_a_key_of_all_buckets_reaches_every_one_also_later_ones(
    api: PlainClient, s3: S3Factory, bucket: str
) -> None:
    client = s3(api.create_storage_key(allBuckets=True, selectedBuckets=["ignored"]).json())
    api.create_bucket("later-bucket")
    client.put_object(Bucket="later-bucket", Key="k", Body=b"x")
    assert {b["Name"] for b in client.list_buckets()["Buckets"]} == {bucket, "later-bucket"}


def test_a_key_may_be_made_before_its_bucket_and_works_once_that_is_there(
    api: PlainClient, s3: S3Factory
) -> None:
    client = s3(api.create_storage_key().json())
    assert code_of(client.put_object, Bucket="one-bucket", Key="k", Body=b"x") == "NoSuchBucket"
    api.create_bucket()
    client.put_object(Bucket="one-bucket", Key="k", Body=b"x")


def test_a_wrong_secret_is_a_signature_that_does_not_match(
    api: PlainClient, s3: S3Factory, bucket: str
) -> None:
    client = s3(api.create_storage_key().json(), "wrong" * 8)
    assert code_of(client.get_object, Bucket=bucket, Key="there") == "SignatureDoesNotMatch"


def test_a_revoked_key_stops_at_once_for_a_client_that_is_connected(
    api: PlainClient, s3: S3Factory, bucket: str
) -> None:
    key = api.create_storage_key().json()
    client = s3(key)
    client.get_object(Bucket=bucket, Key="there")
    api.delete_storage_key(key["id"])
    assert code_of(client.get_object, Bucket=bucket, Key="there") == "InvalidAccessKeyId"


def test_without_a_signature_for_s3_nothing_of_moto_can_be_reached(
    api: PlainClient, as_user: AsUser, emulator: Emulator, bucket: str
) -> None:
    for client in (api.http, as_user(None).http):
        for path in (f"/{bucket}/there", f"/{bucket}", "/", "/moto-api/", "/moto-api/data.json"):
            assert client.get(emulator.s3_url + path).status_code == 403


def test_a_header_of_motos_own_does_not_choose_the_account(
    api: PlainClient, s3: S3Factory, bucket: str
) -> None:
    client = s3(api.create_storage_key().json())

    def add_header(request: Any, **_: Any) -> None:
        request.headers["x-moto-account-id"] = "123456789012"

    client.meta.events.register("before-send.s3", add_header)
    assert client.get_object(Bucket=bucket, Key="there")["Body"].read() == b"hello"


def test_a_presigned_url_is_told_to_be_beyond_the_emulator(
    api: PlainClient, s3: S3Factory, as_user: AsUser, bucket: str
) -> None:
    target = {"Bucket": bucket, "Key": "there"}
    url = s3(api.create_storage_key().json()).generate_presigned_url("get_object", Params=target)
    assert as_user(None).http.get(url).status_code == 501


def test_tiers_are_separate_although_they_hold_buckets_of_one_name(
    api: PlainClient, control: EmulatorControl, s3: S3Factory, bucket: str
) -> None:
    archive = control.add_account(tier=8)
    assert api.create_bucket(bucket, cloudAccountId=archive).status_code == 200
    here = s3(api.create_storage_key().json())
    there = s3(api.create_storage_key(cloudAccountId=archive, allBuckets=True).json())
    there.put_object(Bucket=bucket, Key="k", Body=b"archived")
    assert there.list_objects_v2(Bucket=bucket)["KeyCount"] == 1
    assert here.list_objects_v2(Bucket=bucket)["Contents"][0]["Key"] == "there"
    api.create_bucket("only-here")
    assert code_of(there.list_objects_v2, Bucket="only-here") == "NoSuchBucket"


def test_two_accounts_of_one_tier_share_names_and_a_key_reaches_the_name_in_both(
    api: PlainClient, control: EmulatorControl, s3: S3Factory, bucket: str
) -> None:
    twin = control.add_account(tier=2)
    assert api.create_bucket(bucket, cloudAccountId=twin).headers["error-code"] == "DUPLICATE"
    assert api.bucket_status(bucket, cloudAccountId=twin).headers["error-code"] == "NOT_FOUND"
    client = s3(api.create_storage_key(cloudAccountId=twin).json())
    assert client.get_object(Bucket=bucket, Key="there")["Body"].read() == b"hello"
