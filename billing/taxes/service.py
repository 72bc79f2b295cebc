"""Entering tax rules and customers, and deciding by them. Callers hold the connection; every edit is one transaction."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime

from billing.errors import AlreadyDone, NotFound, Refused
from billing.policies import store as policy_store
from billing.rating.policy import TaxPoint
from billing.rating.rating import AppliedTax, ComponentName
from billing.rating.terms import Undecided
from billing.sql import Connection
from billing.taxes import store
from billing.taxes.store import SQL, Bearer, CustomerSaid, StoredRule
from billing.taxes.tax_decision import UNKNOWN, Judged, Supply, TaxedCustomer, day_of, judge, taxes_for
from billing.taxes.tax_rule import CustomerKind, Product, Supplied, TaxRule, mistakes, supplied
from billing.taxes.vat_id import misshapen, written

SEE_RULES = "see csms tax rule list"


@dataclass(frozen=True, slots=True, kw_only=True)
class Taxable:
    """A session as taxes look at it. `ends_at` is so far where it runs; `parts` are what its tariff may price."""

    country: str
    time_zone: str
    bearer: Bearer
    starts_at: datetime
    ends_at: datetime
    parts: tuple[ComponentName, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Questioned:
    """What `csms tax which` tells. No `parts`: the country has no rules, and the tariff's own rates hold."""

    supply: Supply
    parts: tuple[Judged, ...]


async def taxes_of(
    connection: Connection, sessions: Mapping[int, Taxable], *, to_bill: bool = True
) -> dict[int, tuple[AppliedTax, ...] | Undecided]:
    """The taxes of each session by the rules of now. Until the transaction ends nobody can enter another.

    Not so where they are only compared (`to_bill` false): then nobody waits. Empty where the tariff's own rates hold: its country has no rules, or no tax applies.
    """
    asking = {session: each for session, each in sessions.items() if each.parts}
    found: dict[int, tuple[AppliedTax, ...] | Undecided] = dict.fromkeys(sessions, ())
    if not asking:
        return found
    if to_bill:
        await SQL.lock_for_deciding.execute(connection, key=store.LOCK_KEY)
    rules = {
        country: [rule for rule in found_there if not isinstance(rule.supply, Product)]
        for country, found_there in (
            await store.rules_of(connection, {each.country for each in asking.values()})
        ).items()
    }
    if not any(rules.values()):
        return found
    point = (await policy_store.current(connection)).rating.tax_point
    ats = {session: _tax_point(each, point) for session, each in asking.items()}
    customers = await store.customers_at(
        connection, {session: (each.bearer, ats[session]) for session, each in asking.items()}
    )
    for session, each in asking.items():
        supply = Supply(
            country=each.country,
            day=day_of(ats[session], each.time_zone),
            customer=customers.get(session, UNKNOWN),
        )
        found[session] = taxes_for(rules[each.country], supply, each.parts)
    return found


def _tax_point(session: Taxable, point: TaxPoint) -> datetime:
    return session.ends_at if point is TaxPoint.END else session.starts_at


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductSold:
    """Something sold beside sessions as taxes look at it: `supply` by the name that rules may ask for."""

    country: str
    day: date
    customer: TaxedCustomer
    supply: str


async def taxes_of_products(connection: Connection, sold: Sequence[ProductSold]) -> list[TaxRule | str]:
    """The rule that decides for each of these, or why none does; by the rules of now.

    Until the transaction ends nobody can enter another rule. Where a country has no rules nothing is decided: beside
    sessions there is no tariff that names a rate.
    """
    if not sold:
        return []
    await SQL.lock_for_deciding.execute(connection, key=store.LOCK_KEY)
    rules = await store.rules_of(connection, {each.country for each in sold})
    found: list[TaxRule | str] = []
    for each in sold:
        supply = Supply(country=each.country, day=each.day, customer=each.customer)
        judged = judge(rules[each.country], supply, supplied(each.supply))
        found.append(judged.rule or f"{supply}, {each.supply}: {judged.open}")
    return found


async def which(
    connection: Connection, *, site: str, bearer: Bearer, at: datetime, parts: Collection[Supplied]
) -> Questioned:
    """What each rule means for each part of a bill with its tax point at `at`: the decision itself, told.

    Raises:
        NotFound: no such site.
    """
    row = await SQL.find_site.fetchrow(connection, id=site)
    if row is None:
        raise NotFound(f"no site {site}", "list them with csms site list")
    rules = (await store.rules_of(connection, {row["country"]}))[row["country"]]
    customers = await store.customers_at(connection, {0: (bearer, at)})
    supply = Supply(country=row["country"], day=day_of(at, row["time_zone"]), customer=customers.get(0, UNKNOWN))
    if not rules:
        return Questioned(supply=supply, parts=())
    return Questioned(supply=supply, parts=tuple(judge(rules, supply, each) for each in parts))


