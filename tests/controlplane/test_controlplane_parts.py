"""The parts that need no control plane: audit log, ports, processes, and a start that fails."""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import controlplane
from controlplane import ControlPlane, StartError, audit_events
from controlplane.components import LOOPBACK, free_ports
from controlplane.processes import Program, Warden
from tests.controlplane.stand_ins import wait_for, write_program, write_programs
from tests.patience import PATIENCE


def audit_line(**changed: object) -> str:
    event = {
        "stage": "ResponseComplete",
        "verb": "patch",
        "requestURI": "/apis/storage.amove.io/v1alpha1/namespaces/a/amovebuckets/b/status",
        "user": {"username": "system:serviceaccount:ops:operator"},
        "userAgent": "python",
        "objectRef": {
            "apiGroup": "storage.amove.io",
            "resource": "amovebuckets",
            "subresource": "status",
            "namespace": "a",
            "name": "b",
        },
        "responseStatus": {"code": 200},
        "requestReceivedTimestamp": "2026-01-02T03:04:05.678901Z",
    }
    return json.dumps(event | changed)


def test_an_audit_event_says_who_did_what_to_which_object(tmp_path: Path) -> None:
    (tmp_path / "log").write_text(audit_line() + "\n")

    (event,) = audit_events(tmp_path / "log")

    assert event.user == "system:serviceaccount:ops:operator"
    assert (event.verb, event.code, event.dry_run, event.writes) == ("patch", 200, False, True)
    assert (event.group, event.resource) == ("storage.amove.io", "amovebuckets")
    assert (event.subresource, event.namespace, event.name) == ("status", "a", "b")
    assert event.received.isoformat() == "2026-01-02T03:04:05.678901+00:00"


@pytest.mark.parametrize(
    ("changed", "writes"),
    [
        ({"verb": "create"}, True),
        ({"verb": "deletecollection"}, True),
        ({"verb": "get"}, False),
        ({"verb": "watch"}, False),
        ({"verb": "create", "requestURI": "/api/v1/namespaces/a/secrets?dryRun=All"}, False),
    ],
)
def test_reads_and_dry_runs_are_no_writes(
    changed: dict[str, object], writes: bool, tmp_path: Path
) -> None:
    (tmp_path / "log").write_text(audit_line(**changed) + "\n")

    assert [event.writes for event in audit_events(tmp_path / "log")] == [writes]


def test_only_finished_requests_and_finished_lines_count(tmp_path: Path) -> None:
    lines = [audit_line(), audit_line(stage="ResponseStarted"), audit_line(verb="get")]
    (tmp_path / "log").write_text("\n".join(lines) + "\n" + audit_line()[:40])

    assert [event.verb for event in audit_events(tmp_path / "log")] == ["patch", "get"]


def test_a_request_that_names_no_object_is_read_too(tmp_path: Path) -> None:
    line = audit_line(objectRef=None, responseStatus=None, requestURI="/readyz", verb="get")
    (tmp_path / "log").write_text(line + "\n")

    (event,) = audit_events(tmp_path / "log")

    assert (event.resource, event.uri, event.code) == ("", "/readyz", 0)


def test_free_ports_differ_and_are_no_ports_of_outgoing_connections() -> None:
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])

    ports = free_ports(20)

    assert len(set(ports)) == 20
    assert all(port < max(lowest, 32768) for port in ports)


def test_a_port_that_is_listened_on_is_not_free(monkeypatch: pytest.MonkeyPatch) -> None:
    taken, free = free_ports(2)
    monkeypatch.setattr("random.sample", lambda *_, **__: [taken, free, free])
    with socket.socket() as listener:
        listener.bind((LOOPBACK, taken))
        listener.listen()

        assert free_ports(1) == [free]


@pytest.fixture
def warden() -> Iterator[Warden]:
    warden = Warden(remove=[])
    yield warden
    warden.dismiss()


def test_a_program_that_ignores_sigterm_is_killed(tmp_path: Path, warden: Warden) -> None:
    (tmp_path / "logs").mkdir()
    script = "#!/bin/sh\ntrap '' TERM\necho ready\nwhile :; do sleep 0.05; done\n"
    write_program(tmp_path / "stubborn", script)
    program = Program.start([str(tmp_path / "stubborn")], tmp_path, warden)
    wait_for(lambda: program.tail() == "ready")

    program.stop(grace=0.1)

    assert not program.is_running


def test_the_programs_of_a_killed_process_end_and_its_folders_go(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "etcd").mkdir()
    # Two of them: one ends at SIGTERM, the other only at SIGKILL.
    write_program(tmp_path / "meek", "#!/bin/sh\nexec sleep 600\n")
    write_program(tmp_path / "stubborn", "#!/bin/sh\ntrap '' TERM\nexec sleep 600\n")
    script = f"""
import os, signal
from pathlib import Path
from controlplane.processes import Program, Warden
folder = Path({str(tmp_path)!r})
warden = Warden(remove=[folder / "etcd"])
for name in ("meek", "stubborn"):
    print(Program.start([str(folder / name)], folder, warden).pid, flush=True)
input()
os.kill(os.getpid(), signal.SIGKILL)
"""
    source = str(Path(controlplane.__file__).parent.parent)
    with subprocess.Popen(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": source},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        assert parent.stdout is not None
        handles = [os.pidfd_open(int(parent.stdout.readline())) for _ in range(2)]
        parent.communicate("\n")

    for handle in handles:
        assert select.select([handle], [], [], PATIENCE)[0]
        os.close(handle)
    wait_for(lambda: not (tmp_path / "etcd").exists())


def test_a_program_that_dies_at_start_is_named_with_the_end_of_its_log(tmp_path: Path) -> None:
    programs = write_programs(tmp_path / "bin")
    write_program(programs / "etcd", "#!/bin/sh\necho cannot open the store\nexit 7\n")
    write_program(programs / "kube-apiserver", "#!/bin/sh\nexec sleep 600\n")
    lines: list[str] = []
    plane = ControlPlane(tmp_path / "plane", binaries=programs, report=lines.append)

    with pytest.raises(StartError) as failure:
        plane.start()

    assert "etcd died with status 7" in str(failure.value)
    assert "cannot open the store" in str(failure.value)
    assert f"all logs: {plane.logs}" in str(failure.value)
    assert plane.pids == {}
    # Logs are for people; keys are for nobody any more.
    assert [entry.name for entry in (tmp_path / "plane").iterdir()] == ["logs"]


def test_a_start_that_never_gets_ready_says_what_was_waited_for(tmp_path: Path) -> None:
    programs = write_programs(tmp_path / "bin")
    for name in ("etcd", "kube-apiserver"):
        write_program(programs / name, "#!/bin/sh\nexec sleep 600\n")
    plane = ControlPlane(
        tmp_path / "plane", binaries=programs, report=lambda _: None, start_deadline=0.2
    )

    with pytest.raises(StartError, match="kube-apiserver ready"):
        plane.start()

    assert plane.pids == {}


def test_a_folder_with_something_in_it_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").touch()

    with pytest.raises(StartError, match="not empty"):
        ControlPlane(tmp_path, binaries=tmp_path).start()

    assert (tmp_path / "thesis.txt").exists()
