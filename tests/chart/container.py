"""A container of the image without a container runtime: what the Dockerfile makes, done here.

Its root is a folder that is mounted read-only in a mount namespace of its own, so nothing of it is
left when the process ends. The network is this machine's, as a stand-in for the cluster's.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import venv
from collections.abc import Mapping, Sequence
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement

from tests.patience import PATIENCE

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
VENV = "/opt/amove-operator"
# What a base image has: system libraries, and Python where this machine keeps it.
BASE = ("/usr", "/lib", "/lib64", "/bin", "/dev", "/proc", sys.base_prefix)
ENTER = """
root=$1 user=$2 group=$3
shift 3
mount --bind "$root" "$root"
while [ "$1" != -- ]; do
    mount --rbind "$1" "$root$1"
    shift
done
shift
mount -o remount,bind,ro "$root"
become="--reuid=$user --regid=$group --clear-groups"
[ "$(id -u)" = 0 ] || become=--keep-groups
exec chroot "$root" setpriv $become --no-new-privs \
    --inh-caps=-all --ambient-caps=-all --bounding-set=-all env -i "$@"
"""


def instruction(name: str) -> str:
    """The arguments of the last Dockerfile instruction of this name."""
    found: list[str] = re.findall(rf"^{name} (.*)$", DOCKERFILE, re.MULTILINE)
    return found[-1].strip()


def image_environment() -> dict[str, str]:
    """The variables of the image's final stage."""
    pairs = dict(part.split("=", 1) for part in instruction("ENV").split())
    return {name: value.replace("$PATH", os.defpath) for name, value in pairs.items()}


class Container:
    """One container's files below ``root``, an empty folder; ``start`` runs its process."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.chmod(0o755)
        self._mounts = [each for each in BASE if Path(each).is_dir()]
        self.file("/etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n")
        (self.root / "tmp").mkdir(mode=0o777)
        self._install()

    def file(self, path: str, content: bytes) -> None:
        """A file that everybody may read, as a kubelet mounts those of a Secret."""
        target = self.root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        target.chmod(0o444)

    def start(
        self, command: Sequence[str], environ: Mapping[str, str], user: str, group: str, log: Path
    ) -> subprocess.Popen[bytes]:
        """Run the command with these variables only, its output to ``log``; it has the pid."""
        for each in self._mounts:
            (self.root / each.lstrip("/")).mkdir(parents=True, exist_ok=True)
        variables = [f"{name}={value}" for name, value in environ.items()]
        enter = ["unshare", "--mount", "--propagation=private"]
        if os.geteuid() != 0:  # then the user that it becomes is one of a namespace of its own
            enter += ["--user", f"--map-user={user}", f"--map-group={group}", "--keep-caps"]
        enter += ["sh", "-euc", ENTER, "enter"]
        given = (str(self.root), user, group, *self._mounts, "--", *variables, *command)
        with log.open("wb") as output:
            return subprocess.Popen(
                [*enter, *given], stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )

    def _install(self) -> None:
        """As the Dockerfile: the pinned dependencies, and the wheel by pip."""
        home = self.root / VENV.lstrip("/")
        venv.create(home, symlinks=True)
        (packages,) = home.glob("lib/python*/site-packages")
        for source in _dependencies():
            (packages / source.name).symlink_to(source)
            if str(source.parent) not in self._mounts:
                self._mounts.append(str(source.parent))
        wheels = self.root.with_name("dist")
        pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
        build = ("wheel", "--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir")
        subprocess.run([*pip, *build, str(wheels), str(ROOT)], check=True, timeout=PATIENCE)
        into = ("--python", str(home / "bin/python"), "install", "--no-deps", "--no-index")
        subprocess.run([*pip, *into, *map(str, wheels.iterdir())], check=True, timeout=PATIENCE)
        script = home / "bin/amove-operator"
        script.write_text(script.read_text().replace(str(home), VENV))


def _dependencies() -> set[Path]:
    """Where the packages of runtime.lock are installed here: folders and modules, and no others."""
    lock = (ROOT / "requirements/runtime.lock").read_text()
    pinned = [
        Requirement(line) for line in re.findall(r"^\w[^\\\n]*==[^\\\n]*", lock, re.MULTILINE)
    ]
    return {
        Path(str(found.locate_file(file.parts[0])))
        for each in pinned
        if each.marker is None or each.marker.evaluate()
        for found in [distribution(each.name)]
        for file in found.files or []
        if file.parts[0] not in ("..", "__pycache__")
    }
