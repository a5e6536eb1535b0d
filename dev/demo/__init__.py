"""``make demo``: the operator's whole job, once, for real. Development only: not in the image."""
