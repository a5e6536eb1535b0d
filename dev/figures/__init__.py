"""Figures of a product tree, counted from its syntax trees: ``python -m figures [TREE] [TREE]``.

Nothing of the tree is imported or run, so that a tree of any commit can be measured by the script
of today. ``tree`` reads it and knows which definition a name means, ``counts`` counts, ``walk``
follows one object along the calls, ``table`` lays the figures side by side.
"""
