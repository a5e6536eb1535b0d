"""How far the API server's history was seen, and whether it went back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from amove_operator.core.history import is_older, number, object_is_older
from amove_operator.errors import HistoryWentBack
from amove_operator.models import ObjectMeta
from amove_operator.models.refs import Kind, Ref

_log = logging.getLogger(__name__)


class History:
    """The newest version seen of each kind.

    ``went_back``: a consistent read showed less than was seen before. Nothing that is known is
    worth anything then: the process ends, to begin anew.
    """

    def __init__(self) -> None:
        self.went_back = asyncio.Event()
        self._newest: dict[Kind, int] = {}

    def note(self, kind: Kind, version: str) -> None:
        """Something of that version was shown."""
        self._newest[kind] = max(self.newest(kind), number(version))

    def newest(self, kind: Kind) -> int:
        """What a consistent read that is begun now shows at least."""
        return self._newest.get(kind, 0)

    def check_list(self, kind: Kind, version: str, seen_before: int) -> None:
        """Judge a complete list by its version. Raises HistoryWentBack, and from then on always.

        The versions go on: a little later, a list is as new again as what was seen.
        """
        if self.went_back.is_set() or is_older(version, seen_before):
            self._fail(f"a list of {kind.plural}", version, seen_before)

    def check_object(
        self, ref: Ref, shown: Mapping[str, Any], known: ObjectMeta | None, seen_before: int
    ) -> None:
        """Judge the metadata that a consistent read shows. Raises HistoryWentBack."""
        if known is None or known.uid != shown["uid"]:
            return
        version = shown.get("resourceVersion", "")
        if object_is_older(version, known.resource_version, seen_before):
            self._fail(str(ref), version, known.resource_version)

    def _fail(self, what: str, version: str, before: object) -> None:
        error = HistoryWentBack(what, version, before)
        if not self.went_back.is_set():
            _log.critical("%s; nothing is served by what is known, and this process ends", error)
        self.went_back.set()
        raise error