async def add_rules(
    connection: Connection, rules: Sequence[TaxRule], *, now: datetime, actor: str
) -> list[tuple[StoredRule, bool]]:
    """Enter rules, all or none; beside each whether it was new. The same rule again changes nothing.

    Raises:
        Refused: a rule contradicts itself, or another of the same kind holds on one of its days.
        AlreadyDone: there is another rule of that id.
    """
    async with connection.transaction():
        await SQL.lock_for_editing.execute(connection, key=store.LOCK_KEY)
        known = {each.rule.id: each for each in await store.stored_rules(connection)}
        new: list[str] = []
        for rule in map(_plain, rules):
            same = known.get(rule.id)
            if same is not None and same.entered == rule:
                continue
            _require_enterable(rule, known)
            await store.insert_rule(connection, rule, actor=actor, entered_at=now)
            known[rule.id] = StoredRule(entered=rule, rule=rule, withdrawn=False, actor=actor, entered_at=now)
            new.append(rule.id)
        await SQL.wake_undecided.execute(connection)
    return [(known[rule.id], rule.id in new) for rule in rules]


def _plain(rule: TaxRule) -> TaxRule:
    """19.00 is 19: the same rule, however its rate is written."""
    if not rule.rate.is_finite():
        return rule
    rate = rule.rate.normalize()
    return replace(rule, rate=rate.quantize(1) if rate == rate.to_integral_value() else rate)


def _require_enterable(rule: TaxRule, known: Mapping[str, StoredRule]) -> None:
    wrong = mistakes(rule)
    if wrong:
        raise Refused(f"rule {rule.id}: {wrong[0]}", "correct it", details={"problems": wrong})
    if rule.id in known:
        raise AlreadyDone(f"rule {rule.id} exists and says otherwise", f"{SEE_RULES}; choose another id")
    for each in known.values():
        if not each.withdrawn and rule.meets(each.rule):
            end = "" if each.rule.valid_to is None else f" to {each.rule.valid_to}"
            raise Refused(
                f"rule {each.rule.id} decides the same from {each.rule.valid_from}{end}",
                f"end it first: csms tax rule end {each.rule.id} --on DAY",
            )


async def end_rule(connection: Connection, id_: str, *, last_day: date | None, now: datetime, actor: str) -> StoredRule:
    """Let a rule end with `last_day`; None withdraws it: it never held. Bills that were made keep it.

    Raises:
        NotFound: no such rule.
        Refused: it would end before it begins, or later than it does.
        AlreadyDone: it is so already.
    """
    async with connection.transaction():
        await SQL.lock_for_editing.execute(connection, key=store.LOCK_KEY)
        known = await _find_rule(connection, id_)
        rule = known.rule
        if known.withdrawn or (last_day is not None and last_day == rule.valid_to):
            raise AlreadyDone(f"rule {id_} {'is withdrawn' if known.withdrawn else f'ends on {last_day}'}", SEE_RULES)
        if last_day is not None and last_day < rule.valid_from:
            raise Refused(f"rule {id_} begins on {rule.valid_from}", "if it was a mistake: --withdraw")
        if last_day is not None and rule.valid_to is not None and last_day > rule.valid_to:
            raise Refused(f"rule {id_} ends on {rule.valid_to}", "add a rule for the days after it")
        await SQL.insert_end.execute(connection, rule=id_, valid_to=last_day, actor=actor, at=now)
        await SQL.wake_undecided.execute(connection)
        return await _find_rule(connection, id_)


async def _find_rule(connection: Connection, id_: str) -> StoredRule:
    for each in await store.stored_rules(connection):
        if each.rule.id == id_:
            return each
    raise NotFound(f"no tax rule {id_}", "list them with csms tax rule list")


async def list_rules(connection: Connection, country: str | None = None) -> list[StoredRule]:
    """Every rule, of one country or of all; by country, begin and id."""
    return await store.stored_rules(connection, None if country is None else [country])


async def set_customer(
    connection: Connection,
    bearer: Bearer,
    *,
    kind: CustomerKind,
    vat_id: str | None,
    valid_from: datetime,
    now: datetime,
    actor: str,
) -> CustomerSaid:
    """Say what the holder of a token, or of every token of a group, is to the tax office from an instant on.

    Raises:
        NotFound: no such token, or no token is in such a group.
        Refused: a private customer with a VAT id, or one that can be none.
    """
    number = None if vat_id is None else written(vat_id)
    if number is not None and kind is CustomerKind.PRIVATE:
        raise Refused("no private customer has a VAT id", "say --kind business, or leave out --vat-id")
    if number is not None and (why := misshapen(number)) is not None:
        raise Refused(f"{number} is no VAT id: it {why}", "write it as on an invoice, such as DE123456789")
    async with connection.transaction():
        await SQL.lock_for_editing.execute(connection, key=store.LOCK_KEY)
        await _require_bearer(connection, bearer)
        said = await store.insert_customer(
            connection, bearer, TaxedCustomer(kind=kind, vat_id=number), valid_from=valid_from, actor=actor,
            entered_at=now,
        )  # fmt: skip
        await SQL.wake_undecided.execute(connection)
    return said


async def _require_bearer(connection: Connection, bearer: Bearer) -> None:
    if bearer.token is not None:
        if not await SQL.is_token_known.fetchval(connection, token=bearer.token):
            raise NotFound(f"no token {bearer.token}", "list them with csms token list")
    elif not await SQL.is_group_known.fetchval(connection, token_group=bearer.token_group):
        raise NotFound(f"no token is in group {bearer.token_group}", "list them with csms token list")


async def customers_said(connection: Connection) -> list[CustomerSaid]:
    """Everything that was said of customers, in the order in which it was entered."""
    return await store.customers_said(connection)
