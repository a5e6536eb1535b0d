"""Go programs that look at our objects as others do, each pinned by the go.mod of its folder.

``kstatus`` and ``argocd`` are small ones of our own: they read objects and answer how kstatus, and
Argo CD's engine for health checks, see them. ``external_secrets`` is External Secrets' whole
controller.
"""

from judges.programs import JudgeMissingError, argocd_health, kstatus

__all__ = ["JudgeMissingError", "argocd_health", "kstatus"]
