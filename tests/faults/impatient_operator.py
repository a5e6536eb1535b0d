"""The operator with a read time-out of 2.5 seconds, of two tries: ``impatient_operator.py run``.

So that a test of an answer that never comes need not wait one and a half minutes for it.
"""

from __future__ import annotations

import sys
from functools import partialmethod

from amove_operator.amove import AmoveClient
from amove_operator.amove.retry import RetryPolicy
from amove_operator.amove.session import Tuning
from amove_operator.cli import main

if __name__ == "__main__":
    tuning = Tuning(read=2.5, retry=RetryPolicy(tries=2))
    setattr(AmoveClient, "__init__", partialmethod(AmoveClient.__init__, tuning=tuning))  # noqa: B010
    sys.exit(main())
