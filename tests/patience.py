"""How long tests wait for what they mean, before they call it missing."""

PATIENCE = 120.0
"""Seconds: far more than anything takes, so that a busy machine makes tests slow and not red."""
PAUSE = 0.05
"""Seconds between two looks."""
