"""Entering customers, their terms and their tokens. Callers hold the connection; every edit is one transaction with its audit entry."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from billing.accounts import brands, store
from billing.accounts.account import Account, AccountDetails, AccountState, Holding, Rhythm, mistakes_in_account
from billing.accounts.store import SQL, HeldFor
from billing.audit import service as audit
from billing.audit.entry import Change
from billing.errors import AlreadyDone, NotFound, Refused
from billing.invoices.document import GroupBy, Party
from billing.mail.forgetting import forget_account
from billing.sql import Connection
from billing.taxes import service as taxes
from billing.taxes.store import Bearer
from billing.taxes.tax_rule import CustomerKind

LOCK_KEY: Final = 0x746F6B
"""Of the advisory locks of tokens, with the hash of their ids ("tok" in ASCII)."""
SEE_ACCOUNTS: Final = "list them with csms account list"
LABEL_LENGTH_MAX: Final = 100
LIST_MAX: Final = 100_000
ANOTHER_PAYER: Final = (
    "give those another payer first, or none: csms account set ACCOUNT --payer OTHER, or --clear payer"
)
NAMED_MAX: Final = 5
"""Things that a refusal names."""


async def create(connection: Connection, account: Account, *, now: datetime, actor: str, reason: str) -> Account:
    """Open a customer's file.

    Raises:
        Refused: something in it cannot be, or its seller or payer cannot be.
        AlreadyDone: there is one of that id.
    """
    async with connection.transaction():
        await _require(connection, account)
        made = await SQL.insert_account.fetchval(connection, **store.account_row(account), now=now)
        if made is None:
            raise AlreadyDone(f"there is an account {account.id}", f"see csms account show {account.id}")
        await audit.record(connection, [_change("create", None, account)], now=now, actor=actor, reason=reason)
    return account


async def change(
    connection: Connection,
    id_: str,
    changed: Callable[[Account], Account],
    *,
    now: datetime,
    actor: str,
    reason: str,
    action: str = "set",
) -> Account:
    """Change an account from now on; issued documents stay as they are.

    What it is to the tax office is told for its tokens too, from now on.

    Raises:
        NotFound: no such account.
        Refused: as for create(), or it is pseudonymised.
    """
    async with connection.transaction():
        before = await _locked(connection, id_)
        if before.state is AccountState.PSEUDONYMISED:
            raise Refused(f"account {id_} is pseudonymised: nobody can tell whose it was", "open another one")
        after = changed(before)
        await _require(connection, after)
        await SQL.update_account.execute(connection, **store.account_row(after))
        if _taxed(before) != _taxed(after):
            for held in await store.holdings_of(connection, id_):
                if held.valid_to is None or held.valid_to > now:
                    await _tell_taxes(
                        connection, held.holding, after, since=max(now, held.holding.valid_from), actor=actor, now=now
                    )
        await audit.record(connection, [_change(action, before, after)], now=now, actor=actor, reason=reason)
    return after


def _change(action: str, before: Account | None, after: Account | None) -> Change:
    account = after or before
    assert account is not None
    return Change(
        noun="account",
        subject=account.id,
        action=action,
        before=None if before is None else store.terms_values(before),
        after=None if after is None else store.terms_values(after),
        personal=account.id,
        personal_before=None if before is None else store.details_values(before.details),
        personal_after=None if after is None else store.details_values(after.details),
    )


def _taxed(account: Account) -> tuple[CustomerKind, str | None]:
    return account.kind.taxed_as, account.details.party.vat_id


async def _locked(connection: Connection, id_: str) -> Account:
    row = await SQL.lock_account.fetchrow(connection, id=id_)
    if row is None:
        raise NotFound(f"no account {id_}", SEE_ACCOUNTS)
    return store.read_account(row)


async def _require(connection: Connection, account: Account) -> None:
    wrong = mistakes_in_account(account)
    if wrong:
        raise Refused(f"account {account.id}: {wrong[0]}", "correct it", details={"problems": wrong})
    if not await store.sellers(connection, account.seller):
        raise Refused(f"no seller {account.seller}", "list them with csms seller list")
    if account.brand is not None:
        await brands.require_brand(connection, account.brand, seller=account.seller)
    for row in await SQL.known_as.fetch(
        connection, id=account.id, seller=account.seller, names=[account.id, *account.details.parties]
    ):
        raise Refused(f"{row['name']} is account {row['id']} already", "a party is one account of a seller")
    if account.payer is None:
        await _require_seller_of_dependants(connection, account)
        return
    kept = await SQL.keep_account.fetchrow(connection, id=account.payer)
    if kept is None:
        raise NotFound(f"no account {account.payer}", SEE_ACCOUNTS)
    payer = store.read_account(kept)
    if payer.payer is not None:
        raise Refused(f"{payer.id} has its own payer {payer.payer}", f"say --payer {payer.payer}")
    if payer.seller != account.seller:
        raise Refused(f"{payer.id} is a customer of seller {payer.seller}", "a payer has the same seller")
    if payer.state is not AccountState.OPEN:
        raise Refused(f"account {payer.id} is {payer.state.value}", "name another payer")
    await _require_no_dependants(connection, account, "and would have a payer itself")


async def _require_seller_of_dependants(connection: Connection, account: Account) -> None:
    """Raises:
    Refused: it pays for customers of another seller.
    """
    others = [each for each in await _dependants(connection, account) if each.seller != account.seller]
    if others:
        raise Refused(
            f"account {account.id} pays for customers of seller {others[0].seller}, and a payer has the same seller:"
            f" {_some([each.id for each in others])}",
            ANOTHER_PAYER,
        )


async def get(connection: Connection, id_: str) -> Account:
    """Raises:
    NotFound: no such account.
    """
    found = await find(connection, ids=[id_])
    if not found:
        raise NotFound(f"no account {id_}", SEE_ACCOUNTS)
    return found[0]


async def find(
    connection: Connection,
    *,
    ids: Sequence[str] | None = None,
    seller: str | None = None,
    kind: str | None = None,
    group: str | None = None,
    state: str | None = None,
    word: str | None = None,
    limit: int = LIST_MAX,
) -> list[Account]:
    """Accounts that fit, by id. `word` may stand anywhere in what identifies them, in any case."""
    rows = await SQL.accounts.fetch(
        connection,
        ids=None if ids is None else list(ids),
        seller=seller,
        kind=kind,
        group=group,
        state=state,
        word=word,
        limit=limit,
    )
    return [store.read_account(row) for row in rows]


async def give_token(
    connection: Connection,
    id_: str,
    token: str,
    *,
    labels: Mapping[GroupBy, str],
    valid_from: datetime,
    now: datetime,
    actor: str,
    reason: str,
) -> Holding:
    """Let an account pay for what a token charges from an instant on; taxes are told what its holder is.

    Raises:
        NotFound: no such account or token.
        Refused: the account is not open, or a label is no line of text.
        AlreadyDone: it is so already.
    """
    wrong = [
        name.value
        for name, text in labels.items()
        if not text.strip() or not text.isprintable() or len(text) > LABEL_LENGTH_MAX
    ]
    if wrong:
        raise Refused(f"{wrong[0]} is one line of at most {LABEL_LENGTH_MAX} characters, and not empty", "shorten it")
    async with connection.transaction():
        account = await _locked(connection, id_)
        if account.state is not AccountState.OPEN:
            raise Refused(f"account {id_} is {account.state.value}", "give the token to an open one")
        holding = Holding(token=token, valid_from=valid_from, account=id_, labels=dict(labels))
        await _hold(connection, holding, account, now=now, actor=actor, reason=reason)
    return holding


async def take_token(
    connection: Connection, id_: str, token: str, *, valid_from: datetime, now: datetime, actor: str, reason: str
) -> Holding:
    """Let nobody pay for what a token of the account charges from an instant on.

    Raises:
        NotFound: no such account, or the token is not its at that instant.
    """
    async with connection.transaction():
        await _locked(connection, id_)
        held = await SQL.holding_at.fetchrow(connection, token=token, at=valid_from)
        if held is None or held["account"] != id_:
            raise NotFound(
                f"token {token} is not of account {id_} at {valid_from.isoformat()}", f"see csms account show {id_}"
            )
        holding = Holding(token=token, valid_from=valid_from, account=None)
        await _hold(connection, holding, None, now=now, actor=actor, reason=reason)
    return holding


async def _hold(
    connection: Connection, holding: Holding, account: Account | None, *, now: datetime, actor: str, reason: str
) -> None:
    await SQL.lock_token.execute(connection, key=LOCK_KEY, token=holding.token)
    row = await SQL.holding_at.fetchrow(connection, token=holding.token, at=holding.valid_from)
    before = None if row is None else store.read_holding(row)
    if before is not None and (before.account, before.labels) == (holding.account, holding.labels):
        raise AlreadyDone(
            f"token {holding.token} is of account {holding.account} since {before.valid_from.isoformat()}",
            f"see csms account show {holding.account}",
        )
    await SQL.save_holding.execute(
        connection,
        token=holding.token,
        valid_from=holding.valid_from,
        account=holding.account,
        labels=json.dumps(holding.labels),
    )
    await _tell_taxes(connection, holding, account, since=holding.valid_from, now=now, actor=actor)
    await audit.record(connection, [_held_change(before, holding)], now=now, actor=actor, reason=reason)


def _held_change(before: Holding | None, after: Holding) -> Change:
    whose = after.account or (before.account if before is not None else None)
    return Change(
        noun="token",
        subject=after.token,
        action="give" if after.account else "take",
        before=None if before is None else _holding_values(before),
        after=_holding_values(after),
        personal=whose,
        personal_before=None if before is None or before.account != whose else _texts(before.labels),
        personal_after=_texts(after.labels),
    )


def _texts(labels: Mapping[GroupBy, str]) -> dict[str, str] | None:
    return {name.value: text for name, text in labels.items()} or None


def _holding_values(holding: Holding) -> dict[str, Any]:
    return {"account": holding.account, "valid_from": holding.valid_from.isoformat()}


async def _tell_taxes(
    connection: Connection, holding: Holding, account: Account | None, *, since: datetime, now: datetime, actor: str
) -> None:
    kind, vat_id = (CustomerKind.PRIVATE, None) if account is None else _taxed(account)
    await taxes.set_customer(
        connection, Bearer(token=holding.token, token_group=None), kind=kind, vat_id=vat_id, valid_from=since, now=now,
        actor=actor,
    )  # fmt: skip


async def tokens_of(connection: Connection, id_: str) -> list[HeldFor]:
    """Every token that was or is an account's."""
    return await store.holdings_of(connection, id_)


