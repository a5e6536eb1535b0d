"""Debian's Prometheus, the server and promtool, for the tests of metrics, alerts and dashboard."""

from prometheus_tools.fetch import PROGRAMS, PrometheusMissingError, ensure_prometheus

__all__ = ["PROGRAMS", "PrometheusMissingError", "ensure_prometheus"]
