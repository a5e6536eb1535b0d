"""The shared session: one login for all, never a password tried in a loop, and nothing shown."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from amove_operator.amove import AmoveClient
from amove_operator.amove.session import Tuning
from amove_operator.errors import ApiError, AuthFailed, Paused, Throttled, TransportFault
from amove_operator.settings import Settings
from tests.unit.amove.stand_ins import (
    Answers,
    FakeClock,
    FakeService,
    at,
    error_of,
    flags,
    key_page,
    new_key,
    problem,
    swap_in,
    tuning,
)

if TYPE_CHECKING:
    from amove_emulator import Emulator

PASSWORD = "correct-horse-battery"
HOUR = 3600.0
MakeClient = Callable[[], AmoveClient]
Handshake = Callable[[int], httpx.Response]


@pytest.fixture
def login_settings(tmp_path: Path) -> Callable[..., Settings]:
    """Settings with the two files."""

    def make(
        username: str = "op@example.com",
        password: str = PASSWORD,
        folder: Path = tmp_path,
        **given: Any,
    ) -> Settings:
        folder.mkdir(exist_ok=True)
        (folder / "username").write_text(username)
        (folder / "password").write_text(password)
        return Settings.model_validate(
            {
                "api_url": "http://127.0.0.1:9",
                "auth_url": "http://127.0.0.2:9",
                "username_file": folder / "username",
                "password_file": folder / "password",
                "login_type": 4,
                "rate_limit": 1000.0,
                **given,
            }
        )

    return make


class AuthHost:
    """Both hosts: sessions are ``jwt-1``, ``jwt-2`` …, and the last one is good.

    ``login`` may answer in its place; ``takes`` says which tokens the main host takes, and
    ``refuses`` names a call that it takes none for.
    """

    def __init__(self, clock: FakeClock) -> None:
        self.service = FakeService(self._answer, clock)
        self.login: Callable[[httpx.Request], httpx.Response] | None = None
        self.request_token: Callable[[httpx.Request], httpx.Response] | None = None
        self.takes: Callable[[str], bool] = lambda token: token == f"jwt-{self.sessions}"
        self.refuses: str | None = None
        self.sessions = 0

    def _answer(self, request: httpx.Request) -> httpx.Response:
        match request.url.path.rsplit("/", 1)[-1]:
            case "request_token":
                assert request.url.host == "127.0.0.2"
                assert "authorization" not in request.headers
                if self.request_token is not None:
                    return self.request_token(request)
                return httpx.Response(200, json="once-only-token")
            case "login":
                assert request.url.host == "127.0.0.2"
                if self.login is not None:
                    return self.login(request)
                self.sessions += 1
                return session(f"jwt-{self.sessions}")
            case name:
                assert request.url.host == "127.0.0.1"
                token = request.headers["authorization"].removeprefix("Bearer ")
                if name == self.refuses or not self.takes(token):
                    return httpx.Response(401)
                return flags() if name == "bucket_status" else key_page()

    def count(self, name: str) -> int:
        return self.service.paths().count(name)

    def passwords(self) -> list[str]:
        """Those that were tried, in order."""
        return [body["password"] for body in self.service.bodies() if body and "password" in body]


def session(token: str | None, challenge: int = 0) -> httpx.Response:
    return httpx.Response(
        200, json={"challenge": challenge, "jwtToken": token, "session": {"id": "s"}}
    )


@pytest.fixture
def host(fake_clock: FakeClock) -> AuthHost:
    return AuthHost(fake_clock)


@pytest.fixture
async def client(
    host: AuthHost, fake_clock: FakeClock, login_settings: Callable[..., Settings]
) -> AsyncIterator[AmoveClient]:
    """A client of that host in fake time."""
    made = AmoveClient(
        login_settings(), transport=host.service.transport, tuning=tuning(fake_clock)
    )
    async with aclosing(made):
        yield made


async def keeps_trying(client: AmoveClient, clock: FakeClock, seconds: float) -> None:
    """Calls come again and again, as objects do; each every ten seconds."""
    for _ in range(int(seconds / 10)):
        with pytest.raises(ApiError):
            await clock.run(client.probe())
        await clock.pass_by(10)


# --- one session


async def test_all_calls_share_one_login(client: AmoveClient, host: AuthHost) -> None:
    await asyncio.gather(*(client.probe() for _ in range(20)))
    assert (host.count("request_token"), host.count("login")) == (1, 1)
    body = host.service.bodies()[1]
    assert body == {
        "requestToken": "once-only-token",
        "username": "op@example.com",
        "password": PASSWORD,
        "type": 4,
    }


async def test_a_session_that_ended_is_made_anew_once_for_all_and_the_calls_go_on(
    client: AmoveClient, host: AuthHost
) -> None:
    await client.probe()
    host.takes = lambda token: token == "jwt-2"
    await asyncio.gather(*(client.probe() for _ in range(8)))
    assert host.count("login") == 2


async def test_a_create_whose_login_fails_was_surely_not_sent(
    client: AmoveClient, host: AuthHost, emulator: Emulator, fake_clock: FakeClock
) -> None:
    host.login = Answers(httpx.ReadTimeout("lost"))
    error = await fake_clock.run(error_of(client.create_storage_key(new_key(emulator))))
    assert isinstance(error, TransportFault)
    assert not error.maybe_done
    assert host.count("create_storage_key") == 0


# --- a refused login


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(401),
        problem("COGNITO", "Incorrect username or password."),
        problem("NOT_FOUND", "User not found."),
        problem("Global", "Object not found."),
        problem("INVALID_EMAIL", "no e-mail"),
        problem("INACTIVE_USER", "ask your admin"),
        session(None),
        session("two words"),
        session(None, challenge=7),
        httpx.Response(200, content=b"{half"),
    ],
    ids=lambda answer: f"{answer.status_code} {answer.text[:40]}",
)
async def test_a_refused_login_is_our_credentials_and_tells_of_no_bucket(
    client: AmoveClient, host: AuthHost, emulator: Emulator, answer: httpx.Response
) -> None:
    host.login = Answers(answer)
    error = await error_of(client.bucket_status(at(emulator)))
    assert type(error) is AuthFailed
    assert host.count("bucket_status") == 0


async def test_a_wrong_password_is_not_tried_in_a_loop(
    client: AmoveClient, host: AuthHost, fake_clock: FakeClock
) -> None:
    """However many calls, retries and probes of the breaker there are."""
    host.login = Answers(httpx.Response(401))
    await keeps_trying(client, fake_clock, 600)
    assert host.count("login") == 1
    assert host.count("request_token") == 1
    await keeps_trying(client, fake_clock, 3 * HOUR - 600)
    assert 3 <= host.count("login") <= 5, "after 15 and 30 minutes, then once an hour"


async def test_a_corrected_password_is_tried_at_once(
    client: AmoveClient, host: AuthHost, fake_clock: FakeClock, tmp_path: Path
) -> None:
    host.login = Answers(httpx.Response(401))
    await keeps_trying(client, fake_clock, 60)
    host.login = None
    swap_in(tmp_path / "password", "right-this-time")
    await fake_clock.pass_by(2)  # the breaker compares once a second
    await fake_clock.run(client.probe())
    assert host.count("login") == 2
    assert host.passwords() == [PASSWORD, "right-this-time"]


async def test_whether_the_files_changed_is_asked_of_the_pair_that_was_tried(
    client: AmoveClient, host: AuthHost, tmp_path: Path
) -> None:
    """By it the breaker knows at once that a probe may pass."""
    host.login = Answers(httpx.Response(401))
    await error_of(client.probe())
    assert not client.credentials.replaced_since(None)
    swap_in(tmp_path / "password", "right-this-time")
    assert client.credentials.replaced_since(None)
    host.login = None
    bearer = await client.credentials.bearer()
    assert not client.credentials.replaced_since(bearer)


async def test_a_refusal_that_was_the_services_slip_heals_by_itself(
    client: AmoveClient, host: AuthHost, fake_clock: FakeClock
) -> None:
    host.login = Answers(httpx.Response(401))
    await keeps_trying(client, fake_clock, 60)
    host.login = None
    await fake_clock.pass_by(960)
    await fake_clock.run(client.probe())


async def test_a_refusal_says_which_files_and_which_role(
    client: AmoveClient, host: AuthHost
) -> None:
    host.login = Answers(httpx.Response(401))
    text = str(await error_of(client.probe()))
    for name in ("AMOVE_USERNAME_FILE", "AMOVE_PASSWORD_FILE", "AMOVE_LOGIN_TYPE (4)"):
        assert name in text


async def test_a_second_factor_says_what_to_do_and_is_asked_for_once(
    client: AmoveClient, host: AuthHost, fake_clock: FakeClock
) -> None:
    host.login = Answers(session(None, challenge=1))
    text = str(await error_of(client.probe()))
    assert "TOTP" in text
    assert "AMOVE_TOKEN_FILE" in text
    await keeps_trying(client, fake_clock, 600)
    assert host.count("login") == 1


async def test_too_many_sessions_says_so_and_is_tried_rarely_until_one_has_ended(
    client: AmoveClient, host: AuthHost, fake_clock: FakeClock
) -> None:
    host.login = Answers(problem("SESSION_MAXOUT", "Too many."))
    text = str(await error_of(client.probe()))
    assert "SESSION_MAXOUT" in text
    assert "end another" in text
    await keeps_trying(client, fake_clock, HOUR)
    assert 5 <= host.count("login") <= 9, "after 1, 2, 4, 8, then every 15 minutes"
    host.login = None
    await fake_clock.pass_by(960)
    await fake_clock.run(client.probe())


async def test_a_service_that_refuses_each_new_session_gets_few_of_them(
    client: AmoveClient, host: AuthHost, fake_clock: FakeClock
) -> None:
    host.takes = lambda _token: False
    await keeps_trying(client, fake_clock, HOUR)
    assert host.count("login") <= 15
    last = f"jwt-{host.sessions}"
    host.takes = lambda token: token == last
    await fake_clock.pass_by(31)
    await fake_clock.run(client.probe())
    assert host.count("login") <= 15, "the one at hand is kept, and serves again"


async def test_an_auth_host_that_is_down_is_tried_ever_more_rarely(
    client: AmoveClient, host: AuthHost, fake_clock: FakeClock
) -> None:
    host.request_token = Answers(httpx.ConnectError("refused"))
    error = await fake_clock.run(error_of(client.probe()))
    assert isinstance(error, TransportFault | Paused)
    before = host.count("request_token")
    await keeps_trying(client, fake_clock, HOUR)
    assert host.count("request_token") - before <= HOUR / 10
    host.request_token = None
    await fake_clock.pass_by(61)
    await fake_clock.run(client.probe())


async def test_logins_whose_answers_are_lost_leave_few_sessions_behind(
    client: AmoveClient, host: AuthHost, fake_clock: FakeClock
) -> None:
    """Each may have made one that nobody ends."""
    host.login = Answers(httpx.ReadTimeout("lost"))
    await keeps_trying(client, fake_clock, HOUR)
    assert host.count("login") <= 15
    host.login = None
    await fake_clock.pass_by(331)
    await fake_clock.run(client.probe())


async def test_a_retry_after_of_the_auth_host_is_kept(
    client: AmoveClient, host: AuthHost, fake_clock: FakeClock
) -> None:
    host.request_token = Answers(httpx.Response(429, headers={"Retry-After": "120"}))
    error = await fake_clock.run(error_of(client.probe()))
    assert isinstance(error, Throttled | Paused)
    asked = host.count("request_token")
    await fake_clock.pass_by(100)
    assert host.count("request_token") == asked


async def test_another_user_in_the_files_logs_in_and_one_that_is_refused_changes_nothing(
    client: AmoveClient, host: AuthHost, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await client.probe()
    host.login = Answers(httpx.Response(401))
    swap_in(tmp_path / "password", "a-typing-mistake")
    await client.probe()
    await client.probe()
    assert host.count("login") == 2
    assert "going on with the session of before" in caplog.text
    host.login = None
    swap_in(tmp_path / "password", "another-password")
    await client.probe()
    assert host.count("login") == 3


async def test_files_that_hold_nothing_when_the_lead_comes_are_read_once_they_do(
    client: AmoveClient, fake_clock: FakeClock, tmp_path: Path
) -> None:
    """A standby checked them at its start, days ago; its first call comes with the lead."""
    swap_in(tmp_path / "password", b"")
    await keeps_trying(client, fake_clock, 60)
    swap_in(tmp_path / "password", PASSWORD)
    await fake_clock.pass_by(31)
    await fake_clock.run(client.probe())


async def test_a_session_that_one_call_was_refused_with_serves_on_where_no_other_is_given(
    client: AmoveClient, host: AuthHost, fake_clock: FakeClock, emulator: Emulator
) -> None:
    """One call that the user may not make must not cost all others the session they go by."""
    await client.probe()
    host.login = Answers(problem("SESSION_MAXOUT", "Too many."))
    host.refuses = "bucket_status"
    assert isinstance(await error_of(client.bucket_status(at(emulator))), AuthFailed)
    host.refuses = None
    await fake_clock.run(client.probe())
    assert not client.breaker.state.open
    assert host.count("login") == 2
    host.takes = lambda token: token == "jwt-2"
    await keeps_trying(client, fake_clock, 30)
    host.login = None
    await fake_clock.pass_by(120)
    await fake_clock.run(client.probe())


async def test_no_call_is_sent_again_with_the_session_that_it_was_refused_with(
    client: AmoveClient, host: AuthHost, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waited for a login that another call had begun, and that brought no session."""

    async def another_login_goes_on(_bearer: object) -> bool:
        return True

    await client.probe()
    monkeypatch.setattr(client.credentials, "refused", another_login_goes_on)
    host.refuses = "create_storage_key"
    assert isinstance(await error_of(client.create_storage_key(new_key(emulator))), AuthFailed)
    assert host.count("create_storage_key") == 1


