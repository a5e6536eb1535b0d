"""``python -m amove_emulator``: run until SIGTERM; one JSON line says where, once it is ready."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from pathlib import Path

from amove_emulator.listening import LOOPBACK, Listening
from amove_emulator.server import Emulator
from amove_emulator.settings import USER_ID, World


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m amove_emulator", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="API port (default: a free one)")
    parser.add_argument("--s3-port", type=int, default=0, help="S3 port (default: a free one)")
    parser.add_argument(
        "--token-file",
        type=Path,
        help="API token: taken from this file if it is there, else made up and written to it",
    )
    parser.add_argument("--address", default=LOOPBACK.address, help="an IP address to listen on")
    for name, what in (
        ("certificate", "for TLS"),
        ("key", "of it"),
        ("authority", "that signed it"),
    ):
        parser.add_argument(f"--{name}", type=Path, help=f"PEM file: {what}")
    parser.add_argument("--latency-ms", type=float, default=0.0, help="added to every API call")
    return parser.parse_args()


def _listening(arguments: argparse.Namespace) -> Listening:
    if arguments.certificate is None and arguments.address != LOOPBACK.address:
        raise ValueError("the operator trusts plain http on 127.0.0.1 only: give --certificate")
    return Listening(arguments.address, arguments.certificate, arguments.key, arguments.authority)


def _world(token_file: Path | None) -> World:
    if token_file is None:
        return World()
    if token_file.exists():
        token = token_file.read_text(encoding="utf-8").strip()
        if not token:
            raise ValueError(f"{token_file} is empty: put a token in it, or delete it")
        return World(tokens={token: USER_ID})
    world = World()
    descriptor = os.open(token_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(next(iter(world.tokens)))
    return world


def main() -> int:
    arguments = _arguments()
    # Blocked before any thread starts, so that only sigwait below receives them.
    ends = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    try:
        emulator = Emulator(
            arguments.port,
            arguments.s3_port,
            world=_world(arguments.token_file),
            latency=arguments.latency_ms / 1000,
            listening=_listening(arguments),
        )
        emulator.start()
    except (OSError, ValueError) as error:
        print(f"amove_emulator: cannot start: {error}", file=sys.stderr)
        return 2
    print(json.dumps(emulator.facts()), flush=True)
    signal.sigwait(ends)
    emulator.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
