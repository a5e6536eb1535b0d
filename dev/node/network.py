"""Addresses in a box. It has a network of its own, so every box has the same ones."""

from __future__ import annotations

ADDRESS = "10.200.0.1"
"""The node's, where everything of it listens."""
BRIDGE = "amove0"
"""A bridge without ports: a kubelet refuses an address on loopback."""
PODS = "10.201.0.0/24"
