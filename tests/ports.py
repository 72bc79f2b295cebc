"""Ports for servers that are killed and started again."""

from __future__ import annotations

import itertools
import os
import socket
from collections.abc import Iterator

_PORTS = tuple(range(12_000, 32_000))
_ours: Iterator[int] = itertools.cycle(_PORTS[os.getpid() * 997 % len(_PORTS) :] + _PORTS)


def free_port() -> int:
    """One that nobody has now, and that the kernel gives to no connection: who stops listening finds it free again."""
    while True:
        port = next(_ours)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
