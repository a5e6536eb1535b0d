"""Fixtures that render the chart and, for what only an API server can tell, install it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml

from controlplane import ControlPlane, ensure_binaries
from tests.chart.rendering import CHART, NAMESPACE, RELEASE, REQUIRED, Manifest, Rendered
from tests.patience import PATIENCE


@pytest.fixture(scope="session")
def helm() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run helm with these arguments and, as standard input, values in YAML."""
    program = ensure_binaries() / "helm"

    def run(*args: str, values: Manifest | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(program), *args],
            input=yaml.safe_dump(values or {}),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    return run


@pytest.fixture(scope="session")
def attempt(
    helm: Callable[..., subprocess.CompletedProcess[str]],
) -> Callable[[Manifest], subprocess.CompletedProcess[str]]:
    """Render the chart with exactly these values."""

    def run(values: Manifest) -> subprocess.CompletedProcess[str]:
        command = ("template", RELEASE, str(CHART), "--namespace", NAMESPACE, "--values", "-")
        return helm(*command, values=values)

    return run


@pytest.fixture(scope="session")
def render(
    attempt: Callable[[Manifest], subprocess.CompletedProcess[str]],
) -> Callable[..., Rendered]:
    """Render the chart with these values and those that are required."""

    def run(**values: Any) -> Rendered:
        done = attempt({**REQUIRED, **values})
        assert done.returncode == 0, done.stderr
        return Rendered([each for each in yaml.safe_load_all(done.stdout) if each])

    return run


@pytest.fixture(scope="module")
def plane() -> Iterator[ControlPlane]:
    """A control plane of these tests' own: what they install is cluster-wide."""
    with ControlPlane(binaries=ensure_binaries()) as plane:
        yield plane
