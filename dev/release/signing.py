"""Checksums, and a signature of each file by a key: cosign's bundles, without any service."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from node.commands import run

SUMS = "SHA256SUMS"
PUBLIC = "cosign.pub"
BUNDLE = ".sigstore.json"
_READING = "reading the key to sign with (its password is in COSIGN_PASSWORD):"
_BLOCK = 1 << 20


def write_sums(folder: Path) -> None:
    """SHA256SUMS of all files there, as ``sha256sum --check`` reads it."""
    names = sorted(path.name for path in folder.iterdir() if path.name != SUMS)
    lines = [f"{_digest(folder / name)}  {name}\n" for name in names]
    (folder / SUMS).write_text("".join(lines))


def generate_key(cosign: Path, folder: Path) -> Path:
    """A key without a password, for a rehearsal: in ``folder``, which the caller throws away."""
    run([str(cosign), "generate-key-pair"], "making a key", environ=_without_password(), cwd=folder)
    return folder / "cosign.key"


def write_public(cosign: Path, key: str, path: Path) -> None:
    """The public key. Raises NodeError where ``key`` cannot be used, as with a wrong password.

    ``key`` is what cosign takes: a file, whose password is in COSIGN_PASSWORD, or ``gcpkms://…``.
    """
    command = [str(cosign), "public-key", "--key", key, "--outfile", str(path)]
    run(command, f"{_READING} {key}", environ=_without_password() | os.environ)


def sign(cosign: Path, key: str, folder: Path) -> None:
    """A bundle beside each file, by the same ``key``; the private one is read by cosign alone."""
    environ = _without_password() | os.environ
    for path in sorted(path for path in folder.iterdir() if not path.name.endswith(BUNDLE)):
        command = [str(cosign), "sign-blob", "--yes", "--key", key]
        # No transparency log, no time stamp: nothing of a release that is only rehearsed gets out.
        command += ["--use-signing-config=false", "--tlog-upload=false"]
        command += ["--bundle", f"{path}{BUNDLE}", str(path)]
        run(command, f"signing {path.name}", environ=environ)
        path.with_name(f"{path.name}{BUNDLE}").chmod(0o644)


def verify(cosign: Path, key: Path, path: Path) -> None:
    """As docs/release.md says. Raises NodeError where the file is not what was signed."""
    command = [str(cosign), "verify-blob", "--key", str(key), "--insecure-ignore-tlog=true"]
    run([*command, "--bundle", f"{path}{BUNDLE}", str(path)], f"verifying {path.name}")


def _without_password() -> dict[str, str]:
    """cosign asks a terminal for a password where this variable is not set."""
    return {**os.environ, "COSIGN_PASSWORD": ""}


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
