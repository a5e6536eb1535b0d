"""A real Kubernetes control plane for demo and tests. Development only: not in the image."""

from controlplane.audit import AuditEvent, audit_events
from controlplane.binaries import cache_root, ensure_binaries, ensure_node_binaries
from controlplane.components import Site
from controlplane.errors import (
    BinariesMissingError,
    BuildError,
    CommandError,
    CommandTimeout,
    ControlPlaneError,
    StartError,
)
from controlplane.launcher import ControlPlane

__all__ = [
    "AuditEvent",
    "BinariesMissingError",
    "BuildError",
    "CommandError",
    "CommandTimeout",
    "ControlPlane",
    "ControlPlaneError",
    "Site",
    "StartError",
    "audit_events",
    "cache_root",
    "ensure_binaries",
    "ensure_node_binaries",
]
