"""What is in an image's archive: its configuration, and its files as a container sees them."""

from __future__ import annotations

import json
import tarfile
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, Any, Self

WHITEOUT = ".wh."
OPAQUE = ".wh..wh..opq"


@dataclass
class Archive:
    """``settings``: user, labels, environment … as the image has them; ``sizes``: path → bytes.

    Paths are relative to the root.
    """

    settings: dict[str, Any]
    sizes: dict[str, int] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a docker-archive."""
        with tarfile.open(path) as tar:
            (described,) = json.load(_member(tar, "manifest.json"))
            found = cls(json.load(_member(tar, described["Config"]))["config"])
            for layer in described["Layers"]:
                with tarfile.open(fileobj=_member(tar, layer)) as files:
                    found._apply(files)
        return found

    def size_of(self, folder: str) -> int:
        """Bytes below ``folder``."""
        return sum(size for path, size in self.sizes.items() if path.startswith(f"{folder}/"))

    def _apply(self, files: tarfile.TarFile) -> None:
        for member in files:
            path = PurePosixPath(member.name)
            if path.name == OPAQUE:
                self._forget(str(path.parent))
            elif path.name.startswith(WHITEOUT):
                self._forget(str(path.with_name(path.name.removeprefix(WHITEOUT))))
            elif not member.isdir():
                self.sizes[str(path)] = member.size

    def _forget(self, gone: str) -> None:
        for each in [p for p in self.sizes if p == gone or p.startswith(f"{gone}/")]:
            del self.sizes[each]


def _member(tar: tarfile.TarFile, name: str) -> IO[bytes]:
    file = tar.extractfile(name)
    assert file is not None  # noqa: S101 - the format says that it is a file
    return file
