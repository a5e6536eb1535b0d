"""``amove-operator doctor``: what the operator needs, looked at one by one, and what to do.

``report.py`` is what is said, ``roles.py`` which rights are needed, ``cluster.py`` and
``service.py`` look at the two sides, ``command.py`` brings it together. Nothing is changed:
Kubernetes is asked by reads, reviews and dry runs, the service by reads.
"""

from amove_operator.commands.doctor.command import run_doctor

__all__ = ["run_doctor"]
