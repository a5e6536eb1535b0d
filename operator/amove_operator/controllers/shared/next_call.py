"""What an object's next call waits for; the wait itself is spent in no worker."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from amove_operator.amove import AmoveClient
from amove_operator.controllers.shared.key_list_cache import KeyListCache
from amove_operator.engine.workqueue import WorkQueue
from amove_operator.fairness import Urgency
from amove_operator.models.refs import ObjectId


class NextCall:
    """Says whether an object must wait, and sees to it that it is queued in time, as urgently."""

    def __init__(
        self, api: AmoveClient, queue: WorkQueue[ObjectId], key_lists: KeyListCache
    ) -> None:
        self._api = api
        self._queue = queue
        self._key_lists = key_lists

    def has_turn(self, item: ObjectId, urgency: Urgency, calls: int) -> bool:
        """Whether ``item`` holds a permit for so many calls; else it is queued when it does.

        Raises Paused while the breaker holds all calls back, or a long Retry-After does.
        """
        self._api.breaker.check()
        self._api.permits.check_pause()
        wake, who, where = self.wake(item, urgency), item.uid, item.ref.namespace
        return self._api.permits.acquire(who, where, wake, urgency=urgency, calls=calls)

    def has_list(self, item: ObjectId, urgency: Urgency, since: float) -> bool:
        """Whether there is a key list begun since then; else ``item`` is queued when there is.

        Raises ApiError while none can be read.
        """
        return self._key_lists.has_since(since, item.uid, self.wake(item, urgency))

    def would_unsettle_list(self, item: ObjectId, urgency: Urgency, *, revokes: bool) -> bool:
        """Whether a change of keys waits until the list is read; ``item`` is queued after that."""
        return self._key_lists.holds_up(item.uid, self.wake(item, urgency), revokes=revokes)

    def wake(self, item: ObjectId, urgency: Urgency) -> Callable[[], None]:
        """What to call when ``item`` need wait no longer."""
        return partial(self._queue.add, item, urgency)
