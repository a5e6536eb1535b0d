"""The documentation as a site: built whole, with links that lead somewhere, and from here alone."""

from __future__ import annotations

import re
import shutil
from html.parser import HTMLParser
from pathlib import Path, PurePosixPath

import pytest

import docs_site.__main__ as command
from docs_site.building import build_site, ensure_mkdocs
from docs_site.errors import DocsSiteError
from docs_site.links import copy_of, for_site, source_of, targets_of

ROOT = Path(__file__).parents[3]
# Attributes by which a page loads something; a link that a person follows is an `a`.
LOADING = {"src", "srcset", "href", "data", "poster", "action"}


class Loads(HTMLParser):
    """Collects what a page loads when it is shown, and the classes of its elements."""

    def __init__(self) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.classes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "class":
                self.classes.update((value or "").split())
            if name in LOADING and tag != "a":
                self.targets.append(value or "")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the built site."""
    folder = tmp_path_factory.mktemp("docs") / "site"
    build_site(folder, print)
    return folder


def test_every_page_is_in_the_site_and_has_its_place_in_the_menu(site: Path) -> None:
    """That each is in the menu, and each link leads somewhere, `strict` sees to."""
    for page in (ROOT / "docs").rglob("*.md"):
        relative = page.relative_to(ROOT / "docs")
        name = "index.html" if relative.name == "README.md" else f"{relative.stem}.html"
        assert (site / relative.parent / name).is_file(), relative


def test_make_docs_says_where_the_pages_are_and_how_to_search_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "build_site", lambda *_: None)
    monkeypatch.setattr("sys.argv", ["docs_site", str(tmp_path)])
    assert command.main() == 0
    page, served = capsys.readouterr().out.splitlines()
    assert page == f"{tmp_path}/index.html"
    assert served.endswith(f"http.server --bind 127.0.0.1 --directory {tmp_path}")


def test_a_page_loads_nothing_from_another_host(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 40
    for page in pages:
        loads = Loads()
        loads.feed(page.read_text())
        assert loads.targets
        for target in loads.targets:
            assert not re.match(r"(\w+:)?//", target), f"{page.name} loads {target}"
        # The theme's script fetches a program for diagrams where a page has one.
        assert "mermaid" not in loads.classes
    for sheet in site.rglob("*.css"):
        assert not re.search(r"(url\(|@import)\s*[\"']?(\w+:)?//", sheet.read_text()), sheet.name


def test_a_file_outside_of_docs_is_in_the_site_where_a_page_links_to_it(site: Path) -> None:
    assert "AmoveBucket" in (site / "repository/examples/quickstart.yaml.html").read_text()
    assert 'href="quickstart.yaml.html"' in (site / "repository/examples/index.html").read_text()
    assert 'src="../images/page.png"' in (site / "repository/index.html").read_text()
    assert (site / "images/page.png").read_bytes() == (ROOT / "docs/images/page.png").read_bytes()
    page = (site / "formats.html").read_text()
    assert 'href="repository/examples/template-rclone.yaml.html"' in page


@pytest.mark.parametrize("link", ["gone.md", "README.md#gone", "../gone.yaml"])
def test_a_link_that_leads_nowhere_fails_and_names_page_and_link(tmp_path: Path, link: str) -> None:
    root = tmp_path / "project"
    shutil.copytree(ROOT / "dev/docs_site", root / "dev/docs_site")
    (root / "mkdocs.yml").write_text((ROOT / "mkdocs.yml").read_text().split("\nnav:")[0])
    (root / "docs").mkdir()
    (root / "docs/README.md").write_text(f"# Title\n\n[a link]({link})\n")
    with pytest.raises(DocsSiteError, match=f"'README.md' contains a link '{link}'"):
        build_site(tmp_path / "site", print, root=root)


def test_a_lock_that_cannot_be_installed_says_so_and_is_tried_again(tmp_path: Path) -> None:
    lock = tmp_path / "docs.lock"
    lock.write_text("mkdocs==1.6.1 --hash=sha256:00\n")
    environ = {"XDG_CACHE_HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "PIP_NO_INDEX": "1"}
    said: list[str] = []
    for _ in range(2):
        with pytest.raises(DocsSiteError, match=r"pip .* install"):
            ensure_mkdocs(said.append, environ=environ, lock=lock)
    assert [line.split(",")[0] for line in said] == ["installing MkDocs"] * 2


# ------------------------------------------------------------------------------ links


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository with a page, an example and a README."""
    pages = ("docs/keys.md", "README.md", "docs/runbooks/fence.md")
    for name in (*pages, "examples/one.yaml", "logo.png", "docs/images/page.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x\n")
    return tmp_path


