"""Serves AmoveBuckets: ``gather`` looks up, ``reconciler`` performs. Rules: ``core.buckets``."""
