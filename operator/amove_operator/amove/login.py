"""One shared session, made by user name and password (docs/amove-api.md, "Tokens").

There is a maximum of sessions, and whoever tries a wrong password too often locks the user out. So
all calls share one session, a new one is made only when the service refuses the old one, and a
login that was refused is tried again at once only if the files change.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import Any, Protocol

from pydantic import SecretStr

from amove_operator.amove import calls, models
from amove_operator.amove.answers import Call, T
from amove_operator.amove.limits import TokenBucket
from amove_operator.amove.login_files import LoginFiles, UserPassword
from amove_operator.clock import SYSTEM_CLOCK, Clock, backoff
from amove_operator.errors import (
    ApiError,
    AuthFailed,
    Rejected,
    Unavailable,
    UnreadableAnswer,
)
from amove_operator.telemetry import register_secret

_log = logging.getLogger(__name__)

REFUSED_SECONDS = (900.0, 3600.0)
"""After a refusal of the password: the first wait and the longest. It may be the service's slip,
and so is not for ever; four tries an hour lock nobody out."""
FULL_SECONDS = (60.0, 900.0)
"""The same after SESSION_MAXOUT: a session of somebody has to end."""
DOWN_SECONDS = (1.0, 10.0)
"""The same where the auth host gave no answer; meanwhile the breaker is open, and only probes."""
SESSIONS_AT_ONCE = 3
SECONDS_A_SESSION = 300.0
"""In the long run: a service that refuses each new session gets no more of them."""
_FULL = "session_maxout"
_VISIBLE = re.compile(r"[\x21-\x7e]+")


class Exchange(Protocol):
    """Makes a call without a bearer, once; raises ApiError."""

    def __call__(self, call: Call[T], payload: calls.Payload) -> Awaitable[T]: ...


@dataclass(slots=True)
class _Failure:
    """The last login that failed, and when the next may be tried."""

    error: ApiError
    pair: UserPassword
    again_at: float
    in_a_row: int


@dataclass
class LoginSession:
    """A source of bearers, as ``TokenFile`` is one.

    ``role``: the user's, as a number.
    """

    files: LoginFiles
    role: int
    exchange: Exchange
    clock: Clock = SYSTEM_CLOCK
    _token: SecretStr | None = None
    _of: UserPassword | None = None
    _over: bool = False
    _failure: _Failure | None = None
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def __post_init__(self) -> None:
        rate = 1 / SECONDS_A_SESSION
        self._sessions = TokenBucket(rate, SESSIONS_AT_ONCE, self.clock.monotonic)

    def check(self) -> None:
        """Read the files. Raises SettingsError where they give no user name and password."""
        self.files.check()

    async def bearer(self) -> SecretStr:
        """The session's token; logs in where there is none, or the files name another user.

        Raises AuthFailed or Unavailable, never what could be taken for the answer to another call.
        """
        pair = self.files.current()
        if self._token is not None and self._serves(pair):
            return self._token
        async with self._lock:
            if not self._serves(pair):
                try:
                    await self._renew(pair)
                finally:
                    self._over = False
            assert self._token is not None  # noqa: S101 - else it was raised
            return self._token

    async def refused(self, bearer: SecretStr) -> bool:
        """The service refused ``bearer``: whether there is, or may be, another session now.

        The refused one is kept until there is: it may have been refused for that call alone. Raises
        what the last login failed for where none may be tried now.
        """
        pair = self.files.current()
        if self._token != bearer or self._lock.locked():
            return True
        if self._may_log_in(pair):
            _log.info("the service refused the session: logging in again")
            self._over = True
        elif self._failure is not None and self._failure.pair == pair:
            raise _again(self._failure.error)
        return self._over

    def replaced_since(self, bearer: SecretStr | None) -> bool:
        """Whether the files have changed since the last login, or another session was made."""
        if self._token is not None and self._token != bearer:
            return True
        pair, tried = self.files.usable(), self._tried
        return tried is not None and pair != tried

    def expires_at(self) -> None:
        """Nothing that a person must replace expires: an ended session is made anew."""

    def _may_log_in(self, pair: UserPassword) -> bool:
        failed, now = self._failure, self.clock.monotonic()
        if failed is not None and failed.pair == pair and now < failed.again_at:
            return False
        return self._sessions.wait() <= 0 or self._tried not in (None, pair)

    @property
    def _tried(self) -> UserPassword | None:
        """Who logged in last, or failed to."""
        return self._failure.pair if self._failure is not None else self._of

    def _serves(self, pair: UserPassword) -> bool:
        return self._token is not None and not self._over and pair == self._of

    async def _renew(self, pair: UserPassword) -> None:
        """Log in, unless that was tried a moment ago; an old session goes on where it fails.

        Whoever had that refused learns why there is no other.
        """
        if not self._may_log_in(pair):
            if self._token is not None:
                return
            if self._failure is not None and self._failure.pair == pair:
                raise _again(self._failure.error)
            raise AuthFailed(
                "login: the service refuses each new session a moment after it was made; the next "
                "one waits a few minutes"
            )
        try:
            self._token = await self._log_in(pair)
        except ApiError as error:
            self._note(error, pair)
            if self._token is None or self._over:
                raise
            _log.warning("%s; going on with the session of before", error)
        else:
            self._of, self._failure = pair, None

    def _note(self, error: ApiError, pair: UserPassword) -> None:
        before = self._failure
        same = before is not None and before.pair == pair and type(before.error) is type(error)
        in_a_row = before.in_a_row + 1 if same and before is not None else 0
        if isinstance(error, AuthFailed):
            first, longest = FULL_SECONDS if error.code == _FULL else REFUSED_SECONDS
        else:
            first, longest = DOWN_SECONDS
        wait = backoff(first, longest, in_a_row)
        if isinstance(error, Unavailable) and error.retry_after is not None:
            wait = max(wait, error.retry_after)
        self._failure = _Failure(error, pair, self.clock.monotonic() + wait, in_a_row)

    async def _log_in(self, pair: UserPassword) -> SecretStr:
        """The handshake: a token of one minute and one use, then the session's."""
        register_secret(pair.password.get_secret_value(), lasting=True)
        try:
            once = await self.exchange(calls.REQUEST_TOKEN, calls.Payload())
            register_secret(once)
            self._sessions.take()  # also where the answer is lost: there may be a session then
            answer = await self.exchange(calls.LOGIN, calls.json_body(self._body(once, pair)))
        except (Rejected, AuthFailed, UnreadableAnswer) as error:
            raise self._refusal(error) from None
        token = self._token_of(answer)
        register_secret(token.get_secret_value(), lasting=True)
        _log.info("logged in: one session, which all calls share")
        return token

    def _body(self, once: str, pair: UserPassword) -> dict[str, Any]:
        password = pair.password.get_secret_value()
        return {
            "requestToken": once,
            "username": pair.username,
            "password": password,
            "type": self.role,
        }

    def _token_of(self, answer: models.LoginAnswer) -> SecretStr:
        if answer.challenge == 0 and answer.jwt_token is not None:
            if not _VISIBLE.fullmatch(answer.jwt_token.get_secret_value()):
                raise AuthFailed("login: the session's token holds characters that none has")
            return answer.jwt_token
        if answer.challenge == 1:
            raise AuthFailed(
                "login: this user needs a second factor (TOTP), which an unattended operator "
                "cannot give: use an API token (AMOVE_TOKEN_FILE), or a user without one",
                code="totp",
            )
        raise AuthFailed(f"login: the answer has no session (challenge {answer.challenge})")

    def _refusal(self, error: ApiError) -> AuthFailed:
        """What the login was refused for, and what to do about it.

        Always an AuthFailed: a NotFound ("no such user") would say that a bucket is absent.
        """
        if isinstance(error, AuthFailed) and error.code == _FULL:
            remedy = (
                "this user has as many sessions as the service allows; the operator uses one: end "
                "another, or give the operator a user of its own"
            )
            return AuthFailed(f"{error}: {remedy}", code=_FULL)
        remedy = (
            f"see that {self.files.names} are right, and AMOVE_LOGIN_TYPE ({self.role}) is the "
            "user's role; so that nobody is locked out, it is tried again only when they change, "
            "or after a long wait"
        )
        return AuthFailed(f"{error} ({remedy})")


def _again(error: ApiError) -> ApiError:
    """The same error anew: what one caller adds to it must not be another's."""
    if isinstance(error, AuthFailed):
        return AuthFailed(str(error), code=error.code)
    if isinstance(error, Unavailable):
        return type(error)(str(error), maybe_done=False, status=error.status)
    return AuthFailed(str(error))
