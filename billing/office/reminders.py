"""Reminders of deadlines of contracts, by mail to the address that their seller has for them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from billing.accounts import sellers
from billing.accounts.seller import today_of
from billing.contracts.handover import DueReminder, due_reminders, mark_reminded
from billing.mail.address import Mailbox
from billing.mail.message import MailMessage
from billing.mail.queueing import queue
from billing.sql import Connection

IN_A_MAIL_MAX: Final = 100


async def remind(connection: Connection, *, now: datetime) -> int:
    """Queue a mail for each seller that wants reminders, of all that it was not reminded of yet; how many reminders.

    The others stay where they are, in csms contract reminders.
    """
    wanted = [
        (each, each.details.reminders_to, today_of(each, now))
        for each in await sellers.list_sellers(connection)
        if each.details.reminders_to is not None
    ]
    if not wanted:
        return 0
    due = await due_reminders(connection, until=max(today for _, _, today in wanted))
    told = 0
    for seller, address, today in wanted:
        mine = [each for each in due if each.seller == seller.id and each.remind_on <= today]
        for start in range(0, len(mine), IN_A_MAIL_MAX):
            told += await _tell(connection, mine[start : start + IN_A_MAIL_MAX], address, now=now)
    return told


async def _tell(connection: Connection, reminders: Sequence[DueReminder], address: str, *, now: datetime) -> int:
    async with connection.transaction():
        fresh = set(await mark_reminded(connection, [each.id for each in reminders], now=now))
        mine = [each for each in reminders if each.id in fresh]  # others were faster with the rest
        if mine:
            await queue(connection, [_message(mine, address)])
    return len(mine)


def _message(reminders: Sequence[DueReminder], address: str) -> MailMessage:
    first = min(each.id for each in reminders)
    count = "a deadline" if len(reminders) == 1 else f"{len(reminders)} deadlines"
    lines = [
        f"{each.deadline_on}  {each.kind}{f' ({each.about})' if each.about else ''}\n"
        f"            contract {each.contract}, {each.title}, account {each.account}\n"
        for each in reminders
    ]  # fmt: skip
    return MailMessage(
        key=f"reminder {first}",
        kind="reminder",
        to=(Mailbox(address=address),),
        subject=f"Contracts of {reminders[0].seller}: {count} ahead, the first on {reminders[0].deadline_on}",
        text="\n".join(["These deadlines lie ahead:", "", *lines, "csms contract show CONTRACT has the rest."]) + "\n",
    )
