"""A real Kubernetes control plane for demo and tests. Development only: not in the image."""

from controlplane.audit import AuditEvent, audit_events
from controlplane.binaries import ensure_binaries
from controlplane.errors import (
    BinariesMissingError,
    BuildError,
    CommandError,
    ControlPlaneError,
    StartError,
)
from controlplane.launcher import ControlPlane

__all__ = [
    "AuditEvent",
    "BinariesMissingError",
    "BuildError",
    "CommandError",
    "ControlPlane",
    "ControlPlaneError",
    "StartError",
    "audit_events",
    "ensure_binaries",
]
