"""Ids of the Amove service: UUIDs, which are the same in whatever letters they are written.

Databases give a UUID back in other letters than it was given to them. Compared as text, ``AB12…``
in a list would not be the key ``ab12…`` of status: it would look gone, and another be issued.
"""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, PlainSerializer

from amove_operator.models.texts import SharedText, shared_text

_UUID = re.compile(
    r"[{(]?([0-9a-f]{8})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{12})[)}]?",
    re.ASCII | re.IGNORECASE,
)


def canonical_id(text: str) -> str:
    """A UUID in lower case and with hyphens alone; what is no UUID stays as it is."""
    found = _UUID.fullmatch(text)
    canonical = "-".join(found.groups()).lower() if found else text
    return text if canonical == text else canonical  # one text where there need not be two


class ServiceId(str):
    """The canonical form of an id, which is what is compared; ``spelling`` is what calls say.

    ``ServiceId("AB12…") == "ab12…"``, in sets and dicts too. The spelling is the one that was read
    first: it is what status and the Secret keep, and what the service surely knows.
    """

    __slots__ = ("spelling",)
    spelling: str

    def __new__(cls, text: str) -> ServiceId:
        """From any spelling."""
        made = super().__new__(cls, canonical_id(text))
        made.spelling = shared_text(spelling_of(text))
        return made


def spelling_of(text: str) -> str:
    """An id as it was first read; any other text as it is."""
    return text.spelling if isinstance(text, ServiceId) else text


SpeltId = Annotated[
    str,
    # Outermost, for pydantic makes a plain text of whatever it validates.
    BeforeValidator(spelling_of),
    AfterValidator(ServiceId),
    PlainSerializer(spelling_of, return_type=str, when_used="json"),
]
"""An id that calls are made with: read canonical, written as it was spelt."""

CanonicalId = Annotated[str, AfterValidator(canonical_id), SharedText]
"""An id that is only compared."""
