"""The application's side: an unmodified S3 client with the Secret's values and nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from demo import pod
from demo.errors import DemoError
from demo.workplace import Workplace, python_environment

SECONDS = 120.0


class Application:
    """Runs pod.py with ``secret`` as its environment, as a pod with ``envFrom`` would."""

    def __init__(self, place: Workplace, secret: Mapping[str, str]) -> None:
        # A home of its own: a person's ~/.aws must not take part.
        self._environ = {**python_environment(), "HOME": str(place.home), **secret}

    def expect(self, *, bucket: str | None = None, **answers: str) -> None:
        """Do the actions named, in order, and compare: the text read, "done", or an S3 error code.

        Raises DemoError naming the action that answered otherwise.
        """
        environ = self._environ | ({"BUCKET": bucket} if bucket else {})
        done = subprocess.run(
            [sys.executable, str(Path(pod.__file__)), *answers],
            env=environ,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        if done.returncode != 0:
            raise DemoError(f"the S3 client failed: {done.stderr.strip().splitlines()[-1]}")
        for said in json.loads(done.stdout):
            wanted = answers[said["did"]]
            if said["answer"] != wanted:
                raise DemoError(f"{said['did']} answered {said['answer']}, expected {wanted}")
