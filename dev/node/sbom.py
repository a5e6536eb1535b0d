"""A software bill of materials (CycloneDX) of what is found in the operator's image."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot5
from packageurl import PackageURL

from node.archive import Archive, paragraphs
from node.images import OPERATOR

WANTED = ("opt/*/lib/*/site-packages/*.dist-info/METADATA", "var/lib/dpkg/status")
INSTALLED = "install ok installed"


def sbom(archive: Path) -> str:
    """JSON: the image, and its Python distributions and Debian packages as components."""
    bom = Bom()
    name, _, version = OPERATOR.rpartition("/")[2].partition(":")
    bom.metadata.component = Component(name=name, version=version, type=ComponentType.CONTAINER)
    found = list(_components(Archive.read(archive, wanted=WANTED)))
    for component in found:
        bom.components.add(component)
    bom.register_dependency(bom.metadata.component, found)
    return str(JsonV1Dot5(bom).output_as_string(indent=2)) + "\n"


def _components(archive: Archive) -> Iterator[Component]:
    for path, text in sorted(archive.texts.items()):
        if path.endswith("METADATA"):
            yield _component("pypi", "", next(paragraphs(text)))
        else:
            for package in paragraphs(text):
                if package.get("Status") == INSTALLED:
                    yield _component("deb", "debian", package)


def _component(kind: str, namespace: str, headers: dict[str, str]) -> Component:
    name = headers.get("Name") or headers["Package"]
    version = headers["Version"]
    purl = PackageURL(kind, namespace or None, name, version)
    return Component(
        name=name, version=version, type=ComponentType.LIBRARY, purl=purl, bom_ref=str(purl)
    )
