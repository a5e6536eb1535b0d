"""The reference pages say what the product does, and stand in the repository themselves.

Settings, placeholders and examples are held to the code; links, citations of pages and headings,
and the tests and files that pages name lead to something that is there.
"""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from amove_operator.core.outcomes import Outcome
from amove_operator.core.scope import Scope
from amove_operator.core.secrets import record as secret_record
from amove_operator.core.secrets.rendering import PLACEHOLDERS, RenderContext, render
from amove_operator.models import GROUP, KeySpec, SecretSpec
from amove_operator.models.shared import parse_duration
from amove_operator.settings import Settings, variable
from amove_operator.telemetry import Metrics

ROOT = Path(__file__).parents[3]
SETTINGS = (ROOT / "docs/settings.md").read_text()
FORMATS = (ROOT / "docs/formats.md").read_text()
ROTATION = (ROOT / "docs/rotation.md").read_text()

PLACES = ("operator", "dev", "bench", "tests", "deploy", "docs", "examples", "requirements", ".ci")
READABLE = {".py", ".md", ".yaml", ".tpl", ".toml", ".json", ".txt", ".mod", ""}
# Put together here, so that this file does not name them.
OUTSIDE = ("design", "kubernetes-findings", "faults", "house", "real-node", "style")
# What stands in quotes is a part of a path that the code puts together.
PAGE = re.compile(r"(?<![\w\"./-])[\w./-]*\w\.md\b")
CITED = re.compile(r"\b(docs/[\w-]+\.md), \"([^\"]+)\"")
LINK = re.compile(r"\]\(([^)#\s]*)(?:#([^)]*))?\)")


def texts() -> dict[Path, str]:
    """Every file of the project that people read and write."""
    found = [path for path in ROOT.iterdir() if path.is_file()]
    found += [path for place in PLACES for path in (ROOT / place).rglob("*") if path.is_file()]
    readable = [path for path in found if path.suffix in READABLE and path.name != ".coverage"]
    return {path: path.read_text() for path in readable if path.name != ".git"}


TEXTS = texts()
PAGES = {path: text for path, text in TEXTS.items() if path.suffix == ".md"}
CODE = {path: text for path, text in TEXTS.items() if path.suffix != ".md"}


def short(path: Path) -> str:
    """A path as people write it."""
    return str(path.relative_to(ROOT))


def headings(page: str) -> list[str]:
    """The headings of a page, without the marks of code in them."""
    return [head.replace("`", "") for head in re.findall(r"^#+ (.+)$", page, re.MULTILINE)]


def anchor(heading: str) -> str:
    """What a link to that heading ends in."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def running(text: str) -> str:
    """The text of a file without its line breaks, and the comment marks after them."""
    return re.sub(r"\s*\n[ \t]*#?[ \t]*", " ", text)


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


def test_every_metric_is_on_the_page_and_no_other_is() -> None:
    def shown_as(name: str, kind: str) -> str:
        return name + {"counter": "_total", "info": "_info"}.get(kind, "")

    page = rows((ROOT / "docs/monitoring.md").read_text().split("\n## ")[0])
    ours = [one for one in Metrics().registry.collect() if not one.name.startswith("process_")]
    assert set(page) == {shown_as(one.name, one.type) for one in ours}
    assert all(cells[-1].endswith(".") for cells in page.values())


def test_every_way_in_which_a_reconcile_ends_is_on_the_page_of_metrics() -> None:
    section = (ROOT / "docs/monitoring.md").read_text().split("\n## How a reconcile ends\n")[1]
    assert set(rows(section.split("\n## ")[0])) == set(Outcome)


def test_the_glossary_is_in_order_and_each_word_says_where_it_is_used() -> None:
    entries = (ROOT / "docs/glossary.md").read_text().split("\n### ")[1:]
    words = [entry.split("\n")[0] for entry in entries]
    assert words == sorted(words, key=str.lower)
    for entry in entries:
        assert re.search(r"(\]\([\w.#-]+\)|`[\w/]+\.py`)\.?$", entry.strip()), entry


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
    return render(secret, RenderContext(scope, "https://…", "name"), "…", "…")


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


@pytest.mark.parametrize("page", PAGES, ids=short)
def test_every_link_of_a_page_leads_to_a_file_and_a_heading(page: Path) -> None:
    for target, fragment in LINK.findall(PAGES[page]):
        if ":" in target:
            continue
        aimed = (page.parent / target).resolve() if target else page
        assert aimed.exists(), target
        if fragment:
            assert fragment in map(anchor, headings(aimed.read_text())), f"{target}#{fragment}"


def test_no_line_names_a_file_outside_the_repository() -> None:
    forbidden = [*(f"{name}.md" for name in OUTSIDE), "/".join(("shared", "reference"))]
    named = re.compile("|".join(rf"(?<![\w-]){re.escape(each)}" for each in forbidden))
    assert [
        f"{short(path)}:{number}: {line.strip()}"
        for path, text in TEXTS.items()
        for number, line in enumerate(text.splitlines(), 1)
        if named.search(line)
    ] == []


def test_every_page_that_is_named_is_there() -> None:
    assert [
        f"{short(path)}: {name}"
        for path, text in TEXTS.items()
        for name in PAGE.findall(text)
        if not (ROOT / name).exists()
        and not (path.suffix == ".md" and (path.parent / name).exists())
    ] == []


def test_every_heading_that_code_cites_is_on_its_page() -> None:
    cited = [(path, *one) for path, text in CODE.items() for one in CITED.findall(running(text))]
    assert len(cited) > 20
    assert [
        f'{short(path)}: {page}, "{heading}"'
        for path, page, heading in cited
        if heading not in headings((ROOT / page).read_text())
    ] == []


@pytest.mark.parametrize("page", PAGES, ids=short)
def test_every_test_and_source_file_that_a_page_names_is_there(page: Path) -> None:
    roots = (ROOT, ROOT / "operator/amove_operator", ROOT / "dev", page.parent)
    for name in re.findall(r"`([\w.]+(?:/[\w.]+)+\.py)`", PAGES[page]):
        assert any((root / name).is_file() for root in roots), name
    tests = "".join(text for path, text in CODE.items() if path.name.startswith("test_"))
    for name in re.findall(r"`(test_\w+)`", PAGES[page]):
        assert f"def {name}(" in tests, name
