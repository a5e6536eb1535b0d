"""Measures the operator on a real control plane: ``python -m bench`` (docs/benchmarks.md)."""
