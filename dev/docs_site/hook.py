"""MkDocs' hook, run by MkDocs' own Python: see ``docs_site.links``."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any

from mkdocs.structure.files import File, Files, InclusionLevel

from docs_site.links import DOCS, copy_of, for_site, source_of, targets_of

ROOT = Path(__file__).parents[2]


def on_files(files: Files, *, config: Any) -> Files:
    """Add a page for each file or folder that a page links to, directly or by another."""
    waiting = [PurePosixPath(DOCS, page.src_uri) for page in files.documentation_pages()]
    known = set(waiting)
    while waiting:
        path = waiting.pop()
        is_page = path.suffix == ".md" and (ROOT / path).is_file()
        text = (ROOT / path).read_text() if is_page else copy_of(ROOT, path)
        if not is_page or path.parts[0] != DOCS:
            shown = for_site(text, path, ROOT) if is_page or (ROOT / path).is_dir() else text
            files.append(_generated(config, path, shown))
        for target in targets_of(text, path, ROOT):
            if target not in known:
                known.add(target)
                waiting.append(target)
    return files


def on_page_markdown(markdown: str, *, page: Any, config: Any, files: Files) -> str:
    """Write the links of a page of docs/ as the site needs them."""
    del config, files
    uri = page.file.src_uri
    if page.file.generated_by:
        return markdown
    return for_site(markdown, PurePosixPath(DOCS, uri), ROOT)


def _generated(config: Any, path: PurePosixPath, text: str) -> File:
    uri = source_of(ROOT, path)
    return File.generated(config, uri, content=text, inclusion=InclusionLevel.NOT_IN_NAV)
