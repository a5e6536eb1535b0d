"""Flux's own kustomize-controller beside the control plane. Development only: not in the image."""

from flux_tools.controller import KustomizeController
from flux_tools.fetch import Flux, ensure_flux

__all__ = ["Flux", "KustomizeController", "ensure_flux"]
