"""The example applications in several languages, and S3 tools, built once into the cache."""

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
