"""HAProxy in front of several servers, with the configuration that `csms node haproxy-example` prints."""

from __future__ import annotations

import asyncio
import contextlib
import re
import shutil
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.faults.world import ServerProcess, until
from tests.ports import free_port

PROGRAM = shutil.which("haproxy") or shutil.which("/usr/sbin/haproxy")
needs_haproxy = pytest.mark.skipif(
    PROGRAM is None, reason="needs haproxy 2.4 or newer on this machine (apt-get install haproxy)"
)
PROXY = "127.0.0.1/32"
"""What the nodes are told of it: --proxy-protocol-from."""


@dataclass(frozen=True, slots=True)
class Balancer:
    """Where charge points connect to."""

    plain: int
    tls_ends_here: int
    tls_passes_through: int

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.plain}/ocpp"


def configured(text: str, balancer: Balancer, nodes: Sequence[ServerProcess], *, certificate: Path) -> str:
    """The example with the addresses of this machine instead of its own; everything else stays as it is printed."""
    for port, line in (
        (balancer.plain, "bind :80\n"),
        (balancer.tls_ends_here, "bind :443 ssl"),
        (balancer.tls_passes_through, "bind :8443\n"),
    ):
        assert text.count(line) == 1, line
        text = text.replace(line, re.sub(r":\d+", f"127.0.0.1:{port}", line))
    text = text.replace("/etc/haproxy/csms.pem", str(certificate))
    for number, node in enumerate(nodes, start=1):
        checked = f"port {urlsplit(node.ready['http_url']).port}"
        tls = node.given.get("tls_port", 1)
        for kind, port in (("9000", node.port), ("9443", tls)):
            example = f"192.0.2.1{number}:{kind} "
            assert example in text, example
            text = text.replace(example, f"127.0.0.1:{port} {checked} ")
    assert "192.0.2." not in text
    return text


@contextlib.asynccontextmanager
async def balanced(directory: Path, nodes: Sequence[ServerProcess], *, certificate: Path) -> AsyncIterator[Balancer]:
    """HAProxy, up and with all nodes in use, while the block runs."""
    assert PROGRAM is not None, "marked with needs_haproxy"
    example = (files("csms.gateway") / "examples" / "haproxy.cfg").read_text(encoding="utf-8")
    balancer = Balancer(free_port(), free_port(), free_port())
    file = directory / "haproxy.cfg"
    file.write_text(configured(example, balancer, nodes, certificate=certificate))
    log_path = directory / "haproxy.log"
    with log_path.open("wb") as log:
        process = await asyncio.create_subprocess_exec(PROGRAM, "-db", "-f", str(file), stdout=log, stderr=log)
        try:
            await until(lambda: _listens(balancer.plain), what="HAProxy listens", within_s=15)
            yield balancer
            assert process.returncode is None, "HAProxy ended by itself"
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()
            print(log_path.read_text(errors="replace")[-4000:])  # noqa: T201 - pytest shows it with a failure only


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True
