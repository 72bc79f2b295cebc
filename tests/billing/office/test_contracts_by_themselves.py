"""What falls due of contracts is charged by itself, and whoever is to be reminded of a deadline gets one mail."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from billing.accounts import sellers
from billing.accounts.account import AccountKind
from billing.contracts.contract import Renewal
from billing.contracts.days import Length
from billing.contracts.project import WantedTerms
from billing.office.beside import beside
from tests.billing.contracts.contract_world import ContractWorld
from tests.billing.mail.mail_room import Inbox
from tests.billing.office.office_room import OfficeRoom
from tests.billing.sending.dispatch import body

YEAR = Length.parse("12m")
RENEWS = WantedTerms(renewal=Renewal.RENEWS, term=YEAR, renewal_length=YEAR, notice=Length.parse("3m"))


async def reminded_at(room: OfficeRoom, address: str) -> None:
    async with room.dispatch.pool.acquire() as connection:
        await sellers.change(
            connection, "north", lambda details: replace(details, reminders_to=address), now=room.dispatch.books.clock.now,
            actor="ada", reason="asked",
        )  # fmt: skip


async def test_what_falls_due_is_charged_and_deadlines_are_told_once_to_whoever_wants_to_know(
    room: OfficeRoom, inbox: Inbox
) -> None:
    dispatch = room.dispatch
    world = ContractWorld(dispatch.pool)
    await dispatch.customer("A-1", kind=AccountKind.BUSINESS)
    await world.plan()
    for id_ in ("C-1", "C-2"):
        await world.contract(id_, terms=RENEWS)
    dispatch.books.clock.now = datetime(2026, 8, 31, 12, tzinfo=UTC)
    await room.office.look_at_contracts()
    untold = await dispatch.pool.fetchval("SELECT count(*) FROM reminder WHERE sent_at IS NULL")
    await reminded_at(room, "contracts@north.example")
    await room.office.look_at_contracts()
    await room.office.look_at_contracts()
    [got] = await dispatch.delivered(inbox)

    assert len(await world.charged("C-1")) == 8
    assert untold == 2, "where nobody wants mails, they wait in csms contract reminders"
    assert (got.recipient, str(got.mail["Subject"])) == (
        "contracts@north.example",
        "Contracts of north: 2 deadlines ahead, the first on 2026-09-30",
    )
    assert "2026-09-30  notice" in body(got)
    assert "contract C-2, Depot, account A-1" in body(got)
    assert room.turns == [("contracts", timedelta(hours=6))] * 3


async def test_long_work_is_done_on_another_thread_and_ends_with_whoever_waits_for_it() -> None:
    names: list[str] = []
    begun, ended = threading.Event(), threading.Event()

    async def named() -> int:
        names.append(threading.current_thread().name)
        return 7

    async def failing() -> None:
        raise ValueError("no")

    async def endless() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    assert await beside(named) == 7
    assert names == ["csms-office"]
    with pytest.raises(ValueError, match="no"):
        await beside(failing)
    task = asyncio.create_task(beside(endless))
    await asyncio.to_thread(begun.wait)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()