async def paid_by(connection: Connection, id_: str) -> list[str]:
    """The accounts whose documents it gets."""
    return [row["id"] for row in await SQL.paid_by.fetch(connection, id=id_)]


async def sessions_of(connection: Connection, id_: str, *, limit: int) -> list[dict[str, Any]]:
    """The newest sessions of its tokens while they were its, each with the bill that counts."""
    return [dict(row) for row in await SQL.sessions_of.fetch(connection, account=id_, limit=limit)]


async def pseudonymise(connection: Connection, id_: str, *, now: datetime, actor: str, reason: str) -> Account:
    """Forget who an account is: in its file, on its tokens and contracts, in the log and in mails. Issued documents keep what the
    law has them keep.

    Raises:
        NotFound: no such account.
        Refused: it still has tokens, contracts that may charge it, others that it pays for, something that nobody was asked to
            pay, or mails on their way.
        AlreadyDone: it was forgotten before.
    """
    async with connection.transaction():
        before = await _locked(connection, id_)
        if before.state is AccountState.PSEUDONYMISED:
            raise AlreadyDone(f"account {id_} is pseudonymised", f"see csms account show {id_}")
        held = [
            each.holding.token
            for each in await store.holdings_of(connection, id_)
            if each.valid_to is None or each.valid_to > now
        ]
        if held:
            raise Refused(
                f"account {id_} has tokens: {', '.join(held[:5])}",
                f"take them first: csms account token take {id_} TOKEN",
            )
        await _require_settled(connection, before, now=now)
        after = replace(
            before,
            state=AccountState.PSEUDONYMISED,
            rhythm=Rhythm.ON_DEMAND,
            details=AccountDetails(party=Party(name=id_, address=None)),
        )
        await SQL.update_account.execute(connection, **store.account_row(after))
        await SQL.relabel_holdings.execute(connection, account=id_)
        await SQL.anonymise_contracts.execute(connection, account=id_)
        await audit.forget(connection, id_)
        await _forget_mails(connection, id_)
        public = Change(
            noun="account", subject=id_, action="pseudonymise", before=store.terms_values(before),
            after=store.terms_values(after),
        )  # fmt: skip
        await audit.record(connection, [public], now=now, actor=actor, reason=reason)
    return after


