"""When the circuit breaker opens and closes, in fake time."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from itertools import pairwise
from pathlib import Path

import httpx
import pytest

from amove_operator.amove import AmoveClient, BreakerState, BucketAddress
from amove_operator.errors import ApiError, AuthFailed, NotLeading, Paused, ServerFault
from amove_operator.models import BucketFlags
from tests.patience import PATIENCE
from tests.unit.amove.conftest import MakeClient
from tests.unit.amove.stand_ins import (
    ACCOUNT,
    TOKEN,
    FakeClock,
    FakeService,
    flags,
    is_probe,
    key_page,
    problem,
    settings,
    swap_in,
    take_away,
    tuning,
)

GOOD, BAD = BucketAddress(ACCOUNT, "good"), BucketAddress(ACCOUNT, "bad")


def dead(_: httpx.Request) -> httpx.Response:
    return httpx.Response(500)


def well(request: httpx.Request) -> httpx.Response:
    return key_page() if "key" in request.url.path else flags()


def bad_bucket_only(request: httpx.Request) -> httpx.Response:
    return httpx.Response(500) if b'"bad"' in request.content else well(request)


def needs_second_token(request: httpx.Request) -> httpx.Response:
    if request.headers["Authorization"] == "Bearer amv_second":
        return well(request)
    return httpx.Response(401)


async def fail(
    client: AmoveClient, clock: FakeClock, times: int, where: BucketAddress = GOOD
) -> None:
    """Make calls that fail, each of which is three requests."""
    for _ in range(times):
        with pytest.raises(ApiError):
            await clock.run(client.bucket_status(where))


def probes(service: FakeService) -> list[float]:
    """When the probes were sent."""
    paired = zip(service.times, service.requests, strict=True)
    return [at for at, request in paired if is_probe(request)]


async def opened(make_client: MakeClient, clock: FakeClock) -> AmoveClient:
    client = make_client(dead)
    await fail(client, clock, 2)
    await clock.settle()
    assert client.breaker.state.open
    return client


async def test_a_dead_service_opens_it_after_five_failures_and_a_failed_probe(
    make_client: MakeClient, fake_service: FakeService, fake_clock: FakeClock
) -> None:
    client = make_client(dead)
    await fail(client, fake_clock, 1)
    await fake_clock.settle()
    assert (len(fake_service.requests), client.breaker.state.open) == (3, False)
    await fail(client, fake_clock, 1)
    await fake_clock.settle()
    assert len(probes(fake_service)) == 1
    assert client.breaker.state == BreakerState(
        open=True, cause="unavailable", reason="probe: the service failed (500)"
    )


async def test_while_open_calls_are_refused_at_once_and_not_sent(
    make_client: MakeClient, fake_service: FakeService, fake_clock: FakeClock
) -> None:
    client = await opened(make_client, fake_clock)
    sent = len(fake_service.requests)
    with pytest.raises(Paused, match=r"paused: probe: the service failed \(500\)") as raised:
        await client.create_bucket(GOOD, BucketFlags())
    assert not raised.value.maybe_done
    assert len(fake_service.requests) == sent


async def test_one_teams_broken_bucket_never_opens_it(
    make_client: MakeClient, fake_service: FakeService, fake_clock: FakeClock
) -> None:
    client = make_client(bad_bucket_only)
    await fail(client, fake_clock, 30, BAD)
    await fake_clock.settle()
    assert not client.breaker.state.open
    assert await fake_clock.run(client.bucket_status(GOOD)) == BucketFlags()
    # … and costs no storm of probes: at most one in five seconds.
    asked = probes(fake_service)
    assert asked
    assert all(b - a >= 5.0 for a, b in pairwise(asked))


async def test_failures_that_are_not_in_a_row_raise_no_suspicion(
    make_client: MakeClient, fake_service: FakeService, fake_clock: FakeClock
) -> None:
    client = make_client(bad_bucket_only)
    for _ in range(10):
        await fail(client, fake_clock, 1, BAD)
        await fake_clock.run(client.bucket_status(GOOD))
    assert probes(fake_service) == []


async def test_a_refusal_in_between_shows_that_the_service_works(
    make_client: MakeClient, fake_service: FakeService, fake_clock: FakeClock
) -> None:
    client = make_client(lambda r: dead(r) if b'"bad"' in r.content else problem("ACCESS", "no"))
    for _ in range(5):
        await fail(client, fake_clock, 1, BAD)
        await fail(client, fake_clock, 1, GOOD)
    assert probes(fake_service) == []


async def test_refusals_raise_no_suspicion(
    make_client: MakeClient, fake_service: FakeService, fake_clock: FakeClock
) -> None:
    client = make_client(lambda _: problem("ACCESS", "no"))
    await fail(client, fake_clock, 20)
    assert probes(fake_service) == []


async def test_answers_that_cannot_be_read_raise_no_suspicion_since_the_service_gave_them(
    make_client: MakeClient, fake_service: FakeService, fake_clock: FakeClock
) -> None:
    client = make_client(lambda _: httpx.Response(200, content=b'{"isPublic": fal'))
    await fail(client, fake_clock, 20)
    assert probes(fake_service) == []


async def test_a_429_raises_no_suspicion_since_the_service_is_there(
    make_client: MakeClient, fake_service: FakeService, fake_clock: FakeClock
) -> None:
    client = make_client(lambda _: httpx.Response(429))
    await fail(client, fake_clock, 5)
    assert probes(fake_service) == []


@pytest.mark.parametrize("refusal", [httpx.Response(401), problem("SESSION_MAXOUT", "too many")])
async def test_refused_credentials_are_probed_at_once(
    make_client: MakeClient,
    fake_service: FakeService,
    fake_clock: FakeClock,
    refusal: httpx.Response,
) -> None:
    client = make_client(lambda _: httpx.Response(refusal.status_code, content=refusal.content))
    with pytest.raises(AuthFailed):
        await fake_clock.run(client.bucket_status(GOOD))
    await fake_clock.settle()
    assert len(fake_service.requests) == 2
    assert client.breaker.state.cause == "auth"


async def test_a_call_that_alone_is_refused_does_not_stop_the_others(
    make_client: MakeClient, fake_clock: FakeClock
) -> None:
    client = make_client(lambda r: problem("TOKEN", "odd") if b'"bad"' in r.content else well(r))
    await fail(client, fake_clock, 5, BAD)
    await fake_clock.settle()
    assert not client.breaker.state.open


async def test_probes_grow_rarer_but_never_rarer_than_half_a_minute(
    make_client: MakeClient, fake_service: FakeService, fake_clock: FakeClock
) -> None:
    await opened(make_client, fake_clock)
    await fake_clock.pass_by(600.0)
    asked = probes(fake_service)
    gaps = [b - a for a, b in pairwise(asked)]
    assert gaps[:5] == pytest.approx([1, 2, 4, 8, 16], rel=0.01)
    assert all(29.0 < gap <= 30.0 for gap in gaps[5:])
    assert len(gaps) >= 20


async def test_it_closes_when_a_probe_passes_and_calls_go_on(
    make_client: MakeClient, fake_service: FakeService, fake_clock: FakeClock
) -> None:
    client = await opened(make_client, fake_clock)
    fake_service.responder = well
    await fake_clock.pass_by(31.0)
    assert client.breaker.state == BreakerState()
    assert await fake_clock.run(client.bucket_status(GOOD)) == BucketFlags()
    asked = len(probes(fake_service))
    await fake_clock.pass_by(300.0)
    assert len(probes(fake_service)) == asked


async def test_a_refusal_is_as_good_as_an_answer_to_the_probe(
    make_client: MakeClient, fake_service: FakeService, fake_clock: FakeClock
) -> None:
    client = await opened(make_client, fake_clock)
    fake_service.responder = lambda _: problem("INTERNAL_ERROR", "list is broken")
    await fake_clock.pass_by(31.0)
    assert not client.breaker.state.open


async def test_an_answer_to_the_probe_that_cannot_be_read_closes_it(
    make_client: MakeClient, fake_service: FakeService, fake_clock: FakeClock
) -> None:
    client = await opened(make_client, fake_clock)
    fake_service.responder = lambda _: httpx.Response(200, content=b'{"data": [{"id": 7')
    await fake_clock.pass_by(31.0)
    assert not client.breaker.state.open


async def test_a_page_in_answer_to_the_probe_is_not_the_services_and_leaves_it_open(
    make_client: MakeClient, fake_service: FakeService, fake_clock: FakeClock
) -> None:
    client = await opened(make_client, fake_clock)
    fake_service.responder = lambda _: httpx.Response(200, html="<html>Sign in</html>")
    await fake_clock.pass_by(31.0)
    assert client.breaker.state.open


async def test_a_429_to_the_probe_settles_nothing(
    make_client: MakeClient, fake_service: FakeService, fake_clock: FakeClock
) -> None:
    client = await opened(make_client, fake_clock)
    fake_service.responder = lambda _: httpx.Response(429)
    await fake_clock.pass_by(31.0)
    assert client.breaker.state.open


async def test_a_replaced_token_is_probed_within_a_second_and_closes_it(
    make_client: MakeClient, fake_service: FakeService, fake_clock: FakeClock, token_file: Path
) -> None:
    client = make_client(needs_second_token)
    await fail(client, fake_clock, 1)
    await fake_clock.pass_by(100.0)
    assert client.breaker.state.cause == "auth"
    replaced = fake_clock.time
    swap_in(token_file, "amv_second")
    await fake_clock.pass_by(1.0)
    assert not client.breaker.state.open
    assert probes(fake_service)[-1] - replaced <= 1.0


async def test_a_replaced_token_that_is_refused_too_is_probed_once_not_each_second(
    make_client: MakeClient, fake_service: FakeService, fake_clock: FakeClock, token_file: Path
) -> None:
    client = make_client(lambda _: httpx.Response(401))
    await fail(client, fake_clock, 1)
    await fake_clock.pass_by(100.0)
    before = len(probes(fake_service))
    swap_in(token_file, "amv_also-wrong")
    await fake_clock.pass_by(10.0)
    assert client.breaker.state.open
    assert len(probes(fake_service)) == before + 1


async def test_a_token_file_that_appears_at_last_closes_it(
    make_client: MakeClient, fake_clock: FakeClock, token_file: Path
) -> None:
    take_away(token_file)
    client = make_client(well)
    await fail(client, fake_clock, 1)
    await fake_clock.settle()
    assert client.breaker.state.reason is not None
    assert "AMOVE_TOKEN_FILE" in client.breaker.state.reason
    swap_in(token_file, TOKEN)
    await fake_clock.pass_by(1.0)
    assert not client.breaker.state.open


async def test_listeners_hear_of_opening_closing_and_a_changed_cause_once_each(
    make_client: MakeClient, fake_service: FakeService, fake_clock: FakeClock
) -> None:
    client = make_client(dead)
    observe: list[tuple[bool, str | None]] = []

    def broken(_: BreakerState) -> None:
        raise LookupError("a listener of no use")

    client.breaker.on_change(broken)
    client.breaker.on_change(lambda state: observe.append((state.open, state.cause)))
    await fail(client, fake_clock, 2)
    await fake_clock.pass_by(60.0)
    fake_service.responder = lambda _: httpx.Response(502)
    await fake_clock.pass_by(60.0)
    assert client.breaker.state.reason == "probe: the service failed (502)"
    fake_service.responder = lambda _: httpx.Response(401)
    await fake_clock.pass_by(60.0)
    fake_service.responder = well
    await fake_clock.pass_by(60.0)
    assert observe == [(True, "unavailable"), (True, "auth"), (False, None)]


async def test_a_call_that_waits_for_its_turn_hears_within_a_second_that_it_is_in_vain(
    make_client: MakeClient, fake_service: FakeService, fake_clock: FakeClock
) -> None:
    client = make_client(lambda r: httpx.Response(503, headers={"Retry-After": "300"}))
    with pytest.raises(ApiError):
        await fake_clock.run(client.bucket_status(GOOD))
    waiting = [asyncio.ensure_future(client.bucket_status(GOOD)) for _ in range(3)]
    await fake_clock.pass_by(10.0)
    fake_service.responder = lambda _: httpx.Response(401)
    client.breaker.failed(AuthFailed("401"))
    await fake_clock.pass_by(1.1)
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [Paused] * 3


async def test_it_refuses_at_once_even_while_every_slot_is_taken(token_file: Path) -> None:
    released = asyncio.Event()

    async def answer(request: httpx.Request) -> httpx.Response:
        if not is_probe(request):
            await released.wait()
        return httpx.Response(401)

    client = AmoveClient(
        settings(token_file, concurrency=1),
        transport=httpx.MockTransport(answer),
        tuning=tuning(),
    )
    async with aclosing(client):
        held = asyncio.ensure_future(client.bucket_status(GOOD))
        client.breaker.failed(AuthFailed("401"))
        async with asyncio.timeout(PATIENCE):
            while not client.breaker.state.open:
                await asyncio.sleep(0)
            with pytest.raises(Paused):
                await client.bucket_status(GOOD)
        released.set()
        await asyncio.gather(held, return_exceptions=True)


async def test_what_a_lost_try_may_have_done_is_not_forgotten_when_it_opens(
    make_client: MakeClient, fake_clock: FakeClock
) -> None:
    client = make_client(dead)
    await fail(client, fake_clock, 1)
    with pytest.raises(ServerFault) as raised:  # not Paused, though it opens between the tries
        await fake_clock.run(client.delete_storage_key("id"))
    assert client.breaker.state.open
    assert raised.value.maybe_done


async def test_one_that_may_not_send_does_not_probe_either(
    make_client: MakeClient, fake_service: FakeService, fake_clock: FakeClock
) -> None:
    leading = True

    def before_send() -> None:
        if not leading:
            raise NotLeading("the Lease is lost")

    client = make_client(dead, before_send=before_send)
    await fail(client, fake_clock, 2)
    await fake_clock.settle()
    assert client.breaker.state.open
    leading = False
    sent = len(fake_service.requests)
    await fake_clock.pass_by(100.0)
    assert len(fake_service.requests) == sent
    assert client.breaker.state.open
    leading, fake_service.responder = True, well
    await fake_clock.pass_by(31.0)
    assert not client.breaker.state.open


async def test_an_unforeseen_failure_of_the_probe_does_not_leave_it_open_for_good(
    make_client: MakeClient, fake_service: FakeService, fake_clock: FakeClock
) -> None:
    client = await opened(make_client, fake_clock)

    def broken(_: httpx.Request) -> httpx.Response:
        raise LookupError("unforeseen")

    fake_service.responder = broken
    await fake_clock.pass_by(60.0)
    assert client.breaker.state.open
    fake_service.responder = well
    await fake_clock.pass_by(31.0)
    assert not client.breaker.state.open


async def test_closing_the_client_ends_the_probing(
    make_client: MakeClient, fake_service: FakeService, fake_clock: FakeClock
) -> None:
    client = await opened(make_client, fake_clock)
    await client.aclose()
    sent = len(fake_service.requests)
    await fake_clock.pass_by(300.0)
    assert len(fake_service.requests) == sent
