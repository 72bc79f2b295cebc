"""What a contract has subscribed to, as operators begin, change and end it."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from billing.contracts.changes import Act
from billing.contracts.days import FIRST_DAY, LAST_DAY, Days
from billing.contracts.entered import require_quantity
from billing.contracts.keeping import locked
from billing.contracts.plans import require_plan
from billing.contracts.project import WantedSubscription
from billing.contracts.standing import Subscription
from billing.contracts.store import SQL, Loaded
from billing.errors import AlreadyDone, NotFound, Refused
from billing.sql import Connection


async def subscribe(
    connection: Connection, contract: str, wanted: WantedSubscription, act: Act, *, start: date | None = None
) -> int:
    """So many pieces of a plan, as long as the contract lasts unless said. Its days count from `start`, the contract's begin
    unless said. The id of the subscription.

    Raises:
        NotFound: no such contract, or no such version of a plan.
        Refused: another currency, days outside of the contract, a quantity that cannot be.
    """
    async with connection.transaction():
        loaded = await locked(connection, contract, act)
        plan = await require_plan(connection, wanted.plan, wanted.version)
        begin = loaded.standing.terms.starts_on if start is None else start
        days = Days(wanted.after.after(begin), None if wanted.until is None else wanted.until.after(begin))
        _require_days(loaded, days)
        require_quantity(wanted.quantity)
        if plan.plan.currency != loaded.standing.currency:
            raise Refused(
                f"plan {plan.id} is in {plan.plan.currency}, contract {contract} in {loaded.standing.currency}",
                "choose a plan in the contract's currency",
            )
        new = await _insert(
            connection, contract, line=None, plan=plan.id, version=plan.version, quantity=wanted.quantity, days=days,
            anchor=plan.plan.anchor(days.first), priced_from=days.first, act=act,
        )  # fmt: skip
        await act.tell(
            connection, "subscribe", contract, after=_told(new, plan.id, plan.version, wanted.quantity, days)
        )
        return new


async def _insert(
    connection: Connection, contract: str, *, line: int | None, plan: str, version: int, quantity: Decimal, days: Days,
    anchor: date, priced_from: date, act: Act,
) -> int:  # fmt: skip
    new: int = await SQL.insert_subscription.fetchval(
        connection, line=line, contract=contract, plan=plan, version=version, quantity=quantity, from_day=days.first,
        until_day=days.until, anchor=anchor, priced_from=priced_from, created_at=act.now,
    )  # fmt: skip
    return new


def _told(id_: int, plan: str, version: int, quantity: Decimal, days: Days) -> dict[str, object]:
    return {
        "subscription": id_,
        "plan": plan,
        "version": version,
        "quantity": f"{quantity:f}",
        "from_day": days.first.isoformat(),
        "until_day": None if days.until is None else days.until.isoformat(),
    }


def _require_days(loaded: Loaded, days: Days) -> None:
    contract = loaded.standing
    if not FIRST_DAY <= days.first <= LAST_DAY or (days.until is not None and days.until > LAST_DAY):
        raise Refused(f"days are between {FIRST_DAY} and {LAST_DAY}", "correct them")
    if days.is_empty:
        raise Refused(f"it would end on {days.last}, before it begins on {days.first}", "correct its days")
    if days.first < contract.terms.starts_on:
        raise Refused(
            f"contract {contract.id} begins on {contract.terms.starts_on}, after {days.first}", "begin then or later"
        )
    if contract.until is not None and days.first >= contract.until:
        raise Refused(f"contract {contract.id} ends before {days.first}", f"see csms contract show {contract.id}")


async def change(
    connection: Connection,
    subscription: int,
    act: Act,
    *,
    on: date,
    plan: str | None = None,
    version: int | None = None,
    quantity: Decimal | None = None,
) -> int:
    """From the day `on` another plan or quantity: one subscription ends, another begins on that day, and no day is billed twice.

    Of the same plan without a version it keeps the version that it has. Periods go on where the interval is the same.
    The id of the new subscription; what was billed beyond is taken back as it falls due.

    Raises:
        NotFound: no such subscription or version.
        Refused: another currency, or it does not hold on that day.
        AlreadyDone: it is so already.
    """
    contract = await _contract_of(connection, subscription)
    async with connection.transaction():
        loaded = await locked(connection, contract, act)
        old = next(each for each in loaded.standing.subscriptions if each.id == subscription)
        _require_holds(loaded, old, on)
        same = plan in (None, old.plan_id)
        new = await require_plan(connection, plan or old.plan_id, old.version if same and version is None else version)
        amount = old.quantity if quantity is None else quantity
        require_quantity(amount)
        if new.plan.currency != loaded.standing.currency:
            raise Refused(
                f"plan {new.id} is in {new.plan.currency}, contract {contract} in {loaded.standing.currency}",
                "choose a plan in the contract's currency",
            )
        is_same_plan = (new.id, new.version) == (old.plan_id, old.version)
        if is_same_plan and amount == old.quantity:
            raise AlreadyDone(f"subscription {subscription} is so already", f"see csms contract show {contract}")
        goes_on = (new.plan.interval, new.plan.align) == (old.plan.interval, old.plan.align)
        days = Days(on, old.days.until)
        await SQL.end_subscription.execute(connection, id=old.id, until_day=on)
        made = await _insert(
            connection, contract, line=old.line, plan=new.id, version=new.version, quantity=amount, days=days,
            anchor=old.anchor if goes_on else new.plan.anchor(on), priced_from=old.priced_from if is_same_plan else on,
            act=act,
        )  # fmt: skip
        await act.tell(
            connection, "change", contract, before=_told(old.id, old.plan_id, old.version, old.quantity, old.days),
            after=_told(made, new.id, new.version, amount, days),
        )  # fmt: skip
        return made


async def end_subscription(connection: Connection, subscription: int, act: Act, *, on: date) -> None:
    """From the day `on` it is no more; the contract goes on.

    Raises:
        NotFound: no such subscription.
        Refused: it does not hold on that day.
    """
    contract = await _contract_of(connection, subscription)
    async with connection.transaction():
        loaded = await locked(connection, contract, act)
        old = next(each for each in loaded.standing.subscriptions if each.id == subscription)
        _require_holds(loaded, old, on)
        await SQL.end_subscription.execute(connection, id=old.id, until_day=on)
        before = _told(old.id, old.plan_id, old.version, old.quantity, old.days)
        await act.tell(connection, "unsubscribe", contract, before=before, after=before | {"until_day": on.isoformat()})


async def _contract_of(connection: Connection, subscription: int) -> str:
    contract: str | None = await SQL.find_subscription.fetchval(connection, id=subscription)
    if contract is None:
        raise NotFound(f"no subscription {subscription}", "csms contract show lists those of a contract")
    return contract


def _require_holds(loaded: Loaded, subscription: Subscription, on: date) -> None:
    days = loaded.standing.days_of(subscription)
    if on not in days:
        last = "" if days.last is None else f" to {days.last}"
        raise Refused(
            f"subscription {subscription.id} holds from {days.first}{last}, not on {on}",
            f"choose one of its days; see csms contract show {loaded.standing.id}",
        )
