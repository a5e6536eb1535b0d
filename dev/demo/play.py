"""The steps that every cluster sees, from the chart to an API with nothing left over."""

from __future__ import annotations

from typing import Protocol

from demo.application import Application
from demo.cluster import Cluster, Manifest
from demo.deployment import secret_values
from demo.emulator import RunningEmulator
from demo.errors import DemoError
from demo.installation import Installation
from demo.names import (
    BUCKET,
    CREDENTIALS,
    OTHER_BUCKET,
    QUICKSTART,
    READER,
    RELEASE,
    REPOSITORY,
    SYSTEM,
    TENANT,
    WRITER,
)
from demo.page import Page
from demo.pod import OBJECT, TEXT
from demo.resources import Watch
from demo.screen import Screen
from demo.workplace import Workplace

HERE = f"--namespace={TENANT}"
MANIFEST = QUICKSTART.relative_to(REPOSITORY)
SDK_KEYS = {
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_ENDPOINT_URL_S3",
    "AWS_REGION",
    "BUCKET_NAME",
}


class Operator(Protocol):
    """The operator, wherever it runs. Its methods raise DemoError where something is wrong."""

    starting: str
    ending: str
    """What the steps are called that start it and end it."""
    replicas: int
    """What the chart is told."""

    def start(self, deployment: Manifest) -> None:
        """Return when it leads."""

    def require_running(self) -> None:
        """Raise when it was started and has ended."""

    def log(self) -> str:
        """All that it wrote."""

    def stop(self) -> None:
        """Have it end in order, if it was started."""


