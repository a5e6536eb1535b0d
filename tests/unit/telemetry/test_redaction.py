"""Redaction: what is, or looks like, a credential goes; the rest of a text stays."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, ValidationError

from amove_operator.telemetry import redact, register_secret
from amove_operator.telemetry.redaction import SecretValues

KEY = "q7Zr+Xw2/9sLmT4vB8nYcE1kJ6hGdF3p"
"""A secret key as the storage makes them, and nowhere registered."""


class Answer(BaseModel):
    model_config = ConfigDict(extra="forbid")
    id: int


def refused() -> str:
    try:
        Answer.model_validate({"id": {"secretKey": KEY}, "more": KEY})
    except ValidationError as error:
        return str(error)
    raise AssertionError("it must be refused")


JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P"

SHAPES: list[tuple[str, str]] = [
    ("a bearer header", f"Authorization: Bearer {KEY}"),
    ("a bearer header in lower case", f"authorization: bearer {KEY}"),
    ("headers as repr", repr({"Authorization": f"Bearer {KEY}", "accept": "*/*"})),
    ("a bearer alone", f"sent Bearer {KEY}, answered 401"),
    ("an authorization of another kind", repr([("authorization", "x"), {"Authorization": KEY}])),
    ("JSON", json.dumps({"id": "1", "secretKey": KEY})),
    ("JSON without blanks", json.dumps({"secretKey": KEY, "id": 1}, separators=(",", ":"))),
    ("JSON in JSON", json.dumps({"body": json.dumps({"secretKey": KEY})})),
    ("JSON cut off in the value", json.dumps({"secretKey": KEY})[:-6]),
    ("JSON cut off within an escape", '{"secretKey": "' + KEY + "\\"),
    ("a value with escaped quotes", json.dumps({"secretKey": f'ab"{KEY}"cd'})),
    ("a value with blanks", json.dumps({"password": f"horse {KEY} staple"})),
    ("a Python dict", repr({"secretKey": KEY, "n": 1})),
    ("Python bytes", repr({"secretKey": KEY.encode()})),
    ("a keyword", f"StorageKey(id='1', secret_key='{KEY}')"),
    ("environment", f"AWS_SECRET_ACCESS_KEY={KEY} AWS_REGION=us-east-1"),
    (
        "a Secret's data",
        json.dumps({"AWS_SECRET_ACCESS_KEY": base64.b64encode(KEY.encode()).decode()}),
    ),
    ("a credentials file", f"[default]\naws_secret_access_key = {KEY}\n"),
    ("YAML", f"secretKey: {KEY}\nid: 1"),
    ("the login's answer", json.dumps({"challenge": 0, "jwtToken": KEY})),
    ("a request token", json.dumps({"requestToken": KEY, "username": "u", "password": KEY})),
    ("a pydantic error", refused()),
]


@pytest.mark.parametrize("text", [row[1] for row in SHAPES], ids=[row[0] for row in SHAPES])
def test_what_looks_like_a_credential_is_blotted_out(text: str) -> None:
    shown = redact(text)
    assert "***" in shown
    for part in (KEY, KEY[:12], KEY[12:24], base64.b64encode(KEY.encode()).decode()[:12]):
        assert part not in shown
    assert redact(shown) == shown


def test_a_jwt_is_blotted_out_wherever_it_stands() -> None:
    assert redact(f"exp of {JWT} is past") == "exp of *** is past"


@pytest.mark.parametrize(
    "text",
    [
        "AMOVE_TOKEN_FILE: /var/run/token cannot be read",
        "AMOVE_PASSWORD_FILE=/etc/amove/password",
        '499 {"type": "TOKEN", "errors": {"TOKEN": ["expired"]}}',
        "secretKeyRef: {name: creds}",
        "the password file is empty",
        "access key AKIAEXAMPLE of bucket photos",
    ],
)
def test_what_only_speaks_of_credentials_stays_readable(text: str) -> None:
    assert redact(text) == text


def test_the_rest_of_a_line_with_a_credential_stays() -> None:
    text = json.dumps({"id": "k-1", "secretKey": KEY, "region": "us-east-1"})
    assert redact(text) == json.dumps({"id": "k-1", "secretKey": "***", "region": "us-east-1"})
    assert redact(f"Authorization: Bearer {KEY}") == "Authorization: Bearer ***"
    assert redact(f"a=1&password={KEY}&b=2") == "a=1&password=***&b=2"


def test_a_line_of_backslashes_is_handled_in_the_same_time_as_any_other() -> None:
    # With a pattern that backtracks this would not end within the test's own time limit.
    redact('secretKey="' + "\\" * 200_000 + '" ' + "secretKey='" * 20_000)


ODD = "p\"s'w\\d/=+ü\tx"


@pytest.mark.parametrize(
    "spelled",
    [
        ODD,
        json.dumps(ODD),
        repr(ODD),
        quote(ODD, safe=""),
        *(base64.b64encode(b"pad"[:n] + ODD.encode() + b"tail").decode() for n in range(3)),
    ],
)
def test_a_registered_value_is_blotted_out_in_every_spelling(spelled: str) -> None:
    register_secret(ODD, lasting=True)
    shown = redact(f"<{spelled}>")
    assert "***" in shown
    assert "s'w" not in shown
    whole = base64.b64encode(ODD.encode()).decode()
    assert not any(whole[at : at + 8] in shown for at in range(len(whole) - 8))


@given(
    value=st.binary(min_size=6, max_size=50),
    before=st.binary(max_size=7),
    after=st.binary(max_size=7),
)
def test_base64_of_a_registered_value_shows_at_most_its_edges(
    value: bytes, before: bytes, after: bytes
) -> None:
    secret = value.hex()
    values = SecretValues(limit=1)
    values.add(secret)
    shown = values.mask(base64.b64encode(before + secret.encode() + after).decode())
    assert "***" in shown
    # What stays: the neighbours' own characters, padding, one character shared at either side.
    neighbours = -(-len(before) * 4 // 3) + -(-len(after) * 4 // 3) + 2
    assert len(shown) <= neighbours + 2 + len("***")


def test_of_registered_values_the_longest_goes_first() -> None:
    values = SecretValues(limit=5)
    values.add("abcdef")
    values.add("abcdefghijkl")
    assert values.mask("<abcdefghijkl> <abcdef>") == "<***> <***>"


def test_only_the_most_recent_values_are_remembered() -> None:
    values = SecretValues(limit=2)
    for value in ("first-value", "second-value", "first-value", "third-value"):
        values.add(value)
    assert values.mask("first-value second-value third-value") == "*** second-value ***"


def test_a_value_that_begins_as_a_forgotten_one_did_is_still_blotted_out() -> None:
    values = SecretValues(limit=2)
    for value in ("common-first", "common-second", "other-third"):
        values.add(value)
    text = "common-first common-second other-third"
    assert values.mask(text) == "common-first *** ***"
    values.add("other-fourth")
    assert values.mask(text) == "common-first common-second ***"


def test_issued_keys_do_not_push_out_the_operators_own_token() -> None:
    register_secret("the-operators-own-token", lasting=True)
    for number in range(1000):
        register_secret(f"issued-key-number-{number}")
    assert redact("the-operators-own-token issued-key-number-999") == "*** ***"


@pytest.mark.parametrize("value", ["", "   ", "abc"])
def test_a_value_too_short_to_be_secret_does_not_blot_out_the_log(value: str) -> None:
    register_secret(value)
    assert redact("abc   def abc") == "abc   def abc"


def test_surrounding_white_space_of_a_token_file_does_not_matter() -> None:
    register_secret("  token-from-a-file\n", lasting=True)
    assert redact("token-from-a-file") == "***"
