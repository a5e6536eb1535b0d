"""Remote key names: the marker that no tenant can write (design.md §5).

``<readable>-<cluster8>-<cr10>-<scope8>-<serial>``: cluster, owner, scope and serial are read
from the end of the name, so nothing in the readable part can forge them.
"""

from __future__ import annotations

import hashlib
import re
from typing import NamedTuple

MAX_LENGTH = 63
_NOT_ALLOWED = re.compile(r"[^a-z0-9-]+")
_MARKED = re.compile(
    r"(?:(?P<readable>[a-z0-9-]*)-)?"
    r"(?P<cluster>[0-9a-f]{8})-(?P<owner>[0-9a-f]{10})-(?P<scope>[0-9a-f]{8})-(?P<serial>[1-9][0-9]{0,8})"
)


class Marker(NamedTuple):
    """Whose a key is: digests of the cluster's and of the CR's UID."""

    cluster: str
    owner: str


class MarkedName(NamedTuple):
    """A remote key name taken apart."""

    marker: Marker
    scope: str
    serial: int


def digest(text: str, length: int) -> str:
    """The first ``length`` hexadecimal digits of the SHA-256 of ``text``."""
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def marker_of(cluster_uid: str, cr_uid: str) -> Marker:
    """The marker of one CR of one cluster (UID of namespace kube-system, UID of the CR)."""
    return Marker(digest(cluster_uid, 8), digest(cr_uid, 10))


def key_name(readable: str, marker: Marker, scope: str, serial: int) -> str:
    """The remote name of one issue: at most 63 characters of ``[a-z0-9-]``."""
    tail = f"{marker.cluster}-{marker.owner}-{scope}-{serial}"
    head = _NOT_ALLOWED.sub("-", readable.lower())[: MAX_LENGTH - len(tail) - 1].strip("-")
    return f"{head}-{tail}" if head else tail


def parse_name(name: str) -> MarkedName | None:
    """Take a remote name apart; ``None`` for a name that carries no marker."""
    found = _MARKED.fullmatch(name)
    if found is None:
        return None
    marker = Marker(found["cluster"], found["owner"])
    return MarkedName(marker, found["scope"], int(found["serial"]))
