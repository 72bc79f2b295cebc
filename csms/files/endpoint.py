"""What charge points see of files: GET and HEAD of those they may fetch, PUT and POST of the one they may send.

There are no listings, and no names that open anything: whoever has no token is told nothing. OCPP says nothing of how
a file is sent by HTTP, so all ways that are in use are taken: PUT or POST, the file itself or a form with it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

import asyncpg
import structlog

from billing import Unavailable
from csms.database.pool import is_unavailable
from csms.files import metrics, service
from csms.files.address import asked, clean_name
from csms.files.byte_ranges import RangeInvalid, Sent, Span, sent_part, wanted_span
from csms.files.cache import Copies, CopyDamaged
from csms.files.exchange import BrokenOff, Exchange, Receive, Scope, Send
from csms.files.multipart import FileInForm, MultipartInvalid, boundary_of
from csms.files.service import SQL, Direction, Grant
from csms.files.upload import PART_BYTES_MIN, Busy, Conflict, Incoming, Overtaken, TooLarge

FORM_BYTES_MAX = 128 * 1024
"""What a form may have besides the file."""
ALLOWED = {Direction.DOWNLOAD: ("GET", "HEAD"), Direction.UPLOAD: ("PUT", "POST")}

log = structlog.get_logger()


class Endpoint:
    """An ASGI application."""

    def __init__(self, pool: asyncpg.Pool[Any], copies: Copies, *, idle_s: float, retry_after_s: int) -> None:
        self._pool = pool
        self._copies = copies
        self._idle_s = idle_s
        self._retry_after_s = retry_after_s
        self._beginning: set[int] = set()
        self._attempts: dict[int, tuple[Exchange, Incoming]] = {}
        """By address, the one that sends there through this node."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http", "no lifespan, no websockets"
        exchange = Exchange(scope, receive, send, idle_s=self._idle_s)
        try:
            await self._serve(exchange)
        except BrokenOff:
            await exchange.give_up()
        except (CopyDamaged, Unavailable) as missing:
            log.error("file_content_missing", problem=str(missing))  # noqa: TRY400 - the text says all of it
            await self._try_later(exchange)
        except Exception as error:
            if not is_unavailable(error):
                log.exception("file_request_failed", method=exchange.method)
            await self._try_later(exchange)

    async def _try_later(self, exchange: Exchange) -> None:
        try:
            await exchange.say(503, "try again later", retry_after=str(self._retry_after_s))
        except (BrokenOff, RuntimeError):  # the answer had begun
            await exchange.give_up()

    async def _serve(self, exchange: Exchange) -> None:
        wish = asked(exchange.path)
        grant = None
        if wish is not None:
            async with self._pool.acquire() as connection:
                grant = await service.grant_of(connection, wish.token)
        if wish is None or grant is None:
            metrics.REQUESTS.labels("none", "unknown").inc()
            await exchange.say(404, "there is nothing here")
            return
        problem = _problem(grant)
        if problem is not None:
            metrics.REQUESTS.labels(grant.direction, problem.replace(" ", "_")).inc()
            log.info(
                "file_refused", charge_point=grant.charge_point, request=grant.request, direction=str(grant.direction),
                reason=problem, remote=exchange.remote,
            )  # fmt: skip
            await exchange.say(410, problem)
        elif exchange.method not in ALLOWED[grant.direction]:
            allowed = ", ".join(ALLOWED[grant.direction])
            await exchange.say(405, f"this address is for {allowed}", allow=allowed)
        elif grant.direction is Direction.DOWNLOAD:
            await self._hand_out(exchange, grant)
        else:
            await self._take_in(exchange, grant, wish.name)

    # --- out

    async def _hand_out(self, exchange: Exchange, grant: Grant) -> None:
        size, sum_ = grant.size_bytes, grant.sha256
        assert grant.file is not None and size is not None and sum_ is not None, "only whole files are handed out"  # noqa: PT018
        tag = f'"{sum_.hex()}"'
        wanted = exchange.headers.get("range")
        if exchange.headers.get("if-range", tag) != tag:
            wanted = None
        span = wanted_span(wanted, size)
        if span is None:
            await exchange.say(416, f"the file has {size} bytes", content_range=f"bytes */{size}")
            return
        headers = {
            "content-type": "application/octet-stream",
            "content-length": str(span.length),
            "content-disposition": f'attachment; filename="{grant.name}"',
            "accept-ranges": "bytes",
            "etag": tag,
        }
        part = span.length < size
        if part:
            headers["content-range"] = f"bytes {span.first}-{span.end - 1}/{size}"
        status = HTTPStatus.PARTIAL_CONTENT if part else HTTPStatus.OK
        if exchange.method == "HEAD":
            await exchange.head(status, headers)
            await exchange.body(b"", more=False)
            return
        async with aclosing(self._copies.read(grant.file, sum_, size=size, first=span.first, end=span.end)) as blocks:
            begin = await anext(blocks)  # before the answer begins: what is not here is told, and not cut off
            await exchange.head(status, headers)
            await self._send(exchange, grant, span, begin, blocks)

    async def _send(
        self, exchange: Exchange, grant: Grant, span: Span, begin: bytes, blocks: AsyncGenerator[bytes]
    ) -> None:
        began_at, sent, outcome = datetime.now(UTC), 0, "sent"
        try:
            block: bytes | None = begin
            while block is not None:
                await exchange.body(block, more=sent + len(block) < span.length)
                sent += len(block)
                block = await anext(blocks, None)
        except BrokenOff as broken:
            outcome = f"broken off: {broken}"
            raise
        finally:
            whole = sent == span.length and span.end == grant.size_bytes
            await self._note(exchange, grant, Span(span.first, span.first + sent), whole, outcome, began_at)

    # --- in

    async def _take_in(self, exchange: Exchange, grant: Grant, name: str | None) -> None:
        assert grant.bytes_max is not None, "uploads are bounded"
        boundary = boundary_of(exchange.headers.get("content-type", ""))
        slack = 0 if boundary is None else FORM_BYTES_MAX
        try:
            part = sent_part(exchange.headers["content-range"]) if "content-range" in exchange.headers else None
        except RangeInvalid as invalid:
            await exchange.say(400, str(invalid))
            return
        if part is not None and boundary is not None:
            await exchange.say(400, "a form is sent as a whole, not in parts")
        elif max(exchange.content_length or 0, (part.total or 0) if part else 0) > grant.bytes_max + slack:
            await self._too_large(exchange, grant)
        elif part is not None and part.span is None:
            await self._tell_progress(exchange, grant)
        elif part is not None and part.span is not None and _is_tiny(part.span, part.total):
            await exchange.say(400, f"a part has {PART_BYTES_MIN} bytes at least, unless it is the last")
        else:
            named = name or clean_name(f"{grant.charge_point}.log")
            await self._receive(exchange, grant, part, boundary, named)

    async def _receive(
        self, exchange: Exchange, grant: Grant, part: Sent | None, boundary: bytes | None, name: str
    ) -> None:
        offered = 0 if part is None or part.span is None else part.span.first
        began_at, outcome, first, whole = datetime.now(UTC), "received", 0, False
        incoming = None
        try:
            incoming = await self._begin(exchange, grant, name, offered)
            first = incoming.received
            await self._write(exchange, incoming, boundary)
            ended = await _end(incoming, part)
            outcome, whole = ended.outcome, ended.status == HTTPStatus.CREATED
            await exchange.say(ended.status, ended.text, **_range_of(incoming.received if not whole else 0))
        except Conflict as conflict:
            outcome, first = conflict.outcome, conflict.received
            await exchange.say(409, str(conflict), **_range_of(first))
        except TooLarge:
            outcome = "too large"
            if incoming is not None:
                await incoming.discard()
            await self._too_large(exchange, grant)
        except MultipartInvalid as invalid:
            outcome = str(invalid)
            await exchange.say(400, outcome)
        except Overtaken:
            outcome = "overtaken"
            await exchange.say(410, "used up")
        except BrokenOff as broken:
            if not whole:
                outcome = f"broken off: {broken}"
            if incoming is not None:
                with suppress(Overtaken):
                    await incoming.keep()
            raise
        finally:
            if self._attempts.get(grant.id) == (exchange, incoming):
                del self._attempts[grant.id]
            end = first if incoming is None else max(incoming.received, first)
            known = grant if incoming is None else replace(grant, file=incoming.file)
            await self._note(exchange, known, Span(first, end), whole, outcome, began_at)

    async def _begin(self, exchange: Exchange, grant: Grant, name: str, first: int) -> Incoming:
        """One attempt at a time: while one begins no other does, and then the one before it is over.

        Raises:
            Overtaken, Conflict: it does not begin.
        """
        if grant.id in self._beginning:
            raise Busy
        self._beginning.add(grant.id)
        try:
            incoming = await Incoming.begin(self._pool, grant, name=name, first=first)
        finally:
            self._beginning.remove(grant.id)
        if (before := self._attempts.get(grant.id)) is not None:
            before[0].cut_off()
            before[1].overtake()
        self._attempts[grant.id] = (exchange, incoming)
        return incoming

    async def _write(self, exchange: Exchange, incoming: Incoming, boundary: bytes | None) -> None:
        form = None if boundary is None else FileInForm(boundary)
        async with aclosing(exchange.read()) as body:
            async for data in body:
                await incoming.write(data if form is None else form.feed(data))
                if form is not None and form.found:
                    break  # what a form has behind its file is of no interest
        if form is not None:
            form.finish()
            await incoming.rename(clean_name(form.name or ""))

    async def _tell_progress(self, exchange: Exchange, grant: Grant) -> None:
        here = 0
        if grant.file is not None:
            async with self._pool.acquire() as connection:
                here = await SQL.received_bytes.fetchval(connection, file=grant.file)
        await exchange.say(308, f"{here} bytes are here", **_range_of(here))

    async def _too_large(self, exchange: Exchange, grant: Grant) -> None:
        metrics.REQUESTS.labels(grant.direction, "too_large").inc()
        log.warning(
            "upload_too_large", charge_point=grant.charge_point, request=grant.request, bytes_max=grant.bytes_max,
            next_step="ask for a shorter time (--since, --until), or raise CSMS_FILES_UPLOAD_BYTES_MAX",
        )  # fmt: skip
        await exchange.say(413, f"at most {grant.bytes_max} bytes are taken")

    async def _note(
        self, exchange: Exchange, grant: Grant, moved: Span, whole: bool, outcome: str, began_at: datetime
    ) -> None:
        metrics.REQUESTS.labels(grant.direction, outcome.split(":", maxsplit=1)[0].replace(" ", "_")).inc()
        metrics.BYTES.labels(grant.direction).inc(moved.length)
        log.info(
            "file_transfer", direction=str(grant.direction), charge_point=grant.charge_point, file=grant.file,
            request=grant.request, first_byte=moved.first, bytes=moved.length, whole=whole, outcome=outcome,
            remote=exchange.remote,
        )  # fmt: skip
        try:
            async with self._pool.acquire() as connection:
                await service.note_transfer(
                    connection, grant, first=moved.first, bytes_=moved.length, whole=whole, outcome=outcome,
                    remote=exchange.remote, began_at=began_at,
                )  # fmt: skip
        except Exception as error:
            if not is_unavailable(error):
                raise
            log.warning("file_transfer_not_noted", error=str(error))


@dataclass(frozen=True, slots=True)
class _End:
    """What is answered to what has come."""

    status: int
    text: str
    outcome: str


async def _end(incoming: Incoming, part: Sent | None) -> _End:
    """The body is through: it is the file, or a part of it."""
    if part is not None and part.span is not None and incoming.received != part.span.end:
        await incoming.keep()
        return _End(400, "Content-Range and the body differ in length", "length differs")
    if part is not None and part.total != incoming.received:
        await incoming.keep()
        return _End(308, "go on", "part received")
    if not incoming.received:
        return _End(400, "nothing was sent", "nothing sent")
    await incoming.finish()
    return _End(201, f"{incoming.received} bytes received", "received")


def _is_tiny(span: Span, total: int | None) -> bool:
    return span.length < PART_BYTES_MIN and span.end != total


def _problem(grant: Grant) -> str | None:
    """Why an address is of no use any more."""
    if grant.used:
        return "used up"
    if grant.expired:
        return "expired"
    return "deleted" if grant.gone else None


def _range_of(received: int) -> dict[str, str]:
    """What is here, as a header; nothing is no range."""
    return {"range": f"bytes=0-{received - 1}"} if received else {}
