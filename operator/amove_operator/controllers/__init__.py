"""The side that acts: gather what is known, ask ``core`` for a step, perform it, finish.

``dispatcher`` takes events in and serves the queue; ``buckets`` and ``keys`` serve one kind each
and know nothing of one another; what both need is in ``shared``. No rule is decided here: a
condition that is more than a look-up belongs in :mod:`amove_operator.core`.
"""
