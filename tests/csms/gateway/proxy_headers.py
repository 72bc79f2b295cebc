"""PROXY headers as a balancer writes them, and connections that begin with one."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import struct

from csms.gateway.proxy_protocol import SIGNATURE

HERE = "203.0.113.7"
PROXIES = ("127.0.0.1/32",)


def v1(source: str = HERE) -> bytes:
    family = "TCP6" if ":" in source else "TCP4"
    target = "::1" if ":" in source else "127.0.0.1"
    return f"PROXY {family} {source} {target} 50000 9000\r\n".encode()


def extension(kind: int, value: bytes) -> bytes:
    return struct.pack("!BH", kind, len(value)) + value


def tls_extension(version: bytes | None = b"TLSv1.3", *, flags: int = 1) -> bytes:
    inner = b"" if version is None else extension(0x21, version)
    return extension(0x20, struct.pack("!BI", flags, 0) + inner)


def v2(source: str = HERE, *, extensions: bytes = b"", command: int = 1) -> bytes:
    address = ipaddress.ip_address(source)
    target = ipaddress.ip_address("::1" if address.version == 6 else "127.0.0.1")
    family = 0x21 if address.version == 6 else 0x11
    body = address.packed + target.packed + struct.pack("!HH", 50000, 9000) + extensions
    return SIGNATURE + struct.pack("!BBH", 0x20 | command, family, len(body)) + body


async def connected(port: int, beginning: bytes) -> socket.socket:
    """A connection on which these bytes were sent; what comes after them is the caller's."""
    peer = socket.socket()
    peer.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(peer, ("127.0.0.1", port))
    await loop.sock_sendall(peer, beginning)
    return peer
