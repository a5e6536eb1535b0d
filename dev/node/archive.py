"""What is in an image's archive: its configuration, and its files as a container sees them."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, Any, Self

WHITEOUT = ".wh."
OPAQUE = ".wh..wh..opq"


@dataclass
class Archive:
    """``settings``: user, labels, environment … as the image has them; ``sizes``: path → bytes.

    Paths are relative to the root. ``texts``: what was asked to be read.
    """

    settings: dict[str, Any]
    sizes: dict[str, int] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path, *, wanted: tuple[str, ...] = ()) -> Self:
        """Read a docker-archive, and the text of the files that match one of ``wanted``."""
        with tarfile.open(path) as tar:
            (described,) = json.load(_member(tar, "manifest.json"))
            found = cls(json.load(_member(tar, described["Config"]))["config"])
            for layer in described["Layers"]:
                with tarfile.open(fileobj=_member(tar, layer)) as files:
                    found._apply(files, wanted)
        return found

    def size_of(self, folder: str) -> int:
        """Bytes below ``folder``."""
        return sum(size for path, size in self.sizes.items() if path.startswith(f"{folder}/"))

    def _apply(self, files: tarfile.TarFile, wanted: tuple[str, ...]) -> None:
        for member in files:
            path = PurePosixPath(member.name)
            if path.name == OPAQUE:
                self._forget(str(path.parent))
            elif path.name.startswith(WHITEOUT):
                self._forget(str(path.with_name(path.name.removeprefix(WHITEOUT))))
            elif not member.isdir():
                self.sizes[str(path)] = member.size
                if member.isfile() and any(path.match(pattern) for pattern in wanted):
                    self.texts[str(path)] = _text(files, member)

    def _forget(self, gone: str) -> None:
        for each in [p for p in self.sizes if p == gone or p.startswith(f"{gone}/")]:
            del self.sizes[each]
            self.texts.pop(each, None)


def paragraphs(text: str) -> Iterator[dict[str, str]]:
    """The headers of each paragraph of a Debian control file, or of a Python METADATA."""
    for paragraph in text.split("\n\n"):
        lines = (line.partition(": ") for line in paragraph.splitlines() if line[:1].strip())
        yield {name: value for name, _, value in lines}


def _member(tar: tarfile.TarFile, name: str) -> IO[bytes]:
    file = tar.extractfile(name)
    assert file is not None  # noqa: S101 - the format says that it is a file
    return file


def _text(files: tarfile.TarFile, member: tarfile.TarInfo) -> str:
    file = files.extractfile(member)
    return file.read().decode(errors="replace") if file else ""
