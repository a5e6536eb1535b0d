"""Cache, queue, claims, resync and the two reconcilers: decisions of ``core``, carried out."""
