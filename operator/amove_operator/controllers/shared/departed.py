"""What is gone, or was let go of: nothing that is older brings it back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from amove_operator.models import FINALIZER
from amove_operator.models.refs import Kind, Ref


class _Left(NamedTuple):
    ref: Ref
    at: int
    gone: bool


class Departed:
    """The UIDs that left since the last complete list, and that list's version by scope.

    A watch that lags and a list that was begun before the end of an object show it once more. A
    scope is a namespace, or ``None`` for all. A list that was begun after a departure tells the
    same by its version, so what is remembered is no more than what left since the last list.
    ``listing``: one is under way.
    """

    def __init__(self) -> None:
        self._left: dict[str, _Left] = {}
        self._listed: dict[tuple[Kind, str | None], str] = {}
        self._lists = 0
        self.listing = False

    def note_gone(self, ref: Ref, uid: str) -> None:
        """There is no such object any more: whatever shows it is older."""
        self._left[uid] = _Left(ref, self._lists, gone=True)

    def note_let_go(self, ref: Ref, uid: str) -> None:
        """Our finalizer is taken off; somebody else's may keep the object."""
        self._left[uid] = _Left(ref, self._lists, gone=False)

    def forget(self, uid: str) -> None:
        """It is there after all."""
        self._left.pop(uid, None)

    def begin_list(self) -> int:
        """A complete list is about to be asked for; give the answer to :meth:`end_list`."""
        self._lists += 1
        self.listing = True
        return self._lists

    def drop_list(self) -> None:
        """No list is under way any more, whether or not it was answered."""
        self.listing = False

    def end_list(self, kind: Kind, scope: str | None, begun: int, version: str) -> None:
        """The list is there, and was taken in: what it lacks was gone as of ``version``."""
        self._listed[kind, scope] = version
        self._left = {
            uid: left
            for uid, left in self._left.items()
            if left.at >= begun
            or left.ref.kind is not kind
            or scope not in (None, left.ref.namespace)
        }

    def is_stale(self, ref: Ref, meta: Mapping[str, Any]) -> bool:
        """Whether metadata of an object that we do not know shows what is past."""
        left = self._left.get(meta["uid"])
        if left is not None and (left.gone or FINALIZER in (meta.get("finalizers") or ())):
            return True
        version = meta.get("resourceVersion", "")
        lists = (self._listed.get((ref.kind, scope)) for scope in (ref.namespace, None))
        return any(listed is not None and not is_newer(version, listed) for listed in lists)


def is_newer(version: str, known: str) -> bool:
    """Whether a resourceVersion is later: they are ordered numbers on every real API server."""
    if version.isdigit() and known.isdigit():
        return int(version) > int(known)
    return version != known
