"""Which tariff a session has, by precedence and time (RULES.md 15)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.tariffs.assignment import (
    Assignment,
    Audience,
    Customer,
    Place,
    Resolved,
    Scope,
    TariffVersion,
    Unresolved,
    UserClass,
    by_target,
    judge,
    resolve,
)
from billing.tariffs.tariff import parse_tariff

T = datetime(2026, 3, 2, 12, tzinfo=UTC)
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)


def version(
    tariff: str,
    number: int = 1,
    *,
    valid_from: datetime = T - 30 * DAY,
    entered_at: datetime | None = None,
    **body: Any,
) -> TariffVersion:
    document = {
        "id": tariff,
        "currency": "EUR",
        "elements": [{"price_components": [{"type": "ENERGY", "price": "0.5", "step_size": 1}]}],
    }
    return TariffVersion(
        tariff=parse_tariff(document | body, version=number),
        valid_from=valid_from,
        entered_at=entered_at or valid_from,
    )


def assignment(
    tariff: str,
    scope: Scope = Scope.DEFAULT,
    target: str | None = None,
    *,
    valid_from: datetime = T - 10 * DAY,
    entered_at: datetime | None = None,
    number: int = 1,
    priority: int = 0,
    **audience: Any,
) -> Assignment:
    return Assignment(
        audience=Audience(**audience),
        priority=priority,
        id=number,
        tariff=tariff,
        scope=scope,
        target=target,
        valid_from=valid_from,
        entered_at=entered_at or valid_from,
    )


PLACE = Place(charge_point="CP-1", site="depot", currency="EUR", at=T, location_groups=frozenset({"coast"}))


def tariff_at(assignments: list[Assignment], *versions: TariffVersion, place: Place = PLACE) -> str:
    """`id v<number>`, or the hold."""
    known: dict[str, list[TariffVersion]] = {}
    for each in versions or [version(each.tariff) for each in assignments]:
        known.setdefault(each.tariff.id, []).append(each)
    outcome = resolve(place, by_target(assignments), known)
    match outcome:
        case Resolved():
            return f"{outcome.tariff.id} v{outcome.tariff.version}"
        case Unresolved():
            assert outcome.why
            return outcome.hold


@given(st.permutations(list(Scope)), st.integers(1, 4))
def test_the_narrowest_scope_wins(order: list[Scope], count: int) -> None:
    targets = {
        Scope.CHARGE_POINT: "CP-1", Scope.SITE: "depot", Scope.LOCATION_GROUP: "coast", Scope.DEFAULT: None,
    }  # fmt: skip
    given_scopes = order[:count]

    found = tariff_at([assignment(scope.value, scope, targets[scope]) for scope in given_scopes])

    narrowest = min(given_scopes, key=list(Scope).index)
    assert found == f"{narrowest.value} v1"


def test_somebody_elses_assignment_is_not_ours() -> None:
    others = [assignment("a", Scope.CHARGE_POINT, "CP-2"), assignment("b", Scope.SITE, "harbour")]

    assert tariff_at(others) == "no_tariff"


def test_the_latest_valid_from_wins_then_the_latest_entered() -> None:
    older = assignment("older", valid_from=T - 5 * DAY, entered_at=T - HOUR)
    newer = assignment("newer", valid_from=T - 4 * DAY, entered_at=T - 4 * DAY)
    corrected = assignment("corrected", valid_from=T - 4 * DAY, entered_at=T - 2 * DAY)

    assert tariff_at([older, newer]) == "newer v1"
    assert tariff_at([corrected, newer, older]) == "corrected v1"


@pytest.mark.parametrize(("offset", "found"), [(timedelta(0), "day v1"), (timedelta(microseconds=1), "no_tariff")])
def test_an_assignment_holds_from_its_instant_on(offset: timedelta, found: str) -> None:
    assert tariff_at([assignment("day", valid_from=T + offset)]) == found


def test_the_version_that_had_begun_counts() -> None:
    versions = [
        version("day", 1),
        version("day", 2, valid_from=T - DAY),
        version("day", 3, valid_from=T + HOUR, entered_at=T - DAY),
    ]

    assert tariff_at([assignment("day")], *versions) == "day v2"


def test_an_assignment_entered_afterwards_changes_nothing() -> None:
    before = assignment("before")
    afterwards = assignment("afterwards", Scope.CHARGE_POINT, "CP-1", valid_from=T - DAY, entered_at=T + HOUR)

    assert tariff_at([before, afterwards]) == "before v1"


def test_a_version_entered_afterwards_changes_nothing() -> None:
    edited = version("day", 2, valid_from=T - DAY, entered_at=T + HOUR)

    assert tariff_at([assignment("day")], version("day", 1), edited) == "day v1"


def test_where_nothing_priced_the_session_then_what_was_entered_since_does() -> None:
    afterwards = assignment("afterwards", valid_from=T - DAY, entered_at=T + HOUR)

    assert tariff_at([afterwards], version("afterwards", entered_at=T + HOUR)) == "afterwards v1"


@pytest.mark.parametrize(
    ("window", "found"),
    [
        ({"start_date_time": "2026-03-02T12:00:00Z"}, "narrow v1"),
        ({"start_date_time": "2026-03-02T12:00:01Z"}, "wide v1"),
        ({"end_date_time": "2026-03-02T12:00:01Z"}, "narrow v1"),
        ({"end_date_time": "2026-03-02T12:00:00Z"}, "wide v1"),
    ],
)
def test_outside_its_own_dates_a_tariff_gives_way_to_a_wider_one(window: dict[str, Any], found: str) -> None:
    assignments = [assignment("narrow", Scope.SITE, "depot"), assignment("wide")]

    assert tariff_at(assignments, version("narrow", **window), version("wide")) == found


def test_a_version_that_has_ended_does_not_bring_the_older_one_back() -> None:
    ended = version("day", 2, valid_from=T - DAY, end_date_time="2026-03-02T00:00:00Z")

    assert tariff_at([assignment("day")], version("day", 1), ended) == "no_tariff"


def test_another_currency_than_the_sites_is_refused_not_skipped() -> None:
    francs = version("francs", currency="CHF")
    assignments = [assignment("francs", Scope.SITE, "depot"), assignment("euros")]

    assert tariff_at(assignments, francs, version("euros")) == "currency_mismatch"


def test_the_outcome_says_why() -> None:
    outcome = resolve(PLACE, by_target([assignment("day")]), {"day": [version("day")]})

    assert isinstance(outcome, Resolved)
    assert outcome.why == "default: tariff day version 1, assigned from 2026-02-20T12:00:00+00:00"


def test_where_nothing_applies_the_reasons_are_told() -> None:
    outcome = resolve(PLACE, by_target([assignment("fleet", user_class=UserClass.FLEET, number=3)]), {})

    assert isinstance(outcome, Unresolved)
    assert outcome.why == "assignment 3: for user class fleet, this is none"


# --- the matrix: who, what, how urgent -------------------------------------------------------------------------------

FLEET = replace(PLACE, customer=Customer(token_group="VANS", user_class=UserClass.FLEET), product="DC")


def test_an_assignment_holds_only_for_the_customers_and_the_product_that_it_names() -> None:
    everybody = assignment("everybody", number=1)
    fleet = assignment("fleet", user_class=UserClass.FLEET, number=2)
    group = assignment("group", token_group="VANS", number=3)
    other = assignment("other", token_group="LORRIES", number=4)
    fast = assignment("fast", product="DC", number=5)

    assert tariff_at([everybody, fleet, group, other, fast]) == "everybody v1"
    assert tariff_at([everybody, fleet, fast], place=FLEET) == "fleet v1"
    assert tariff_at([everybody, fleet, group, other, fast], place=FLEET) == "group v1"
    assert tariff_at([everybody, other, fast], place=FLEET) == "fast v1"
    assert tariff_at([other]) == "no_tariff"


def test_place_goes_before_customer_and_priority_before_both() -> None:
    at_the_site = assignment("site", Scope.SITE, "depot", number=1)
    of_the_fleet = assignment("fleet", user_class=UserClass.FLEET, number=2)
    contract = assignment("contract", token_group="VANS", priority=10, number=3)

    assert tariff_at([of_the_fleet, at_the_site], place=FLEET) == "site v1"
    assert tariff_at([of_the_fleet, at_the_site, contract], place=FLEET) == "contract v1"
    assert tariff_at([of_the_fleet, at_the_site, contract]) == "site v1"


def test_an_assignment_without_a_tariff_ends_the_one_before_it_and_no_other() -> None:
    wide = assignment("wide", number=1)
    narrow = assignment("narrow", Scope.SITE, "depot", number=2)
    end = replace(assignment("none", Scope.SITE, "depot", valid_from=T - DAY, number=3), tariff=None)

    assert tariff_at([wide, narrow, end], version("wide"), version("narrow")) == "wide v1"
    before = replace(PLACE, at=T - 2 * DAY)
    assert tariff_at([wide, narrow, end], version("wide"), version("narrow"), place=before) == "narrow v1"


SOME_ASSIGNMENTS = st.lists(
    st.builds(
        Assignment,
        id=st.integers(1, 1000),
        tariff=st.sampled_from(["a", "b", None]),
        scope=st.just(Scope.DEFAULT) | st.just(Scope.SITE),
        target=st.none(),
        valid_from=st.sampled_from([T - 2 * DAY, T - DAY, T, T + DAY]),
        entered_at=st.sampled_from([T - 3 * DAY, T - DAY, T + DAY]),
        audience=st.builds(
            Audience,
            user_class=st.sampled_from([None, UserClass.FLEET, UserClass.MEMBER]),
            product=st.sampled_from([None, "DC"]),
        ),
        priority=st.integers(0, 1),
    ).map(lambda each: replace(each, target="depot" if each.scope is Scope.SITE else None)),
    unique_by=lambda each: each.id,
    max_size=12,
)


@given(SOME_ASSIGNMENTS, st.randoms(use_true_random=False))
def test_what_is_told_of_each_assignment_is_the_decision_itself(assignments: list[Assignment], chance: Any) -> None:
    versions = {name: [version(name)] for name in ("a", "b")}
    shuffled = list(assignments)
    chance.shuffle(shuffled)

    for known_by in (FLEET.at, None):
        verdicts = judge(FLEET, shuffled, versions, known_by=known_by)

        assert sorted(each.assignment.id for each in verdicts) == sorted(each.id for each in assignments)
        assert verdicts == judge(FLEET, assignments, versions, known_by=known_by)
        winners = [each for each in verdicts if each.version is not None]
        assert winners in ([], verdicts[:1])
        assert all(each.why for each in verdicts)
    outcome = resolve(FLEET, by_target(shuffled), versions)
    decided = judge(FLEET, assignments, versions, known_by=FLEET.at)
    if not any(each.version for each in decided):
        decided = judge(FLEET, assignments, versions, known_by=None)
    found = [each.assignment for each in decided if each.version is not None]
    assert [outcome.assignment] == found if isinstance(outcome, Resolved) else found == []
