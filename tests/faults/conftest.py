"""The fixtures of the cluster tests: the same control plane, the same operator."""

from __future__ import annotations

from tests.cluster.conftest import (
    cluster,
    make_namespace,
    namespace,
    operator_kubeconfig,
    operator_variables,
    plane,
    pytest_runtest_makereport,
    run_operator,
    starter,
    token_file,
    whole_cluster,
)

__all__ = [
    "cluster",
    "make_namespace",
    "namespace",
    "operator_kubeconfig",
    "operator_variables",
    "plane",
    "pytest_runtest_makereport",
    "run_operator",
    "starter",
    "token_file",
    "whole_cluster",
]
