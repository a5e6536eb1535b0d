"""The Secret that holds a key: ``record`` reads its annotations, ``rendering`` makes its data.

``manifest`` says whose a Secret is and what a write makes of it. When a key is issued or revoked
is not known here: that is :mod:`amove_operator.core.keys`.
"""
