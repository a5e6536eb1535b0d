"""Things made once and kept, each under a key of what it was made from."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from controlplane import cache_root

Make = Callable[[Path], None]


def node_cache() -> Path:
    """``~/.cache/amove-operator/node``; need not exist yet."""
    return cache_root() / "node"


def key_of(parts: Iterable[str | bytes | Path]) -> str:
    """16 hex digits of texts and of files' contents, in this order."""
    digest = hashlib.sha256()
    for part in parts:
        content = part.read_bytes() if isinstance(part, Path) else part
        raw = content.encode() if isinstance(content, str) else content
        digest.update(len(raw).to_bytes(8, "big") + raw)
    return digest.hexdigest()[:16]


def kept(kind: str, key: str, make: Make, *, suffix: str = "") -> Path:
    """Answer ``<cache>/<kind>/<key><suffix>``; ``make(path)`` makes it first where it is missing.

    It is seen whole or not at all, and one process makes it while the others wait.
    """
    folder = node_cache() / kind
    final = folder / f"{key}{suffix}"
    if final.exists():
        return final
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / ".lock"):
        if not final.exists():
            unfinished = folder / f"making-{key}{suffix}"
            _remove(unfinished)
            make(unfinished)
            unfinished.rename(final)
    return final


@contextlib.contextmanager
def locked(lock: Path) -> Iterator[None]:
    """Hold the file's lock. The kernel lets go of it however this process ends."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
