"""Interim thresholds per group of customers: which entry counts, and that it decides as if it were everybody's."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.bills.bill import BillInputs, BillKind
from billing.bills.decision import Decision, Issue, Standing, decide
from billing.bills.service import BillingService
from billing.policies import store as policy_store
from billing.policies.interim import InterimPolicy, InterimPolicyInvalid, Thresholds
from billing.policies.kinds import INTERIM
from billing.policies.policies import Policies
from billing.rating.engine import rate
from billing.tariffs.assignment import NOBODY, Customer, UserClass
from tests.billing.bills.conftest import Clock
from tests.billing.bills.test_bill_decisions import MINUTE, NOON, TARIFF, billed, running
from tests.billing.bills.world import TableSource, World, tariff_file

GROUPS = st.sampled_from(["DEPOT", "GUESTS", "NIGHT"])
CLASSES = st.sampled_from(UserClass)
SPANS = st.integers(1, 7200).map(lambda seconds: timedelta(seconds=seconds))
AMOUNTS = st.integers(1, 50_000).map(lambda units: Decimal(units) / 100)
ENTRIES = st.builds(
    Thresholds, every=st.none() | SPANS, every_wh=st.none() | AMOUNTS, every_amount=st.none() | AMOUNTS
).filter(lambda entry: entry != Thresholds())
POLICIES = st.builds(
    InterimPolicy,
    version=st.integers(1, 9),
    every=SPANS,
    every_wh=AMOUNTS,
    every_amount=AMOUNTS,
    token_groups=st.dictionaries(GROUPS, ENTRIES),
    user_classes=st.dictionaries(CLASSES, ENTRIES),
)
CUSTOMERS = st.builds(Customer, token_group=st.none() | GROUPS, user_class=st.none() | CLASSES)


@given(POLICIES)
def test_what_is_stored_reads_back(policy: InterimPolicy) -> None:
    assert InterimPolicy.from_dict(policy.to_dict()) == policy


@given(POLICIES, CUSTOMERS)
def test_the_token_groups_entry_goes_before_the_classes_and_both_before_everybodys(
    policy: InterimPolicy, customer: Customer
) -> None:
    chosen = policy.of(customer)

    if customer.token_group in policy.token_groups:
        entry = policy.token_groups[customer.token_group or ""]
    elif customer.user_class in policy.user_classes:
        entry = policy.user_classes[customer.user_class or UserClass.MEMBER]
    else:
        entry = Thresholds()
    assert chosen.every == (entry.every or policy.every)
    assert chosen.every_wh == (entry.every_wh or policy.every_wh)
    assert chosen.every_amount == (entry.every_amount or policy.every_amount)


@given(POLICIES, CUSTOMERS, st.integers(0, 240), st.integers(0, 60_000), st.booleans())
def test_a_session_gets_its_interims_as_if_its_entry_were_everybodys(
    policy: InterimPolicy, customer: Customer, minutes: int, energy_wh: int, has_bill: bool
) -> None:
    before = running(1, 500)
    rating = rate(before.usage, TARIFF, Policies().rating, final=False)
    first = Issue(kind=BillKind.INTERIM, rating=rating, inputs=BillInputs.of(before, final=False), next_at=None)
    standing = Standing(interim=billed(before, first) if has_bill else None)
    session = running(minutes, energy_wh)

    def outcome(customer: Customer, interim: InterimPolicy) -> Decision:
        bought = replace(session, customer=customer)
        return decide(bought, standing, TARIFF, Policies(interim=interim), NOON + minutes * MINUTE)

    plain = replace(policy.of(customer), token_groups={}, user_classes={})
    assert outcome(customer, policy) == outcome(NOBODY, plain)


@pytest.mark.parametrize(
    ("entries", "told"),
    [
        ({"token_groups": {"DEPOT": {"every_wh": "0"}}}, "token_groups.DEPOT.every_wh"),
        ({"token_groups": {"DEPOT": {}}}, "token_groups.DEPOT"),
        ({"token_groups": {" ": {"every_s": 5}}}, "names nobody"),
        ({"token_groups": {"DEPOT": {"every_day": 1}}}, "every_day"),
        ({"user_classes": {"pirate": {"every_s": 5}}}, "is no user class"),
        ({"user_classes": ["fleet"]}, "user_classes"),
    ],
)
def test_an_entry_that_cannot_be_followed_is_refused(entries: dict[str, object], told: str) -> None:
    with pytest.raises(InterimPolicyInvalid, match=told):
        InterimPolicy.from_dict(InterimPolicy(version=1).to_dict() | entries)


def test_a_policy_from_before_there_were_entries_is_read() -> None:
    body = {"version": 2, "every_s": 60, "every_wh": "100", "every_amount": "1"}

    assert InterimPolicy.from_dict(body).of(Customer(token_group="DEPOT")).every_wh == 100


async def test_the_worker_follows_the_entry_of_the_sessions_group(
    world: World, source: TableSource, billing: BillingService, clock: Clock
) -> None:
    await world.tariff(tariff_file(price="0.50"))
    async with world.pool.acquire() as connection:
        await policy_store.change(connection, INTERIM, ["every_wh=700"], entry=("token_groups", "DEPOT"))
    everybodys, depots = await world.running(), await world.running()
    source.customers[depots] = Customer(token_group="DEPOT")
    clock.now = NOON + 5 * MINUTE
    for session in (everybodys, depots):
        await world.change(session, energy_wh=Decimal(1000))
    await billing.drain()

    assert await world.bills(everybodys) == []
    assert await world.bills(depots) == [("interim", 1, "0.50")]