async def _forget_mails(connection: Connection, id_: str) -> None:
    left = await forget_account(connection, id_)
    if left:
        raise Refused(
            f"{left} mails to account {id_} are on their way",
            f"see csms mail list --account {id_}; cancel or settle them",
        )


async def _require_settled(connection: Connection, account: Account, *, now: datetime) -> None:
    """Raises:
    Refused: something is to be invoiced, or may be yet, or a document to be sent, and nobody would know to whom.
    """
    run = f"csms invoice run --seller {account.seller} --account {account.payer or account.id} --until DAY"
    await _require_no_dependants(connection, account, "so it is asked for them")
    open_ = await SQL.count_uninvoiced.fetchval(connection, account=account.id)
    if open_:
        raise Refused(
            f"{open_} sessions of account {account.id} are on no document: nobody could be asked to pay them afterwards",
            f"invoice them first: {run}",
        )
    waiting = await SQL.count_unsettled.fetchrow(connection, account=account.id)
    assert waiting is not None, "counting gives a row"
    if waiting["charges"]:
        raise Refused(
            f"{waiting['charges']} charges of contracts of account {account.id} are on no document",
            f"invoice them first: {run}",
        )
    await _require_nothing_to_come(connection, account, run, now=now)
    if waiting["documents"]:
        raise Refused(
            f"{waiting['documents']} documents of account {account.id} wait to be sent to it",
            "see csms invoice list, and send them or enter its address: csms invoice send NUMBER",
        )


