"""Retries, the rate, the concurrency cap and the seams of the client, in fake time."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from itertools import pairwise
from pathlib import Path

import httpx
import pytest

from amove_operator.amove import AmoveClient, BucketAddress, NewKey
from amove_operator.amove.retry import RetryPolicy, may_repeat, spread_wait, wait_before_retry
from amove_operator.amove.sent import Sent
from amove_operator.errors import (
    ApiError,
    AuthFailed,
    Paused,
    Rejected,
    ServerFault,
    Throttled,
    TransportFault,
)
from amove_operator.models import BucketFlags
from tests.unit.amove.conftest import MakeClient
from tests.unit.amove.stand_ins import (
    ACCOUNT,
    Answers,
    FakeClock,
    FakeService,
    flags,
    is_probe,
    key_page,
    problem,
    settings,
    swap_in,
    tuning,
)

WHERE = BucketAddress(ACCOUNT, "logs")
NEW = NewKey(
    name="n",
    region="us-east-1",
    storage_dn="s3.example.com",
    permission="Read",
    selected_buckets=("logs",),
    cloud_account_id=ACCOUNT,
)
POLICY = RetryPolicy(tries=3, first_wait=0.5, longest_wait=8.0, longest_total=60.0)


# --- the policy, as pure functions


@pytest.mark.parametrize(
    ("error", "repeatable", "again"),
    [
        (ServerFault("x"), True, True),
        (TransportFault("x"), True, True),
        (Throttled("x"), True, True),
        (Rejected("ACCESS", "no"), True, False),
        (AuthFailed("x"), True, False),
        (Paused("x"), True, False),
        (ServerFault("x"), False, False),
        (TransportFault("timed out", maybe_done=True), False, False),
        (TransportFault("refused", maybe_done=False), False, True),
        (Throttled("429"), False, False),
        (Throttled("503", maybe_done=True), False, False),
    ],
)
def test_what_may_be_sent_again(error: ApiError, repeatable: bool, again: bool) -> None:
    assert may_repeat(error, repeatable=repeatable) is again


def test_spread_wait_doubles_up_to_its_longest_and_spreads_over_all_of_it() -> None:
    assert [spread_wait(POLICY, attempt, 1.0) for attempt in range(1, 8)] == [0.5, 1, 2, 4, 8, 8, 8]
    assert spread_wait(POLICY, 3, 0.0) == 0.0
    assert spread_wait(POLICY, 10_000, 1.0) == 8.0


@pytest.mark.parametrize(
    ("error", "attempt", "spent", "wait"),
    [
        (ServerFault("x"), 1, 0.0, 0.5),
        (ServerFault("x"), 2, 1.0, 1.0),
        (ServerFault("x"), 3, 1.0, None),
        (ServerFault("x"), 1, 59.9, None),
        (Throttled("x", retry_after=20.0), 1, 0.0, 20.0),
        (Throttled("x", retry_after=0.0), 1, 0.0, 0.5),
        (Throttled("x", retry_after=300.0), 1, 0.0, None),
    ],
)
def test_how_long_to_wait(error: ApiError, attempt: int, spent: float, wait: float | None) -> None:
    found = wait_before_retry(POLICY, error, attempt=attempt, spent=spent, rand=1.0)
    assert found == wait


# --- the client


async def test_calls_keep_to_the_rate(
    make_client: MakeClient, fake_service: FakeService, fake_clock: FakeClock
) -> None:
    client = make_client(lambda _: flags(), rate_limit=5.0)

    async def many() -> None:
        await asyncio.gather(*(client.bucket_status(WHERE) for _ in range(30)))

    await fake_clock.run(many())
    times = [round(at - fake_service.times[0], 6) for at in fake_service.times]
    assert times == [0.0] * 10 + [round(0.2 * n, 6) for n in range(1, 21)]


async def test_no_more_calls_are_under_way_than_the_cap_allows(token_file: Path) -> None:
    running = most = 0
    released = asyncio.Event()

    async def hold(_: httpx.Request) -> httpx.Response:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await released.wait()
        running -= 1
        return flags()

    client = AmoveClient(
        settings(token_file, concurrency=4), transport=httpx.MockTransport(hold), tuning=tuning()
    )
    async with aclosing(client):
        calls = [asyncio.ensure_future(client.bucket_status(WHERE)) for _ in range(12)]
        for _ in range(100):
            await asyncio.sleep(0)
        assert running == 4
        released.set()
        await asyncio.gather(*calls)
    assert most == 4


@pytest.mark.parametrize(
    "answer", [httpx.Response(500), httpx.ReadTimeout(""), httpx.Response(404)]
)
async def test_a_read_is_tried_three_times_with_growing_waits(
    make_client: MakeClient,
    fake_service: FakeService,
    fake_clock: FakeClock,
    answer: httpx.Response | Exception,
) -> None:
    client = make_client(Answers(answer))
    with pytest.raises(ApiError) as raised:
        await fake_clock.run(client.bucket_status(WHERE))
    assert not raised.value.maybe_done
    waits = [b - a for a, b in pairwise(fake_service.times)]
    assert waits == pytest.approx([0.4995, 0.999])


async def test_a_read_that_works_the_second_time_works(
    make_client: MakeClient, fake_service: FakeService, fake_clock: FakeClock
) -> None:
    client = make_client(Answers(httpx.Response(502), flags(isPublic=True)))
    assert await fake_clock.run(client.bucket_status(WHERE)) == BucketFlags(is_public=True)
    assert len(fake_service.requests) == 2


@pytest.mark.parametrize("call", ["delete_storage_key", "update_bucket", "delete_bucket"])
async def test_a_write_that_can_be_repeated_is(
    make_client: MakeClient, fake_service: FakeService, fake_clock: FakeClock, call: str
) -> None:
    client = make_client(Answers(httpx.ReadError("reset"), httpx.Response(200)))
    work = {
        "delete_storage_key": lambda: client.delete_storage_key("id"),
        "update_bucket": lambda: client.update_bucket(WHERE, BucketFlags()),
        "delete_bucket": lambda: client.delete_bucket(WHERE),
    }
    await fake_clock.run(work[call]())
    assert fake_service.paths() == [call, call]


LOST: list[httpx.Response | Exception] = [
    httpx.Response(500),
    httpx.Response(502),
    httpx.Response(503),
    httpx.Response(429),
    httpx.Response(200, text="<html>"),
    httpx.Response(200, json={"id": "1"}),
    httpx.ReadTimeout(""),
    httpx.WriteError(""),
    httpx.RemoteProtocolError("Server disconnected without sending a response."),
    problem("DEFAULT", "try again"),
]


@pytest.mark.parametrize("answer", LOST, ids=repr)
async def test_a_create_is_sent_once_whatever_became_of_it(
    make_client: MakeClient,
    fake_service: FakeService,
    fake_clock: FakeClock,
    answer: httpx.Response | Exception,
) -> None:
    client = make_client(Answers(answer))
    with pytest.raises(ApiError) as raised:
        await fake_clock.run(client.create_storage_key(NEW))
    assert fake_service.paths() == ["create_storage_key"]
    told_before = isinstance(answer, httpx.Response) and answer.status_code == 429
    assert raised.value.maybe_done is not told_before


async def test_a_create_that_never_left_this_machine_is_sent_again(
    make_client: MakeClient, fake_service: FakeService, fake_clock: FakeClock
) -> None:
    issued = httpx.Response(200, json={"id": "1", "accessKey": "AK", "secretKey": "SK"})
    client = make_client(Answers(httpx.ConnectError("refused"), httpx.ConnectTimeout(""), issued))
    assert (await fake_clock.run(client.create_storage_key(NEW))).id == "1"
    assert len(fake_service.requests) == 3


async def test_a_create_that_can_never_be_sent_was_not_done(
    make_client: MakeClient, fake_clock: FakeClock
) -> None:
    client = make_client(Answers(httpx.ConnectError("refused")))
    with pytest.raises(TransportFault, match="ConnectError: refused") as raised:
        await fake_clock.run(client.create_bucket(WHERE, BucketFlags()))
    assert not raised.value.maybe_done


async def test_a_lost_try_is_not_forgotten_when_the_next_one_is_refused(
    make_client: MakeClient, fake_clock: FakeClock
) -> None:
    client = make_client(Answers(httpx.ReadTimeout(""), problem("NOT_FOUND")))
    with pytest.raises(Rejected) as raised:
        await fake_clock.run(client.delete_bucket(WHERE))
    assert raised.value.maybe_done


@pytest.mark.parametrize("after", ["20", "Thu, 01 Jan 1970 00:17:00 GMT"], ids=["seconds", "date"])
async def test_retry_after_holds_back_the_whole_process(
    make_client: MakeClient, fake_service: FakeService, fake_clock: FakeClock, after: str
) -> None:
    slow = httpx.Response(429, headers={"Retry-After": after})
    client = make_client(Answers(slow, flags()))

    async def two() -> None:
        first = asyncio.ensure_future(client.bucket_status(WHERE))
        await fake_clock.settle()
        await asyncio.gather(first, client.bucket_status(BucketAddress(ACCOUNT, "other")))

    await fake_clock.run(two())
    assert [round(at) for at in fake_service.times] == [1000, 1020, 1020]


async def test_a_long_retry_after_is_handed_to_the_caller_and_holds_back_the_others(
    make_client: MakeClient, fake_service: FakeService, fake_clock: FakeClock
) -> None:
    slow = httpx.Response(503, headers={"Retry-After": "86400"})
    client = make_client(Answers(slow, flags()))
    with pytest.raises(Throttled) as raised:
        await fake_clock.run(client.bucket_status(WHERE))
    assert raised.value.retry_after == 300.0
    await fake_clock.run(client.bucket_status(WHERE))
    assert [round(at) for at in fake_service.times] == [1000, 1300]


async def test_a_bare_429_slows_the_process_down_for_a_second(
    make_client: MakeClient, fake_service: FakeService, fake_clock: FakeClock
) -> None:
    client = make_client(Answers(httpx.Response(429), flags()))
    await fake_clock.run(client.bucket_status(WHERE))
    assert fake_service.times[1] - fake_service.times[0] >= 1.0


async def test_a_bare_503_for_one_bucket_slows_nobody_else_down(
    make_client: MakeClient, fake_service: FakeService, fake_clock: FakeClock
) -> None:
    client = make_client(lambda r: httpx.Response(503) if b'"bad"' in r.content else flags())

    bad = asyncio.ensure_future(client.bucket_status(BucketAddress(ACCOUNT, "bad")))
    await fake_clock.settle()
    good = asyncio.ensure_future(client.bucket_status(WHERE))
    await fake_clock.settle()
    assert good.done()
    await fake_clock.pass_by(10.0)
    with pytest.raises(Throttled):
        await bad


# --- seams


async def test_the_observer_hears_of_every_request_with_its_outcome(
    make_client: MakeClient, fake_clock: FakeClock
) -> None:
    observe: list[Sent] = []
    answers = Answers(httpx.Response(500), problem("NOT_FOUND"), key_page())
    client = make_client(answers, observer=observe.append)
    with pytest.raises(Rejected):
        await fake_clock.run(client.bucket_status(WHERE))
    await fake_clock.run(client.get_storage_keys())
    assert observe == [
        Sent("bucket_status", "ServerFault", 0.0, 500),
        Sent("bucket_status", "NotFound", 0.0, 499, "NOT_FOUND"),
        Sent("get_storage_key", "ok", 0.0, 200),
    ]


async def test_each_request_is_a_line_at_debug_without_what_was_sent(
    make_client: MakeClient, fake_clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", logger="amove_operator.amove.sent")
    client = make_client(Answers(problem("COST"), httpx.Response(500), key_page()))
    retries: list[bool] = []
    client.on_retry = lambda: retries.append(True)
    with pytest.raises(Rejected):
        await fake_clock.run(client.bucket_status(WHERE))
    assert retries == [], "a refusal is not sent again"
    await fake_clock.run(client.get_storage_keys())
    assert retries == [True]
    assert [record.getMessage() for record in caplog.records] == [
        "bucket_status: Rejected in 0.000 s, HTTP 499, COST",
        "get_storage_key: ServerFault in 0.000 s, HTTP 500, no code",
        "get_storage_key: ok in 0.000 s, HTTP 200, no code",
    ]


async def test_what_is_asked_before_each_request_can_stop_it(
    make_client: MakeClient, fake_service: FakeService, fake_clock: FakeClock
) -> None:
    asked = 0

    def before_send() -> None:
        nonlocal asked
        asked += 1
        if asked == 2:
            raise LookupError("the Lease is too old")

    client = make_client(Answers(httpx.Response(500)), before_send=before_send)
    with pytest.raises(LookupError):
        await fake_clock.run(client.bucket_status(WHERE))
    assert len(fake_service.requests) == 1


async def test_a_new_token_after_a_401_is_tried_once_and_at_once(
    make_client: MakeClient, fake_service: FakeService, fake_clock: FakeClock, token_file: Path
) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.headers["Authorization"] == "Bearer amv_second":
            return httpx.Response(200, json={"id": "1", "accessKey": "AK", "secretKey": "SK"})
        swap_in(token_file, "amv_second")
        return httpx.Response(401)

    client = make_client(answer)
    assert (await fake_clock.run(client.create_storage_key(NEW))).access_key == "AK"
    assert len(fake_service.requests) == 2
    assert not client.breaker.state.open


async def test_a_401_for_the_token_in_the_file_is_not_tried_again(
    make_client: MakeClient, fake_service: FakeService, fake_clock: FakeClock
) -> None:
    client = make_client(lambda r: key_page() if is_probe(r) else httpx.Response(401))
    with pytest.raises(AuthFailed):
        await fake_clock.run(client.bucket_status(WHERE))
    assert fake_service.paths().count("bucket_status") == 1
