"""A file endpoint on a real port, and peers that fetch and send as charge points do."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import io
import re
import socket
import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import trustme

from csms.files import service
from csms.files.server import FileServer
from csms.settings import load_settings
from csms.sites import service as sites

HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(slots=True, kw_only=True)
class Room:
    pool: asyncpg.Pool[Any]
    server: FileServer
    trust: Path
    home: Path
    authority: trustme.CA

    async def image(self, content: bytes, *, name: str = "pump-2.1.bin", lifetime: timedelta = HOUR) -> str:
        """The address of a file."""
        async with self.pool.acquire() as connection, connection.transaction():
            file = await service.add(connection, io.BytesIO(content), name=name, kind="image", actor="tester")
            url, token = service.new_address(self.server.public_url, name)
            await service.let_fetch(connection, token, charge_point="CP-1", file=file, request=None, lifetime=lifetime)
        return url

    async def inbox(self, *, bytes_max: int = 1_000_000, lifetime: timedelta = HOUR) -> str:
        """An address that takes one file."""
        url, token = service.new_address(self.server.public_url)
        async with self.pool.acquire() as connection:
            await service.let_send(
                connection, token, charge_point="CP-1", request=None, bytes_max=bytes_max, lifetime=lifetime
            )
        return url

    async def expire(self) -> None:
        async with self.pool.acquire() as connection:
            await connection.execute("UPDATE file_grant SET expires_at = now() - interval '1 second'")

    async def files(self, **wanted: Any) -> list[dict[str, Any]]:
        async with self.pool.acquire() as connection:
            return await service.list_files(connection, **wanted)

    async def content(self, file: int) -> bytes:
        target = io.BytesIO()
        async with self.pool.acquire() as connection:
            await service.write_to(connection, file, target)
        return target.getvalue()

    async def transfers(self, at_least: int = 0) -> list[dict[str, Any]]:
        """Once there are so many: they are noted when whoever asked has had the answer."""
        async with asyncio.timeout(20), self.pool.acquire() as connection:
            while True:
                rows = await connection.fetch("SELECT * FROM file_transfer ORDER BY id")
                if len(rows) >= at_least:
                    return [dict(row) for row in rows]
                await asyncio.sleep(0.02)

    async def ask(self, method: str, url: str, *, body: Any = None, **headers: str) -> Answer:
        """One request as http.client makes it."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await asyncio.to_thread(self._ask, method, url, body, named)

    def _ask(self, method: str, url: str, body: Any, headers: Mapping[str, str]) -> Answer:
        parts = urlsplit(url)
        context = ssl.create_default_context(cafile=str(self.trust))
        assert parts.hostname is not None
        if parts.scheme == "https":
            connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                parts.hostname, parts.port, timeout=20, context=context
            )
        else:
            connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=20)
        try:
            connection.request(method, parts.path, body=body, headers=dict(headers))
            answer = connection.getresponse()
            named = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(status=answer.status, headers=named, body=answer.read())
        finally:
            connection.close()

    @contextlib.asynccontextmanager
    async def sending(self, url: str, request: bytes) -> AsyncIterator[None]:
        """A connection on which so much has been sent, and no more comes; it breaks off with the block."""
        parts = urlsplit(url)
        context = ssl.create_default_context(cafile=str(self.trust))
        _, writer = await asyncio.open_connection(parts.hostname, parts.port, ssl=context)
        try:
            writer.write(request)
            await writer.drain()
            yield
        finally:
            writer.transport.abort()

    @contextlib.asynccontextmanager
    async def dribbling(
        self, url: str, request: bytes, *, every_s: float, block: bytes = b"x"
    ) -> AsyncIterator[asyncio.Event]:
        """A connection on which a little comes again and again; the event is set when the other side ends it."""
        parts = urlsplit(url)
        context = ssl.create_default_context(cafile=str(self.trust))
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port, ssl=context)
        gone = asyncio.Event()

        async def send() -> None:
            writer.write(request)
            while not gone.is_set():
                writer.write(block)
                await asyncio.sleep(every_s)

        async def listen() -> None:
            with contextlib.suppress(OSError):
                await reader.read()
            gone.set()

        try:
            async with asyncio.TaskGroup() as tasks:
                both = [tasks.create_task(send()), tasks.create_task(listen())]
                yield gone
                for each in both:
                    each.cancel()
        finally:
            writer.transport.abort()

    async def raw(self, url: str, request: bytes) -> bytes:
        """Bytes as they are over TLS, and what comes back until the end."""
        return await asyncio.to_thread(self._raw, url, request)

    def _raw(self, url: str, request: bytes) -> bytes:
        parts = urlsplit(url)
        context = ssl.create_default_context(cafile=str(self.trust))
        assert parts.hostname is not None
        with (
            socket.create_connection((parts.hostname, parts.port), timeout=20) as plain,
            context.wrap_socket(plain, server_hostname=parts.hostname) as connection,
        ):
            connection.sendall(request)
            came = b""
            while block := connection.recv(65536):
                came += block
            return came


@contextlib.asynccontextmanager
async def opened(pool: asyncpg.Pool[Any], home: Path, **given: Any) -> AsyncIterator[Room]:
    authority = trustme.CA()
    leaf = authority.issue_cert("localhost", "127.0.0.1")
    certificate, key, trust = home / "files.pem", home / "files.key", home / "ca.pem"
    leaf.cert_chain_pems[0].write_to_path(certificate)
    leaf.private_key_pem.write_to_path(key)
    authority.cert_pem.write_to_path(trust)
    settings = load_settings(
        {},
        **{
            "data_dir": home, "files_host": "127.0.0.1", "files_port": 0, "files_cert": (certificate,),
            "files_key": (key,), **given,
        },
    )  # fmt: skip
    async with pool.acquire() as connection:
        await sites.create(
            connection, "harbour", name="Harbour", country="DE", time_zone="Europe/Berlin", currency="EUR"
        )
        await connection.execute("INSERT INTO charge_point (id, site) VALUES ('CP-1', 'harbour')")
    server = FileServer(settings, pool)
    running = asyncio.create_task(server.run_until_stopped())
    await server.listening()
    try:
        yield Room(pool=pool, server=server, trust=trust, home=home, authority=authority)
    finally:
        server.stop()
        async with asyncio.timeout(20):
            await running


def path_of(url: str) -> str:
    return urlsplit(url).path


def token_of(url: str) -> str:
    found = re.search(r"/files/([^/]+)", url)
    assert found is not None
    return found[1]
