"""One HTTP exchange with a server that the operator named: no redirects, no proxies, everything bounded.

Knows nothing of what is exchanged. It blocks, so it runs in a thread.
"""

from __future__ import annotations

import asyncio
import http.client
import socket
import ssl
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import SplitResult

BODY_MAX = 256 * 1024


class Unreachable(Exception):
    """The server did not answer as an HTTP server does; the message says how."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    method: str
    url: SplitResult
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """`headers`: by names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


async def exchange(asked: Asked, *, tls: ssl.SSLContext | None, timeout_s: float) -> Answered:
    """Ask, and wait `timeout_s` for the whole answer; then the connection is cut, so that its thread ends as well.

    Raises:
        Unreachable: there was none.
    """
    connection = _connection(asked.url, tls, timeout_s)
    asking = asyncio.ensure_future(asyncio.to_thread(_exchange, connection, asked))
    try:
        async with asyncio.timeout(timeout_s):
            return await asyncio.shield(asking)
    except TimeoutError:
        raise Unreachable(f"no answer within {timeout_s:g} s") from None
    except (OSError, http.client.HTTPException) as trouble:
        raise Unreachable(f"{type(trouble).__name__}: {trouble}"[:200]) from None
    finally:
        if not asking.done():
            _cut(connection)
            asking.add_done_callback(lambda late: late.cancelled() or late.exception())  # nobody waits for it any more


def _connection(url: SplitResult, tls: ssl.SSLContext | None, timeout_s: float) -> http.client.HTTPConnection:
    host, port = url.hostname or "", url.port
    if url.scheme == "https":
        return http.client.HTTPSConnection(host, port, timeout=timeout_s, context=tls)
    return http.client.HTTPConnection(host, port, timeout=timeout_s)


def _cut(connection: http.client.HTTPConnection) -> None:
    with suppress(OSError):
        if connection.sock is not None:
            connection.sock.shutdown(socket.SHUT_RDWR)


def _exchange(connection: http.client.HTTPConnection, asked: Asked) -> Answered:
    try:
        path = asked.url.path or "/"
        target = f"{path}?{asked.url.query}" if asked.url.query else path
        connection.request(asked.method, target, body=asked.body, headers=dict(asked.headers))
        answer = connection.getresponse()
        body = answer.read(BODY_MAX + 1)
        if len(body) > BODY_MAX:
            raise http.client.HTTPException(f"the answer is longer than {BODY_MAX} bytes")
        return Answered(status=answer.status, headers={k.lower(): v for k, v in answer.getheaders()}, body=body)
    finally:
        connection.close()
