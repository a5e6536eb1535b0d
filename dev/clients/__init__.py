"""The example applications in several languages, and S3 tools, built once into the cache.

To add a language: its folder in examples/apps, a function of ``builds.py`` that builds it and is
called in ``__main__.py`` too, its row of ``SDKS`` in tests/gitops/consumers/test_applications.py,
and its section and row on docs/applications.md. A tool comes with the group ``clients`` of
pyproject.toml (make lock). A key.yaml in the folder is applied without being listed.
"""

from clients.builds import (
    EXAMPLES,
    ClientMissingError,
    go_client,
    java_client,
    javascript_client,
    rust_client,
    tools,
)

__all__ = [
    "EXAMPLES",
    "ClientMissingError",
    "go_client",
    "java_client",
    "javascript_client",
    "rust_client",
    "tools",
]
