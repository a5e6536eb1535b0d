"""What can go wrong here. Each message is for a person."""

from __future__ import annotations


class DemoError(Exception):
    """A step does not hold; the message says what was found, or what to change."""


class RefusedError(DemoError):
    """The demo must not run on this cluster. Nothing was touched."""
