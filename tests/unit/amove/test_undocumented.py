"""The rows of docs/amove-api.md, "What is not documented, and what we code to".

Each row of that table names its test: here, or in test_undocumented_keys.py. What a row has
besides, such as its times, is in test_answers.py, test_pacing.py and test_paging.py.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from amove_operator.amove import AmoveClient, BucketAddress
from amove_operator.errors import (
    AlreadyExists,
    AuthFailed,
    NotEmpty,
    NotFound,
    Rejected,
    Throttled,
    TransportFault,
)
from amove_operator.models import BucketFlags
from tests.unit.amove.conftest import MakeClient
from tests.unit.amove.stand_ins import Answers, FakeClock, FakeService, at, error_of, flags, new_key

if TYPE_CHECKING:
    from amove_emulator import Emulator


async def test_limits_row(
    make_client: MakeClient, fake_service: FakeService, fake_clock: FakeClock
) -> None:
    """A Retry-After is waited for, and our own bucket holds back without being told."""
    slow = httpx.Response(429, headers={"Retry-After": "3"})
    client = make_client(Answers(slow, flags()), rate_limit=2.0)
    where = BucketAddress("account", "logs")
    for _ in range(3):
        await fake_clock.run(client.bucket_status(where))
    gaps = [round(at - fake_service.times[0], 3) for at in fake_service.times]
    assert gaps == [0.0, 3.5, 4.0, 4.5]


@pytest.mark.parametrize(
    "code", [None, "AUTH", "TOKEN", "SESSION", "SESSION_MAXOUT", "INACTIVE_USER"]
)
async def test_auth_row(amove: AmoveClient, emulator: Emulator, code: str | None) -> None:
    """401 and the five codes are one kind of error: retryable, no absence, nothing done."""
    emulator.control.add_bucket("logs")
    emulator.control.behave(auth_failure_code=code)
    emulator.control.revoke_token(emulator.api_token)
    every: list[Callable[[], Awaitable[object]]] = [
        lambda: amove.bucket_status(at(emulator)),
        lambda: amove.create_bucket(at(emulator, "other"), BucketFlags()),
        lambda: amove.delete_bucket(at(emulator)),
        lambda: amove.create_storage_key(new_key(emulator)),
        amove.get_storage_keys,
    ]
    error = await error_of(every[0]())
    assert type(error) is AuthFailed
    assert error.retryable
    for call in every[1:]:
        error = await error_of(call())
        assert not isinstance(error, Rejected)
        assert not error.maybe_done
    assert list(emulator.control.buckets()) == ["logs"]
    assert emulator.control.keys() == []


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ({"headers": {"error-code": "ACCESS"}, "body": ""}, "ACCESS"),
        (
            {"headers": {"error-code": "ACCESS"}, "body": "<p>", "content_type": "text/html"},
            "ACCESS",
        ),
        ({"body": '{"type": "COST", "errors": {"DB_INSERT": ["no"]}}'}, "COST"),
        ({"body": '{"errors": {"DB_INSERT": ["no"]}}'}, "DB_INSERT"),
        ({"code": "Brand_New", "message": "no"}, "Brand_New"),
    ],
)
async def test_code_row(
    amove: AmoveClient, emulator: Emulator, fault: dict[str, Any], code: str
) -> None:
    """The code is found in the header, else in ``type``, else in ``errors``, and is kept."""
    emulator.control.fault("bucket_status", status=499, **fault)
    error = await error_of(amove.bucket_status(at(emulator)))
    assert isinstance(error, Rejected)
    assert error.code == code


async def test_proxy_row(amove: AmoveClient, emulator: Emulator) -> None:
    """A 499 that neither header nor body calls an application error is the way's fault."""
    page = "<html>Client Closed Request: object not found</html>"
    emulator.control.fault(
        "bucket_status", status=499, body=page, content_type="text/html", times=None
    )
    error = await error_of(amove.bucket_status(at(emulator)))
    assert isinstance(error, TransportFault)
    assert emulator.control.count("bucket_status") == 3


ABSENT = [
    ("NOT_FOUND", "gone"),
    ("Global", "Object not found."),
    ("GLOBAL", "bucket NOT FOUND"),
    ("DEFAULT", "The bucket was Not Found"),
]


@pytest.mark.parametrize(("code", "message"), ABSENT)
async def test_absent_bucket_row_absences(
    amove: AmoveClient, emulator: Emulator, code: str, message: str
) -> None:
    """These and only these say that there is no bucket."""
    emulator.control.behave(absent_code=code, absent_message=message)
    assert isinstance(await error_of(amove.bucket_status(at(emulator))), NotFound)


