"""What tells GitOps tools to leave the definitions and the fence in place.

Kubernetes deletes every object of a kind whose definition goes: a folder that vanished from Git
would revoke every key in the cluster. Helm's word for it, ``helm.sh/resource-policy``, is the
chart's to say.
"""

from __future__ import annotations

KEPT = {
    # Flux: neither when it vanishes from Git nor when its Kustomization is deleted.
    "kustomize.toolkit.fluxcd.io/prune": "disabled",
    # Argo CD: the same, of a sync and of an Application that is deleted.
    "argocd.argoproj.io/sync-options": "Prune=false,Delete=false",
}
"""Annotations. A person who means it deletes by kubectl (docs/upgrade.md)."""
