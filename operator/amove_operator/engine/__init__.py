"""Machinery that knows no kind: the queue and its workers, a lock by name, walks in slices, the background."""
