"""From a port of this machine to an address in a box, which has a network of its own."""

from __future__ import annotations

import asyncio
import ctypes
import os
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

from node.errors import NodeError

CHUNK = 64 * 1024
CLONE_NEWNET = 0x40000000
Connect = Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]


def forward(inside: int, address: str, report: Callable[[str], None]) -> None:
    """Until Ctrl-C, join connections to a free port of loopback with ``address`` (``IP:port``).

    ``inside``: a process of the box. ``report`` is told the URL. Raises NodeError.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise NodeError(f"{address} is no address: write IP:port")
    # A socket belongs to the network in which it was made, and later ones to where the process is.
    with socket.create_server(("127.0.0.1", 0)) as here:
        _enter_network(inside)
        report(f"http://127.0.0.1:{here.getsockname()[1]}")
        asyncio.run(_serve(here, partial(asyncio.open_connection, host, int(port))))


def _enter_network(pid: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    with Path(f"/proc/{pid}/ns/net").open("rb") as network:
        if libc.setns(network.fileno(), CLONE_NEWNET) != 0:
            raise NodeError(f"cannot enter the box's network: {os.strerror(ctypes.get_errno())}")


async def _serve(here: socket.socket, connect: Connect) -> None:
    async def join(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            far_reader, far_writer = await connect()
            await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer))
        writer.close()

    async with await asyncio.start_server(join, sock=here) as server:
        await server.serve_forever()


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    try:
        while chunk := await source.read(CHUNK):
            target.write(chunk)
            await target.drain()
    finally:
        target.close()
