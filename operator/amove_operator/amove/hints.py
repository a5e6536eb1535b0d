"""What to mend where no answer of the service comes: said with the error, to a person. Pure."""

from __future__ import annotations

import re

_HINTS = (
    (
        r"Hostname mismatch|doesn't match",
        "the certificate there is for another host: check AMOVE_API_URL",
    ),
    (
        r"CERTIFICATE_VERIFY_FAILED|certificate verify failed",
        "its certificate is not trusted: for a private CA, mount that CA's certificate and set "
        "SSL_CERT_FILE to its path",
    ),
    (
        r"Name or service not known|[Nn]ame resolution|nodename nor|No address associated",
        "no such host: check AMOVE_API_URL and the cluster's DNS",
    ),
    (
        r"WRONG_VERSION_NUMBER|RECORD_LAYER|UNEXPECTED_EOF",
        "what answers there speaks no TLS: check the port in AMOVE_API_URL",
    ),
    (
        r"Connect call failed|[Rr]efused|[Uu]nreachable",
        "nobody answers there: check AMOVE_API_URL, NetworkPolicies and the egress proxy",
    ),
    (
        r"[Tt]imeout|in time|within",
        "check that NetworkPolicies, firewalls and the egress proxy let it through",
    ),
)
# aiohttp shows the SSL context as an object, and that only says where it lies in memory.
_NOISE = re.compile(r" ssl:(?:default|True|<[^>]*>)| \(_ssl\.c:\d+\)")


def connection_failure(host: str, error: str) -> str:
    """What to tell of an exchange with ``host`` that failed: ``error`` with a hint, if any fits."""
    plain = _NOISE.sub("", error)
    hint = next((said for pattern, said in _HINTS if re.search(pattern, plain)), None)
    return f"{host}: {plain}" + (f"; {hint}" if hint else "")
