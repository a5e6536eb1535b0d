"""The steps that every cluster sees, from the chart to an API with nothing left over."""

from __future__ import annotations

from demo.application import Application
from demo.cluster import Cluster
from demo.deployment import secret_values
from demo.emulator import RunningEmulator
from demo.errors import DemoError
from demo.installation import DEPLOYMENT, Installation
from demo.names import (
    BUCKET,
    CREDENTIALS,
    OTHER_BUCKET,
    QUICKSTART,
    READER,
    REPOSITORY,
    RELEASE,
    SYSTEM,
    TENANT,
    WRITER,
)
from demo.operator_process import start_operator
from demo.pod import OBJECT, TEXT
from demo.resources import wait_until_ready
from demo.screen import Screen
from demo.workplace import Background, Workplace

HERE = f"--namespace={TENANT}"
MANIFEST = QUICKSTART.relative_to(REPOSITORY)


class Play:
    """The actors, and what they do in turn. ``operator`` is set once it runs."""

    def __init__(
        self,
        screen: Screen,
        place: Workplace,
        cluster: Cluster,
        emulator: RunningEmulator,
        installation: Installation,
    ) -> None:
        self._screen = screen
        self._place = place
        self._cluster = cluster
        self._emulator = emulator
        self._installation = installation
        self.operator: Background | None = None

    def perform(self) -> None:
        """Raises DemoError at the first step that does not hold."""
        self._start()
        self._apply()
        writer, reader = self._use_the_secrets()
        self._delete(writer)
        self._nothing_is_left(writer, reader)

    def _start(self) -> None:
        with self._screen.step("the API token is in a Secret, the chart is installed") as step:
            deployment = self._installation.install(self._emulator.token_file)
            step.found(f"Secret {SYSTEM}/{CREDENTIALS}, release {RELEASE}, replicas: 0")
        with self._screen.step("the operator runs and leads") as step:
            self.operator = start_operator(self._place, self._cluster, deployment)
            step.found(f"Deployment {DEPLOYMENT}'s settings, its ServiceAccount's token")

    def _apply(self) -> None:
        with self._screen.step(f"kubectl apply --filename {MANIFEST}") as step:
            applied = self._cluster.kubectl("apply", HERE, f"--filename={QUICKSTART}")
            step.found(f"{len(applied.splitlines())} resources")
        with self._screen.step("all are Ready") as step:
            wait_until_ready(self._cluster, step.show, self._check)
            flags = self._emulator.control.buckets()[BUCKET]
            expect(flags["versioningEnabled"], f"bucket {BUCKET} has versioning at the API")
            step.found(f"bucket {BUCKET} is at the API, versioned as declared")

    def _use_the_secrets(self) -> tuple[Application, Application]:
        with self._screen.step(f"Secret {WRITER} is complete") as step:
            values = secret_values(self._cluster, WRITER, TENANT)
            step.show(f"keys: {', '.join(sorted(values))}")
            writer = Application(self._place, values)
            reader = Application(self._place, secret_values(self._cluster, READER, TENANT))
        with self._screen.step(f"boto3 with {WRITER}'s values puts and gets {OBJECT}"):
            writer.expect(put="done", get=TEXT)
        with self._screen.step(f"boto3 with {READER}'s values gets it, may not put: AccessDenied"):
            reader.expect(get=TEXT, put="AccessDenied")
        with self._screen.step(f"bucket {OTHER_BUCKET} is closed to both: AccessDenied"):
            self._emulator.control.add_bucket(OTHER_BUCKET)
            self._emulator.control.put_object(OTHER_BUCKET, OBJECT, "of another team")
            for application in (writer, reader):
                application.expect(bucket=OTHER_BUCKET, get="AccessDenied", put="AccessDenied")
        return writer, reader

    def _delete(self, writer: Application) -> None:
        with self._screen.step(f"{OBJECT} is deleted first: the operator empties no bucket"):
            writer.expect(delete="done")
        with self._screen.step(f"kubectl delete --filename {MANIFEST}") as step:
            self._cluster.kubectl("delete", HERE, f"--filename={QUICKSTART}", "--timeout=45s")
            left = [
                name for name in (WRITER, READER) if self._cluster.exists("secret", name, HERE)
            ]
            expect(not left, f"the Secrets are gone (left: {', '.join(left)})")
            step.found("keys, Secrets, bucket are gone")

    def _nothing_is_left(self, writer: Application, reader: Application) -> None:
        with self._screen.step("the keys no longer work: InvalidAccessKeyId"):
            for application in (writer, reader):
                application.expect(
                    bucket=OTHER_BUCKET, get="InvalidAccessKeyId", put="InvalidAccessKeyId"
                )
        with self._screen.step("the API has nothing left over") as step:
            control = self._emulator.control
            keys = [key["name"] for key in control.keys() if key["live"] or key["listed"]]
            expect(not keys, f"no key is left (found {', '.join(keys)})")
            expect(
                list(control.buckets()) == [OTHER_BUCKET],
                f"only the other team's bucket is left (found {', '.join(control.buckets())})",
            )
            counts = {call: n["arrived"] for call, n in control.counts().items()}
            step.show("calls made: " + ", ".join(f"{call} {n}" for call, n in counts.items()))
        with self._screen.step("no token and no secret key is in the operator's log"):
            self._log_is_clean()

    def _log_is_clean(self) -> None:
        log = (self._place.logs / "operator.log").read_text()
        credentials = self._emulator.control.credentials()
        secrets = credentials["secretKeys"] + credentials["others"]
        expect(len(credentials["secretKeys"]) >= 2, "the keys' secrets are known")
        expect(not any(secret in log for secret in secrets), "the log holds no credential")

    def _check(self) -> None:
        self._emulator.program.require_running()
        if self.operator is not None:
            self.operator.require_running()


def expect(holds: object, what: str) -> None:
    """Raise DemoError unless ``holds``; ``what`` says how it should be."""
    if not holds:
        raise DemoError(f"expected: {what}")
