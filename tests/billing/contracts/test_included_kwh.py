"""The kWh that are in a plan: which rules are made for them, and what of them is left when something changes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from billing.contracts.allowance import AHEAD, Allowed, allow
from billing.contracts.days import Days
from billing.contracts.plan import Align
from billing.contracts.recurrence import Interval
from billing.contracts.standing import Allowance, Bearer, Standing
from tests.billing.contracts.standings import START, contract, plan, subscription
from tests.examples import tried

D = date.fromisoformat
DAY = timedelta(days=1)
CARD = Bearer(id=5, days=Days(START, None), token="TAG-1")
FLAT = Bearer(id=6, days=Days(START, None), token_group="FLAT-7")


@dataclass
class Rules:
    """What is decided, as it would be stored."""

    standing: Standing
    kwh: dict[str, Decimal] = field(default_factory=dict)

    def allow(self, today: date) -> Allowed:
        done = allow(self.standing, today)
        ended = {each.rule: each.until for each in done.ended}
        kept = [
            replace(each, days=Days(each.days.first, ended.get(each.rule, each.days.until)))
            for each in self.standing.allowances
        ]
        kept += [
            Allowance(rule=each.rule, subscription=each.subscription, bearer=each.bearer.id, days=each.days)
            for each in done.new
        ]
        self.kwh |= {each.rule: each.kwh for each in done.new}
        self.standing = replace(self.standing, allowances=tuple(kept))
        return done


def with_kwh(kwh: str = "100", **more: object) -> Standing:
    of = plan(included_kwh=Decimal(kwh), **more)
    return contract(subscription(of=of, days=Days(D("2026-03-17"), None)), bearers=(CARD,))


def test_the_kwh_of_a_period_are_there_before_it_begins_and_those_of_a_part_are_its_share() -> None:
    rules = Rules(with_kwh())

    made = rules.allow(D("2026-03-17"))

    assert [(each.rule, each.days.first, each.days.last, each.kwh) for each in made.new] == [
        ("included-1-5-2026-03-17", D("2026-03-17"), D("2026-03-31"), Decimal("48.387")),
        ("included-1-5-2026-04-01", D("2026-04-01"), D("2026-04-30"), Decimal("100.000")),
    ]
    assert made.next_on == D("2026-05-01") - AHEAD
    assert rules.allow(D("2026-03-30")).new == ()
    assert [each.days.first for each in rules.allow(made.next_on).new] == [D("2026-05-01")]


def test_a_period_that_is_no_month_has_one_rule_and_every_piece_its_kwh() -> None:
    of = plan(included_kwh=Decimal(1200), interval=Interval.YEAR, align=Align.START)
    years = contract(subscription(of=of, quantity=Decimal(3)), bearers=(CARD, FLAT))

    made = Rules(years).allow(START).new

    assert [(each.bearer, each.days, each.kwh) for each in made] == [
        (CARD, Days(START, D("2027-01-01")), Decimal(3600)),
        (FLAT, Days(START, D("2027-01-01")), Decimal(3600)),
    ]


def test_an_end_ends_the_rules_at_once_and_who_goes_on_after_all_gets_the_rest() -> None:
    rules = Rules(with_kwh())
    rules.allow(D("2026-04-01"))
    rules.standing = replace(rules.standing, until=D("2026-04-11"))
    ended = rules.allow(D("2026-04-02"))
    assert [(each.rule, each.until) for each in ended.ended] == [
        ("included-1-5-2026-04-01", D("2026-04-11")),
        ("included-1-5-2026-05-01", D("2026-05-01")),
    ]
    assert (ended.new, ended.next_on) == ((), None)
    assert rules.allow(D("2026-04-03")) == Allowed()
    rules.standing = replace(rules.standing, until=None)

    again = rules.allow(D("2026-04-05")).new

    assert [(each.rule, each.kwh) for each in again] == [
        ("included-1-5-2026-04-11", Decimal("66.667")),
        ("included-1-5-2026-05-01-2", Decimal("100.000")),
    ]


def test_nobody_needs_rules_for_days_that_are_over() -> None:
    made = Rules(with_kwh()).allow(D("2026-09-10")).new

    assert [each.days.first for each in made] == [D("2026-09-01"), D("2026-10-01")]


def test_a_plan_without_kwh_or_a_contract_without_tokens_has_no_rules() -> None:
    assert allow(contract(subscription(), bearers=(CARD,)), START) == Allowed()
    assert allow(replace(with_kwh(), bearers=()), START) == Allowed()


@tried(200)
@given(
    st.sampled_from(Interval), st.integers(1, 5000),
    st.lists(st.tuples(st.integers(0, 60), st.none() | st.integers(-20, 90)), min_size=1, max_size=6),
)  # fmt: skip
def test_no_day_has_two_rules_and_no_period_more_kwh_than_are_in_it(
    interval: Interval, kwh: int, steps: list[tuple[int, int | None]]
) -> None:
    rules = Rules(with_kwh(f"{kwh}", interval=interval))
    today = D("2026-03-17")
    for wait, away in steps:
        today += timedelta(days=wait)
        rules.allow(today)
        until = None if away is None else max(today + timedelta(days=away), D("2026-03-17"))
        rules.standing = replace(rules.standing, until=until)
        rules.allow(today)
        assert rules.allow(today) == Allowed(next_on=allow(rules.standing, today).next_on)

    held = [each for each in rules.standing.allowances if not each.days.is_empty]
    days = Counter(each.days.first + n * DAY for each in held for n in range(_length(each.days)))
    assert set(days.values()) <= {1}
    final = rules.standing.until
    assert all(each.days.until is not None and (final is None or each.days.until <= final) for each in held)
    if final is None or final > today:
        assert today in days
    assert all(each <= Decimal(kwh) for each in rules.kwh.values())


def _length(days: Days) -> int:
    assert days.until is not None
    return (days.until - days.first).days
