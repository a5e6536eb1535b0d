"""The name of an image, taken apart as the chart's values want it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

_NAME = re.compile(
    r"(?P<repository>[^:@\s]+(?::[0-9]+/[^:@\s]+)?)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9._-]{0,127}))?"
    r"(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)


class ImageError(ValueError):
    """What was given names no image."""


@dataclass(frozen=True)
class Image:
    """``tag`` and ``digest`` are empty where the name has none."""

    repository: str
    tag: str
    digest: str

    @classmethod
    def parse(cls, name: str) -> Self:
        """Read ``harbor.example.com:5000/amove-operator:0.1.0`` or ``…@sha256:…``."""
        found = _NAME.fullmatch(name)
        if found is None:
            example = "harbor.example.com/storage/amove-operator:0.1.0"
            raise ImageError(f"IMAGE={name} names no image: write it as IMAGE={example}")
        return cls(found["repository"], found["tag"] or "", found["digest"] or "")
