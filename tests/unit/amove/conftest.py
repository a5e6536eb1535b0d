"""Clients: one against the emulator, one against a fake service in fake time."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from amove_operator.amove import AmoveClient
from tests.unit.amove.stand_ins import (
    TOKEN,
    FakeClock,
    FakeService,
    Responder,
    settings,
    swap_in,
    tuning,
)

if TYPE_CHECKING:
    from amove_emulator import Emulator


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text(TOKEN + "\n")
    return path


@pytest.fixture
def fake_clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def fake_service(fake_clock: FakeClock) -> FakeService:
    """A service that fails until a test says what it answers."""
    return FakeService(lambda _: httpx.Response(500), fake_clock)


MakeClient = Callable[..., AmoveClient]


@pytest.fixture
async def make_client(
    token_file: Path, fake_clock: FakeClock, fake_service: FakeService
) -> AsyncIterator[MakeClient]:
    """Makes a client of the fake service in fake time; closes it at the end."""
    made: list[AmoveClient] = []

    def make(responder: Responder | None = None, **changes: Any) -> AmoveClient:
        if responder is not None:
            fake_service.responder = responder
        given = {
            "transport": fake_service.transport,
            "tuning": tuning(fake_clock),
            **{name: changes.pop(name) for name in _SEAMS & changes.keys()},
        }
        made.append(AmoveClient(settings(token_file, **changes), **given))
        return made[-1]

    yield make
    for client in made:
        await client.aclose()


_SEAMS = {"tuning", "observer", "before_send", "credentials", "transport"}


@pytest.fixture
async def amove(emulator: Emulator, token_file: Path) -> AsyncIterator[AmoveClient]:
    """A client of the emulator, with the emulator's own token and no wait between tries."""
    swap_in(token_file, emulator.api_token)
    async with aclosing(
        AmoveClient(settings(token_file, api_url=emulator.url), tuning=tuning())
    ) as client:
        yield client


@pytest.fixture(scope="session")
def self_signed(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    """A server's TLS with a certificate for localhost that no authority has signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = tmp_path_factory.mktemp("tls") / "both.pem"
    pem.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        + certificate.public_bytes(Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return context