class Play:
    """The actors, and what they do in turn. ``page``: where pods can run, a web application's."""

    def __init__(
        self,
        screen: Screen,
        place: Workplace,
        cluster: Cluster,
        emulator: RunningEmulator,
        installation: Installation,
        operator: Operator,
        page: Page | None = None,
    ) -> None:
        self._screen = screen
        self._place = place
        self._cluster = cluster
        self._emulator = emulator
        self._installation = installation
        self.operator = operator
        self._page = page

    def perform(self) -> None:
        """Raises DemoError at the first step that does not hold."""
        self._start()
        self._apply()
        writer, reader = self._use_the_secrets()
        if self._page is not None:
            self._use_the_page(self._page, writer)
        self._delete(writer)
        self._nothing_is_left(writer, reader)

    def _start(self) -> None:
        with self._screen.step(
            "helm install: CRDs, fence, ServiceAccount, roles, a Deployment with "
            f"replicas: {self.operator.replicas}"
        ) as step:
            deployment = self._installation.install(self._emulator.token_file)
            step.show(f"release {SYSTEM}/{RELEASE}, API token in Secret {SYSTEM}/{CREDENTIALS}")
        with self._screen.step(self.operator.starting):
            self.operator.start(deployment)

    def _apply(self) -> None:
        with self._screen.step(f"kubectl apply -f {MANIFEST}") as step:
            step.show(self._cluster.kubectl("apply", HERE, f"--filename={QUICKSTART}"))
        with self._screen.step(f"kubectl get amove -n {TENANT}, until all are Ready") as step:
            Watch(self._cluster, step.show).wait_until_ready(self.require_running)
        with self._screen.step("the API has the bucket, versioned as declared, and both keys"):
            flags = self._emulator.control.buckets()[BUCKET]
            expect(flags["versioningEnabled"], f"bucket {BUCKET} has versioning at the API")
            live = len(self._emulator.control.live_keys())
            expect(live == 2, f"2 keys live at the API (found {live})")

    def _use_the_secrets(self) -> tuple[Application, Application]:
        with self._screen.step(f"Secrets {WRITER} and {READER} hold what an AWS SDK reads") as step:
            written, read = (secret_values(self._cluster, key, TENANT) for key in (WRITER, READER))
            expect(written.keys() & read.keys() >= SDK_KEYS, f"both have {', '.join(SDK_KEYS)}")
            step.show(", ".join(sorted(written)))
        trust = self._emulator.trust
        writer, reader = (Application(self._place, secret | trust) for secret in (written, read))
        with self._screen.step(f"boto3 with {WRITER}'s values puts and gets an object"):
            writer.expect(put="done", get=TEXT)
        with self._screen.step(f"boto3 with {READER}'s values gets it, and may not put"):
            reader.expect(get=TEXT, put="AccessDenied")
        with self._screen.step(f"another team's bucket, {OTHER_BUCKET}, is closed to both"):
            self._emulator.control.add_bucket(OTHER_BUCKET)
            self._emulator.control.put_object(OTHER_BUCKET, OBJECT, "of another team")
            for application in (writer, reader):
                application.expect(bucket=OTHER_BUCKET, get="AccessDenied", put="AccessDenied")
        return writer, reader

    def _use_the_page(self, page: Page, writer: Application) -> None:
        with self._screen.step(f"examples/app in a pod, with {WRITER}'s values by envFrom") as step:
            page.start()
            step.show(f"its page is at http://{page.address}, in the cluster")
        with self._screen.step("the page lists the object, deletes it and uploads it again"):
            page.wait_until_listed(OBJECT, listed=True, check=self.require_running)
            page.delete(OBJECT)
            page.wait_until_listed(OBJECT, listed=False, check=self.require_running)
            page.upload(OBJECT, TEXT)
            page.wait_until_listed(OBJECT, listed=True, check=self.require_running)
            writer.expect(get=TEXT)

    def _delete(self, writer: Application) -> None:
        with self._screen.step("boto3 deletes the object: the operator never empties a bucket"):
            writer.expect(delete="done")
        with self._screen.step(f"kubectl delete -f {MANIFEST}: the Secrets go too") as step:
            delete = ("delete", HERE, f"--filename={QUICKSTART}", "--timeout=60s")
            step.show(self._cluster.kubectl(*delete))
            secrets = [self._cluster.exists("secret", key, HERE) for key in (WRITER, READER)]
            expect(not any(secrets), "no Secret is left")

    def _nothing_is_left(self, writer: Application, reader: Application) -> None:
        with self._screen.step("the keys no longer work: InvalidAccessKeyId"):
            dead = "InvalidAccessKeyId"
            for application in (writer, reader):
                application.expect(bucket=OTHER_BUCKET, get=dead, put=dead)
            if self._page is not None:
                self._page.require_refused()
        with self._screen.step("the API has nothing left over") as step:
            state = self._emulator.control.state()
            keys = [key["name"] for key in state["keys"] if key["live"] or key["listed"]]
            expect(not keys, f"no key is left (found {', '.join(keys)})")
            buckets = [bucket["name"] for bucket in state["buckets"]]
            expect(buckets == [OTHER_BUCKET], f"no bucket but the other team's (found {buckets})")
            counts = self._emulator.control.counts().items()
            step.show(
                "calls of the whole: " + ", ".join(f"{n['done']} {call}" for call, n in counts)
            )
        with self._screen.step("the operator's log holds no token and no secret key"):
            self._log_is_clean()

    def _log_is_clean(self) -> None:
        log = self.operator.log()
        credentials = self._emulator.control.credentials()
        secrets = credentials["secretKeys"] + credentials["others"]
        expect(len(credentials["secretKeys"]) >= 2, "the keys' secrets are known")
        expect(log, "the operator has written a log")
        expect(not any(secret in log for secret in secrets), "the log holds no credential")

    def require_running(self) -> None:
        """Raise DemoError when the emulator, or the operator once it was started, has ended."""
        self._emulator.program.require_running()
        self.operator.require_running()


def expect(holds: object, what: str) -> None:
    """Raise DemoError unless ``holds``; ``what`` says how it should be."""
    if not holds:
        raise DemoError(f"expected: {what}")
