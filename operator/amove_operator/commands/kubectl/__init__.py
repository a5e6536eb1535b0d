"""``kubectl amove``: what a person asks and wants, from their own machine and kubeconfig.

``status.py`` shows what is wrong, ``requests.py`` sets the annotations that the operator acts on,
``in_pod.py`` runs what needs Amove's credentials where these are.
"""
