"""What leaves the operator about itself: logs and errors without credentials, and metrics."""

from amove_operator.telemetry.logs import configure_logging, log_context, reconcile_context
from amove_operator.telemetry.metrics import Metrics
from amove_operator.telemetry.redaction import one_line, redact, register_secret

__all__ = [
    "Metrics",
    "configure_logging",
    "log_context",
    "one_line",
    "reconcile_context",
    "redact",
    "register_secret",
]
