"""MkDocs' hook, run by MkDocs' own Python: see ``docs_site.links``."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any

from mkdocs.structure.files import File, Files, InclusionLevel

from docs_site.links import DOCS, PICTURES, copy_of, for_site, source_of, targets_of

ROOT = Path(__file__).parents[2]


def on_files(files: Files, *, config: Any) -> Files:
    """Add a page for each file or folder that a page links to, directly or by another."""
    waiting = [PurePosixPath(DOCS, page.src_uri) for page in files.documentation_pages()]
    known = {PurePosixPath(DOCS, file.src_uri) for file in files}
    while waiting:
        path = waiting.pop()
        text = _text(path)
        if path not in known:
            known.add(path)
            files.append(_generated(config, path, text))
        waiting += [each for each in targets_of(text, path, ROOT) if each not in known]
    return files


def on_page_markdown(markdown: str, *, page: Any, config: Any, files: Files) -> str:
    """Write the links of a page of docs/ as the site needs them."""
    del config, files
    uri = page.file.src_uri
    if page.file.generated_by:
        return markdown
    return for_site(markdown, PurePosixPath(DOCS, uri), ROOT)


def _text(path: PurePosixPath) -> str:
    """What is read for links: of a page or a folder; nothing of any other file."""
    if (ROOT / path).is_dir():
        return copy_of(ROOT, path)
    return (ROOT / path).read_text() if path.suffix == ".md" else ""


def _generated(config: Any, path: PurePosixPath, text: str) -> File:
    content: str | bytes
    if path.suffix in PICTURES:
        content = (ROOT / path).read_bytes()
    else:
        content = for_site(text, path, ROOT) if text else copy_of(ROOT, path)
    uri = source_of(ROOT, path)
    return File.generated(config, uri, content=content, inclusion=InclusionLevel.NOT_IN_NAV)
