"""``python -m prometheus_tools``: fetch Prometheus if it is not there; print its folder."""

from __future__ import annotations

import sys

from prometheus_tools.fetch import PrometheusMissingError, ensure_prometheus


def main() -> int:
    """Answer the exit status: 0, or 1 after saying what is wrong."""
    try:
        print(ensure_prometheus())
    except PrometheusMissingError as failure:
        print(f"prometheus_tools: {failure}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
