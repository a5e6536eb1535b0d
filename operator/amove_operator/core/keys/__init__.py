"""Decides what happens to one AmoveStorageKey; begin at ``plan``, which lists the checks.

``snapshot`` is what is decided by, ``steps`` what can be decided, ``expectations`` what this
process did that no list shows yet. The rules are in ``issue`` (with its ``gates``), ``revoke``,
``deletion`` and ``checks``; ``derived`` and ``schedule`` say what follows from a snapshot,
``status`` and ``messages`` what is written. ``orphans`` judges keys whose object is gone. The
protocol is docs/key-protocol.md, performed by :mod:`amove_operator.controllers.keys`.
"""
