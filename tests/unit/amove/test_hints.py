"""An error without an answer names the host, and says what to mend."""

from __future__ import annotations

import pytest

from amove_operator.amove.answers import Answer, fault_of
from amove_operator.amove.calls import BUCKET_STATUS
from amove_operator.amove.hints import connection_failure

UNTRUSTED = (
    "ConnectError: Cannot connect to host api.corp:443 ssl:<ssl.SSLContext object at 0x7f1> "
    "[SSLCertVerificationError: (1, '[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: "
    "unable to get local issuer certificate (_ssl.c:1006)')]"
)


@pytest.mark.parametrize(
    ("error", "hint"),
    [
        (UNTRUSTED, "set SSL_CERT_FILE to its path"),
        (
            "ConnectError: … [Name or service not known]",
            "no such host: check AMOVE_API_URL",
        ),
        ("ConnectError: … [Temporary failure in name resolution]", "the cluster's DNS"),
        (
            "ConnectError: … [Connect call failed ('10.0.0.1', 443)]",
            "nobody answers there",
        ),
        (
            "ConnectError: … certificate … Hostname mismatch",
            "check AMOVE_API_URL",
        ),
        ("ConnectError: [SSL: WRONG_VERSION_NUMBER]", "speaks no TLS: check the port"),
        ("no complete answer within 60 s", "NetworkPolicies, firewalls"),
        (
            "ConnectTimeout: no connection in time",
            "NetworkPolicies, firewalls",
        ),
    ],
)
def test_a_failure_names_the_host_and_what_to_mend(error: str, hint: str) -> None:
    told = connection_failure("api.corp", error)
    assert told.startswith("api.corp: ")
    assert hint in told
    assert "object at 0x" not in told
    assert "_ssl.c" not in told


def test_a_failure_of_no_known_kind_is_shown_as_it_is() -> None:
    assert connection_failure("api.corp", "RemoteProtocolError") == "api.corp: RemoteProtocolError"


def test_an_s3_endpoint_in_place_of_the_api_is_recognised() -> None:
    body = b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>'
    error = fault_of(BUCKET_STATUS, Answer(403, {}, body, "s3.corp"), now=0.0)
    assert str(error) == (
        "bucket_status: status 403 of s3.corp is not an answer of the service itself; it speaks "
        "S3: name the Amove API in AMOVE_API_URL, the S3 host in AMOVE_STORAGE_DN"
    )
