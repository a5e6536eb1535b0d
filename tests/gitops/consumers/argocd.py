"""What Argo CD has of ours, and how it applies."""

from __future__ import annotations

from pathlib import Path

EXAMPLE = Path(__file__).parents[3] / "examples" / "gitops" / "argocd"
APPLY = ("--server-side", "--field-manager=argocd-controller")
"""How it applies and compares, as kubectl has it."""


def check_of(kind: str) -> Path:
    """Our health check of a kind."""
    return EXAMPLE / "resource_customizations" / "storage.amove.io" / kind / "health.lua"
