"""The operator that looks at the fence every other second: ``watchful_operator.py run``.

So that a test that takes the fence away need not wait half a minute until that is noticed.
"""

from __future__ import annotations

import sys
from functools import partialmethod

from amove_operator.cli import main
from amove_operator.kube import FenceWatch

if __name__ == "__main__":
    setattr(FenceWatch, "__init__", partialmethod(FenceWatch.__init__, every=2.0))  # noqa: B010
    sys.exit(main())
