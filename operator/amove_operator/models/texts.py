"""Texts that many objects have: an account, a region, a bucket's name and what refers to it.

Parsed one by one they would be a quarter of what 10,000 buckets and keys take.
"""

from __future__ import annotations

import sys

from pydantic import AfterValidator


def shared_text(text: str) -> str:
    """The one copy of equal texts, kept until the last object that has it is gone."""
    return sys.intern(text) if type(text) is str else text


SharedText = AfterValidator(shared_text)
"""For a field: keeps one copy of equal texts."""
