"""What one pass over a key has learnt so far."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from amove_operator.controllers.shared.memory import KeyMemory
from amove_operator.core.keys import snapshot
from amove_operator.core.keys.expectations import Expectations
from amove_operator.core.secrets.manifest import SecretMetadata
from amove_operator.models import KeyStatus

_GOES_ON_SECONDS = 60.0
"""A pass that began longer ago is not gone on with: a new one asks for a key list of its own."""


@dataclass(slots=True)
class ReconcilePass:
    """What one pass over a key has learnt so far and does not remember beyond itself.

    ``begun``: when, in monotonic seconds.
    ``secret_fresh``: the Secret was read or written in this pass, and no deletion of it and no
    ``WriteStatus`` came since. ``metadata``: the labels, annotations and owners that it then had.
    """

    memory: KeyMemory
    begun: float = -inf
    loss_accepted: bool = False
    secret: snapshot.SecretSeen | None = None
    secret_fresh: bool = False
    metadata: SecretMetadata | None = None
    dry_run_passed: bool = False
    namespace_terminating: bool = False

    @classmethod
    def begin(cls, memory: KeyMemory, now: float) -> ReconcilePass:
        """A new pass, or the one that was set aside, if that was lately."""
        before, memory.set_aside = memory.set_aside, None
        if isinstance(before, ReconcilePass) and now - before.begun <= _GOES_ON_SECONDS:
            return before
        return cls(memory, now)

    def set_aside(self) -> None:
        """The pass goes on later: what it knows of the Secret is too old then."""
        self.forget_secret()
        self.metadata, self.dry_run_passed = None, False
        self.memory.set_aside = self

    def finalizer_added(self, status: KeyStatus) -> None:
        """Our first finalizer proves that no earlier process issued a key.

        Unless this very process did before, and somebody removed the finalizer since.
        """
        is_new = status.observed_generation in (None, -1) and not status.conditions
        if is_new and self.memory.expectations.is_empty:
            self.memory.expectations = Expectations.for_new()

    def forget_secret(self) -> None:
        """What was read may have changed: it counts as read just now no more.

        What is remembered beyond the pass still serves, as long as the watch shows that version:
        a deletion goes on to revoke by it, and reads the Secret again only to delete it.
        """
        self.secret, self.secret_fresh = None, False

    def status_written(self, _before: KeyStatus, _now: KeyStatus) -> None:
        """Status took its time: what needs a Secret read just now reads it anew after it."""
        self.forget_secret()
