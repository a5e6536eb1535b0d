"""What each HTTP answer is taken for: the tables of docs/amove-api.md, "Errors"."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amove_operator.amove import calls
from amove_operator.amove.answers import (
    Answer,
    Call,
    fault_of,
    problem_of,
    read_success,
    retry_after,
)
from amove_operator.errors import (
    AlreadyExists,
    ApiError,
    AuthFailed,
    NotEmpty,
    NotFound,
    Rejected,
    ServerFault,
    Throttled,
    TransportFault,
    UnreadableAnswer,
)
from amove_operator.telemetry import one_line, register_secret
from tests.unit.amove.stand_ins import flags

STATUS, CREATE, DELETE = calls.BUCKET_STATUS, calls.CREATE_BUCKET, calls.DELETE_BUCKET
MINT, REVOKE = calls.CREATE_STORAGE_KEY, calls.DELETE_STORAGE_KEY
BEARER = "amv_secret-bearer"


def refused(code: str, message: str = "", header: str | None = None) -> Answer:
    body = {"type": code, "status": 499, "errors": {code: [message]}}
    return Answer(499, {"error-code": header} if header else {}, json.dumps(body).encode())


def html(status: int, text: str = "not found") -> Answer:
    return Answer(status, {"content-type": "text/html"}, f"<html>{text}</html>".encode())


TABLE: list[tuple[str, Call[Any], Answer, type[ApiError]]] = [
    ("a 401 is about our credentials", STATUS, Answer(401), AuthFailed),
    ("a 499 AUTH is about our credentials", STATUS, refused("AUTH"), AuthFailed),
    ("a 499 TOKEN is about our credentials", STATUS, refused("TOKEN"), AuthFailed),
    ("a 499 SESSION is about our credentials", STATUS, refused("SESSION"), AuthFailed),
    ("a 499 SESSION_MAXOUT is about them", STATUS, refused("SESSION_MAXOUT"), AuthFailed),
    ("a 499 INACTIVE_USER is about them", STATUS, refused("INACTIVE_USER"), AuthFailed),
    ("a code counts in any case", STATUS, refused("Session_MaxOut"), AuthFailed),
    ("AUTH with 'not found' is no absence", STATUS, refused("AUTH", "User not found"), AuthFailed),
    ("NOT_FOUND is an absence", STATUS, refused("NOT_FOUND"), NotFound),
    ("not_found is an absence", STATUS, refused("not_found"), NotFound),
    ("Global 'Object not found.'", STATUS, refused("Global", "Object not found."), NotFound),
    ("DEFAULT 'NOT FOUND'", STATUS, refused("DEFAULT", "Bucket NOT FOUND"), NotFound),
    ("Global with other words is none", STATUS, refused("Global", "No access."), Rejected),
    ("another code with 'not found'", STATUS, refused("ACCESS", "Role not found"), Rejected),
    ("the header alone names the code", STATUS, Answer(499, {"error-code": "NOT_FOUND"}), NotFound),
    ("the header wins over the body", STATUS, refused("NOT_FOUND", header="ACCESS"), Rejected),
    (
        "an HTML body under a header",
        STATUS,
        Answer(499, {"error-code": "DB_UPDATE"}, b"<p>"),
        Rejected,
    ),
    ("an unknown code is a refusal", STATUS, refused("BRAND_NEW"), Rejected),
    ("a bare 499 is a proxy's", STATUS, Answer(499), TransportFault),
    ("a 499 page is a proxy's", STATUS, html(499), TransportFault),
    (
        "a 499 about:blank is a proxy's",
        STATUS,
        Answer(499, {}, b'{"type":"about:blank"}'),
        TransportFault,
    ),
    ("DUPLICATE on create_bucket", CREATE, refused("DUPLICATE", "dup"), AlreadyExists),
    ("'already exists' on create", CREATE, refused("DEFAULT", "It Already Exists."), AlreadyExists),
    ("BucketAlreadyExists", CREATE, refused("DEFAULT", "BucketAlreadyExists"), AlreadyExists),
    ("BucketAlreadyOwnedByYou", CREATE, refused("X", "BucketAlreadyOwnedByYou"), AlreadyExists),
    ("DUPLICATE of a key is a refusal", MINT, refused("DUPLICATE", "key"), Rejected),
    ("'not empty' on delete_bucket", DELETE, refused("DEFAULT", "Bucket is not empty."), NotEmpty),
    ("BucketNotEmpty on delete_bucket", DELETE, refused("X", "BucketNotEmpty"), NotEmpty),
    ("BUCKET_NOT_EMPTY as a code", DELETE, refused("BUCKET_NOT_EMPTY"), NotEmpty),
    (
        "'cannot empty' is something else",
        DELETE,
        refused("DEFAULT", "You cannot empty it"),
        Rejected,
    ),
    ("'not empty' elsewhere is a refusal", CREATE, refused("X", "Name is not empty."), Rejected),
    ("another refusal of a delete", DELETE, refused("ACCESS", "no"), Rejected),
    ("a missing key is refused", REVOKE, refused("NOT_FOUND"), NotFound),
    ("429 slows down", STATUS, Answer(429), Throttled),
    ("503 slows down", STATUS, Answer(503), Throttled),
    ("500 is the server's fault", STATUS, Answer(500), ServerFault),
    ("502 is the server's fault", STATUS, html(502), ServerFault),
    ("504 is the server's fault", STATUS, html(504), ServerFault),
    ("a plain 404 is no absence", STATUS, Answer(404), TransportFault),
    ("a 404 page is no absence", STATUS, html(404), TransportFault),
    (
        "a 404 with a code is no absence",
        STATUS,
        Answer(404, {"error-code": "NOT_FOUND"}),
        TransportFault,
    ),
    ("400 is not the service's own", STATUS, Answer(400), TransportFault),
    ("403 is not the service's own", STATUS, Answer(403), TransportFault),
    ("a redirect is not followed", STATUS, Answer(302, {"location": "/login"}), TransportFault),
    ("202 is not done", STATUS, Answer(202), TransportFault),
    ("203 is a proxy's", STATUS, Answer(203), TransportFault),
]


@pytest.mark.parametrize(
    ("call", "answer", "kind"), [row[1:] for row in TABLE], ids=[r[0] for r in TABLE]
)
def test_an_answer_means(call: Call[Any], answer: Answer, kind: type[ApiError]) -> None:
    fault = fault_of(call, answer, now=0.0)
    assert type(fault) is kind
    assert isinstance(fault, Rejected) or str(fault).startswith(f"{call.name}: ")


@pytest.mark.parametrize("status", [200, 201, 204])
def test_a_success_is_no_fault(status: int) -> None:
    assert fault_of(REVOKE, Answer(status), now=0.0) is None


def test_only_not_found_is_an_absence_among_all_classes() -> None:
    absent = [row[0] for row in TABLE if issubclass(row[3], NotFound)]
    assert len(absent) == 6, absent


@pytest.mark.parametrize(
    ("call", "answer", "maybe_done"),
    [
        (STATUS, Answer(500), False),
        (STATUS, Answer(503), False),
        (STATUS, Answer(404), False),
        (CREATE, Answer(500), True),
        (CREATE, Answer(503), True),
        (CREATE, Answer(429), False),
        (CREATE, Answer(404), True),
        (CREATE, Answer(401), False),
        (CREATE, refused("DB_INSERT"), True),
        (CREATE, refused("DUPLICATE"), False),
        (MINT, refused("DEFAULT", "no"), True),
        (MINT, refused("AUTH"), False),
        (REVOKE, refused("NOT_FOUND"), False),
        (DELETE, refused("DEFAULT", "not empty"), False),
    ],
)
def test_maybe_done_is_said_of_writes_that_may_have_had_their_effect(
    call: Call[Any], answer: Answer, maybe_done: bool
) -> None:
    fault = fault_of(call, answer, now=0.0)
    assert fault is not None
    assert fault.maybe_done is maybe_done


def test_the_code_comes_from_header_then_type_then_first_error() -> None:
    body = b'{"type": "TYPE", "errors": {"FIRST": ["one", "two"], "SECOND": "three"}}'
    assert problem_of(Answer(499, {"error-code": "HEADER"}, body)).code == "HEADER"
    assert problem_of(Answer(499, {}, body)).code == "TYPE"
    no_type = b'{"errors": {"FIRST": ["one", "two"], "SECOND": "three"}}'
    assert problem_of(Answer(499, {}, no_type)).code == "FIRST"
    assert problem_of(Answer(499, {}, no_type)).message == "one two three"


def test_a_link_in_type_is_not_a_code() -> None:
    body = b'{"type": "https://tools.ietf.org/html/rfc7231", "errors": {"ACCESS": ["no"]}}'
    assert problem_of(Answer(499, {}, body)).code == "ACCESS"


def test_code_and_message_are_kept_in_the_error() -> None:
    fault = fault_of(STATUS, refused("COST", "Your plan has no public buckets."), now=0.0)
    assert isinstance(fault, Rejected)
    assert (fault.code, fault.detail) == ("COST", "Your plan has no public buckets.")
    assert str(fault) == "COST: Your plan has no public buckets."


NASTY = st.one_of(
    st.binary(max_size=200),
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=20) | st.integers(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["type", "errors", "title", "detail", "data", "total"])
                | st.text(max_size=5),
                inner,
                max_size=4,
            )
        ),
        max_leaves=8,
    ).map(lambda value: json.dumps(value).encode()),
)
HEADERS = st.dictionaries(
    st.sampled_from(["error-code", "retry-after", "date", "content-type"]), st.text(max_size=40)
)
EVERY_CALL = [value for value in vars(calls).values() if isinstance(value, Call)]


@given(
    call=st.sampled_from(EVERY_CALL),
    status=st.integers(100, 599) | st.sampled_from([200, 401, 429, 499, 503]),
    headers=HEADERS,
    body=NASTY,
)
def test_whatever_comes_nothing_but_an_api_error_comes_of_it(
    call: Call[Any], status: int, headers: dict[str, str], body: bytes
) -> None:
    answer = Answer(status, headers, body)
    register_secret(BEARER, lasting=True)
    fault = fault_of(call, answer, now=1e9)
    if fault is None:
        try:
            read_success(call, answer)
        except ApiError as error:
            fault = error
    assert fault is None or len(str(fault)) < 600
    assert fault is None or str(fault).isprintable()


@given(body=NASTY)
def test_only_a_coded_499_ever_makes_an_absence(body: bytes) -> None:
    for status in (400, 401, 403, 404, 410, 500, 502, 503):
        answer = Answer(status, {"error-code": "NOT_FOUND"}, body)
        assert not isinstance(fault_of(STATUS, answer, now=0.0), NotFound)


def test_deep_nesting_is_survived() -> None:
    deep = Answer(499, {}, b'{"errors":' + b"[" * 100_000)
    assert isinstance(fault_of(STATUS, deep, now=0.0), TransportFault)
    with pytest.raises(UnreadableAnswer):
        read_success(STATUS, Answer(200, {}, b"[" * 100_000))


# --- successes that say nothing


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "no body at all"),
        (b"null", "null"),
        (b'{"isPublic": false', "half a body"),
        (
            b'{"isPublic":false,"encryptionEnabled":false,"versioningEnabled":false}',
            "one is missing",
        ),
        (
            b'{"isPublic":false,"encryptionEnabled":false,"versioningEnabled":false,"objectLockEnabled":null}',
            "one is null",
        ),
        (
            b'{"isPublic":"false","encryptionEnabled":0,"versioningEnabled":0,"objectLockEnabled":0}',
            "no booleans",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_bucket_status_without_all_four_booleans_is_unreadable_never_false(
    body: bytes, why: str
) -> None:
    with pytest.raises(UnreadableAnswer) as raised:
        read_success(STATUS, Answer(200, {}, body))
    assert not raised.value.maybe_done, why


@pytest.mark.parametrize(
    "flag", ["isPublic", "encryptionEnabled", "versioningEnabled", "objectLockEnabled"]
)
@pytest.mark.parametrize("odd", [None, "true", 1])
def test_each_of_the_four_booleans_is_demanded(flag: str, odd: object) -> None:
    whole = flags().json()
    without = {name: value for name, value in whole.items() if name != flag}
    for body in (without, {**whole, flag: odd}):
        with pytest.raises(UnreadableAnswer, match=flag):
            read_success(STATUS, Answer(200, {}, json.dumps(body).encode()))


def test_a_page_in_answer_to_a_revocation_is_not_a_success() -> None:
    with pytest.raises(TransportFault) as raised:
        read_success(REVOKE, html(200, "Sign in to the hotel's network"))
    assert raised.value.maybe_done


WRITES = (REVOKE, CREATE, DELETE, calls.UPDATE_BUCKET)
TOLD: list[tuple[dict[str, Any], type[ApiError]]] = [
    ({"type": "DB_DELETE", "status": 499, "errors": {"DB_DELETE": ["no"]}}, Rejected),
    ({"type": "NOT_FOUND", "status": 499, "errors": {"NOT_FOUND": ["no"]}}, NotFound),
    ({"errors": {"ACCESS": ["no"]}}, Rejected),
    ({"type": "TOKEN", "title": "Token", "status": 499}, AuthFailed),
    ({"title": "Unauthorized", "status": 401}, AuthFailed),
    ({"title": "An error occurred.", "status": 500}, ServerFault),
    ({"title": "Not Found", "status": 404}, TransportFault),
    ({"errors": ["something"]}, TransportFault),
]


@pytest.mark.parametrize(("body", "kind"), TOLD, ids=lambda value: str(value)[:40])
def test_problem_details_in_a_200_are_the_error_that_they_tell(
    body: dict[str, Any], kind: type[ApiError]
) -> None:
    for call in (*WRITES, STATUS, calls.GET_STORAGE_KEY):
        told = fault_of(call, Answer(200, {}, json.dumps(body).encode()), now=0.0)
        assert type(told) is kind
        if kind in (ServerFault, TransportFault):
            assert told.maybe_done == call.writes


def test_problem_details_by_their_content_type_are_an_error_without_more() -> None:
    answer = Answer(200, {"content-type": "application/problem+json; charset=utf-8"}, b"{}")
    assert isinstance(fault_of(REVOKE, answer, now=0.0), TransportFault)


def test_an_answer_that_only_has_a_word_like_an_errors_is_a_success() -> None:
    keys = {"data": [{"id": "key-1", "name": "errors"}], "total": 1, "errors": None, "status": 200}
    assert (
        fault_of(calls.GET_STORAGE_KEY, Answer(200, {}, json.dumps(keys).encode()), now=0) is None
    )


@pytest.mark.parametrize(
    "body", [b'{"id": "7', b"done", b'"Key not found."', b"false", b'{"success": false}']
)
def test_a_write_whose_answer_does_not_plainly_say_so_may_be_done_or_not(body: bytes) -> None:
    for call in WRITES:
        with pytest.raises(UnreadableAnswer) as raised:
            read_success(call, Answer(200, {}, body))
        assert raised.value.maybe_done


@pytest.mark.parametrize("body", [b"", b" \n", b"null", b"true", b"{}", b"[]", b'{"id": "key-1"}'])
def test_a_write_whose_answer_tells_of_no_failure_is_done(body: bytes) -> None:
    for call in WRITES:
        assert read_success(call, Answer(200, {}, body)) is None


def test_a_bodiless_200_is_a_success_where_no_body_is_needed() -> None:
    for call in (REVOKE, CREATE, DELETE, calls.UPDATE_BUCKET):
        read_success(call, Answer(200))


def test_a_byte_order_mark_does_no_harm() -> None:
    body = b'\xef\xbb\xbf{"data": [], "total": 0}'
    assert read_success(calls.GET_STORAGE_KEY, Answer(200, {}, body)).total == 0


def test_an_unreadable_answer_to_a_create_shows_nothing_of_it() -> None:
    body = b'{"id": 7, "accessKey": "AKVISIBLE", "secretKey": "SeCrEtSeCrEtSeCrEt"}'
    with pytest.raises(UnreadableAnswer) as raised:
        read_success(MINT, Answer(200, {}, body))
    error = raised.value
    assert error.maybe_done
    assert "id" in str(error)
    assert "AKVISIBLE" not in repr(error)
    assert "SeCrEt" not in repr(error)
    assert error.__cause__ is None


# --- Retry-After


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": " 0 "}, 0.0),
        ({"retry-after": "3600"}, 300.0),
        ({"retry-after": "9" * 5000}, 300.0),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "Thu, 01 Jan 1970 00:16:50 GMT"}, 10.0),
        ({"retry-after": "Thu, 01 Jan 1970 00:00:00 GMT"}, 0.0),
        ({"retry-after": "Thu, 01 Jan 2099 00:00:00 GMT"}, 300.0),
        (
            {
                "retry-after": "Thu, 01 Jan 1970 05:00:20 GMT",
                "date": "Thu, 01 Jan 1970 05:00:00 GMT",
            },
            20.0,
        ),
    ],
)
def test_retry_after_is_seconds_or_a_date_and_capped(
    headers: dict[str, str], seconds: float | None
) -> None:
    assert retry_after(headers, now=1000.0) == seconds


# --- what may be shown


def test_an_echoed_bearer_is_hidden() -> None:
    echo = refused("DEFAULT", f"Bad header Authorization: Bearer {BEARER} and {BEARER}")
    register_secret(BEARER, lasting=True)
    fault = fault_of(STATUS, echo, now=0.0)
    assert BEARER not in str(fault)
    assert "Bad header" in str(fault)


def test_a_bearer_that_is_not_ours_and_a_jwt_are_hidden() -> None:
    text = one_line("Authorization: bearer other-token; eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjF9.c2ln")
    assert "other-token" not in text
    assert "eyJ" not in text


def test_a_secret_in_the_error_of_a_create_is_hidden() -> None:
    secret = "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY42"
    for message in (
        f'cannot insert {{"accessKey":"AK","secretKey":"{secret}"}}',
        f"secret_key={secret}",
        f"row (7, {secret}) violates a constraint",
    ):
        fault = fault_of(MINT, refused("DB_INSERT", message), now=0.0)
        assert secret not in str(fault), message
        assert isinstance(fault, Rejected)
        assert secret not in fault.detail


def test_a_message_is_one_short_line_without_control_characters() -> None:
    fault = fault_of(STATUS, refused("DEFAULT", "a\r\nb\x00\x1b[31m\u2028c" + "x" * 5000), now=0.0)
    assert isinstance(fault, Rejected)
    assert len(fault.detail) == 300
    assert fault.detail.isprintable()
    assert fault.detail.startswith("a b")
