"""The operator with a read time-out of five seconds: ``python impatient_operator.py run``.

So that a test of an answer that never comes need not wait half a minute for it.
"""

from __future__ import annotations

import sys
from functools import partial

from amove_operator.amove import AmoveClient
from amove_operator.amove.session import Tuning
from amove_operator.app import wiring
from amove_operator.cli import main

if __name__ == "__main__":
    vars(wiring)["AmoveClient"] = partial(AmoveClient, tuning=Tuning(read=5.0))
    sys.exit(main())
