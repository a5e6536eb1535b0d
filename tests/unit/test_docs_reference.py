"""The reference pages say what the product does: settings, placeholders, examples, links."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from amove_operator.core import secret_record
from amove_operator.core.rendering import PLACEHOLDERS, Place, render
from amove_operator.core.scope import Scope
from amove_operator.models import GROUP, KeySpec
from amove_operator.models.key import SecretSpec
from amove_operator.models.shared import parse_duration
from amove_operator.settings import Settings, variable

ROOT = Path(__file__).parents[2]
SETTINGS = (ROOT / "docs/settings.md").read_text()
FORMATS = (ROOT / "docs/formats.md").read_text()
ROTATION = (ROOT / "docs/rotation.md").read_text()


def rows(page: str) -> dict[str, list[str]]:
    """The table rows whose first cell is one piece of code: that code → the other cells."""
    found: dict[str, list[str]] = {}
    for line in page.splitlines():
        first, *others = (cell.strip() for cell in line.strip("|").split("|"))
        if line.startswith("|") and re.fullmatch(r"`[^`]+`", first):
            assert first not in found, f"{first} is there twice"
            found[first.strip("`")] = others
    return found


def blocks(page: str, language: str) -> list[str]:
    """The fenced code blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)


def shown(default: object) -> object:
    """A default as the page's cell must mean it; an empty cell for none."""
    if default is None or default == ():
        return None
    if isinstance(default, bool):
        return str(default).lower()
    return default if isinstance(default, timedelta) else str(default)


def meant(cell: str, default: object) -> object:
    """What the cell means, read as the setting's own kind."""
    text = cell.strip("`")
    if isinstance(default, timedelta):
        return parse_duration(text)
    return str(float(text)) if isinstance(default, float) else text or None


def test_every_setting_is_on_the_page_with_its_default_and_no_other_is() -> None:
    page = rows(SETTINGS)
    assert list(page) == [variable(field) for field in Settings.model_fields]
    defaults = {variable(name): field.default for name, field in Settings.model_fields.items()}
    told = {name: meant(cells[0], defaults[name]) for name, cells in page.items()}
    assert told == {name: shown(default) for name, default in defaults.items()}
    assert all(cells[1] for cells in page.values()), "each with its meaning"


def test_every_placeholder_is_on_the_page_and_no_other_is() -> None:
    told = re.findall(r"^\| `\$\{(\w+)\}`", FORMATS, re.MULTILINE)
    assert told == list(PLACEHOLDERS)


def test_every_annotation_of_a_secret_is_on_the_page() -> None:
    ours = {
        value.removeprefix(f"{GROUP}/")
        for value in vars(secret_record).values()
        if isinstance(value, str) and value.startswith(f"{GROUP}/")
    } - {"managed"}
    (table,) = re.findall(r"^\| annotation \|.*", FORMATS, re.MULTILINE | re.DOTALL)
    named = re.findall(r"`([a-z-]+)`", "".join(line.split("|")[1] for line in table.splitlines()))
    assert set(named) == ours
    assert f"label `{secret_record.MANAGED}: " in FORMATS


@pytest.mark.parametrize("name", ["rclone", "cosi"])
def test_a_template_on_the_page_is_the_one_of_the_examples(name: str) -> None:
    documents = yaml.safe_load_all((ROOT / f"examples/template-{name}.yaml").read_text())
    (template,) = (
        each["spec"]["secret"]["template"] for each in documents if "secret" in each["spec"]
    )
    pages = [yaml.safe_load(block) for block in blocks(FORMATS, "yaml")]
    assert template in [each["secret"]["template"] for each in pages if "secret" in each]


def rendered(secret: SecretSpec) -> dict[str, str]:
    """The Secret of a key of one bucket."""
    scope = Scope("account", "us-east-1", "storage.example", "Read", ("photos",))
    return render(secret, Place(scope, "https://…", "name"), "…", "…")


def test_the_aws_format_on_the_page_is_what_is_written() -> None:
    section = FORMATS.split("## `AWS`")[1].split("## ")[0]
    told = set(re.findall(r"`([A-Z][A-Z0-9_]+)`", section))
    assert told == rendered(SecretSpec()).keys() | {"BUCKET_NAMES"}


def test_the_credentials_file_on_the_page_is_what_is_written() -> None:
    assert blocks(FORMATS, "ini") == [rendered(SecretSpec(format="CredentialsFile"))["credentials"]]


def test_the_rotation_that_the_guide_shows_is_a_spec() -> None:
    (rotation,) = (
        document["spec"]["rotation"]
        for document in map(yaml.safe_load, blocks(ROTATION, "yaml"))
        if "rotation" in document["spec"]
    )
    spec = KeySpec.model_validate({"permission": "Read", "allBuckets": True, "rotation": rotation})
    assert spec.rotation.model_dump(by_alias=True) == rotation


def test_the_reloader_example_names_the_secret_that_its_pods_use() -> None:
    (deployment,) = (
        document
        for document in map(yaml.safe_load, blocks(ROTATION, "yaml"))
        if document.get("kind") == "Deployment"
    )
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    (source,) = container["envFrom"]
    watched = deployment["metadata"]["annotations"]["secret.reloader.stakater.com/reload"]
    assert watched == source["secretRef"]["name"]
    assert f"name: {watched}" in (ROOT / "examples/quickstart.yaml").read_text()


@pytest.mark.parametrize("name", ["settings.md", "formats.md", "rotation.md"])
def test_no_link_to_another_file_of_the_project_is_dead(name: str) -> None:
    page = ROOT / "docs" / name
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []
