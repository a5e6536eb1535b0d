"""Keeps credentials out of logs, conditions and Events, behind pydantic's SecretStr.

:func:`redact` masks the values that were registered as secret, in the spellings they travel in, and
the shapes that only a credential has (a bearer header, a JWT, a field called ``secretKey``).
:func:`one_line` prepares what a server or a proxy wrote, and :func:`mask_values` what may echo a
Secret that was just sent to Kubernetes.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby
from urllib.parse import quote

MASK = "***"
LONGEST_LINE = 300

# Cut first: the patterns below need not run over megabytes of a proxy's page.
_LONGEST_INPUT = 20_000
# An echo of a Secret's value is recognised by so many characters in a row.
_ECHO = 12
_SHORTEST = 6  # anything shorter would blot out ordinary words
_LASTING = 16
_PASSING = 128

_FIELD_NAMES = (
    r"secret_?(?:access_?)?key|aws_secret_access_key|aws_session_token|pass(?:word|phrase)"
    r"|(?:api|jwt|request|session|access|refresh|bearer)_?token|authorization"
)
_FIELD_NAME = re.compile(rf"(?:{_FIELD_NAMES})", re.IGNORECASE)
# Not "secret": every other message of ours speaks of a Secret.
_FIELD_HINTS = (
    "secret_", "secretk", "secreta", "password", "passphrase", "token", "authorization",
)  # fmt: skip
# Hints (a pattern cannot match without one of them, in lower case), pattern, replacement. The
# hints spare almost every line the patterns, which cost half a microsecond a character.
_PATTERNS: tuple[tuple[tuple[str, ...], re.Pattern[str], str], ...] = (
    (  # a quoted value, in JSON, in repr() or in JSON inside JSON; cut-off text may lack the end
        _FIELD_HINTS,
        re.compile(
            rf"((?:{_FIELD_NAMES})\\*[\"']?\s*[:=]\s*[bu]?)(\\*[\"'])"
            r"(?:\\.|[^\\])*?(\2|\\?\Z)",
            re.IGNORECASE | re.DOTALL,
        ),
        rf"\1\2{MASK}\3",
    ),
    (("bearer",), re.compile(r"(?i)\b(bearer\s+)[^\s\"'\\,;<>]+"), rf"\1{MASK}"),
    (
        _FIELD_HINTS,
        re.compile(rf"(?i)((?:{_FIELD_NAMES})\s*[:=]\s*)(?!bearer\b)[^\s\"'\\,;&<>{{}}\[\]]+"),
        rf"\1{MASK}",
    ),
    (("eyj",), re.compile(r"\beyJ[\w-]{5,}\.[\w-]+\.?[\w-]*"), MASK),
    (  # pydantic shows the input it refused, which can be the answer that holds a fresh key
        ("input_value=",),
        re.compile(r"(input_value=).*?(, input_type=)", re.DOTALL),
        rf"\1{MASK}\2",
    ),
)
_CONTROL = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]+")
# Looser than the fields above: "secret key abc" in a server's sentence, but not in our own.
_SECRET_KEY = re.compile(r"(?i)(secret\W{0,3}(?:access)?\W{0,3}key\W{1,6})[^\s\"',;<>}]+")
_CREDENTIAL_LIKE = re.compile(r"[A-Za-z0-9+/=_]{20,}")


class SecretValues:
    """The most recent secret values, each with the spellings that texts may show it in.

    ``limit`` bounds memory and the cost of a log line: the value registered longest ago goes.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._spellings: dict[str, tuple[str, ...]] = {}
        self._starts: Counter[str] = Counter()

    def add(self, value: str) -> None:
        """Remember ``value``, or mark it as recent if it is known."""
        if (known := self._spellings.pop(value, None)) is not None:
            self._spellings[value] = known
            return
        self._spellings[value] = tuple(_spellings(value))
        self._starts.update(spelling[:_SHORTEST] for spelling in self._spellings[value])
        if len(self._spellings) > self._limit:
            for spelling in self._spellings.pop(next(iter(self._spellings))):
                self._starts[spelling[:_SHORTEST]] -= 1
                if not self._starts[spelling[:_SHORTEST]]:
                    del self._starts[spelling[:_SHORTEST]]

    def mask(self, text: str) -> str:
        """``text`` with every remembered value replaced."""
        # Looking for hundreds of values in every line would cost more than all else it does.
        starts = self._starts.keys()
        if starts.isdisjoint(text[at : at + _SHORTEST] for at in range(len(text) - _SHORTEST + 1)):
            return text
        spellings = {one for group in self._spellings.values() for one in group}
        # A value may contain another: the longer one must go first, or its rest would stay.
        for spelling in sorted(spellings, key=len, reverse=True):
            if spelling in text:
                text = text.replace(spelling, MASK)
        return text


