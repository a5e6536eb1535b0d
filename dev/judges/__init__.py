"""Small Go programs that judge objects as others do: kstatus, and Argo CD's engine for checks."""

from judges.programs import JudgeMissingError, argocd_health, kstatus

__all__ = ["JudgeMissingError", "argocd_health", "kstatus"]
