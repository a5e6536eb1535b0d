"""``python -m install_yaml IMAGE FILE [VALUES]``: write FILE, for ``kubectl apply -f``."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from controlplane import ensure_binaries
from install_yaml.image import Image, ImageError
from install_yaml.rendering import RenderError, render


def main() -> int:
    """Answer the exit status: 0, or 2 after saying what is wrong."""
    if len(sys.argv) not in (3, 4):
        print("usage: python -m install_yaml IMAGE FILE [VALUES]", file=sys.stderr)
        return 2
    image, file, *values = sys.argv[1:]
    try:
        helm = Path(shutil.which("helm") or ensure_binaries() / "helm")
        text = render(helm, Image.parse(image), Path(values[0]) if values else None)
    except (ImageError, RenderError) as failure:
        print(f"install_yaml: {failure}", file=sys.stderr)
        return 2
    Path(file).parent.mkdir(parents=True, exist_ok=True)
    Path(file).write_text(text)
    print(f"{file}: kubectl apply -f {file}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
