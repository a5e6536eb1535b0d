"""An operator of a later version, with a fence of its own: ``later_operator.py run``.

What a later version of the fence refuses besides is of no matter here, only that it is another one.
"""

from __future__ import annotations

import json
import sys
from functools import partialmethod
from typing import Any

from amove_operator.cli import main
from amove_operator.kube import FenceWatch
from amove_operator.models import fence

LATER = fence.FENCE_VERSION + 1


def become_later() -> None:
    """From here on this process is the later version."""
    fence.FENCE_VERSION = LATER
    more = ("!variables.ofStatus || has(object.status)", "A status is not taken away as a whole.")
    setattr(fence, "_VALIDATIONS", (*getattr(fence, "_VALIDATIONS"), more))  # noqa: B009, B010


def manifests() -> str:
    """The later fence, for ``kubectl apply``."""
    become_later()
    items: list[Any] = list(fence.fence())
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": items})


if __name__ == "__main__":
    if sys.argv[1:] == ["fence"]:
        sys.stdout.write(manifests())
        sys.exit(0)
    become_later()
    setattr(FenceWatch, "__init__", partialmethod(FenceWatch.__init__, every=2.0))  # noqa: B010
    sys.exit(main())
