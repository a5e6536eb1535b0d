"""Making the words of a server fit to be shown: short, one line, and without credentials."""

from __future__ import annotations

import re

LONGEST_TEXT = 300
_HIDDEN = "[hidden]"
# Cut first: the patterns below need not run over megabytes of a proxy's page.
_LONGEST_INPUT = 20_000
_CONTROL = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]+")
_BEARER = re.compile(r"(?i)\bbearer\s+[^\s\"',;<>]+")
_JWT = re.compile(r"\beyJ[\w-]{5,}\.[\w-]+\.?[\w-]*")
_SECRET_MEMBER = re.compile(r"(?i)(secret\W{0,3}(?:access)?\W{0,3}key\W{1,6})[^\s\"',;<>}]+")
_CREDENTIAL_LIKE = re.compile(r"[A-Za-z0-9+/=_]{20,}")


def presentable(text: str, *, bearer: str | None = None, may_hold_secret: bool = False) -> str:
    """``text`` on one line of at most 300 characters, credentials replaced by ``[hidden]``.

    ``bearer`` is the token that was sent, for a server may echo it. With ``may_hold_secret`` (an
    answer to ``create_storage_key``) every long run of letters and digits goes as well, because
    the secret in it is not known to us.
    """
    shown = text[:_LONGEST_INPUT]
    if bearer:
        shown = shown.replace(bearer, _HIDDEN)
    shown = _CONTROL.sub(" ", shown)
    shown = _BEARER.sub(f"Bearer {_HIDDEN}", shown)
    shown = _JWT.sub(_HIDDEN, shown)
    shown = _SECRET_MEMBER.sub(rf"\1{_HIDDEN}", shown)
    if may_hold_secret:
        shown = _CREDENTIAL_LIKE.sub(_HIDDEN, shown)
    shown = shown.strip()
    return shown if len(shown) <= LONGEST_TEXT else shown[: LONGEST_TEXT - 1] + "…"
