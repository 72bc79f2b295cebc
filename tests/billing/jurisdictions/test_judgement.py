"""What the law of a place says of a tariff: each rule speaks where it is broken, and nowhere else."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from billing.jurisdictions.checks import CHECKS
from billing.jurisdictions.judgement import LegalFinding, judge
from billing.jurisdictions.profile import Circumstances, Fact, display_of_country, profiles
from billing.tariffs.lint import Severity
from billing.tariffs.tariff import Tariff
from tests.billing.jurisdictions.samples import part, plain, tariff

FAST = Circumstances(power_kw=Decimal(60), ad_hoc=True)
SLOW = Circumstances(power_kw=Decimal(22), ad_hoc=True)
BY_CONTRACT = Circumstances(power_kw=Decimal(60), ad_hoc=False)
DAY = {"start_time": "08:00", "end_time": "20:00"}
ALT_TEXT = [{"language": "en", "text": "1.00 for plugging in"}]
DOLLARS: dict[str, Any] = {"currency": "USD", "tax_included": "NO"}
SPOT: dict[str, Any] = {"x_series": {"name": "SPOT", "factor": "1.1", "fallback": "0.30"}}
TIERS: dict[str, Any] = {"x_tiers": [{"from_kwh": 100, "price": "0.40"}]}
GRACE: dict[str, Any] = {"x_idle": {"grace_s": 600, "cap": "12", "quiet_from": "22:00", "quiet_to": "06:00"}}
MANY_BANDS = tariff(
    *(
        ([part(price=f"0.{hour + 10}")], {"start_time": f"{hour:02}:00", "end_time": f"{hour + 1:02}:00"})
        for hour in range(23)
    ),
    ([part(price="0.90")], {}),
)

BROKEN: list[tuple[str, Severity, Tariff]] = [
    ("afir_price_per_kwh", Severity.ERROR, tariff(([part("PARKING_TIME", "6.00")], {}))),
    ("afir_session_fee", Severity.ERROR, plain(part("FLAT", "1.00"))),
    ("afir_time_from_start", Severity.WARNING, plain(part("TIME", "6.00"))),
    ("afir_minimum", Severity.WARNING, plain(min_price={"before_taxes": 2})),
    ("afir_reservation", Severity.WARNING, tariff(([part("FLAT")], {"reservation": "RESERVATION"}), ([part()], {}))),
    ("afir_per_minute", Severity.WARNING, plain(part("PARKING_TIME", "5.00"))),
    ("afir_per_minute", Severity.WARNING, plain(part("PARKING_TIME", "6.00", step_size=900))),
    ("afir_known_before", Severity.WARNING, tariff(([part(price="0.40")], {"max_power": 11}), ([part()], {}))),
    ("afir_all_shown", Severity.WARNING, MANY_BANDS),
    ("afir_tax_included", Severity.WARNING, tariff(([part(vat=None)], {}), tax_included="NO")),
    ("afir_ad_hoc_type", Severity.ADVICE, plain(type="REGULAR")),
    ("pcpr_currency", Severity.ERROR, plain()),
    ("pcpr_price_per_kwh", Severity.ERROR, tariff(([part("TIME", "6.00")], {}), currency="GBP")),
    ("pcpr_total_price", Severity.ERROR, plain(part("FLAT", "0.35"), currency="GBP")),
    ("pcpr_total_price", Severity.ERROR, plain(part("TIME", "3.00"), currency="GBP")),
    ("pcpr_total_price", Severity.ERROR, plain(currency="GBP", min_price={"before_taxes": 1})),
    ("pcpr_overstay", Severity.WARNING, plain(part("PARKING_TIME", "6.00"), currency="GBP")),
    ("pcpr_steps", Severity.WARNING, tariff(([part(step_size=500)], {}), currency="GBP")),
    ("pcpr_series", Severity.ERROR, tariff(([part(**SPOT)], {}), currency="GBP")),
    ("pcpr_total_price", Severity.ERROR, plain(part("X_OCCUPANCY", "3.00"), currency="GBP")),
    ("afir_time_from_start", Severity.WARNING, plain(part("X_OCCUPANCY", "6.00"))),
    ("afir_known_before", Severity.WARNING, tariff(([part(**SPOT)], {}))),
    ("nevi_price_fixed", Severity.ERROR, tariff(([part(**TIERS)], {}), **DOLLARS)),
    ("eichrecht_time", Severity.ERROR, plain(part("X_OCCUPANCY", "6.00"))),
    ("eichrecht_price_changes", Severity.ERROR, tariff(([part(**SPOT)], {}))),
    (
        "pcpr_reservation",
        Severity.WARNING,
        tariff(([part("FLAT")], {"reservation": "RESERVATION"}), ([part()], {}), currency="GBP"),
    ),
    ("pcpr_tax_included", Severity.ERROR, tariff(([part(vat=None)], {}), currency="GBP", tax_included="NO")),
    ("nevi_currency", Severity.ERROR, plain()),
    ("nevi_price_per_kwh", Severity.ERROR, tariff(([part("TIME", "6.00")], {}), **DOLLARS)),
    ("nevi_price_fixed", Severity.ERROR, tariff(([part(price="0.40")], DAY), ([part()], {}), **DOLLARS)),
    ("nevi_price_fixed", Severity.ERROR, tariff(([part()], {"max_kwh": 20}), **DOLLARS)),
    ("nevi_price_fixed", Severity.ERROR, tariff(([part(price="0")], {"max_duration": 60}), ([part()], {}), **DOLLARS)),
    ("nevi_fees_explained", Severity.ADVICE, plain(part("FLAT", "1.00"), **DOLLARS)),
    ("nevi_all_shown", Severity.WARNING, MANY_BANDS),
    ("ctep_currency", Severity.ERROR, plain()),
    ("ctep_method_of_sale", Severity.ERROR, tariff(([part("TIME", "6.00")], {}), **DOLLARS)),
    ("ctep_fees_disclosed", Severity.ADVICE, plain(part("PARKING_TIME", "6.00"), **DOLLARS)),
    ("ctep_variation_disclosed", Severity.ADVICE, tariff(([part(price="0.40")], DAY), ([part()], {}), **DOLLARS)),
    ("ctep_all_shown", Severity.WARNING, MANY_BANDS),
    ("eichrecht_price_changes", Severity.ERROR, tariff(([part(price="0.40")], DAY), ([part()], {}))),
    ("eichrecht_time", Severity.ERROR, plain(part("TIME", "6.00"))),
    ("eichrecht_time", Severity.ERROR, plain(part("PARKING_TIME", "6.00"))),
    ("eichrecht_steps", Severity.WARNING, tariff(([part(step_size=100)], {}))),
]


def profile_of(rule: str) -> str:
    return next(name for name, profile in profiles().items() if rule in {each.name for each in profile.rules})


def found(priced: Tariff, profile: str, where: Circumstances = FAST) -> list[LegalFinding]:
    return judge(priced, profiles()[profile], where)


@pytest.mark.parametrize(("rule", "severity", "priced"), BROKEN)
def test_each_rule_speaks_where_it_is_broken(rule: str, severity: Severity, priced: Tariff) -> None:
    said = [each for each in found(priced, profile_of(rule)) if each.code == rule]

    assert [each.severity for each in said] == [severity]
    assert said[0].jurisdiction == profile_of(rule)
    assert said[0].source
    assert said[0].next_step
    assert said[0].path.startswith("$")


def test_every_rule_has_a_tariff_that_breaks_it_here() -> None:
    assert {rule for rule, _, _ in BROKEN} == {rule.name for each in profiles().values() for rule in each.rules}


@pytest.mark.parametrize(
    ("profile", "priced"),
    [
        ("eu-afir", plain(part("PARKING_TIME", "6.00", step_size=60), type="AD_HOC_PAYMENT")),
        ("eu-afir", tariff(([part("TIME", "6.00")], {"min_duration": 14400}), ([part()], {}))),
        ("eu-afir", tariff(([part(price="0.40")], DAY), ([part()], {}), max_price={"before_taxes": 50})),
        ("eu-afir", tariff(([part("FLAT", "0")], {}))),
        ("eu-afir", plain(part("PARKING_TIME", "6.00", **GRACE))),
        ("uk-pcpr", tariff(([part(**TIERS)], {}), currency="GBP")),
        ("uk-pcpr", plain(currency="GBP", max_price={"before_taxes": 50})),
        ("uk-pcpr", tariff(([part(price="0.40")], DAY), ([part()], {}), currency="GBP")),
        ("us-nevi", plain(part("FLAT", "1.00"), part("PARKING_TIME", "6.00"), tariff_alt_text=ALT_TEXT, **DOLLARS)),
        ("us-nevi", tariff(([part("PARKING_TIME", "6.00")], DAY), ([part()], {}), tariff_alt_text=ALT_TEXT, **DOLLARS)),
        ("us-ca", plain(part("TIME", "6.00"), tariff_alt_text=ALT_TEXT, **DOLLARS)),
        ("de-eichrecht", plain(part("FLAT", "1.00"))),
        ("de-eichrecht", tariff(([part("TIME", "6.00")], {"reservation": "RESERVATION"}), ([part()], {}))),
    ],
)
def test_a_tariff_that_keeps_the_law_has_no_findings(profile: str, priced: Tariff) -> None:
    assert found(priced, profile) == []


@pytest.mark.parametrize("where", [SLOW, BY_CONTRACT])
def test_a_session_fee_is_free_to_ask_below_50_kw_and_by_contract(where: Circumstances) -> None:
    assert found(plain(part("FLAT", "1.00"), part("TIME", "6.00")), "eu-afir", where) == []


def test_from_50_kw_on_means_50_kw_too() -> None:
    at = [Circumstances(power_kw=Decimal(power), ad_hoc=True) for power in ("49.999", "50")]

    assert [bool(found(plain(part("FLAT", "1.00")), "eu-afir", where)) for where in at] == [False, True]


def test_a_rule_that_depends_on_an_unknown_power_warns_and_says_so() -> None:
    (finding,) = found(plain(part("FLAT", "1.00")), "eu-afir", Circumstances())

    assert finding.severity is Severity.WARNING
    assert "(at 50 kW and more)" in finding.message


def test_the_type_of_a_tariff_says_who_pays_where_nobody_else_does() -> None:
    regular = plain(part("FLAT", "1.00"), type="REGULAR")
    for_all = plain(part("FLAT", "1.00"))
    fast = Circumstances(power_kw=Decimal(60))

    assert found(regular, "eu-afir", fast) == []
    assert [each.code for each in found(for_all, "eu-afir", fast)] == ["afir_session_fee"]


@pytest.mark.parametrize(
    ("fact", "rule"), [(Fact.SIGNED_CUTS, "eichrecht_price_changes"), (Fact.TIME_METER, "eichrecht_time")]
)
def test_what_holds_at_the_charge_points_lifts_its_rule_alone(fact: Fact, rule: str) -> None:
    priced = tariff(([part(price="0.40")], DAY), ([part(), part("TIME", "6.00")], {}))

    without = {each.code for each in found(priced, "de-eichrecht")}
    given = {each.code for each in found(priced, "de-eichrecht", Circumstances(given=frozenset({fact})))}

    assert without == {"eichrecht_price_changes", "eichrecht_time"}
    assert given == without - {rule}


def test_a_finding_stands_at_the_component_that_it_is_about() -> None:
    findings = found(
        plain(part("FLAT", "0.35"), part("TIME", "3.00"), min_price={"before_taxes": 1}, currency="GBP"), "uk-pcpr"
    )

    assert [each.path for each in findings] == [
        "$.elements[0].price_components[2]",
        "$.elements[0].price_components[1]",
        "$.min_price",
    ]


def test_all_problems_come_at_once() -> None:
    priced = plain(part("FLAT", "1"), part("TIME", "5.00"), min_price={"before_taxes": 2}, type="REGULAR")

    assert [each.code for each in found(priced, "eu-afir")] == [
        "afir_session_fee",
        "afir_time_from_start",
        "afir_minimum",
        "afir_per_minute",
        "afir_ad_hoc_type",
    ]


def test_profiles_name_checks_that_exist_and_rules_that_are_told_apart() -> None:
    rules = [rule for profile in profiles().values() for rule in profile.rules]

    assert {rule.check for rule in rules} == set(CHECKS)
    assert len({rule.name for rule in rules}) == len(rules)
    assert all(rule.source and rule.next and rule.says for rule in rules)


@pytest.mark.parametrize(("country", "name"), [("DE", "eu-afir"), ("GB", "uk-pcpr"), ("US", "us-nevi")])
def test_a_country_has_the_form_of_its_law(country: str, name: str) -> None:
    profile = display_of_country(country)

    assert profile is not None
    assert profile.name == name


def test_a_country_without_a_profile_has_no_form() -> None:
    assert display_of_country("JP") is None
