"""Who calls: API tokens, the login handshake, sessions."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import math
import secrets
import time
import uuid
from dataclasses import dataclass
from typing import Any

from amove_emulator.answers import AuthenticationError, RefusalError
from amove_emulator.inputs import Login
from amove_emulator.settings import Behaviour, User, World


@dataclass(frozen=True, slots=True)
class Session:
    id: str
    user_id: str
    expires: float  # seconds since the epoch


def _part(content: dict[str, Any]) -> str:
    packed = json.dumps(content, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(packed).rstrip(b"=").decode()


class Identities:
    """Users and their credentials. All sessions and tokens live in memory."""

    def __init__(self, world: World, behaviour: Behaviour) -> None:
        self._behaviour = behaviour
        self.users = {user.id: user for user in world.users}
        self.tokens = dict(world.tokens)
        self.issued = [*world.tokens, *(user.password for user in world.users)]
        self._request_tokens: dict[str, float] = {}
        self._sessions: dict[str, Session] = {}
        self._signing_key = secrets.token_bytes(32)

    def authenticate(self, authorization: str | None) -> User:
        """The user of an ``Authorization: Bearer …`` header. Raises AuthenticationError."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme != "Bearer":
            raise AuthenticationError
        session = self._sessions.get(token)
        if session is not None and session.expires <= time.time():
            raise AuthenticationError
        user_id = session.user_id if session else self.tokens.get(token)
        if user_id is None or user_id not in self.users:
            raise AuthenticationError
        return self.users[user_id]

    def add_token(self, token: str, user_id: str) -> None:
        self.tokens[token] = user_id
        self.issued.append(token)

    def request_token(self) -> str:
        token = secrets.token_urlsafe(24)
        self._request_tokens[token] = time.monotonic() + self._behaviour.request_token_ttl
        return token

    def login(self, login: Login) -> dict[str, Any]:
        """``{challenge, jwtToken, session}``. Raises RefusalError or AuthenticationError."""
        if self._request_tokens.pop(login.requestToken, 0.0) <= time.monotonic():
            raise RefusalError("TOKEN", "The request token is unknown, used or expired.")
        user = next((u for u in self.users.values() if u.email == login.username), None)
        if user is None or user.password != login.password or user.role != login.type:
            raise AuthenticationError
        if user.totp:
            return {"challenge": 1, "jwtToken": None, "session": None}
        if user.max_sessions is not None and self._open_sessions(user) >= user.max_sessions:
            raise RefusalError("SESSION_MAXOUT", "The maximum number of sessions is reached.")
        return self._open_session(user)

    def add_user(self, user: User) -> None:
        self.users[user.id] = user
        self.issued.append(user.password)

    def end_sessions(self) -> None:
        """Every JWT given out so far stops working."""
        self._sessions.clear()

    def _open_sessions(self, user: User) -> int:
        now = time.time()
        return sum(s.user_id == user.id and s.expires > now for s in self._sessions.values())

    def _open_session(self, user: User) -> dict[str, Any]:
        expires = time.time() + self._behaviour.session_ttl
        session = Session(str(uuid.uuid4()), user.id, expires)
        token = self._jwt(session, user)
        self._sessions[token] = session
        self.issued.append(token)
        shown = {"id": session.id, "userId": user.id, "accountId": user.tenant}
        return {"challenge": 0, "jwtToken": token, "session": shown}

    def _jwt(self, session: Session, user: User) -> str:
        # Signed by hand: a client may read exp, and nobody but this class checks the token.
        claims = {"sub": user.id, "email": user.email, "jti": session.id}
        claims_with_end = {**claims, "exp": math.ceil(session.expires)}
        text = f"{_part({'alg': 'HS256', 'typ': 'JWT'})}.{_part(claims_with_end)}"
        signature = hmac.new(self._signing_key, text.encode(), hashlib.sha256).digest()
        return f"{text}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"
