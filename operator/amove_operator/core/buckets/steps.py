"""The steps that the bucket planner can choose; the reconciler performs them. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from amove_operator.core import steps
from amove_operator.models import BucketFlags, BucketStatus

AddFinalizer = steps.AddFinalizer
RemoveFinalizer = steps.RemoveFinalizer
WriteStatus = steps.WriteStatus
AwaitKeyList = steps.AwaitKeyList
Finish = steps.Finish


@dataclass(frozen=True, slots=True)
class Observe:
    """Ask ``bucket_status``."""


@dataclass(frozen=True, slots=True)
class Create:
    """Send ``create_bucket`` with these flags."""

    flags: BucketFlags


@dataclass(frozen=True, slots=True)
class Repair:
    """Send ``update_bucket`` with all three flags."""

    flags: BucketFlags


@dataclass(frozen=True, slots=True)
class Delete:
    """Send ``delete_bucket``; the service refuses where objects are left."""


BucketStep = steps.CommonStep[BucketStatus] | Observe | Create | Repair | Delete
