"""The abuse probe: it sees what a naive central system does wrong, and leaves an honest neighbour alone."""

from __future__ import annotations

import logging

import pytest

from simulators.abuse import AbuseReport, run_abuse
from simulators.abuse.expectation import Outcome, answer, closed, judge_text, result
from simulators.abuse.probe import case_names
from tests.simulators.central_system import CentralSystem

logging.getLogger("websockets").setLevel(logging.CRITICAL)  # the naive system's crashes are the point here


async def probed(central: CentralSystem, protocol: str) -> AbuseReport:
    attacker, canary = ("EVIL", central.password), ("CANARY", central.password)
    return await run_abuse(central.url, protocol, attacker, canary, answer_timeout_s=0.5, canary_every_s=0.02)


async def test_a_naive_central_system_is_found_out_and_its_neighbours_left_alone(central: CentralSystem) -> None:
    report = await probed(central, "ocpp1.6")
    must = {finding.case: finding.why for finding in report.must_failed}
    should = {finding.case: finding.why for finding in report.should_failed}

    assert must["1000 lists deep"] == "closed with 1011"
    assert must["handshake: identity 'NO-SUCH-CP'"] == "let in"
    assert "expected result" in should["StopTransaction: without meterStop"]
    assert "wire: a binary frame with a valid CALL" in should
    assert "wire: an unmasked frame" not in must | should
    assert "Heartbeat: payload is text" not in must
    assert report.canary_bad == []
    assert report.canary_ms
    assert not report.ok


@pytest.mark.parametrize(("protocol", "least"), [("ocpp1.6", 305), ("ocpp2.0.1", 251)])
def test_there_are_enough_cases_and_each_has_its_own_name(protocol: str, least: int) -> None:
    names = list(case_names(protocol))

    assert len(names) >= least
    assert len(set(names)) == len(names)


def test_silence_and_crashes_fail_in_earnest_and_wrong_codes_do_not() -> None:
    wanted = answer(frozenset({"TypeConstraintViolation"}))

    assert wanted.must(Outcome(kind="nothing")) == "no answer"
    assert wanted.must(Outcome(kind="error", code="InternalError")) == "InternalError"
    assert wanted.must(Outcome(kind="error", code="GenericError")) is None
    assert wanted.should(Outcome(kind="error", code="GenericError")) is not None
    assert wanted.should(Outcome(kind="result")) is None
    assert closed(1002).must(Outcome(kind="close", code="1011")) == "closed with 1011"
    assert closed(1002).should(Outcome(kind="close", code="1009")) is not None


def test_an_error_to_a_transaction_message_is_not_what_we_want() -> None:
    assert result().should(judge_text('[4,"x","FormationViolation","",{}]')) is not None
    assert result().should(judge_text('[3,"x",{}]')) is None


@pytest.mark.parametrize("text", ["", "hello", "{}", "[5]", '[4,"x"]'])
def test_an_answer_that_is_no_frame_is_strange(text: str) -> None:
    assert judge_text(text).kind == "strange"
