"""The images, built without a registry: from Debian's packages and our own Dockerfiles."""

from __future__ import annotations

import ast
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from controlplane.progress import Finish
from node.box import VARIABLE
from node.cache import kept, key_of, locked, node_cache
from node.commands import run
from node.errors import NodeError
from node.packages import ensure_packages, with_packages
from node.programs import ensure_pause

ROOT = Path(__file__).parents[2]


def _version() -> str:
    """The product's version, read from it: its tools run where it does not."""
    text = (ROOT / "operator" / "amove_operator" / "__init__.py").read_text()
    return text.partition('__version__ = "')[2].partition('"')[0]


BASE = "localhost/debian:bookworm-slim"
PAUSE = "localhost/pause:1"
OPERATOR = f"localhost/amove-operator:{_version()}"
APPLICATION = "localhost/amove-application:1"
DEBIAN_SOURCES = (Path("/etc/apt/sources.list.d/debian.sources"), Path("/etc/apt/sources.list"))
PIP_OPTIONS = ("index-url", "extra-index-url", "trusted-host", "proxy", "cert")
# As Debian's own slim images are made: /usr merged without the package (and Perl) that does so
# later, and neither manuals nor translations.
SLIM = (
    "--include=usr-is-merged",
    "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr",
    *(
        f"--dpkgopt=path-exclude=/usr/share/{part}/*"
        for part in ("doc", "groff", "info", "lintian", "linda", "locale", "man")
    ),
    "--dpkgopt=path-include=/usr/share/doc/*/copyright",
)
# What the README says fills in the image's labels. Always the same: to buildah 1.28 one cached
# LABEL is as good as another, whatever its arguments were.
LABELS = ("REVISION=of-the-tests", "SOURCE=https://git.example.com/amove-operator")
KEPT_ARCHIVES = 4
# Layers of former sources pile up in buildah's storage.
MOST_STORED_KIB = 6 * 1024 * 1024


@dataclass(frozen=True)
class Image:
    """An image's ``name`` and the archive (docker-archive, a tar) that it is imported from."""

    name: str
    archive: Path


def ensure_images(report: Finish) -> list[Image]:
    """Pause, the operator and the application; built where they are missing."""
    packages = ensure_packages(report)
    base = ensure_base(packages, report)
    builder = Builder(packages, base, report)
    return [
        builder.pause(),
        builder.project(OPERATOR, ROOT, _operator_sources(), LABELS),
        builder.project(APPLICATION, ROOT / "examples/app", _files_of(ROOT / "examples/app")),
    ]


def ensure_operator(report: Finish) -> Image:
    """The operator's, as the sources make it now."""
    (image,) = (each for each in ensure_images(report) if each.name == OPERATOR)
    return image


def ensure_base(packages: Path, report: Finish) -> Path:
    """A tar of Debian 12 slim, as mmdebstrap makes it from the machine's own sources."""
    sources = next(path for path in DEBIAN_SOURCES if path.exists())
    options = ["--variant=minbase", "--format=tar", "--quiet", *SLIM]
    options += ['--aptopt=Acquire::Check-Valid-Until "false"']
    return kept(
        "base",
        key_of([sources, *options]),
        lambda tar: _make_base(packages, sources, options, tar, report),
        suffix=".tar",
    )


def _make_base(
    packages: Path, sources: Path, options: list[str], tar: Path, report: Finish
) -> None:
    report("making a Debian base image; this takes a minute, once")
    command = ["mmdebstrap", *options, "bookworm", str(tar), str(sources)]
    run(with_packages(packages, command), "making the base image with mmdebstrap")


