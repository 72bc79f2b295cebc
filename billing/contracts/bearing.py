"""Whose charging a contract is about: tokens and groups of tokens. They get the kWh that are in its plans."""

from __future__ import annotations

from datetime import date

from billing.contracts.changes import Act
from billing.contracts.keeping import locked, today_of
from billing.contracts.store import SQL
from billing.errors import AlreadyDone, NotFound, Refused
from billing.sql import Connection


async def add_token(
    connection: Connection,
    contract: str,
    act: Act,
    *,
    token: str | None = None,
    token_group: str | None = None,
    on: date | None = None,
) -> int:
    """From the day `on` (today unless said, the contract's begin if that is later) a token or a group is the contract's.

    Raises:
        NotFound: no such contract or token, or no token is in such a group.
        AlreadyDone: it is the contract's.
        Refused: it is another contract's then.
    """
    uid = None if token is None else token.strip().upper()
    await _require_known(connection, uid, token_group)
    async with connection.transaction():
        loaded = await locked(connection, contract, act)
        day = max(on or today_of(loaded, act), loaded.standing.terms.starts_on)
        for row in await SQL.bearer_contract.fetch(connection, token=uid, token_group=token_group, from_day=day):
            if row["contract"] == contract:
                raise AlreadyDone(f"{uid or token_group} is in contract {contract}", "nothing to do")
            raise Refused(
                f"{uid or token_group} is in contract {row['contract']}",
                f"take it out of that: csms contract token end {row['contract']}",
            )
        new: int = await SQL.insert_token.fetchval(
            connection, contract=contract, token=uid, token_group=token_group, from_day=day
        )
        await act.tell(
            connection, "token", contract, after={"token": uid, "token_group": token_group, "from_day": day.isoformat()}
        )
        return new


async def _require_known(connection: Connection, token: str | None, token_group: str | None) -> None:
    if (token is None) == (token_group is None):
        raise Refused("either a token or a group of tokens is meant", "name one: --token or --token-group")
    if token is not None and not await SQL.token_known.fetchval(connection, token=token):
        raise NotFound(f"no token {token}", "issue it first: csms token issue")
    if token_group is not None and not await SQL.token_group_known.fetchval(connection, token_group=token_group):
        raise NotFound(f"no token is in group {token_group}", "list them with csms token list")


async def end_token(
    connection: Connection,
    contract: str,
    act: Act,
    *,
    token: str | None = None,
    token_group: str | None = None,
    on: date | None = None,
) -> None:
    """From the day `on`, today unless said, a token or a group is the contract's no more.

    Raises:
        NotFound: it is not.
    """
    uid = None if token is None else token.strip().upper()
    async with connection.transaction():
        loaded = await locked(connection, contract, act)
        day = on or today_of(loaded, act)
        ended = await SQL.end_token.fetch(
            connection, contract=contract, token=uid, token_group=token_group, until_day=day
        )
        if not ended:
            raise NotFound(f"{uid or token_group} is not in contract {contract}", f"see csms contract show {contract}")
        await act.tell(
            connection, "token_end", contract,
            before={"token": uid, "token_group": token_group, "until_day": None},
            after={"token": uid, "token_group": token_group, "until_day": day.isoformat()},
        )  # fmt: skip
