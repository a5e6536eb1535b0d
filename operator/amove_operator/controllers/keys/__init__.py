"""Serves AmoveStorageKeys: ``gather`` looks up, ``reconciler`` performs.

``key_service`` issues and revokes keys, ``secret_writer`` reads and writes the Secret. Rules are in
:mod:`amove_operator.core.keys`; ``orphan_watch`` judges keys that no resource names.
"""
