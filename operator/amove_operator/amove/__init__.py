"""The Amove client: what the rest of the operator uses of it.

``client.py`` has the calls as methods. Each is a ``Call`` (``calls.py``) that ``session.py`` sends:
in its turn (``permits.py``), again where that is safe (``retry.py``), not at all while the service
is down (``breaker.py``). ``answers.py`` says what an answer means, ``paging.py`` when a list is
complete.
Nothing here knows Kubernetes or a custom resource.
"""

from amove_operator.amove.breaker import BreakerState
from amove_operator.amove.client import FRESH_SECONDS, AmoveClient
from amove_operator.amove.models import BucketAddress, CloudAccount, IssuedKey, NewKey, Observed
from amove_operator.amove.permits import LONG_PAUSE_SECONDS, CallPermits

__all__ = [
    "FRESH_SECONDS",
    "LONG_PAUSE_SECONDS",
    "AmoveClient",
    "BreakerState",
    "BucketAddress",
    "CallPermits",
    "CloudAccount",
    "IssuedKey",
    "NewKey",
    "Observed",
]
