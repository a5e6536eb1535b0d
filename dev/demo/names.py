"""What the demo calls its things, and where the repository keeps what it shows."""

from __future__ import annotations

from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
CHART = REPOSITORY / "deploy" / "helm" / "amove-operator"
CHART_NAME = "amove-operator"
QUICKSTART = REPOSITORY / "examples" / "quickstart.yaml"
APP = REPOSITORY / "examples" / "app" / "app.yaml"

RELEASE = "amove-demo"
SYSTEM = "amove-demo-system"
TENANT = "amove-demo"
NAMESPACES = (SYSTEM, TENANT)
CREDENTIALS = "amove-credentials"
FENCE = ("validatingadmissionpolicy/amove-fence", "validatingadmissionpolicybinding/amove-fence")
KINDS = ("amovebuckets.storage.amove.io", "amovestoragekeys.storage.amove.io")

# What examples/quickstart.yaml names.
BUCKET = "amove-demo-photos"
WRITER = "photos-writer"
READER = "photos-reader"
# Not of Kubernetes: it is there before, as if another team had made it.
OTHER_BUCKET = "amove-demo-other-team"
