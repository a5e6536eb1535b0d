"""Machinery that knows no kind: the queue, its workers, locks, slices, the background."""