@pytest.mark.parametrize(
    ("page", "target", "shown"),
    [
        ("docs/keys.md", "../examples/one.yaml", "repository/examples/one.yaml.md"),
        ("docs/keys.md", "../examples", "repository/examples/index.md"),
        ("docs/keys.md", "../README.md#end", "repository/README.md#end"),
        ("docs/keys.md", "runbooks", "runbooks/index.md"),
        ("docs/keys.md", "../logo.png", "repository/logo.png"),
        ("README.md", "docs/images/page.png", "../images/page.png"),
        ("docs/runbooks/fence.md", "../keys.md#b", "../keys.md#b"),
        ("README.md", "docs/keys.md", "../keys.md"),
        ("README.md", "examples/one.yaml", "examples/one.yaml.md"),
        ("docs/keys.md", "#here", "#here"),
        ("docs/keys.md", "https://example.org/x", "https://example.org/x"),
        ("docs/keys.md", "../../outside.md", "../../outside.md"),
    ],
)
def test_a_link_of_the_repository_becomes_one_of_the_site(
    root: Path, page: str, target: str, shown: str
) -> None:
    assert for_site(f"[a]({target})", PurePosixPath(page), root) == f"[a]({shown})"


def test_what_is_fenced_stays_and_a_table_gets_a_line_before_it(root: Path) -> None:
    page = PurePosixPath("docs/keys.md")
    fenced = "```\n[a](../examples)\n```"
    assert for_site(fenced, page, root) == fenced
    assert for_site("<!-- a table: -->\n| a |", page, root) == "<!-- a table: -->\n\n| a |"


def test_what_a_page_links_to_is_found_and_shown(root: Path) -> None:
    link = "[a]({})".format
    fenced = f"```\n{link('README')}\n```"
    text = "\n".join([link("../examples"), link("keys.md"), fenced, link("gone")])
    found = list(targets_of(text, PurePosixPath("docs/keys.md"), root))
    assert found == [PurePosixPath("examples"), PurePosixPath("docs/keys.md")]
    folder = copy_of(root, PurePosixPath("examples"))
    assert list(targets_of(folder, PurePosixPath("examples"), root)) == [
        PurePosixPath("examples/one.yaml")
    ]
    assert "````yaml\nx\n````" in copy_of(root, PurePosixPath("examples/one.yaml"))
    assert source_of(root, PurePosixPath("examples/one.yaml")) == "repository/examples/one.yaml.md"


# ------------------------------------------------------------------------------ pages


PAGES = [
    *(ROOT / "docs").rglob("*.md"),
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_list_is_one_for_every_markdown(page: Path) -> None:
    """The forge takes a list right below a paragraph, and one indented by two; MkDocs does not."""
    item = re.compile(r"( *)([-*]|\d+\.) ")
    fenced, before = False, ""
    for number, line in enumerate(page.read_text().splitlines(), 1):
        fenced ^= line.lstrip().startswith("```")
        found = item.match(line)
        if found and not fenced:
            where = f"{page.name}:{number}"
            assert len(found[1]) % 4 == 0, f"{where}: indent a nested list by four"
            in_list = item.match(before) or before.startswith((" ", "#")) or not before.strip()
            assert in_list, f"{where}: leave a line before the list"
        before = line


def test_the_page_on_installing_says_to_type_what_the_readme_says() -> None:
    """And that is typed on a real node (tests/node/test_readme.py)."""
    section = (ROOT / "README.md").read_text().split("\n## Install\n")[1]
    typed = re.findall(r"```console\n(.*?)```", section, re.DOTALL)[0]
    page = (ROOT / "docs/install.md").read_text()
    assert re.findall(r"```console\n(.*?)```", page, re.DOTALL)[0] == typed