class Builder:
    """buildah, with storage of its own."""

    def __init__(self, packages: Path, base: Path, report: Finish) -> None:
        self._packages = packages
        self._base = base
        self._report = report
        self._storage = node_cache() / "buildah"

    def pause(self) -> Image:
        program = ensure_pause()
        dockerfile = f'FROM scratch\nCOPY {program.name} /pause\nENTRYPOINT ["/pause"]\n'
        key = key_of([program, dockerfile])
        archive = kept(
            "image-pause",
            key,
            lambda tar: self._build_alone(
                PAUSE, program.parent, _docker_archive(tar, PAUSE), dockerfile=dockerfile
            ),
            suffix=".tar",
        )
        return Image(PAUSE, archive)

    def project(
        self, name: str, context: Path, sources: Iterable[Path], labels: Sequence[str] = ()
    ) -> Image:
        """Build the Dockerfile of ``context`` on our base; keyed by what ``sources`` hold.

        ``labels``: build arguments, ``NAME=value``.
        """
        parts: list[str | bytes | Path] = [self._base.name, name, *labels]
        for path in sources:
            parts += [str(path.relative_to(ROOT)), path]
        kind = f"image-{name.rpartition('/')[2].partition(':')[0]}"
        key = key_of(parts)
        archive = kept(
            kind,
            key,
            lambda tar: self._build_alone(name, context, _docker_archive(tar, name), labels),
            suffix=".tar",
        )
        # Other worktrees have other sources, and may be running on theirs right now.
        archive.touch()
        _keep_newest(archive.parent)
        return Image(name, archive)

    def release(self, name: str, archive: Path, labels: Mapping[str, str], base: str) -> str:
        """Write the operator's image as an OCI archive, and answer its digest, ``sha256:…``.

        ``labels``: ``revision`` and others of ``org.opencontainers.image``. ``base``: the name of
        its base image, with a digest; empty for the one that is made here.
        """
        # On top, and without the cache: see LABELS.
        lines = [f'LABEL org.opencontainers.image.{key}="{value}"' for key, value in labels.items()]
        dockerfile = "\n".join([f"FROM {OPERATOR}", *lines, ""])
        with tempfile.TemporaryDirectory() as empty, tempfile.NamedTemporaryFile("r") as digest:
            to = [f"--digestfile={digest.name}", name, f"oci-archive:{archive}:{name}"]
            with self._alone():  # with both: another build may clear the storage in between
                self._build(OPERATOR, ROOT, (), LABELS, base=base or BASE)
                self._build(name, Path(empty), to, dockerfile=dockerfile, layers=False)
            return digest.read().strip()

    def pinned(self, reference: str) -> str:
        """Pull an image, ``docker://…``, and answer its name with its digest."""
        with locked(node_cache() / "buildah.lock"):
            self._buildah(["pull", "--quiet", reference], f"pulling {reference}")
            name = reference.removeprefix("docker://")
            asked = ["inspect", "--type=image", "--format={{.FromImageDigest}}", name]
            digest = self._buildah(asked, f"reading the digest of {name}")
        repository, _, tag = name.rpartition(":")
        return f"{repository if repository and '/' not in tag else name}@{digest.strip()}"

    def _build_alone(self, *arguments: Any, **named: Any) -> None:
        with self._alone():
            self._build(*arguments, **named)

    def _build(
        self,
        name: str,
        context: Path,
        to: Sequence[str],
        labels: Sequence[str] = (),
        *,
        dockerfile: str | None = None,
        base: str = BASE,
        layers: bool = True,
    ) -> None:
        """Build the image, and push it where ``to``, the end of ``buildah push``, says."""
        self._report(f"building the image {name}")
        options = [f"--layers={str(layers).lower()}", "--isolation", "chroot"]
        options += ["--network", "host", "--pull-never"]
        options += [f"--build-arg={each}" for each in (f"BASE_IMAGE={base}", *labels)]
        options += ["--tag", name, *self._pip_options()]
        if dockerfile is not None:
            given = node_cache() / "given.Dockerfile"
            given.write_text(dockerfile)
            options += ["--file", str(given)]
        self._buildah(["build", *options, str(context)], f"building the image {name}")
        if to:
            self._buildah(["push", *to], f"writing {name}")

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Nobody else uses buildah's storage, which has room and the base image."""
        if VARIABLE in os.environ:
            raise NodeError("the image's sources have changed since this run began: start it again")
        with locked(node_cache() / "buildah.lock"):
            self._make_room()
            self._load_base()
            yield

    def _load_base(self) -> None:
        marker = self._storage / f"base-{self._base.stem}"
        if marker.exists():
            return
        context = node_cache() / "base-context"
        shutil.rmtree(context, ignore_errors=True)
        context.mkdir(parents=True)
        (context / "Dockerfile").write_text("FROM scratch\nADD base.tar /\n")
        os.link(self._base, context / "base.tar")
        options = ["--isolation", "chroot", "--pull-never", "--tag", BASE]
        self._buildah(["build", *options, str(context)], "loading the base image")
        shutil.rmtree(context)
        marker.touch()

    def _pip_options(self) -> list[str]:
        """Root's home during the build: this machine's CA bundle and pip settings, for pip alone.

        A folder that every base has, so that nothing of it is left in a layer.
        """
        home = node_cache() / "build-home"
        settings = home / ".config/pip/pip.conf"
        settings.parent.mkdir(parents=True, exist_ok=True)
        chosen = _pip_settings()
        if "cert" in chosen:
            shutil.copyfile(chosen["cert"], home / "ca.crt")
            chosen["cert"] = "/root/ca.crt"
        lines = ["[global]", *(f"{name} = {value}" for name, value in chosen.items())]
        settings.write_text("\n".join(lines) + "\n")
        return ["--volume", f"{home}:/root:ro"]

    def _make_room(self) -> None:
        if not self._storage.exists():
            return
        used = run(
            ["du", "--summarize", "--block-size=1K", str(self._storage)], "measuring"
        ).split()
        if int(used[0]) > MOST_STORED_KIB:
            shutil.rmtree(self._storage)

    def _buildah(self, arguments: list[str], doing: str) -> str:
        own = ["--root", str(self._storage), "--runroot", str(self._storage / "run")]
        policy = ["--signature-policy", str(self._packages / "etc/containers/policy.json")]
        first, *rest = arguments
        believed = policy if first in ("build", "pull", "push") else []
        command = ["buildah", *own, "--storage-driver", "overlay", first, *believed, *rest]
        return run(with_packages(self._packages, command), doing)


def _docker_archive(tar: Path, name: str) -> list[str]:
    return [name, f"docker-archive:{tar}:{name}"]


def _keep_newest(folder: Path) -> None:
    archives = [each for each in folder.glob("*.tar") if not each.name.startswith("making-")]
    for former in sorted(archives, key=lambda each: -each.stat().st_mtime)[KEPT_ARCHIVES:]:
        former.unlink(missing_ok=True)


def _pip_settings() -> dict[str, str]:
    """How this machine's pip reaches an index: of its settings, those that say so."""
    listed = run([sys.executable, "-m", "pip", "config", "list"], "reading pip's settings")
    found: dict[str, str] = {}
    for line in listed.splitlines():
        name, _, value = line.partition("=")
        option = name.rpartition(".")[2]
        if option in PIP_OPTIONS:
            found[option] = ast.literal_eval(value)
    return found


def _operator_sources() -> list[Path]:
    named = [ROOT / name for name in ("Dockerfile", ".dockerignore", "pyproject.toml")]
    named += [ROOT / name for name in ("README.md", "LICENSE")]
    named += [ROOT / "requirements" / name for name in ("build.lock", "runtime.lock")]
    return named + _files_of(ROOT / "operator/amove_operator")


def _files_of(folder: Path) -> list[Path]:
    return sorted(
        path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts
    )