NOT_ABSENT: list[dict[str, Any]] = [
    {"status": 404},
    {"status": 404, "body": "<h1>404 Not Found</h1>", "content_type": "text/html"},
    {"status": 404, "body": '{"type": "NOT_FOUND"}', "headers": {"error-code": "NOT_FOUND"}},
    {"status": 401},
    {"status": 403},
    {"status": 500},
    {"status": 502, "body": "bucket not found"},
    {"status": 503},
    {"status": 429},
    {"status": 302, "headers": {"Location": "/not-found"}},
    {"status": 499},
    {"status": 499, "code": "ACCESS", "message": "Account not found."},
    {"status": 499, "code": "SESSION", "message": "Session not found."},
    {"status": 200, "body": "<html>not found</html>", "content_type": "text/html"},
    {"status": 200, "body": "{}"},
    {"status": 200, "body": ""},
    {"drop": "before"},
    {"drop": "after"},
    {"truncate_at": 20},
    {"truncate_at": 20, "declare": "cut"},
]


@pytest.mark.parametrize("fault", NOT_ABSENT, ids=str)
async def test_absent_bucket_row_everything_else(
    amove: AmoveClient, emulator: Emulator, fault: dict[str, Any]
) -> None:
    """Nothing else ever means that there is no bucket, nor reads as flags that are off."""
    emulator.control.add_bucket("logs")
    emulator.control.fault("bucket_status", times=None, **fault)
    assert not isinstance(await error_of(amove.bucket_status(at(emulator))), NotFound)


@pytest.mark.parametrize("way", ["duplicate", "message"])
async def test_exists_row(amove: AmoveClient, emulator: Emulator, way: str) -> None:
    """DUPLICATE or a message that says so: it exists, and this call did not make it."""
    emulator.control.behave(exists=way)
    emulator.control.add_bucket("logs")
    error = await error_of(amove.create_bucket(at(emulator), BucketFlags()))
    assert isinstance(error, AlreadyExists)
    assert not error.maybe_done


async def test_half_bucket_row(amove: AmoveClient, emulator: Emulator) -> None:
    """A create that failed half-way shows in the status and is repaired by an update."""
    wanted = BucketFlags(encryption_enabled=True, versioning_enabled=True)
    emulator.control.fault("create_bucket", odd="bucket_made_bare")
    error = await error_of(amove.create_bucket(at(emulator), wanted))
    assert error.maybe_done
    assert emulator.control.count("create_bucket") == 1
    assert await amove.bucket_status(at(emulator)) == BucketFlags()
    await amove.update_bucket(at(emulator), wanted)
    assert await amove.bucket_status(at(emulator)) == wanted


async def test_all_flags_row(amove: AmoveClient, emulator: Emulator) -> None:
    """An update carries all three flags, whatever they are, under the names of requests."""
    emulator.control.add_bucket("logs")
    await amove.update_bucket(at(emulator), BucketFlags(encryption_enabled=True))
    (sent,) = emulator.control.journal("update_bucket")
    assert sent["body"] == {
        "cloudAccountId": emulator.cloud_account_id,
        "bucketName": "logs",
        "isPublic": False,
        "isEncrypted": True,
        "versioningEnabled": False,
    }


async def test_public_row(amove: AmoveClient, emulator: Emulator) -> None:
    """A flag that will not move is no error: reading back shows that it did not."""
    emulator.control.add_bucket("logs")
    emulator.control.stick_flags("logs", "isPublic")
    await amove.update_bucket(at(emulator), BucketFlags(is_public=True))
    assert (await amove.bucket_status(at(emulator))).is_public is False


async def test_object_lock_row(amove: AmoveClient, emulator: Emulator) -> None:
    """Object lock goes out with the create and never with an update."""
    locked = BucketFlags(versioning_enabled=True, object_lock_enabled=True)
    await amove.create_bucket(at(emulator), locked)
    await amove.update_bucket(at(emulator), locked)
    assert emulator.control.journal("create_bucket")[0]["body"]["objectLockEnabled"] is True
    assert "objectLockEnabled" not in emulator.control.journal("update_bucket")[0]["body"]


async def test_not_empty_row(amove: AmoveClient, emulator: Emulator) -> None:
    """A bucket with objects is refused as such, and keeps them."""
    emulator.control.add_bucket("logs")
    emulator.control.put_object("logs", "a.txt", "text")
    assert isinstance(await error_of(amove.delete_bucket(at(emulator))), NotEmpty)
    assert emulator.control.buckets()["logs"]["objects"] == 1


async def test_slowing_down_is_an_error_of_its_own(amove: AmoveClient, emulator: Emulator) -> None:
    """What a proxy adds (429, 503) is told apart from the service's own faults."""
    emulator.control.fault("create_bucket", status=503, headers={"Retry-After": "0"})
    error = await error_of(amove.create_bucket(at(emulator), BucketFlags()))
    assert isinstance(error, Throttled)
    assert error.retry_after == 0.0
