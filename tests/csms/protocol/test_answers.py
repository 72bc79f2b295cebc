"""Every answer that leaves fits the official schema."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ocpp_payloads import CALLS, CHARGE_POINT, RECEIVED_AT, VALID

from csms.protocol.translator import translator
from csms.protocol.validation import is_valid
from csms.protocol.vocabulary import (
    Acknowledged,
    BootAnswer,
    Booted,
    ChargingAnswer,
    ChargingEvent,
    Decision,
    Fact,
    HeartbeatReceived,
    Protocol,
    Registration,
    TimeAnswer,
    TokenAnswer,
    TokenPresented,
    TokenStatus,
    TokenVerdict,
    VendorDataAnswer,
    VendorDataReceived,
)

AT = datetime(2026, 3, 1, 13, 0, 0, 123456, tzinfo=timezone(timedelta(hours=1)))
TIMES = st.integers(946_684_800, 7_258_000_000).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
VERDICTS = st.builds(
    TokenVerdict,
    status=st.sampled_from(TokenStatus),
    group=st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=60),
    expires_at=st.none() | TIMES,
)
AMOUNTS = st.decimals(0, 10**9, places=2)


def decisions(protocol: Protocol, fact: Fact) -> st.SearchStrategy[Decision]:
    """What may be decided about `fact`."""
    match fact:
        case Booted():
            return st.builds(
                BootAnswer, registration=st.sampled_from(Registration), now=TIMES, interval_s=st.integers(1, 86400)
            )
        case HeartbeatReceived():
            return st.builds(TimeAnswer, now=TIMES)
        case TokenPresented():
            return st.builds(TokenAnswer, verdict=VERDICTS)
        case ChargingEvent():
            transaction = st.integers(1, 2**31 - 1) if protocol is Protocol.V16 else st.none()
            cost = st.none() if protocol is Protocol.V16 else st.none() | AMOUNTS
            return st.builds(ChargingAnswer, transaction=transaction, verdict=st.none() | VERDICTS, total_cost=cost)
        case VendorDataReceived():
            statuses = ["Accepted", "Rejected", "UnknownVendorId", "UnknownMessageId"]
            return st.builds(VendorDataAnswer, status=st.sampled_from(statuses))
        case _:
            return st.just(Acknowledged())


@given(st.data())
def test_every_answer_to_every_action_fits_the_schema(data):
    protocol, action = data.draw(st.sampled_from(CALLS))
    speaker = translator(protocol)
    fact = speaker.read(action, VALID[protocol][action], charge_point=CHARGE_POINT, received_at=RECEIVED_AT)

    answer = speaker.answer(action, data.draw(decisions(protocol, fact)), fact=fact)

    assert is_valid(protocol, action, answer, response=True)
    assert is_valid(protocol, action, orjson.loads(orjson.dumps(answer)), response=True)


@pytest.mark.parametrize("protocol", list(Protocol))
def test_a_boot_is_answered_with_time_in_utc_and_milliseconds(protocol):
    decision = BootAnswer(registration=Registration.PENDING, now=AT, interval_s=300)

    assert translator(protocol).answer("BootNotification", decision) == {
        "status": "Pending",
        "currentTime": "2026-03-01T12:00:00.123Z",
        "interval": 300,
    }


def test_a_verdict_carries_its_group_and_expiry_in_the_words_of_the_version():
    verdict = TokenVerdict(status=TokenStatus.ACCEPTED, group="FLEET", expires_at=AT)

    assert translator(Protocol.V16).answer("Authorize", TokenAnswer(verdict=verdict)) == {
        "idTagInfo": {"status": "Accepted", "parentIdTag": "FLEET", "expiryDate": "2026-03-01T12:00:00.123Z"}
    }
    assert translator(Protocol.V201).answer("Authorize", TokenAnswer(verdict=verdict)) == {
        "idTokenInfo": {
            "status": "Accepted",
            "groupIdToken": {"idToken": "FLEET", "type": "Central"},
            "cacheExpiryDateTime": "2026-03-01T12:00:00.123Z",
        }
    }


def test_a_start_whose_token_could_not_be_read_authorises_nobody():
    answer = translator(Protocol.V16).answer("StartTransaction", ChargingAnswer(transaction=12))

    assert answer == {"transactionId": 12, "idTagInfo": {"status": "Invalid"}}


def test_a_stop_gets_a_verdict_only_where_one_was_given():
    speaker = translator(Protocol.V16)
    verdict = TokenVerdict(status=TokenStatus.EXPIRED)

    assert speaker.answer("StopTransaction", ChargingAnswer()) == {}
    assert speaker.answer("StopTransaction", ChargingAnswer(verdict=verdict)) == {"idTagInfo": {"status": "Expired"}}


def test_free_is_a_cost_of_zero_and_unknown_is_no_cost():
    speaker = translator(Protocol.V201)

    assert (
        orjson.dumps(speaker.answer("TransactionEvent", ChargingAnswer(total_cost=Decimal("0.00"))))
        == b'{"totalCost":0.0}'
    )
    assert speaker.answer("TransactionEvent", ChargingAnswer()) == {}


@given(AMOUNTS)
def test_a_cost_reads_back_to_the_cent(amount):
    answer = translator(Protocol.V201).answer("TransactionEvent", ChargingAnswer(total_cost=amount))

    assert Decimal(orjson.dumps(answer["totalCost"]).decode()) == amount
