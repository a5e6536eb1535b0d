"""Serves AmoveStorageKeys: ``gather`` looks up, ``reconciler`` and ``secret_writer`` perform.

Rules are in :mod:`amove_operator.core.keys`; ``orphan_watch`` judges keys that no resource names.
"""
