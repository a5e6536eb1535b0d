"""Whether the API server's history went back, as after a restore of etcd from a backup.

A consistent read (a list or a GET that names no version) shows at least what was seen before it was
asked for. For example a bucket was seen at version 120, and a list that is asked for after that is
of version 110: what was written since 110 is lost, and an object that the list lacks has not been
deleted by anybody. A restore may also let versions go on far above: then what came back is older.
"""

from __future__ import annotations


def number(version: str) -> int:
    """A resourceVersion as a number; 0 where it is none."""
    return int(version) if version.isdigit() else 0


def is_older(version: str, seen_before: int) -> bool:
    """Whether what a consistent read shows is older than what was seen before it was begun."""
    return version.isdigit() and int(version) < seen_before


def object_is_older(shown: str, known: str, seen_before: int) -> bool:
    """Whether an object is shown older than it is known.

    What is known of it may be newer than the read: then ``known`` was not seen before it was begun.
    """
    return number(known) <= seen_before and is_older(shown, number(known))
