"""Pure decisions: given what was seen, what is the next step? No I/O, no clock of its own.

``buckets`` and ``keys`` each have ``snapshot`` (what is known), ``steps``, ``plan`` (the ordered
checks), ``deletion`` and ``status``; ``secrets`` says what a Secret contains. What both kinds use
lies beside the folders. Performed by :mod:`amove_operator.controllers`.
"""