async def _require_no_dependants(connection: Connection, account: Account, why: str) -> None:
    """Raises:
    Refused: others who are known name it as their payer.
    """
    dependants = await _dependants(connection, account)
    if dependants:
        raise Refused(
            f"account {account.id} pays for others, {why}: {_some([each.id for each in dependants])}", ANOTHER_PAYER
        )


async def _dependants(connection: Connection, account: Account) -> list[Account]:
    """Those that name it as their payer; of who is forgotten nobody is asked for anything any more."""
    named = await find(connection, ids=await paid_by(connection, account.id))
    return [each for each in named if each.state is not AccountState.PSEUDONYMISED]


async def _require_nothing_to_come(connection: Connection, account: Account, run: str, *, now: datetime) -> None:
    """Raises:
    Refused: a contract may charge it yet, or it was not asked for what it bears of others' documents.
    """
    contracts = [
        row["id"] for row in await SQL.contracts_that_may_charge.fetch(connection, account=account.id, now=now)
    ]
    if contracts:
        raise Refused(
            f"contracts of account {account.id} may charge it yet: {_some(contracts)}",
            "let them end, csms contract terminate CONTRACT, and cancel the items and milestones that wait; once they have ended,"
            " csms contract run charges the rest",
        )
    borne = await SQL.documents_borne.fetch(
        connection, seller=account.seller, parties=[account.id, *account.details.parties]
    )
    if borne:
        raise Refused(
            f"account {account.id} bears parts that it was not asked for, of {_some([row['number'] for row in borne])}",
            f"ask it first: {run}",
        )


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED_MAX} more" if len(names) > NAMED_MAX else ""
    return ", ".join(names[:NAMED_MAX]) + more
