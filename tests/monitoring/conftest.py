"""promtool, which says whether rules and metrics are as Prometheus wants them."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import pytest

from prometheus_tools import PrometheusMissingError, ensure_prometheus
from tests.patience import PATIENCE

RunPromtool = Callable[..., str]


@pytest.fixture(scope="session")
def promtool() -> RunPromtool:
    """Run promtool with these arguments; what it says. It fails where promtool does."""
    try:
        program = ensure_prometheus() / "promtool"
    except PrometheusMissingError as failure:
        pytest.fail(f"no promtool: {failure}", pytrace=False)

    def run(*arguments: str, given: str = "") -> str:
        done = subprocess.run(
            [str(program), *arguments],
            input=given,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        said = done.stdout + done.stderr
        assert done.returncode == 0, said
        return said

    return run
