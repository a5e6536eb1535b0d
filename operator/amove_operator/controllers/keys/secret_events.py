"""What the watch of Secrets shows, and which keys are reconciled again for that."""

from __future__ import annotations

from amove_operator.controllers.shared.dependencies import Dependencies
from amove_operator.kube.secret_watch import SecretMeta
from amove_operator.models import AmoveStorageKey
from amove_operator.models.refs import ObjectId


class SecretEvents:
    """Enqueues the keys whose Secret somebody else changed."""

    def __init__(self, dependencies: Dependencies) -> None:
        self._d = dependencies

    def on_event(self, secret: SecretMeta, *, deleted: bool) -> None:
        """Take in one change of a Secret of ours.

        One that comes during a pass of its key is most likely that pass's own write, of which the
        answer is still on its way: it is judged at the end.
        """
        d, where = self._d, (secret.namespace, secret.name)
        if deleted:
            d.secrets.drop(where)
        else:
            d.secrets.put(secret)
        for item in d.store.keys_writing_to(*where):
            memory = d.memories.keys.get(item.uid)
            version = memory.secret_version if memory is not None else None
            if memory is not None and not deleted and d.queue.is_processing(item):
                memory.secret_moved = True
            elif deleted or version != (secret.uid, secret.resource_version):
                d.queue.add(item)

    def pass_ended(self, item: ObjectId) -> None:
        """Enqueue the key again if the watch showed another Secret than its pass left."""
        d = self._d
        memory, key = d.memories.keys.get(item.uid), d.store.find(item.uid)
        if memory is None or not memory.secret_moved or not isinstance(key, AmoveStorageKey):
            return
        memory.secret_moved = False
        shown = d.secrets.get((key.metadata.namespace, key.secret_name))
        if shown is None or (shown.uid, shown.resource_version) != memory.secret_version:
            d.queue.add(item)
