"""Sessions billed by tax rules: held where none decides, the tax point, customers, and what bills keep."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import asyncpg
import pytest

from billing.bills import history
from billing.bills.service import BillingService
from billing.bills.simulation import Selection, simulate
from billing.errors import AlreadyDone, NotFound, Refused
from billing.policies import store as policies
from billing.policies.kinds import RATING
from billing.rating.rating import ComponentName
from billing.tariffs.service import read_tariff
from billing.taxes import service as taxes
from billing.taxes.store import Bearer
from billing.taxes.tax_rule import Category, CustomerKind, TaxRule, VatIdAsked
from tests.billing.bills.conftest import Clock
from tests.billing.bills.world import NOON, World, tariff_file

HOUR = timedelta(hours=1)
NET = tariff_file(price="0.50", flat="1.00").replace('"YES"', '"NO"')
"""Net prices: 10 kWh x 0.50 and 1.00, and a VAT of 19 % of its own."""


def rule(id_: str = "DE-22", rate: str = "22", **more: Any) -> TaxRule:
    given: dict[str, Any] = {"country": "DE", "category": Category.STANDARD, "valid_from": date(2021, 1, 1), **more}
    return TaxRule(id=id_, rate=Decimal(rate), **given)


async def enter(world: World, *rules: TaxRule) -> None:
    async with world.pool.acquire() as connection:
        await taxes.add_rules(connection, rules, now=NOON, actor="ada")


async def end(world: World, id_: str, last_day: date | None) -> None:
    async with world.pool.acquire() as connection:
        await taxes.end_rule(connection, id_, last_day=last_day, now=NOON, actor="ada")


async def firm(world: World, vat_id: str, valid_from: datetime, **bearer: str | None) -> None:
    async with world.pool.acquire() as connection:
        await taxes.set_customer(
            connection, Bearer(**{"token": None, "token_group": None, **bearer}), kind=CustomerKind.BUSINESS,
            vat_id=vat_id, valid_from=valid_from, now=NOON, actor="ada",
        )  # fmt: skip


async def token(world: World, uid: str = "TAG-1", group: str | None = None) -> None:
    await world.pool.execute(
        "INSERT INTO token_event (uid, kind, at, group_id) VALUES ($1, 'issued', $2, $3)", uid, NOON - 9 * HOUR, group
    )


async def explained(world: World, session: int) -> history.Explanation:
    async with world.pool.acquire() as connection:
        return await history.explain_bill(connection, session, None)


async def test_without_any_rule_bills_are_those_of_before_to_the_byte(world: World, billing: BillingService) -> None:
    await world.tariff(NET)
    session = await world.session()
    await enter(world, rule("AT-20", "20", country="AT"))
    await billing.drain()

    row = await world.pool.fetchrow("SELECT inputs::text, detail::text FROM bill WHERE session = $1", session)
    assert row is not None
    assert await world.bills(session) == [("final", 1, "7.14")]
    assert "terms" not in row["inputs"]
    assert "tax_point" not in row["detail"]
    assert '"taxes"' not in row["detail"]


async def test_the_rate_of_the_rule_stands_in_the_place_of_the_tariffs(world: World, billing: BillingService) -> None:
    await world.tariff(NET)
    await enter(world, rule(note="Art. 1"), rule("DE-10", "10", supply=ComponentName.ENERGY))
    session = await world.session()
    await billing.drain()

    # 5.00 x 1.10 + 1.00 x 1.22
    told = await explained(world, session)
    assert await world.bills(session) == [("final", 1, "6.72")]
    assert [line.rule for line in told.lines if line.what == "tax group"] == [
        "tax 0.50; rule DE-10, category S",
        "tax 0.22; rule DE-22, category S: Art. 1",
    ]
    assert [(tax.component, tax.rule) for tax in told.rating.taxes] == [
        (ComponentName.ENERGY, "DE-10"), (ComponentName.FLAT, "DE-22"),
    ]  # fmt: skip


async def test_prices_that_hold_tax_keep_their_gross_whatever_the_rule(world: World, billing: BillingService) -> None:
    await world.tariff(tariff_file(price="0.50", flat="1.00"))
    await enter(world, rule())
    session = await world.session()
    await billing.drain()

    told = await explained(world, session)
    # 6.00 / 1.22 = 4.918...
    assert (told.bill.total_incl.text, told.bill.total_excl.text) == ("6.00", "4.92")


async def test_where_no_tax_applies_no_rule_is_asked(world: World, billing: BillingService) -> None:
    await world.tariff(tariff_file(price="0.50").replace('"YES"', '"N/A"'))
    await enter(world, rule("LATER", valid_from=date(2030, 1, 1)))
    session = await world.session()
    await billing.drain()

    assert await world.bills(session) == [("final", 1, "5.00")]


async def test_a_session_that_no_rule_decides_is_held_until_one_does(world: World, billing: BillingService) -> None:
    await world.tariff(NET)
    await enter(world, rule("ENERGY", "10", supply=ComponentName.ENERGY))
    session = await world.session()
    await billing.drain()
    held = await world.rating(session)
    assert (held["holds"], await world.bills(session)) == (["tax_undecided"], [])
    assert held["notes"][0].startswith(
        "DE, private customer without a VAT id, tax point 2026-03-02: flat: no rule fits"
    )

    await enter(world, rule())
    await billing.drain()

    assert await world.bills(session) == [("final", 1, "6.72")]
    assert (await world.rating(session))["holds"] == []


async def test_what_two_rules_decide_is_held_until_one_is_withdrawn(world: World, billing: BillingService) -> None:
    await world.tariff(NET)
    await token(world)
    await enter(
        world, rule("FIRMS", "8", customer=CustomerKind.BUSINESS), rule("ID", vat_id=VatIdAsked.NO), rule("ALL", "19")
    )
    async with world.pool.acquire() as connection:
        await taxes.set_customer(
            connection, Bearer(token="TAG-1", token_group=None), kind=CustomerKind.BUSINESS, vat_id=None,
            valid_from=NOON - HOUR, now=NOON, actor="ada",
        )  # fmt: skip
    session = await world.session()
    await billing.drain()
    assert "rules FIRMS and ID fit" in (await world.rating(session))["notes"][0]

    await end(world, "ID", None)
    await billing.drain()

    assert await world.bills(session) == [("final", 1, "6.48")]


async def test_what_is_said_of_a_customer_decides_and_wakes_who_waits(world: World, billing: BillingService) -> None:
    await world.tariff(NET)
    await token(world)
    reverse = rule("AE", "0", category=Category.REVERSE_CHARGE, vat_id=VatIdAsked.FOREIGN, note="Reverse charge")
    await enter(world, reverse)
    session = await world.session()
    await billing.drain()
    assert (await world.rating(session))["holds"] == ["tax_undecided"]

    await firm(world, "nl 123456789 B01", NOON, token="TAG-1")
    await billing.drain()

    told = await explained(world, session)
    assert (told.bill.total_excl.text, told.bill.total_tax.text) == ("6.00", "0.00")
    assert [line.rule for line in told.lines if line.what == "tax group"] == [
        "tax 0.00; rule AE, category AE: Reverse charge"
    ]


async def test_a_token_goes_before_its_group_and_both_count_from_their_begin(world: World) -> None:
    await token(world, "TAG-1", "VANS")
    await firm(world, "DE123456789", NOON, token_group="VANS")
    await firm(world, "NL123456789B01", NOON + HOUR, token="TAG-1")
    holder = Bearer(token="TAG-1", token_group="VANS")

    found = []
    for at in (NOON - HOUR, NOON, NOON + HOUR):
        async with world.pool.acquire() as connection:
            asked = await taxes.which(connection, site="depot", bearer=holder, at=at, parts=[])
        found.append(asked.supply.customer.vat_id)

    assert found == [None, "DE123456789", "NL123456789B01"]


@pytest.mark.parametrize(("point", "total"), [("end", "7.32"), ("start", "7.14")])
async def test_the_tax_point_is_the_end_unless_the_policy_says_the_start(
    world: World, billing: BillingService, clock: Clock, point: str, total: str
) -> None:
    midnight = datetime(2026, 3, 1, 23, 0, tzinfo=UTC)  # in Berlin
    clock.now = midnight + 9 * HOUR
    await world.tariff(NET)
    await enter(world, rule("OLD", "19", valid_to=date(2026, 3, 1)), rule("NEW", valid_from=date(2026, 3, 2)))
    if point == "start":
        async with world.pool.acquire() as connection:
            await policies.change(connection, RATING, ["tax_point=start"])
    session = await world.session(started_at=midnight - HOUR, ended_at=midnight, complete_at=midnight + HOUR)
    await billing.drain()

    assert await world.bills(session) == [("final", 1, total)]


async def test_a_running_session_is_taxed_by_the_day_it_has_come_to(
    world: World, billing: BillingService, clock: Clock
) -> None:
    midnight = datetime(2026, 3, 1, 23, 0, tzinfo=UTC)
    await world.tariff(NET)
    await enter(world, rule("OLD", "19", valid_to=date(2026, 3, 1)), rule("NEW", valid_from=date(2026, 3, 2)))
    clock.now = midnight - timedelta(minutes=10)
    session = await world.running(started_at=midnight - HOUR, energy_wh=10_000)
    await billing.drain()
    clock.now = midnight + timedelta(minutes=10)
    await world.change(session, energy_wh=Decimal(20_000))
    await billing.drain()

    # (1.00 + 5.00) x 1.19, then (1.00 + 10.00) x 1.22
    assert await world.bills(session) == [("interim", 1, "7.14"), ("interim", 2, "13.42")]


async def test_bills_keep_their_rules_whatever_becomes_of_them(world: World, billing: BillingService) -> None:
    await world.tariff(NET)
    await enter(world, rule())
    session = await world.session()
    await billing.drain()

    await end(world, "DE-22", None)
    await enter(world, rule("DE-7", "7"))
    await world.tell_billing(session)
    await billing.drain()

    told = await explained(world, session)  # rates it again from what it stored
    assert await world.bills(session) == [("final", 1, "7.32")]
    assert (await world.rating(session))["flags"] == []
    assert {tax.rule for tax in told.rating.taxes} == {"DE-22"}


async def test_a_simulation_has_the_taxes_that_the_bill_was_made_by(world: World, billing: BillingService) -> None:
    await world.tariff(NET)
    await enter(world, rule())
    await world.session()
    await billing.drain()
    await end(world, "DE-22", None)

    async with world.pool.acquire() as connection, connection.transaction():
        chosen = Selection(since=NOON - HOUR, until=NOON + 9 * HOUR)
        found = [each async for each in simulate(connection, read_tariff(NET.replace("0.50", "1.00")), chosen)]

    # (1.00 + 10.00) x 1.22
    assert [each.after.text for each in found if each.after is not None] == ["13.42"]


async def _simulated(world: World, draft: str) -> list[tuple[str | None, str | None]]:
    async with world.pool.acquire() as connection, connection.transaction(readonly=True):
        chosen = Selection(since=NOON - HOUR, until=NOON + 9 * HOUR)
        found = [each async for each in simulate(connection, read_tariff(draft), chosen)]
    return [(None if each.after is None else each.after.text, each.why_not) for each in found]


async def test_a_part_that_only_the_draft_prices_is_taxed_by_its_rule(world: World, billing: BillingService) -> None:
    await world.tariff(tariff_file(price="0.50").replace('"YES"', '"NO"'))
    await enter(world, rule("ENERGY", supply=ComponentName.ENERGY))
    await world.session()
    await billing.drain()

    [(nothing, why)] = await _simulated(world, NET)
    await enter(world, rule("FEES", "7", supply=ComponentName.FLAT))

    assert nothing is None
    assert why is not None
    assert "no rule fits" in why
    assert await _simulated(world, NET) == [("7.17", None)]  # 5.00 x 1.22 and 1.00 x 1.07
    await end(world, "FEES", None)
    await end(world, "ENERGY", None)
    [(nothing, why)] = await _simulated(world, NET)
    assert nothing is None
    assert why == "no tax rule is left for what the draft prices and the bill did not"


async def test_a_draft_is_taxed_by_rules_where_no_tax_applied_to_the_bill(
    world: World, billing: BillingService
) -> None:
    await world.tariff(tariff_file(price="0.50").replace('"YES"', '"N/A"'))
    await enter(world, rule())
    await world.session()
    await billing.drain()

    assert await _simulated(world, NET) == [("7.32", None)]


async def test_a_rule_that_would_answer_what_another_answers_is_refused(world: World) -> None:
    await enter(world, rule())

    with pytest.raises(Refused, match="rule DE-22 decides the same from 2021-01-01"):
        await enter(world, rule("DE-23", "23", valid_from=date(2027, 1, 1)))
    await end(world, "DE-22", date(2026, 12, 31))
    await enter(world, rule("DE-23", "23", valid_from=date(2027, 1, 1)))
    with pytest.raises(AlreadyDone, match="says otherwise"):
        await enter(world, rule("DE-23", "24", valid_from=date(2028, 1, 1)))
    with pytest.raises(Refused, match="above 0"):
        await enter(world, rule("DE-0", "0"))


async def test_rules_are_entered_all_or_none_and_again_without_harm(world: World) -> None:
    with pytest.raises(Refused):
        await enter(world, rule(), rule("DE-23", "23"))
    await enter(world, rule(rate="22.00"))

    async with world.pool.acquire() as connection:
        again = await taxes.add_rules(connection, [rule(rate="22.0")], now=NOON, actor="eve")
        stored = await taxes.list_rules(connection)

    assert [(each.rule.id, is_new) for each, is_new in again] == [("DE-22", False)]
    assert [(str(each.rule.rate), each.actor) for each in stored] == [("22", "ada")]


async def test_an_end_is_a_day_of_the_rule_and_never_later_than_it_was(world: World) -> None:
    await enter(world, rule(valid_to=date(2026, 12, 31)))

    with pytest.raises(Refused, match="begins on"):
        await end(world, "DE-22", date(2020, 12, 31))
    with pytest.raises(Refused, match="ends on"):
        await end(world, "DE-22", date(2027, 12, 31))
    with pytest.raises(NotFound):
        await end(world, "DE-99", None)
    await end(world, "DE-22", date(2026, 6, 30))
    with pytest.raises(AlreadyDone):
        await end(world, "DE-22", date(2026, 6, 30))
    await end(world, "DE-22", None)
    with pytest.raises(AlreadyDone, match="withdrawn"):
        await end(world, "DE-22", date(2026, 5, 31))


async def test_a_customer_that_cannot_be_is_refused(world: World) -> None:
    await token(world, "TAG-1", "VANS")

    with pytest.raises(NotFound, match="no token TAG-9"):
        await firm(world, "DE123456789", NOON, token="TAG-9")
    with pytest.raises(NotFound, match="group CARS"):
        await firm(world, "DE123456789", NOON, token_group="CARS")
    with pytest.raises(Refused, match="DE12 is no VAT id"):
        await firm(world, "DE12", NOON, token="TAG-1")
    with pytest.raises(Refused, match="no private customer"):
        async with world.pool.acquire() as connection:
            await taxes.set_customer(
                connection, Bearer(token="TAG-1", token_group=None), kind=CustomerKind.PRIVATE, vat_id="DE123456789",
                valid_from=NOON, now=NOON, actor="ada",
            )  # fmt: skip


async def test_a_rule_that_comes_while_a_session_is_decided_is_not_missed(
    world: World, billing: BillingService
) -> None:
    await world.tariff(NET)
    await enter(world, rule("ENERGY", supply=ComponentName.ENERGY))
    session = await world.session()
    async with world.pool.acquire() as deciding:
        begun = deciding.transaction()
        await begun.start()
        await billing.settle_in(deciding, [session], NOON + 2 * HOUR)
        entering = asyncio.create_task(enter(world, rule("DE-10", "10")))
        done, _ = await asyncio.wait([entering], timeout=0.3)
        assert not done
        await begun.commit()
    await entering
    await billing.drain()

    assert await world.bills(session) == [("final", 1, "7.20")]


async def test_rules_and_customers_cannot_be_changed(world: World) -> None:
    await enter(world, rule())

    for table in ("tax_rule", "tax_rule_end", "tax_customer"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await world.pool.execute(f"DELETE FROM {table}")
