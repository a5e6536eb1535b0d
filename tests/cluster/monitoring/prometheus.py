"""A real Prometheus that scrapes operators on this machine, once a second."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import httpx
import yaml

from controlplane.components import free_ports
from controlplane.processes import Program, Warden
from tests.cluster.harness import eventually
from tests.patience import PATIENCE

LABELS = {"namespace": "amove-system"}
JOB = "amove-operator"


class Prometheus:
    """``targets``: the ports of /metrics; ``rules``: groups as in a rule file."""

    def __init__(
        self, programs: Path, folder: Path, targets: list[str], rules: dict[str, Any]
    ) -> None:
        (port,) = free_ports(1)
        static = [{"targets": [f"127.0.0.1:{each}" for each in targets], "labels": LABELS}]
        config = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": ["rules.yaml"],
            "scrape_configs": [{"job_name": JOB, "static_configs": static}],
        }
        (folder / "logs").mkdir()
        (folder / "prometheus.yaml").write_text(yaml.safe_dump(config))
        (folder / "rules.yaml").write_text(yaml.safe_dump(rules))
        command = [
            str(programs / "prometheus"),
            f"--config.file={folder}/prometheus.yaml",
            f"--storage.tsdb.path={folder}/data",
            f"--web.listen-address=127.0.0.1:{port}",
            "--log.level=warn",
        ]
        self._warden = Warden(remove=[])
        self._program = Program.start(command, folder, self._warden)
        self._http = httpx.Client(
            base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=PATIENCE
        )
        eventually(self._is_ready, what="Prometheus")

    def close(self) -> None:
        self._http.close()
        self._program.stop(grace=5.0)
        self._warden.dismiss()

    def _is_ready(self) -> bool:
        self._program.require_running()
        try:
            return self._http.get("/-/ready").is_success
        except httpx.TransportError:
            return False

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The samples that answer it now, each with ``metric`` and ``value``; no NaN."""
        answer = self._http.get("/api/v1/query", params={"query": expression})
        assert answer.is_success, f"{expression}: {answer.text}"
        found: list[dict[str, Any]] = answer.json()["data"]["result"]
        return [one for one in found if not math.isnan(float(one["value"][1]))]

    def value(self, expression: str) -> float | None:
        """The one sample that answers it; None where there is none."""
        found = self.query(expression)
        assert len(found) <= 1, found
        return float(found[0]["value"][1]) if found else None

    def targets(self) -> list[dict[str, Any]]:
        """What is scraped, with ``health`` and ``lastError``."""
        found: list[dict[str, Any]] = self._http.get("/api/v1/targets").json()["data"][
            "activeTargets"
        ]
        return found

    def firing(self) -> set[str]:
        """The names of the alerts that are firing."""
        alerts = self._http.get("/api/v1/alerts").json()["data"]["alerts"]
        return {one["labels"]["alertname"] for one in alerts if one["state"] == "firing"}
