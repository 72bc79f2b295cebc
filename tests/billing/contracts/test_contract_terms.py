"""How long contracts bind, by when notice is given, which days nobody must miss."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from billing.contracts.contract import Deadline, DeadlineKind, Renewal, Terms, deadlines, mistakes
from billing.contracts.days import Days, Length, Unit
from tests.examples import tried

D = date.fromisoformat
L = Length.parse
DAY = timedelta(days=1)
TWO_YEARS = Terms(
    starts_on=D("2026-01-01"), renewal=Renewal.RENEWS, term=L("24m"), renewal_length=L("12m"), notice=L("3m")
)
OPEN = Terms(starts_on=D("2026-01-31"), term=L("12m"), notice=L("1m"))


@pytest.mark.parametrize(
    ("terms", "noticed", "last_day"),
    [
        (TWO_YEARS, "2026-05-05", "2027-12-31"),
        (TWO_YEARS, "2027-09-30", "2027-12-31"),
        (TWO_YEARS, "2027-10-01", "2028-12-31"),
        (TWO_YEARS, "2031-03-03", "2031-12-31"),
        (OPEN, "2026-02-01", "2027-01-30"),
        (OPEN, "2026-12-30", "2027-01-30"),
        (OPEN, "2027-01-31", "2027-02-28"),
        (OPEN, "2028-01-31", "2028-02-29"),
        (OPEN, "2027-03-15", "2027-04-15"),
        (Terms(starts_on=D("2026-01-01"), notice=L("30d")), "2026-03-10", "2026-04-09"),
        (Terms(starts_on=D("2026-01-01"), notice=L("1m"), to_month_end=True), "2026-03-10", "2026-04-30"),
        (Terms(starts_on=D("2026-01-01"), notice=L("1m"), to_month_end=True), "2026-03-31", "2026-04-30"),
        (Terms(starts_on=D("2026-01-01"), notice=L("0d")), "2026-03-10", "2026-03-10"),
        (Terms(starts_on=D("2026-01-01"), renewal=Renewal.ENDS, term=L("6m")), "2026-02-01", "2026-06-30"),
        (
            Terms(starts_on=D("2024-02-29"), renewal=Renewal.RENEWS, term=L("1y"), renewal_length=L("1y"), notice=L("4w")),
            "2027-02-01", "2028-02-27",
        ),
    ],
)  # fmt: skip
def test_a_contract_ends_by_notice_when_its_terms_say(terms: Terms, noticed: str, last_day: str) -> None:
    assert mistakes(terms) == []
    assert terms.earliest_end(D(noticed)) - DAY == D(last_day)


LENGTHS = st.builds(Length, st.integers(1, 30), st.sampled_from(Unit))


@st.composite
def any_terms(draw: st.DrawFn) -> Terms:
    renewal = draw(st.sampled_from(Renewal))
    terms = Terms(
        starts_on=draw(st.dates(D("2020-01-01"), D("2030-12-31"))),
        renewal=renewal,
        term=draw(LENGTHS if renewal is not Renewal.OPEN else st.none() | LENGTHS),
        renewal_length=draw(LENGTHS) if renewal is Renewal.RENEWS else None,
        notice=draw(st.builds(Length, st.integers(0, 12), st.sampled_from([Unit.DAY, Unit.WEEK, Unit.MONTH]))),
        to_month_end=renewal is Renewal.OPEN and draw(st.booleans()),
    )
    assume(not mistakes(terms))
    return terms


@tried(300)
@given(any_terms(), st.dates(D("2020-01-01"), D("2040-12-31")))
def test_no_earlier_day_would_do(terms: Terms, noticed: date) -> None:
    end = terms.earliest_end(noticed)

    if terms.renewal is Renewal.ENDS:
        assert end == terms.first_end
        return
    assert terms.notice_by(end) >= noticed
    assert end >= terms.first_end
    if terms.renewal is Renewal.RENEWS:
        possible = [each for each in terms.ends() if each < end]
    else:
        possible = [end - n * DAY for n in range(1, 70) if end - n * DAY >= terms.first_end]
        possible = [each for each in possible if each.day == 1 or not terms.to_month_end]
    assert all(terms.notice_by(each) < noticed for each in possible)


@tried(200)
@given(any_terms())
def test_terms_follow_each_other(terms: Terms) -> None:
    ends = [end for end, _ in zip(terms.ends(), range(20), strict=False)]

    assert ends[0] == terms.first_end
    assert ends == sorted(set(ends))
    assert len(ends) == 1 or terms.renewal is Renewal.RENEWS


def test_deadlines_tell_the_last_day_of_notice_and_when_it_renews() -> None:
    found = deadlines(TWO_YEARS, None, Days(D("2025-12-01"), D("2029-02-01")))

    assert [(each.on.isoformat(), each.kind.value) for each in found] == [
        ("2026-01-01", "start"),
        ("2027-09-30", "notice"),
        ("2028-01-01", "renewal"),
        ("2028-09-30", "notice"),
        ("2029-01-01", "renewal"),
    ]


def test_whoever_has_given_notice_has_an_end_and_no_more_deadlines_of_notice() -> None:
    found = deadlines(TWO_YEARS, D("2028-01-01"), Days(D("2026-06-01"), D("2040-01-01")))

    assert found == [Deadline(D("2027-12-31"), DeadlineKind.END)]


def test_an_open_contract_has_the_deadline_of_its_minimum_term_alone() -> None:
    found = deadlines(OPEN, None, Days(D("2026-02-01"), D("2040-01-01")))

    assert [(each.on.isoformat(), each.kind.value) for each in found] == [
        ("2026-12-30", "notice"),
        ("2027-01-31", "renewal"),
    ]
    assert deadlines(Terms(starts_on=D("2026-01-01")), None, Days(D("2026-01-02"), D("2040-01-01"))) == []


@pytest.mark.parametrize(
    ("terms", "why"),
    [
        (Terms(starts_on=D("1999-12-31")), "begins between"),
        (Terms(starts_on=D("2026-01-01"), renewal=Renewal.RENEWS, term=L("1y")), "says for how long"),
        (Terms(starts_on=D("2026-01-01"), renewal=Renewal.ENDS), "without a term"),
        (Terms(starts_on=D("2026-01-01"), renewal_length=L("1y")), "no length of renewal"),
        (Terms(starts_on=D("2026-01-01"), term=L("0m")), "from a day"),
        (Terms(starts_on=D("2026-01-01"), term=L("101y")), "to a hundred years"),
        (Terms(starts_on=D("2026-01-01"), notice=L("6y")), "five years at most"),
        (
            Terms(starts_on=D("2026-01-01"), renewal=Renewal.ENDS, term=L("1y"), to_month_end=True),
            "only an open contract",
        ),
    ],
)
def test_terms_that_contradict_themselves_are_refused_with_the_reason(terms: Terms, why: str) -> None:
    assert any(why in each for each in mistakes(terms))
