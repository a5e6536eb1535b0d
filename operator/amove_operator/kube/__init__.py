"""The only place that talks to Kubernetes, besides Kopf's watches of our own two kinds.

Plain dictionaries go in and out for our own kinds (models are costly at thousands of objects),
:class:`SecretView` for Secrets. Every failure is one of :class:`~amove_operator.errors.Conflict`,
:class:`~amove_operator.errors.KubeRefused`, :class:`~amove_operator.errors.KubeUnavailable` and
:class:`~amove_operator.errors.NotLeading`; no text of theirs repeats what a Secret holds.
"""

from amove_operator.kube.always_leading import AlwaysLeading
from amove_operator.kube.client import Kube
from amove_operator.kube.fence_watch import FenceWatch
from amove_operator.kube.lease import LeaseElection
from amove_operator.kube.secret_watch import SecretWatch
from amove_operator.kube.views import SecretView

__all__ = ["AlwaysLeading", "FenceWatch", "Kube", "LeaseElection", "SecretView", "SecretWatch"]
