"""The running operator: builds the one of everything, starts it in order, stops it in reverse.

Nothing here decides about a bucket or a key. Next: :mod:`amove_operator.controllers`.
"""
