"""What of the machine a node might change: read before and after, and compared."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

OWN_PREFIX = "amove-node-"
# Settings that a kubelet, a proxy or a network plugin would like to set. Others count things.
SETTINGS = ("vm", "kernel/keys", "net/bridge", "net/netfilter", "net/ipv4", "net/core")
SINGLE_SETTINGS = ("kernel/panic", "kernel/panic_on_oops", "kernel/hostname")
COUNTERS = ("count", "stat_refresh", "fs_inode", "expect_max")


@dataclass(frozen=True)
class Machine:
    """Mounts, top control groups, links and settings, each as lines of text."""

    mounts: frozenset[str]
    cgroups: frozenset[str]
    links: frozenset[str]
    settings: frozenset[str]

    @classmethod
    def read(cls) -> Self:
        return cls(
            frozenset(_mounts()),
            frozenset(_cgroups()),
            frozenset(link.name for link in Path("/sys/class/net").iterdir()),
            frozenset(_settings()),
        )

    def changes_since(self, before: Self) -> list[str]:
        """One line for each thing that came (+) or went (-); nodes of others left out."""
        found = []
        for kind in ("mounts", "cgroups", "links", "settings"):
            old, new = getattr(before, kind), getattr(self, kind)
            found += [f"{kind} + {line}" for line in sorted(new - old)]
            found += [f"{kind} - {line}" for line in sorted(old - new)]
        return found


def hierarchies() -> list[Path]:
    """Where control groups are mounted, of both versions."""
    fields = (line.split() for line in Path("/proc/self/mounts").read_text().splitlines())
    return [Path(place) for _, place, kind, *_ in fields if kind in ("cgroup", "cgroup2")]


def children(pid: int) -> list[int]:
    """The processes that this one started; none if it has ended."""
    try:
        listed = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except FileNotFoundError:
        return []
    return [int(child) for child in listed.split()]


def _mounts() -> Iterator[str]:
    for line in Path("/proc/self/mounts").read_text().splitlines():
        yield " ".join(line.split()[:3])


def _cgroups() -> Iterator[str]:
    for hierarchy in hierarchies():
        for group in hierarchy.iterdir():
            if group.is_dir() and not group.name.startswith(OWN_PREFIX):
                yield str(group)


def _settings() -> Iterator[str]:
    root = Path("/proc/sys")
    paths = [root / name for name in SINGLE_SETTINGS]
    for name in SETTINGS:
        paths += sorted((root / name).rglob("*"))
    for path in paths:
        if not path.is_file() or any(word in path.name for word in COUNTERS):
            continue
        try:
            yield f"{path} = {path.read_text().strip()}"
        except OSError:
            continue  # some can only be written
