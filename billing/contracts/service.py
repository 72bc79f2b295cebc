"""Contracts as operators make them. Every act is one transaction on one contract, has a reason and is told."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import date

from billing.contracts import contract as terms_rules
from billing.contracts import items
from billing.contracts.bearing import add_token
from billing.contracts.changes import Act, Change
from billing.contracts.contract import DeadlineKind, Renewal
from billing.contracts.discounting import add_discount
from billing.contracts.entered import no_country, not_one_line
from billing.contracts.keeping import LOOK_AGAIN, require, told
from billing.contracts.plan import ID
from billing.contracts.plan_json import project_to_json
from billing.contracts.project import Project
from billing.contracts.reminding import BEFORE_MAX
from billing.contracts.store import SQL, Loaded, Row
from billing.contracts.subscribing import subscribe
from billing.errors import AlreadyDone, NotFound, Refused
from billing.money import MINOR_DIGITS
from billing.sql import Connection


async def create(
    connection: Connection,
    id_: str,
    project: Project,
    act: Act,
    *,
    account: str,
    start: date,
    template: str | None = None,
    tokens: Sequence[str] = (),
    token_groups: Sequence[str] = (),
) -> Loaded:
    """A contract with everything that is in the project, its days counted from `start` in the customer's calendar.

    Raises:
        NotFound: no such account, plan, series or token.
        Refused: something in it cannot be.
        AlreadyDone: there is a contract of this id.
    """
    row = await _require_account(connection, account)
    for each in project.partners:
        if each.account is not None:
            await _require_account(connection, each.account)
    if row["state"] != "open":
        raise Refused(f"account {account} is {row['state']}", "contract with one that is open")
    country = project.country or row["country"]
    _require_sound(id_, project, start, country)
    terms = project.terms.terms(start)
    async with connection.transaction():
        made = await SQL.insert_contract.fetchval(
            connection, id=id_, account=account, title=project.title, reference=project.reference,
            currency=project.currency, price_with_tax=project.price_with_tax, country=country, starts_on=start,
            until_day=terms.first_end if terms.renewal is Renewal.ENDS else None, renewal=terms.renewal.value,
            term=None if terms.term is None else str(terms.term),
            renewal_length=None if terms.renewal_length is None else str(terms.renewal_length),
            notice=str(terms.notice), to_month_end=terms.to_month_end, labels=json.dumps(project.labels),
            partners=json.dumps([{"role": each.role, "name": each.name, "account": each.account} for each in project.partners]),
            remind_before=json.dumps({kind.value: days for kind, days in project.remind_before.items()}),
            template=template, next_on=LOOK_AGAIN, created_at=act.now,
        )  # fmt: skip
        if made is None:
            raise AlreadyDone(f"there is a contract {id_}", f"see csms contract show {id_}")
        part = replace(act, record=_with_the_whole)
        await _fill(connection, id_, project, part, start)
        for token in tokens:
            await add_token(connection, id_, part, token=token, on=start)
        for group in token_groups:
            await add_token(connection, id_, part, token_group=group, on=start)
        loaded = await require(connection, id_, act)
        whole = {"project": project_to_json(project), "tokens": [*tokens], "token_groups": [*token_groups]}
        await act.tell(connection, "create", id_, after=told(loaded) | whole)
        return loaded


async def _fill(connection: Connection, id_: str, project: Project, act: Act, start: date) -> None:
    for subscription in project.subscriptions:
        await subscribe(connection, id_, subscription, act, start=start)
    for item in project.items:
        await items.add(connection, id_, item, act, start=start)
    for split in project.splits:
        await items.split(connection, id_, split, act, start=start)
    for discount in project.discounts:
        await add_discount(connection, id_, discount, act, start=start)


async def _with_the_whole(_connection: Connection, _change: Change) -> None:
    """What a contract is made with is told with it: one act, one entry."""


async def _require_account(connection: Connection, account: str) -> Row:
    row = await SQL.find_account.fetchrow(connection, id=account)
    if row is None:
        raise NotFound(f"no account {account}", "list them with csms account list")
    return row


def _require_sound(id_: str, project: Project, start: date, country: str | None) -> None:
    problems = list(terms_rules.mistakes(project.terms.terms(start)))
    if not ID.fullmatch(id_):
        problems.append(f"{id_!r} cannot name a contract: use letters, digits, dot, dash and underscore, at most 64")
    if project.currency not in MINOR_DIGITS:
        problems.append(f"{project.currency!r} is no currency of ISO 4217; write one such as EUR")
    problems += no_country(country)
    problems += not_one_line(project.title, project.reference or "", *project.labels, *project.labels.values())
    problems += not_one_line(*(text for each in project.partners for text in (each.role, each.name)))
    for kind, days in project.remind_before.items():
        problems += _of_reminders(kind, days)
    if problems:
        raise Refused(f"contract {id_}: {problems[0]}", "correct it", details={"problems": problems})


def _of_reminders(kind: DeadlineKind, days: tuple[int, ...]) -> list[str]:
    return [
        f"a reminder of a {kind.value} comes 0 to {BEFORE_MAX} days before, not {each}"
        for each in days
        if not 0 <= each <= BEFORE_MAX
    ]
