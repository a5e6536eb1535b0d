"""What the operator tells about itself: logs without credentials, and metrics."""

from amove_operator.telemetry.logs import configure_logging, log_context
from amove_operator.telemetry.metrics import Metrics
from amove_operator.telemetry.redaction import redact, register_secret

__all__ = ["Metrics", "configure_logging", "log_context", "redact", "register_secret"]
