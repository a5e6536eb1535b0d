"""What both kinds share: the model base, object metadata, conditions, durations, patterns.

Every pattern here is read by three engines: Rust's (pydantic), Go's RE2 (the apiserver) and
Python's ``re``. In the first two ``$`` is the end of the text; in the third it also matches before
a trailing newline, so Python code uses ``re.fullmatch`` only.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import timedelta
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic.dataclasses import dataclass

from amove_operator.models.refs import Kind, ObjectId, Ref
from amove_operator.models.texts import SharedText
from amove_operator.times import rfc3339, whole_seconds

GROUP = "storage.amove.io"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
FINALIZER = f"{GROUP}/finalizer"

# Parts in falling order, each at most once, and so few digits that the sum stays far inside the
# 292 years of CEL's and Go's durations: `duration(self.interval)` can never overflow.
DURATION_PATTERN = r"^([0-9]{1,6}h)?([0-9]{1,7}m)?([0-9]{1,8}s)?([0-9]{1,9}ms)?$"
UUID_PATTERN = r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
REGION_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$"
SUBDOMAIN = r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*"
OBJECT_NAME_PATTERN = rf"^{SUBDOMAIN}$"
HOST_PATTERN = rf"^{SUBDOMAIN}(:[0-9]{{1,5}})?$"
QUALIFIED_PATTERN = rf"^({SUBDOMAIN}/)?[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?$"
CONDITION_REASON_PATTERN = r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$"

_DURATION_PART = re.compile(r"([0-9]+)(ms|s|m|h)")
_MILLISECONDS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000}


def parse_duration(text: str) -> timedelta:
    """Read ``5s``, ``10m``, ``720h`` or a sum of such parts, largest unit first (``1h30m``).

    Raises ValueError for anything else.
    """
    if not text or not re.fullmatch(DURATION_PATTERN, text):
        raise ValueError(f"{text!r} is not a duration such as 30s, 10m or 720h")
    parts = _DURATION_PART.findall(text)
    return timedelta(milliseconds=sum(int(n) * _MILLISECONDS[unit] for n, unit in parts))


def show_duration(span: timedelta) -> str:
    """A duration as users write it, such as ``1h30m``."""
    minutes, seconds = divmod(int(span.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    parts = ((hours, "h"), (minutes, "m"), (seconds, "s"))
    return "".join(f"{count}{unit}" for count, unit in parts if count) or "0s"


Duration = Annotated[str, Field(min_length=2, max_length=32, pattern=DURATION_PATTERN)]
"""A duration as users write it, kept as text so that a status or spec is never rewritten."""


# Cut to the second on the way in as well, so that what is written equals what is read back and no
# write is sent for a fraction. The serializer covers `model_copy(update=…)`, which does not
# validate.
Timestamp = Annotated[
    AwareDatetime,
    AfterValidator(whole_seconds),
    PlainSerializer(rfc3339, return_type=str, when_used="json"),
]
"""``metav1.Time``: UTC, whole seconds, written ``2026-01-31T12:00:00Z``. A naive one is refused."""

ObjectName = Annotated[
    str, Field(min_length=1, max_length=253, pattern=OBJECT_NAME_PATTERN), SharedText
]
Uid = Annotated[str, Field(max_length=64), SharedText]
ConditionType = Annotated[
    str, Field(min_length=1, max_length=316, pattern=QUALIFIED_PATTERN), SharedText
]
ConditionReason = Annotated[
    str, Field(min_length=1, max_length=1024, pattern=CONDITION_REASON_PATTERN), SharedText
]


_NOT_KEPT: set[str] = set()
_AS_IN_KUBERNETES = ConfigDict(
    alias_generator=to_camel,
    populate_by_name=True,
    extra="ignore",
    use_attribute_docstrings=True,
)


class KubeModel(BaseModel):
    """Base of everything that is read from or written to Kubernetes: camelCase outside.

    The docstring below a field is its description in the CRD.
    """

    model_config = ConfigDict(**_AS_IN_KUBERNETES, frozen=True)

    def model_post_init(self, _context: Any, /) -> None:
        """Drop which fields were given, which nobody asks: a fifth of what an object takes."""
        object.__setattr__(self, "__pydantic_fields_set__", _NOT_KEPT)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy that does not say either which fields were given."""
        copy = super().model_copy(update=update, deep=deep)
        object.__setattr__(copy, "__pydantic_fields_set__", _NOT_KEPT)
        return copy

    def to_kube(self) -> dict[str, Any]:
        """The object as JSON-ready camelCase values, unset fields left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


class OwnerReference(KubeModel):
    """The part of ``metadata.ownerReferences[]`` that matters here."""

    api_version: str = ""
    kind: str = ""
    name: str = ""
    uid: str = ""
    controller: bool | None = None
    block_owner_deletion: bool | None = None


ACTED_ON = ("paused", "reconcile-requested-at", "rotate-requested-at", "accept-loss")
"""The annotations ``storage.amove.io/<name>`` that people set."""
MAX_ANNOTATION = 256


class ObjectMeta(KubeModel):
    """All that is kept of ``metadata``: labels, owners and what is others' are not read.

    ``finalizer_at``: the place of our finalizer among all of the version that was read;
    ``finalizer_count``: how many there were. ``annotations``: those of :data:`ACTED_ON`, by their
    short names; ``overlong``: those of them that are too long to be acted on. ``vanished`` is
    never read: it marks our last copy of an object that is gone without our finalizer's protocol.
    """

    name: Annotated[str, SharedText]
    namespace: Annotated[str, SharedText] = ""
    uid: Annotated[str, SharedText] = ""
    resource_version: str = ""
    generation: int = 0
    creation_timestamp: Timestamp | None = None
    deletion_timestamp: Timestamp | None = None
    finalizer_at: int | None = None
    finalizer_count: int = 0
    annotations: dict[str, str] = Field(default_factory=dict)
    overlong: tuple[str, ...] = ()
    vanished: bool = Field(default=False, exclude=True)

    @model_validator(mode="before")
    @classmethod
    def _only_ours(cls, given: Any) -> Any:
        """Take what is ours out of what may be long lists of what is others'."""
        if not isinstance(given, Mapping):
            return given
        kept = dict(given)
        kept.pop("vanished", None)
        finalizers = kept.pop("finalizers", None) or ()
        if finalizers:
            kept["finalizer_count"] = len(finalizers)
            if FINALIZER in finalizers:
                kept["finalizer_at"] = list(finalizers).index(FINALIZER)
        given = kept.pop("annotations", None) or {}
        ours = {name: given[f"{GROUP}/{name}"] for name in ACTED_ON if f"{GROUP}/{name}" in given}
        kept["annotations"] = {n: text for n, text in ours.items() if len(text) <= MAX_ANNOTATION}
        kept["overlong"] = tuple(name for name in ours if name not in kept["annotations"])
        return kept

    @property
    def deleting(self) -> bool:
        """Deletion was asked for and waits for finalizers, or the object is gone already."""
        return self.vanished or self.deletion_timestamp is not None

    @property
    def finalized_by_us(self) -> bool:
        """Our finalizer is on."""
        return self.finalizer_at is not None

    @property
    def let_go(self) -> bool:
        """Our protocol was served to its end: only somebody else's finalizer keeps the object."""
        return self.deleting and not self.finalized_by_us

    @property
    def fingerprint(self) -> tuple[object, ...]:
        """What a person changes to have an object observed and tried anew."""
        return self.generation, self.deleting, *map(self.annotation, ACTED_ON)

    def annotation(self, name: str) -> str | None:
        """The value of ``storage.amove.io/<name>``, one of :data:`ACTED_ON`."""
        return self.annotations.get(name)

    @property
    def paused(self) -> bool:
        """``storage.amove.io/paused: "true"``: no remote call at all for this object.

        A vanished object is never paused: nobody could take the annotation off any more.
        """
        return not self.vanished and self.annotation("paused") == "true"


