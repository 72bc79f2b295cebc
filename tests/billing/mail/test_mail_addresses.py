"""Which words are addresses, and which two are one mailbox."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.mail.address import LENGTH_MAX, compared, envelope_form, mistake_in
from tests.examples import tried


@pytest.mark.parametrize(
    ("written", "envelope"),
    [
        ("anna@customer.example", "anna@customer.example"),
        ("Anna.Meier+invoices@Customer.Example", "Anna.Meier+invoices@customer.example"),
        ("o'neill@customer.example", "o'neill@customer.example"),
        ("anna@bücher.example", "anna@xn--bcher-kva.example"),
        ("anna@xn--bcher-kva.example", "anna@xn--bcher-kva.example"),
        ("a@b.c.customer.example", "a@b.c.customer.example"),
    ],
)
def test_an_address_goes_into_an_envelope_in_ascii(written: str, envelope: str) -> None:
    assert mistake_in(written) is None
    assert envelope_form(written) == envelope


@pytest.mark.parametrize(
    ("written", "word"),
    [
        ("", "has no @"),
        ("anna", "has no @"),
        ("anna@", "no domain"),
        ("@customer.example", "no name of a mailbox"),
        ("anna@customer", "no domain"),
        ("anna@customer.example.", "no domain"),
        ("anna@customer..example", "no domain"),
        ("anna@-customer.example", "no domain"),
        ("anna@[192.0.2.1]", "no domain"),
        ("anna@192.0.2.1", "no domain"),
        ("anna meier@customer.example", "no name of a mailbox"),
        (".anna@customer.example", "no name of a mailbox"),
        ('"anna"@customer.example', "no name of a mailbox"),
        ("änna@customer.example", "no name of a mailbox"),
        ("Anna <anna@customer.example>", "no name of a mailbox"),
        ("anna@customer.example>", "no domain"),
        ("anna@customer.example\r\nBcc: eve@other.example", "no name of a mailbox"),
        ("anna\r\nRCPT TO:<eve@other.example>\r\n@customer.example", "no name of a mailbox"),
        ("anna@customer.example\n", "no domain"),
        ("anna@customer.example\x00", "no domain"),
        ("anna@customer.example SIZE=1", "no domain"),
        ("a" * 65 + "@customer.example", "longer than 64"),
        ("anna@" + "customer." * 30 + "example", "longer than 254"),
        ("anna@straße.example", "names two domains"),
    ],
)
def test_what_is_no_address_is_told_without_it(written: str, word: str) -> None:
    said = mistake_in(written)

    assert said is not None
    assert word in said
    assert "customer" not in said


@given(st.text(max_size=300))
@tried(300)
def test_no_text_becomes_an_envelope_that_says_more_than_an_address(written: str) -> None:
    for each in (written, f"{written}@customer.example", f"anna@{written}"):
        if mistake_in(each) is None:
            envelope = envelope_form(each)
            assert envelope.isascii()
            assert envelope.isprintable()
            assert not set(envelope) & set(' <>,;:"()[]\\')
            assert envelope.count("@") == 1
            assert len(envelope) <= LENGTH_MAX


def test_case_does_not_make_another_mailbox() -> None:
    assert compared("Anna@Bücher.example") == compared("anna@XN--BCHER-KVA.example")
    assert compared("anna@customer.example") != compared("anne@customer.example")
    assert compared("No Address") == "no address"