# The operator's own few credentials must not be pushed out by the many keys it issues.
_lasting = SecretValues(_LASTING)
_passing = SecretValues(_PASSING)


def register_secret(value: str, *, lasting: bool = False) -> None:
    """Mask ``value`` in every text that is redacted from now on.

    ``lasting``: one of the operator's own credentials (its API token). The most recent 16 of these
    are kept, for a file that was replaced leaves the old token in texts for a while; of all others
    (issued keys) the most recent 128. A value of fewer than 6 characters is ignored: "abc" would
    blot out ordinary words.
    """
    value = value.strip()
    if len(value) >= _SHORTEST:
        (_lasting if lasting else _passing).add(value)


def redact(text: str) -> str:
    """``text`` with everything that is, or looks like, a credential replaced by ``***``."""
    if len(text) < _SHORTEST:
        return text  # neither a registered value nor a pattern has room in it
    text = _passing.mask(_lasting.mask(text))
    lowered = text.lower()
    for hints, pattern, replacement in _PATTERNS:
        if any(hint in lowered for hint in hints):
            text = pattern.sub(replacement, text)
    return text


def one_line(text: str, *, may_hold_secret: bool = False) -> str:
    """What a server wrote: redacted, on one line of at most 300 characters.

    ``may_hold_secret``: the text comes from ``create_storage_key``, whose secret is not registered
    yet. So every run of 20 letters and digits goes: "row (7, wJalrXUtnFEMIK7MDENG) is there".
    """
    shown = redact(_CONTROL.sub(" ", text[:_LONGEST_INPUT]))
    shown = _SECRET_KEY.sub(rf"\1{MASK}", shown)
    if may_hold_secret:
        shown = _CREDENTIAL_LIKE.sub(MASK, shown)
    # An unassigned character is no control character, and yet nothing that a terminal should get.
    shown = "".join(char if char.isprintable() else "\ufffd" for char in shown.strip())
    return shown if len(shown) <= LONGEST_LINE else shown[: LONGEST_LINE - 1] + "…"


def mask_values(text: str, values: Sequence[str]) -> str:
    """``text`` with every stretch that also stands in one of ``values`` replaced by ``***``.

    A whole value counts from 4 characters on, and any 12 characters in a row of a longer one: a
    webhook that refuses a Secret may quote the middle of it.
    """
    hidden = bytearray(len(text))
    for value in values:
        if (width := min(len(value), _ECHO)) < 4:
            continue
        parts = {value[at : at + width] for at in range(len(value) - width + 1)}
        for at in range(len(text) - width + 1):
            if text[at : at + width] in parts:
                hidden[at : at + width] = b"\1" * width
    runs = groupby(zip(hidden, text, strict=True), key=lambda pair: pair[0])
    return "".join(MASK if hide else "".join(char for _, char in run) for hide, run in runs)


def is_secret_name(name: str) -> bool:
    """Whether a field of this name holds a credential."""
    return _FIELD_NAME.fullmatch(name) is not None


def _spellings(value: str) -> Iterator[str]:
    yield value
    yield json.dumps(value)[1:-1]
    yield repr(value)[1:-1]
    yield quote(value, safe="")
    yield from _base64_spellings(value.encode())


def _base64_spellings(raw: bytes) -> Iterator[str]:
    """What base64 makes of ``raw`` wherever it stands within a longer text (Secrets' ``data``).

    Depending on its offset modulo 3 there are three spellings; the characters at the ends that
    neighbouring bytes have a share in are left out.
    """
    for offset in range(3):
        encoded = b64encode(b"\0" * offset + raw).decode()
        first = (0, 2, 3)[offset]
        last = (offset + len(raw)) * 8 // 6
        if last - first >= _SHORTEST:
            yield encoded[first:last]