class KubeObject(KubeModel):
    """What both kinds share: ``metadata``, and the part of ``status`` that proves something."""

    KIND: ClassVar[Kind]
    metadata: ObjectMeta

    # Cached, as a pass asks for each of these many times: pydantic's private attributes would cost
    # 3 microseconds each time.
    @cached_property
    def unread_status(self) -> tuple[str, ...]:
        """What of ``status`` cannot be read, in sentences that name the field.

        A newer version wrote it. ``status`` has the rest of it, which is not acted on.
        """
        return ()

    def mark_unread(self, faults: Iterable[str]) -> None:
        """Note what of ``status`` cannot be read, when the object is parsed."""
        self.__dict__["unread_status"] = tuple(faults)

    @cached_property
    def object_id(self) -> ObjectId:
        """Which very object this is: by name and UID, since a name may be used again."""
        meta = self.metadata
        return ObjectId(Ref(self.KIND, meta.namespace, meta.name), meta.uid)

    def with_status(self, status: KubeModel) -> Self:
        """A copy with that status. ``model_copy`` alone would keep what the old one proved."""
        copy = self.model_copy(update={"status": status})
        copy.__dict__.pop("proven", None)
        return copy

    def as_vanished(self) -> Self:
        """This last copy of an object that is gone: served as one that is being deleted."""
        meta = self.metadata.model_copy(update={"vanished": True})
        return self.model_copy(update={"metadata": meta})


# No model: each object has two or more of these, and a model takes four times as much.
@dataclass(frozen=True, slots=True, kw_only=True, config=_AS_IN_KUBERNETES)
class Condition:
    """One statement about the object, with the fields and limits of metav1.Condition."""

    type: ConditionType
    """What is stated: Ready, Synced, Reconciling or Stalled."""
    status: Literal["True", "False", "Unknown"]
    """Whether it is so: True, False or Unknown."""
    observed_generation: Annotated[int, Field(ge=0)] | None = None
    """The metadata.generation that this condition was made from."""
    last_transition_time: Timestamp | None = None
    """When the condition last changed its status."""
    reason: ConditionReason
    """One stable CamelCase word for programs, listed in the documentation."""
    message: Annotated[str, Field(max_length=32768)] = ""
    """A sentence for people: what is the matter and what to do."""


Conditions = Annotated[
    tuple[Condition, ...],
    Field(
        max_length=16,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    ),
]
ObservedGeneration = Annotated[int, Field(ge=-1)]

CONDITIONS_DESCRIPTION = (
    "What is known of the object. Ready and Synced always; Reconciling and Stalled only while true."
)
OBSERVED_GENERATION_DESCRIPTION = (
    "The metadata.generation last acted on; -1 until the operator has seen the object."
)
OWNER_UID_DESCRIPTION = (
    "metadata.uid of the object that this status was written for. A status copied by a backup "
    "names another object and proves nothing."
)
