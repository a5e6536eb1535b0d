"""How large the parts of the operator's image are."""

from __future__ import annotations

import zlib
from pathlib import Path

from node.archive import Archive

MIB = 2**20
ENVIRONMENT = "opt/amove-operator"
PACKAGES = f"{ENVIRONMENT}/lib/python3.11/site-packages"
PYTHON = ("usr/lib/python3", "usr/bin/python3", "usr/bin/pydoc3", "usr/share/python3")
CHUNK = 4 * MIB


def parts(archive: Archive) -> dict[str, int]:
    """Bytes by part, as docs/node.md, "The image", calls them; together they are the image."""
    python = sum(size for path, size in archive.sizes.items() if path.startswith(PYTHON))
    client, operator = (
        archive.size_of(f"{PACKAGES}/{each}") for each in ("kubernetes", "amove_operator")
    )
    environment = archive.size_of(ENVIRONMENT)
    return {
        "Debian 12 slim, with CA certificates": sum(archive.sizes.values()) - python - environment,
        "its Python 3.11": python,
        "the Kubernetes client": client,
        "all other dependencies": environment - client - operator,
        "the operator": operator,
    }


def table(path: Path) -> str:
    """A Markdown table of the parts, and what the image is together and compressed."""
    found = parts(Archive.read(path))
    rows = "".join(f"| {name} | {size / MIB:.0f} |\n" for name, size in found.items())
    whole = f"{sum(found.values()) / MIB:.0f} together, {_compressed(path) / MIB:.0f} compressed."
    return f"| part | MiB |\n|---|---|\n{rows}\n{whole}\n"


def _compressed(path: Path) -> int:
    packer = zlib.compressobj()
    with path.open("rb") as plain:
        chunks = iter(lambda: plain.read(CHUNK), b"")
        return sum(len(packer.compress(each)) for each in chunks) + len(packer.flush())
