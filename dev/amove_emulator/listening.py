"""Where the emulator listens: on loopback, or with TLS on an address that others reach."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Final


@dataclass(frozen=True, slots=True)
class Listening:
    """An IP address of this machine, and PEM files for TLS (None: plain HTTP).

    ``authority`` is the CA by which clients verify ``certificate``.
    """

    address: str = "127.0.0.1"
    certificate: Path | None = None
    key: Path | None = None
    authority: Path | None = None

    @property
    def scheme(self) -> str:
        return "https" if self.certificate else "http"

    def context(self) -> ssl.SSLContext | None:
        """Raises OSError (ssl.SSLError among them) for files that cannot be read."""
        if self.certificate is None:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        return context


LOOPBACK: Final = Listening()
