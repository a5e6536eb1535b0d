"""What an answer of Kubernetes means, and what its text may say."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amove_operator.errors import (
    Conflict,
    KubeInternalError,
    KubeRefused,
    KubeUnavailable,
    OperatorError,
)
from amove_operator.kube.failures import (
    MAX_TEXT,
    Gone,
    NamespaceTerminating,
    NotServed,
    failure,
    is_failed_test,
    secret_texts,
)
from amove_operator.telemetry.redaction import mask_values

SECRET = "wJalrXUtnFEMIbPxRfiCYEXAMPLEKEY0123456789"


def status(message: str = "words", **details: object) -> bytes:
    return json.dumps({"kind": "Status", "message": message, "details": details}).encode()


NAMED = status(name="photos", kind="amovebuckets")
GOING = status(name="s", causes=[{"reason": "NamespaceTerminating", "field": "metadata.namespace"}])
OTHER_UID = status(name="s", causes=[{"reason": "FieldValueInvalid", "field": "metadata.uid"}])
OTHER_TYPE = status(name="s", causes=[{"reason": "FieldValueInvalid", "field": "type"}])
DEAD = status('Internal error occurred: failed calling webhook "team": connection refused')
WEBHOOK = 'admission webhook "team" denied the request: no'
POLICY = "s is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no"
PAGE = b"<html>404 Not Found</html>"


@pytest.mark.parametrize(
    ("sentence", "code", "raw", "kind"),
    [
        ("a changed object is a conflict", 409, NAMED, Conflict),
        ("another object of that name is a conflict", 422, OTHER_UID, Conflict),
        ("an invalid object is refused", 422, OTHER_TYPE, KubeRefused),
        ("a bad request is refused", 400, status(), KubeRefused),
        ("what is forbidden is refused", 403, NAMED, KubeRefused),
        ("a namespace that goes is told apart", 403, GOING, NamespaceTerminating),
        ("an object that the server names is gone", 404, NAMED, Gone),
        ("an expired list position is gone", 410, status(), Gone),
        ("an unserved type is no absence", 404, b"404 page not found\n", NotServed),
        ("a 404 that names nothing is no absence", 404, status(), NotServed),
        ("a proxy's 404 is no absence", 404, PAGE, NotServed),
        ("a proxy's 403 is no refusal", 403, PAGE, KubeUnavailable),
        ("a proxy's 409 is no conflict", 409, PAGE, KubeUnavailable),
        ("a redirect is no answer", 302, b"", KubeUnavailable),
        ("an outdated token passes", 401, status(), KubeUnavailable),
        ("too many requests pass", 429, status(), KubeUnavailable),
        ("a webhook that is down is the server's own word", 500, DEAD, KubeInternalError),
        ("a proxy's fault is no word of the server", 500, PAGE, KubeUnavailable),
        ("a server that begins passes", 503, status(), KubeUnavailable),
        ("a starting server passes", 503, b"", KubeUnavailable),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_answer_becomes_one_error(
    sentence: str, code: int, raw: bytes, kind: type[OperatorError]
) -> None:
    error = failure(code, raw)
    assert type(error) is kind
    assert f"HTTP {code}" in str(error)
    if isinstance(error, KubeRefused):
        assert error.status == code


@pytest.mark.parametrize("code", [400, 401, 403, 404, 408, 409, 410, 422, 429, 500, 503])
@pytest.mark.parametrize("words", [WEBHOOK, POLICY], ids=["webhook", "policy"])
def test_a_denial_is_a_verdict_whatever_code_a_webhook_or_policy_gives_it(
    code: int, words: str
) -> None:
    """Else it could pass for an absence, for a conflict or for a token that ran out."""
    for raw in (status(words), status(words, name="s", kind="secrets")):
        assert type(failure(code, raw)) is KubeRefused
        assert not is_failed_test(code, raw)


def test_no_absence_is_a_kube_unavailable_and_no_unavailability_an_absence() -> None:
    assert not issubclass(Gone, KubeUnavailable)
    assert issubclass(NotServed, KubeUnavailable)


def test_the_text_is_the_servers_and_never_the_whole_body() -> None:
    raw = json.dumps({"kind": "Status", "message": "no", "extra": "of the body"}).encode()
    assert str(failure(403, raw)) == "no (HTTP 403)"
    assert "html" not in str(failure(502, PAGE))


def test_a_failed_test_of_a_json_patch_is_known_by_its_empty_details() -> None:
    assert is_failed_test(422, status())
    assert not is_failed_test(422, OTHER_TYPE)
    assert not is_failed_test(400, status())
    assert not is_failed_test(422, PAGE)


def test_a_secret_is_masked_plain_and_encoded_in_data_and_string_data() -> None:
    encoded = base64.b64encode(SECRET.encode()).decode()
    for manifest in ({"data": {"K": encoded}}, {"stringData": {"K": SECRET}}):
        texts = secret_texts(manifest)
        for echoed in (SECRET, encoded, f"{SECRET[:20]}…", f'"{encoded[8:]}"'):
            text = str(failure(400, status(f"refused: {echoed} !"), values=texts))
            assert text.startswith("refused: ")
            assert "***" in text
            assert SECRET[4:16] not in text
            assert encoded[8:20] not in text


def test_a_message_that_repeats_nothing_is_passed_on_whole() -> None:
    texts = secret_texts({"data": {"K": base64.b64encode(SECRET.encode()).decode(), "E": None}})
    message = 'secrets "app" is forbidden: exceeded quota: q, requested: secrets=1'
    assert str(failure(403, status(message), values=texts)) == f"{message} (HTTP 403)"


def test_binary_values_are_masked_in_base64() -> None:
    encoded = base64.b64encode(bytes(range(200, 240))).decode()
    assert encoded not in mask_values(f"bad {encoded}", secret_texts({"data": {"K": encoded}}))


@given(
    before=st.text(max_size=30),
    value=st.text(min_size=4, max_size=80),
    after=st.text(max_size=30),
)
def test_an_echoed_value_is_never_in_the_text(before: str, value: str, after: str) -> None:
    text = mask_values(before + value + after, (value,))
    assert value not in text or set(value) <= {"*"}


def test_a_message_is_cut_to_what_a_condition_can_say() -> None:
    said = json.dumps({"kind": "Status", "message": "x" * 9000, "reason": "Forbidden"}).encode()
    assert len(str(failure(403, said))) <= MAX_TEXT + len(" (HTTP 403)")
