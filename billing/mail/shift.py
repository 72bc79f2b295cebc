"""One connection to the mail server at work: claims what is due, sends it, writes down what became of it.

No transaction is open, and nothing is locked, while the server is spoken with. In the books a delivery is `sending` from just
before the end of its message is sent until just after it is known what the server made of it, and at no other time.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from fractions import Fraction
from typing import Any, Final
from uuid import UUID, uuid4

import asyncpg
import structlog

from billing.errors import NotDone, NotFound
from billing.mail import metrics, store
from billing.mail.delivery import (
    Answered,
    CutOff,
    EventKind,
    Outcome,
    State,
    Step,
    Unanswered,
    Unready,
    Unsendable,
    next_step,
)
from billing.mail.mail_policy import MailPolicy
from billing.mail.mail_settings import MailSettings
from billing.mail.mime import as_bytes, as_data
from billing.mail.reply import Stage, shortened
from billing.mail.smtp import AnswerLost, Envelope, MailSession, Refusal, ServerTrouble, SessionLost
from billing.mail.store import SQL, Claimed

log = structlog.get_logger(__name__)

Fetch = Callable[[str], Awaitable[bytes]]
"""Gives the bytes of an attachment by its `ref`. NotFound: there are none and never will be; all else is tried again."""
DATABASE_TROUBLE: Final = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
DEFECTS: Final = (
    asyncpg.IntegrityConstraintViolationError, asyncpg.DataError, asyncpg.SyntaxOrAccessError, ValueError, TypeError,
)  # fmt: skip
"""Ours, not the database's; ValueError and TypeError are the driver's about values that it cannot send."""
IN_THE_LOOP_BYTES_MAX: Final = 100_000
"""What is made of more goes into a thread: a loop that encodes megabytes answers nobody meanwhile."""
PATIENCE_S: Final = 5.0
JITTERS: Final = 1000
WAIT_S: Final = 0.2
WAIT_S_MAX: Final = 5.0


class Shift:
    """`policy` and `fetch` are asked for whenever they are needed."""

    def __init__(
        self, pool: asyncpg.Pool[Any], settings: MailSettings, *, policy: Callable[[], MailPolicy], fetch: Fetch
    ) -> None:
        self._pool = pool
        self._settings = settings
        self._policy = policy
        self._fetch = fetch
        self._session = MailSession(settings.server)
        self._claim: UUID = uuid4()
        self._holds: deque[Claimed] = deque()

    async def work(self, *, opened: Callable[[], None] = lambda: None) -> int:
        """Send until nothing is due; says how many deliveries were looked at. `opened` is called once the server lets us in.

        Raises:
            ServerTrouble: nothing can be sent now. What was claimed and not begun is everybody's again.
        """
        looked_at = 0
        beating = asyncio.create_task(self._beat())
        try:
            await self._session.open()
            opened()
            while await self._take():
                looked_at += len(self._holds)
                await self._send_all()
        finally:
            beating.cancel()
            await self._let_go()
            await self._session.close()
        return looked_at

    async def _take(self) -> bool:
        settings = self._settings
        self._claim = uuid4()
        async with self._pool.acquire() as connection:
            self._holds.extend(
                await store.claim(
                    connection, self._claim, limit=settings.batch_size, lease=settings.lease, sender=settings.sender,
                    per_minute_max=settings.per_minute_max,
                )
            )  # fmt: skip
        return bool(self._holds)

    async def _send_all(self) -> None:
        while self._holds:
            if self._session.begun >= self._settings.per_connection_max or not self._session.is_open:
                await self._renew()
            await self._send_one(self._holds[0])
            self._holds.popleft()

    async def _send_one(self, mail: Claimed) -> None:
        """A defect of ours keeps one mail from its way, until its lease ends, and none of the others."""
        try:
            await self._send(mail)
        except Exception as trouble:
            if isinstance(trouble, (ServerTrouble, *DATABASE_TROUBLE)) and not isinstance(trouble, DEFECTS):
                raise
            metrics.FAILURES.labels(what="mail").inc()
            log.exception("mail_not_sent", delivery=mail.id)
            self._session.abandon()

    async def _renew(self) -> None:
        await self._session.close()
        self._session = MailSession(self._settings.server)
        await self._session.open()

    async def _let_go(self, *, but: Claimed | None = None) -> None:
        """What was not begun is everybody's again. If the books cannot be reached, its lease ends by itself."""
        gone = [each.id for each in self._holds if each is not but]
        self._holds = deque(each for each in self._holds if each is but)
        if not gone:
            return
        with suppress(*DATABASE_TROUBLE):
            async with self._pool.acquire() as connection:
                await SQL.release.execute(connection, claim=self._claim, deliveries=gone)

    async def _beat(self) -> None:
        """Whoever holds something is heard of several times in a lease."""
        while True:
            await asyncio.sleep(self._settings.lease.total_seconds() / 4)
            if self._holds:
                with suppress(*DATABASE_TROUBLE):
                    async with self._pool.acquire() as connection:
                        await SQL.beat.execute(connection, claims=[self._claim], lease=self._settings.lease)

    async def _send(self, mail: Claimed) -> None:
        made = await self._made(mail)
        if not isinstance(made, bytes):
            await self._record(mail, made, is_try=isinstance(made, Unready))
            return
        try:
            await self._begin(mail, made)
        except Refusal as refused:
            await self._record(mail, Answered(refused.stage, refused.reply))
        except SessionLost as lost:
            await self._record(mail, CutOff(str(lost)))
        else:
            await self._end_in_peace(mail)

    async def _begin(self, mail: Claimed, made: bytes) -> None:
        """All but the end of the message. Servers close connections that they find idle: then there is a new one, once."""
        envelope = self._envelope(mail, made)
        try:
            await self._session.begin(envelope)
        except SessionLost as lost:
            if not lost.is_old:
                raise
            await self._renew()
            await self._session.begin(envelope)
        await self._session.transmit(as_data(made))

    def _envelope(self, mail: Claimed, made: bytes) -> Envelope:
        assert mail.letter is not None, "it was made"
        assert mail.address is not None, "it was made"
        return Envelope(
            id=mail.envelope_id,
            return_path=self._settings.return_path_of(mail.envelope_id, mail.letter.sender),
            recipient=mail.address,
            size=len(made),
        )

    async def _end_in_peace(self, mail: Claimed) -> None:
        """Whoever stops us now makes a mail doubtful: the server gets a while to answer.

        One that takes long is waited for with this mail alone; the others are everybody's again.
        """
        ending = asyncio.create_task(self._end(mail))
        try:
            await asyncio.wait({ending}, timeout=PATIENCE_S)
            if not ending.done():
                await self._let_go(but=mail)
            await asyncio.shield(ending)
        except asyncio.CancelledError:
            await asyncio.wait({ending}, timeout=self._settings.drain_timeout_s)
            if not ending.done():
                log.warning("mail_left_in_doubt", delivery=mail.id)
                ending.cancel()
                await asyncio.wait({ending})
            raise

    async def _end(self, mail: Claimed) -> None:
        """The books first, then the end of the message, then the books."""
        since = time.monotonic()
        try:
            async with self._pool.acquire() as connection:
                is_ours = await store.begin_sending(connection, mail.id, self._claim, lease=self._settings.lease)
        except DATABASE_TROUBLE as trouble:
            self._session.abandon()
            await self._record(mail, CutOff(f"the books could not be written: {type(trouble).__name__}"))
            return
        if not is_ours:
            self._session.abandon()
            log.info("mail_is_no_longer_ours", delivery=mail.id)
            return
        await self._record(mail, await self._finished(since))

    async def _finished(self, since: float) -> Outcome:
        """Others take a mail for doubtful, and an operator may settle it, when we were not heard of for a lease."""
        if time.monotonic() - since > self._settings.lease.total_seconds() / 2:
            self._session.abandon()
            return CutOff("the books took too long")
        try:
            return Answered(Stage.DOT, await self._session.finish())
        except SessionLost as lost:
            return CutOff(str(lost))
        except AnswerLost as lost:
            return Unanswered(str(lost))

    async def _made(self, mail: Claimed) -> bytes | Unsendable | Unready:
        """The message as bytes, or why there are none."""
        unsendable = _unsendable(mail)
        if unsendable is not None:
            return unsendable
        assert mail.letter is not None, "it is sendable"
        try:
            async with asyncio.timeout(self._settings.server.timeout_s):
                files = [(each, await self._fetch(each.ref)) for each in mail.attachments]
            if sum(len(content) for _, content in files) > IN_THE_LOOP_BYTES_MAX:
                made = await asyncio.to_thread(as_bytes, mail.letter, files)
            else:
                made = as_bytes(mail.letter, files)
        except NotFound as gone:
            return Unsendable(EventKind.UNFIT, shortened(gone.message))
        except (NotDone, TimeoutError) as away:
            why = shortened(str(away)) or "its attachments did not come in time"
            log.warning("mail_not_made_yet", delivery=mail.id, why=why)
            return Unready(why)
        except Exception as trouble:  # whatever is wrong with this one, the others are sent
            metrics.FAILURES.labels(what="mail").inc()
            log.exception("mail_not_made", delivery=mail.id)
            return Unready(f"it could not be made: {type(trouble).__name__}")
        if len(made) > self._settings.bytes_max:
            return Unsendable(EventKind.UNFIT, f"it has {len(made)} bytes, more than {self._settings.bytes_max}")
        return made

    async def _record(self, mail: Claimed, outcome: Outcome, *, is_try: bool = True) -> None:
        """Write it down, however long the books cannot be reached: nobody else knows."""
        jitter = Fraction(random.randrange(JITTERS), JITTERS)  # noqa: S311 - jitter, not cryptography
        step = next_step(outcome, tries=mail.tries + 1, age=mail.age, policy=self._policy(), jitter=jitter)
        counts = await self._write_down(mail, step, is_try=is_try)
        metrics.TRIES.labels(event=step.event.value).inc()
        _tell(mail, step, counts=counts)

    async def _write_down(self, mail: Claimed, step: Step, *, is_try: bool) -> bool:
        wait_s = WAIT_S
        while True:
            try:
                async with self._pool.acquire() as connection:
                    return await store.record(connection, mail.id, self._claim, step, is_try=is_try)
            except DEFECTS:  # the same again would fail again: the lease ends, and the delivery is doubtful at worst
                raise
            except DATABASE_TROUBLE as trouble:
                log.warning("mail_outcome_waits_for_database", delivery=mail.id, why=type(trouble).__name__)
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, WAIT_S_MAX)


def _unsendable(mail: Claimed) -> Unsendable | None:
    if mail.letter is None or mail.address is None:
        return Unsendable(EventKind.UNFIT, "what it says is kept no more")
    if mail.is_expired:
        return Unsendable(EventKind.EXPIRED, "it is of no use any more")
    if mail.suppressed_since is not None:
        since = mail.suppressed_since.isoformat(timespec="seconds")
        return Unsendable(EventKind.SUPPRESSED, f"the address is not written to since {since}")
    return None


def _tell(mail: Claimed, step: Step, *, counts: bool) -> None:
    """Neither addresses nor the words of servers, which repeat them."""
    told = log.warning if step.state in {State.FAILED, State.DOUBTFUL} else log.debug
    told(
        "mail_tried", delivery=mail.id, outcome=step.event.value, state=step.state.value, code=step.code, counts=counts
    )
