"""Remote key names: the marker that no tenant can write.

``<readable>-<cluster8>-<cr10>-<names9>-<serial>``: cluster, owner, which bucket names the key
may reach, and which issue it is. All four are read from the end of the name, so nothing in the
readable part can forge them.

``names9`` is a digest that only keeps: a bucket name stays taken while a live key's ``names9``
fits it. It proves nothing and frees nothing: a tenant can search for a bucket name whose digest is
that of another team's bucket.
"""

from __future__ import annotations

import hashlib
import re
from base64 import b32decode, b32encode
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

MAX_LENGTH = 63
_BITS = 40
_NOT_ALLOWED = re.compile(r"[^a-z0-9-]+")
_MARKED = re.compile(
    r"(?:(?P<readable>[a-z0-9-]*)-)?"
    r"(?P<cluster>[0-9a-f]{8})-(?P<owner>[a-z2-7]{10})-(?P<names>[oma][a-z2-7]{8})"
    r"-(?P<serial>[1-9][0-9]{0,8})"
)
ALL_NAMES = "a" + "a" * 8
"""``names9`` of a key of every bucket: ``a`` and forty zero bits."""


class Marker(NamedTuple):
    """Whose a key is: digests of the cluster's and of the CR's UID."""

    cluster: str
    owner: str


class MarkedName(NamedTuple):
    """A remote key name taken apart."""

    marker: Marker
    names: str
    serial: int


def marker_of(cluster_uid: str, cr_uid: str) -> Marker:
    """The marker of one CR of one cluster (UID of namespace kube-system, UID of the CR)."""
    return Marker(cluster_digest(cluster_uid), owner_digest(cr_uid))


@lru_cache(maxsize=8)
def cluster_digest(cluster_uid: str) -> str:
    """``cluster8``: 32 bits of the digest, hexadecimal."""
    return hashlib.sha256(cluster_uid.encode()).hexdigest()[:8]


@lru_cache(maxsize=4096)  # a new key asks thirty times
def owner_digest(cr_uid: str) -> str:
    """``cr10``: 50 bits of the digest, in base32."""
    return b32encode(hashlib.sha256(cr_uid.encode()).digest()[:10]).decode().lower()[:10]


def names_digest(names: Iterable[str] | None) -> str:
    """``names9`` of a key for these bucket names, or for all buckets (``None``).

    ``o`` and 40 bits of the digest of the one name; ``m`` and a mask of 40 bits with one bit
    set for each of several names. For example a key of the buckets whose bits are 3 and 17 has the
    mask ``1 << 3 | 1 << 17``. It keeps those two names, and every other name whose bit is 3 or 17:
    about one in twenty, which is too many and never too few.
    """
    if names is None:
        return ALL_NAMES
    several = sorted(set(names))
    if len(several) == 1:
        return "o" + _base32(_digest40(several[0]))
    mask = 0
    for name in several:
        mask |= 1 << mask_bit(name)
    return "m" + _base32(mask)


def mask_bit(name: str) -> int:
    """Which bit of a mask stands for a bucket name: 0 to 39."""
    return _digest40(name) % _BITS


def mask_bits(names9: str) -> tuple[int, ...]:
    """The bits that are set in the ``names9`` of a key of several buckets."""
    mask = int.from_bytes(b32decode(names9[1:].upper()), "big")
    return tuple(bit for bit in range(_BITS) if mask >> bit & 1)


def may_reach(names9: str, name: str) -> bool:
    """Whether a key with that digest keeps a bucket name: true for some that it cannot reach.

    A key of all buckets keeps none, or no bucket could be made beside it.
    """
    if names9.startswith("o"):
        return names9 == names_digest([name])
    return names9.startswith("m") and mask_bit(name) in mask_bits(names9)


def key_name(readable: str, marker: Marker, names9: str, serial: int) -> str:
    """The remote name of one issue: at most 63 characters of ``[a-z0-9-]``."""
    tail = f"{marker.cluster}-{marker.owner}-{names9}-{serial}"
    head = _NOT_ALLOWED.sub("-", readable.lower())[: MAX_LENGTH - len(tail) - 1].strip("-")
    return f"{head}-{tail}" if head else tail


def parse_name(name: str) -> MarkedName | None:
    """Take a remote name apart; ``None`` for a name that carries no marker."""
    found = _MARKED.fullmatch(name)
    if found is None:
        return None
    marker = Marker(found["cluster"], found["owner"])
    return MarkedName(marker, found["names"], int(found["serial"]))


def _digest40(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:5], "big")


def _base32(bits: int) -> str:
    return b32encode(bits.to_bytes(_BITS // 8, "big")).decode().lower()
