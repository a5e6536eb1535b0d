"""Where a file of the repository is in the site, and links between the two.

The pages are written for the repository, where a link may lead to any file. The site has the pages
of ``docs/`` at its top, and a copy of each other file that one of them links to below
``repository/``: so every link works in both, and the site needs no other host.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

DOCS = "docs"
COPIES = "repository"
# A link's target and fragment; what stands in fenced code is no link.
_LINK = re.compile(r"\]\((?P<target>[^)#\s:]+)(?P<fragment>#[^)\s]*)?\)")
_FENCE = re.compile(r"^ *(?:```|~~~)")
# Shown as they are; every other file that is no page gets one that shows it.
PICTURES = {".gif", ".jpg", ".png", ".svg"}
LANGUAGES = {".py": "python", ".yaml": "yaml", ".yml": "yaml", ".json": "json", ".toml": "toml"}


def source_of(root: Path, path: PurePosixPath) -> str:
    """The Markdown source in the site for a file or folder of the repository.

    A page of ``docs/`` loses that folder, another is below ``repository/``; a file that is neither
    page nor picture gets the suffix of a page, and a folder has one called ``index``.
    """
    if (root / path).is_dir():
        path = path / "index.md"
    elif path.suffix != ".md" and path.suffix not in PICTURES:
        path = path.with_name(f"{path.name}.md")
    if path.parts[0] == DOCS:
        return str(path.relative_to(DOCS))
    return f"{COPIES}/{path}"


def targets_of(text: str, page: PurePosixPath, root: Path) -> Iterator[PurePosixPath]:
    """The files and folders of the repository that the page (its path there) links to."""
    for line in _outside_fences(text):
        for link in _LINK.finditer(line):
            target = _resolved(link["target"], page, root)
            if target is not None:
                yield target


def for_site(text: str, page: PurePosixPath, root: Path) -> str:
    """The page's text with each link as the site needs it. A link that leads nowhere stays."""
    at = PurePosixPath(source_of(root, page)).parent

    def changed(link: re.Match[str]) -> str:
        target = _resolved(link["target"], page, root)
        if target is None:
            return link[0]
        relative = os.path.relpath(source_of(root, target), at)
        return f"]({relative}{link['fragment'] or ''})"

    lines, fenced = [], False
    for line in text.split("\n"):
        fenced ^= bool(_FENCE.match(line))
        lines.append(line if fenced else _LINK.sub(changed, line))
    # MkDocs' Markdown takes a table that stands right below a comment for a part of it.
    return re.sub(r"^(<!--.*-->)\n", r"\1\n\n", "\n".join(lines), flags=re.MULTILINE)


def copy_of(root: Path, path: PurePosixPath) -> str:
    """A page that shows a file, or lists a folder, which is no page itself; links as in a page."""
    if (root / path).is_dir():
        names = sorted(
            each.name for each in (root / path).iterdir() if not each.name.startswith((".", "__"))
        )
        body = "\n".join(f"- [{name}]({path.name}/{name})" for name in names)
        return f"# {path}\n\n{body}\n"
    language = LANGUAGES.get(path.suffix, "text")
    shown = (root / path).read_text().rstrip()
    return (
        f"---\nsearch:\n  exclude: true\n---\n# {path.name}\n\n`{path}`\n\n"
        f"````{language}\n{shown}\n````\n"
    )


def _outside_fences(text: str) -> Iterator[str]:
    fenced = False
    for line in text.split("\n"):
        fenced ^= bool(_FENCE.match(line))
        if not fenced:
            yield line


def _resolved(target: str, page: PurePosixPath, root: Path) -> PurePosixPath | None:
    """Relative to the repository; None where nothing is there, or it is outside."""
    path = PurePosixPath(os.path.normpath(page.parent / target))
    if path.is_absolute() or ".." in path.parts or path == PurePosixPath():
        return None
    return path if (root / path).exists() else None
