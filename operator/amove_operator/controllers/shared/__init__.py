"""What both kinds need: everything that is remembered, each in one object that alone changes it.

No module here knows a reconciler.
"""
