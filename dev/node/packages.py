"""Debian packages for node, images and browser, unpacked into the cache and never installed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from controlplane.progress import Finish
from node.cache import kept, key_of
from node.commands import run
from node.errors import NodeError

PACKAGES = (
    "buildah",
    "chromium",
    "chromium-driver",
    "containerd",
    "containernetworking-plugins",
    # What the browser writes with.
    "fonts-dejavu-core",
    "iproute2",
    "mmdebstrap",
    "nftables",
    "runc",
    "util-linux",
)
RELEASE = Path("/etc/os-release")
# Where Debian's packages put what Debian's merged /usr has below /usr.
MERGED = ("bin", "sbin", "lib", "lib64")
# The packages' programs expect to be where they were packaged for, and call one another by name:
# so they are laid over /usr and /etc, in a mount namespace that ends with the command.
OVERLAY = """
set -e
for part in usr etc; do
    mount -t overlay overlay -o ro,lowerdir="$1/$part:/$part" "/$part"
done
shift
exec "$@"
"""


def ensure_packages(report: Finish) -> Path:
    """Answer a folder with ``usr`` and ``etc`` of the packages and of what they need besides.

    Nothing of apt's or dpkg's own state changes. Raises NodeError where apt refuses.
    """
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise NodeError("a node's programs are Debian packages, and this machine has no apt-get")
    release = RELEASE.read_bytes() if RELEASE.exists() else b""
    status = Path("/var/lib/dpkg/status")
    return kept(
        "packages",
        key_of([release, *PACKAGES, status if status.exists() else b"", "2"]),
        lambda folder: _unpack_into(folder, report),
    )


def with_packages(packages: Path, command: Sequence[str]) -> list[str]:
    """The command line that runs ``command`` as if the packages were installed."""
    enter = ["unshare", "--mount", "--propagation", "private", "sh", "-c", OVERLAY, "packages"]
    return [*enter, str(packages), *command]


def _unpack_into(folder: Path, report: Finish) -> None:
    report(f"fetching Debian packages: {', '.join(PACKAGES)}")
    folder.mkdir()
    state = folder / "apt"
    for part in ("lists/partial", "archives/partial"):
        (state / part).mkdir(parents=True)
    own = [
        *("-o", f"Dir::State::lists={state}/lists"),
        *("-o", f"Dir::Cache={state}"),
        *("-o", f"Dir::Cache::archives={state}/archives"),
        *("-o", "Debug::NoLocking=1"),
        # Root's packages may be fetched into a folder that apt's own user cannot enter.
        *("-o", "APT::Sandbox::User=root"),
    ]
    environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    run(["apt-get", "update", "--quiet", *own], "fetching apt's lists", environ=environ)
    options = ("--download-only", "--yes", "--no-install-recommends", "--reinstall")
    fetch = ["apt-get", "install", *options, *own, *PACKAGES]
    run(fetch, "fetching Debian packages", environ=environ)
    for archive in sorted((state / "archives").glob("*.deb")):
        run(["dpkg-deb", "--extract", str(archive), str(folder)], f"unpacking {archive.name}")
    shutil.rmtree(state)
    _merge(folder)
    (folder / "etc").mkdir(exist_ok=True)


def _merge(folder: Path) -> None:
    for name in MERGED:
        outside = folder / name
        if outside.is_dir():
            shutil.copytree(outside, folder / "usr" / name, symlinks=True, dirs_exist_ok=True)
            shutil.rmtree(outside)
