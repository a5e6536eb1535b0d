"""``python -m docs_site [FOLDER]``: build the site into the folder, dist/site by default."""

from __future__ import annotations

import sys
from pathlib import Path

from docs_site.building import ROOT, build_site
from docs_site.errors import DocsSiteError


def main() -> int:
    """The exit status: 0, or 1 after saying what is wrong."""
    output = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "dist/site"
    try:
        build_site(output, lambda line: print(f"docs_site: {line}", file=sys.stderr, flush=True))
    except DocsSiteError as failure:
        print(f"docs_site: {failure}", file=sys.stderr)
        return 1
    print(f"{output}/index.html")
    # A browser lets no page that it opens as a file fetch the index.
    print(f"with search: python3 -m http.server --bind 127.0.0.1 --directory {output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