async def test_the_user_that_a_person_gives_in_place_of_one_whose_sessions_end_at_once_logs_in(
    client: AmoveClient, host: AuthHost, fake_clock: FakeClock, tmp_path: Path
) -> None:
    """And until then no probe is sent more often because of that."""
    host.takes = lambda _token: False
    await keeps_trying(client, fake_clock, 60)
    next_one = f"jwt-{host.sessions + 1}"
    host.takes = lambda token: token == next_one
    swap_in(tmp_path / "username", "another@example.com")
    before = len(host.service.requests)
    await fake_clock.pass_by(3)
    await fake_clock.run(client.probe())
    assert len(host.service.requests) - before <= 5


async def test_what_forbids_calls_forbids_logins(
    host: AuthHost, login_settings: Callable[..., Settings], fake_clock: FakeClock
) -> None:
    """A standby, which makes no calls, opens no session."""

    def forbid() -> None:
        raise PermissionError

    made = AmoveClient(
        login_settings(),
        transport=host.service.transport,
        tuning=tuning(fake_clock),
        before_send=forbid,
    )
    async with aclosing(made):
        with pytest.raises(PermissionError):
            await made.probe()
    assert host.service.requests == []


async def test_no_log_line_and_no_error_shows_password_or_token(
    client: AmoveClient, host: AuthHost, caplog: pytest.LogCaptureFixture, fake_clock: FakeClock
) -> None:
    caplog.set_level("DEBUG")
    echo = f"{PASSWORD} and once-only-token are wrong"
    await client.probe()
    host.takes = lambda _token: False
    host.login = Answers(problem("DEFAULT", echo))
    errors = [str(await fake_clock.run(error_of(client.probe()))) for _ in range(3)]
    for text in (caplog.text, *errors):
        assert PASSWORD not in text
        assert "once-only-token" not in text
        assert "jwt-1" not in text


