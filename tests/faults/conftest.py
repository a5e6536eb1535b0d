"""The fixtures of the cluster tests."""

from tests.cluster.fixtures import *  # noqa: F403
