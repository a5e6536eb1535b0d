"""``python -m clients``: build the clients and the judges that `make test-gitops` asks."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from clients.builds import ClientMissingError, go_client, java_client, javascript_client, tools
from judges import JudgeMissingError
from judges.programs import ensure


def main() -> int:
    """Answer the exit status: 0, or 1 after saying what is wrong."""
    wanted: dict[str, Callable[[], object]] = {
        "kstatus": lambda: ensure("kstatus"),
        "Argo CD's engine": lambda: ensure("argocd"),
        "the AWS CLI, rclone, s3cmd and DuckDB": tools,
        "the example in Go": go_client,
        "the example in JavaScript": javascript_client,
        "the example in Java": java_client,
    }
    try:
        for name, build in wanted.items():
            began = time.monotonic()
            build()
            print(f"clients: {name}, {time.monotonic() - began:.0f} s", file=sys.stderr)
    except (ClientMissingError, JudgeMissingError) as failure:
        print(f"clients: {failure}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