def test_nothing_that_a_person_must_replace_expires(
    login_settings: Callable[..., Settings],
) -> None:
    assert AmoveClient(login_settings()).credentials.expires_at() is None


# --- the emulator


@pytest.fixture
async def logged_in(
    emulator: Emulator, login_settings: Callable[..., Settings], tmp_path: Path
) -> AsyncIterator[Callable[..., AmoveClient]]:
    """Makes clients of the emulator, as its user unless another is named; each has its files."""
    made: list[AmoveClient] = []

    def make(**changes: Any) -> AmoveClient:
        facts = emulator.facts()
        given = {"username": facts["username"], "password": facts["password"], **changes}
        urls = {"api_url": emulator.url, "auth_url": emulator.url}
        role = {"login_type": facts["loginType"], "folder": tmp_path / str(len(made))}
        client = AmoveClient(login_settings(**{**urls, **role, **given}), tuning=Tuning())
        made.append(client)
        return client

    yield make
    for client in made:
        await client.aclose()


async def test_calls_that_begin_at_once_wait_for_one_login(
    emulator: Emulator, logged_in: Callable[..., AmoveClient]
) -> None:
    emulator.control.fault("login", delay_before=0.2)
    client = logged_in()
    await asyncio.gather(*(client.probe() for _ in range(10)))
    assert (emulator.control.count("request_token"), emulator.control.count("login")) == (1, 1)
    emulator.control.end_sessions()
    await asyncio.gather(*(client.probe() for _ in range(10)))
    assert emulator.control.count("login") == 2


async def test_the_whole_job_by_user_name_and_password(
    emulator: Emulator, logged_in: Callable[..., AmoveClient]
) -> None:
    client = logged_in()
    emulator.control.add_bucket("logs")
    issued = await client.create_storage_key(new_key(emulator))
    emulator.control.end_sessions()
    assert [key.id for key in await client.get_storage_keys()] == [issued.id]
    assert emulator.control.count("login") == 2


async def test_the_emulators_second_factor_and_its_maximum_are_told_apart(
    emulator: Emulator, logged_in: Callable[..., AmoveClient]
) -> None:
    emulator.control.add_user(email="careful@example.com", password="secret-p", totp=True)
    emulator.control.add_user(email="few@example.com", password="secret-p", max_sessions=1)
    careful = await error_of(logged_in(username="careful@example.com", password="secret-p").probe())
    assert "TOTP" in str(careful)
    few = {"username": "few@example.com", "password": "secret-p"}
    await logged_in(**few).probe()
    assert "SESSION_MAXOUT" in str(await error_of(logged_in(**few).probe()))
