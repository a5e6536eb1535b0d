"""The parts of a release, each made into one folder."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import yaml

from controlplane import ensure_binaries
from controlplane.progress import Finish
from install_yaml import Image, ImageError
from node.commands import run
from node.images import Builder, ensure_base
from node.packages import ensure_packages
from release.agreement import CHART, Sources, git
from release.bills import write_bills
from release.errors import ReleaseError
from release.programs import ensure_programs
from release.signing import PUBLIC, SUMS, generate_key, sign, verify, write_public, write_sums

PLATFORM = "linux-amd64"
BILLS = {"cyclonedx-json": "sbom.cdx.json", "spdx-json": "sbom.spdx.json"}
NO_BASE = "BASE names no image: the base is made of Debian's packages here, and has no digest"
REHEARSED_IMAGE = "localhost/rehearsed/amove-operator"


@dataclass(frozen=True)
class Order:
    """What is asked for. ``image``: the repository that it will be pushed to, without a tag.

    ``key``: what cosign signs with; ``base``: where the base image is pulled from, both empty for
    none. ``rehearsal``: what a release may not lack is said, and goes on.
    """

    root: Path
    output: Path
    image: str
    key: str = ""
    base: str = ""
    rehearsal: bool = False


def make_release(order: Order, report: Finish) -> Path:
    """The folder with all parts, ``<output>/release-<version>``; whole, or as it was before.

    Raises ReleaseError with a sentence for each thing that does not agree.
    """
    sources = _agreed(order, report)
    programs = ensure_programs(report)
    final = order.output / f"release-{sources.version}"
    order.output.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="making-", dir=order.output) as made,
        _key(order, programs) as key,
    ):
        # First of all: what follows takes minutes.
        write_public(programs / "cosign", key, Path(made) / PUBLIC)
        folder = Path(made) / final.name
        folder.mkdir()
        _packages(order, folder, report)
        _chart(order, sources, folder, report)
        _image(order, sources, folder, programs, report)
        write_sums(folder)
        report("signing each file")
        sign(programs / "cosign", key, folder)
        (Path(made) / PUBLIC).rename(folder / PUBLIC)
        verify(programs / "cosign", folder / "cosign.pub", folder / SUMS)
        shutil.rmtree(final, ignore_errors=True)
        folder.rename(final)
    return final


def _agreed(order: Order, report: Finish) -> Sources:
    sources = Sources.read(order.root)
    wrong = list(sources.disagreements())
    lacking = [*sources.unfinished(), *_lacking(order)]
    if not order.rehearsal:
        wrong += lacking
    if os.geteuid() != 0:
        wrong.append("buildah mounts what it builds: run this as root")
    if wrong:
        raise ReleaseError("this is no release yet:\n" + "\n".join(f"- {each}" for each in wrong))
    for each in lacking:
        report(f"a release would be refused: {each}")
    return sources


def _lacking(order: Order) -> Iterator[str]:
    if not order.key:
        yield "COSIGN_KEY names no key: make one with cosign generate-key-pair, and keep it"
    elif ":" not in order.key and not Path(order.key).is_file():
        yield f"COSIGN_KEY={order.key} is no file: name the private key that cosign made"
    example = "IMAGE=registry.example.org/amove-operator"
    if not order.image:
        yield f"IMAGE names no repository: write where the image will be, {example}"
    elif not _is_repository(order.image):
        yield (
            f"IMAGE={order.image} is no repository: write it without https:// and without tag, "
            f"since the tag is the version, {example}"
        )


def _is_repository(name: str) -> bool:
    with suppress(ImageError):
        image = Image.parse(name)
        return not image.tag and not image.digest
    return False


def _packages(order: Order, folder: Path, report: Finish) -> None:
    report("building wheel and sdist")
    command = [sys.executable, "-m", "hatchling", "build", "--directory", str(folder)]
    run(command, "building wheel and sdist", cwd=order.root)


def _chart(order: Order, sources: Sources, folder: Path, report: Finish) -> None:
    report("packing the chart, and writing install.yaml")
    helm = ensure_binaries() / "helm"
    pack = [str(helm), "package", str(order.root / CHART), "--destination", str(folder)]
    run(pack, "packing the chart")
    image = f"{_repository(order)}:{sources.version}"
    write = [sys.executable, "-m", "install_yaml", image, str(folder / "install.yaml")]
    run(write, "writing install.yaml", cwd=order.root)


def _image(order: Order, sources: Sources, folder: Path, programs: Path, report: Finish) -> None:
    packages = ensure_packages(report)
    builder = Builder(packages, ensure_base(packages, report), report)
    base = builder.pinned(order.base) if order.base else ""
    report(f"on the base image {base}" if base else NO_BASE)
    revision = git(order.root, "rev-parse", "HEAD").strip()
    archive = folder / f"amove-operator-{sources.version}-{PLATFORM}.oci.tar"
    name = f"{_repository(order)}:{sources.version}"
    digest = builder.release(name, archive, {"revision": revision, "source": _source(order)}, base)
    report("writing the bill of materials, by syft")
    bills = {each: folder / name for each, name in BILLS.items()}
    write_bills(programs / "syft", f"oci-archive:{archive}", sources.version, bills)
    told = {
        "version": sources.version,
        "revision": revision,
        "image": name,
        "digest": digest,
        "base": base or "Debian 12, made by mmdebstrap",
        "rehearsal": order.rehearsal,
    }
    (folder / "release.json").write_text(json.dumps(told, indent=2) + "\n")


@contextmanager
def _key(order: Order, programs: Path) -> Iterator[str]:
    if order.key and not order.rehearsal:  # what lacks something is never signed as a release
        yield order.key
        return
    with tempfile.TemporaryDirectory() as folder:
        yield str(generate_key(programs / "cosign", Path(folder)))


def _repository(order: Order) -> str:
    return order.image or REHEARSED_IMAGE


def _source(order: Order) -> str:
    """Where the sources are, as the chart says."""
    chart = yaml.safe_load((order.root / CHART / "Chart.yaml").read_text())
    return next(iter(chart.get("sources") or []), chart.get("home") or "unknown")
