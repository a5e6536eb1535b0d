"""What can go wrong here. Each message is one line for a person."""

from __future__ import annotations

from controlplane import ControlPlaneError


class NodeError(ControlPlaneError):
    """This machine cannot hold a node, or something of it failed; the message says what."""
