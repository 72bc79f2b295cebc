"""Transactions that lose against others, of whatever kind: run again, unnoticed by charge points (D16)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from csms.database.pool import TRIES_MAX, connect_once, retrying
from csms.nodes.routing import ask
from csms.protocol.vocabulary import Outcome, TriggerMessage
from tests.faults.wire import Reply, Wire, boot, event_201, meter_values_16, start_16, stop_16, wire
from tests.faults.world import TOKEN, commission, furnish, serving, until

T0 = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=3)
HOUR = timedelta(hours=1)
KINDS = 1024

CONFLICTS = f"""
    DO $$
    BEGIN
        FOR n IN 0..{KINDS - 1} LOOP
            EXECUTE format('CREATE SEQUENCE conflicts_%s', n);
        END LOOP;
    END
    $$;
    CREATE FUNCTION lose_first() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
    DECLARE
        tries bigint;
    BEGIN
        -- What a transaction writes first says of which kind it is; only that is made to fail.
        IF current_setting('conflicts.began', true) = txid_current()::text THEN
            RETURN NULL;
        END IF;
        PERFORM set_config('conflicts.began', txid_current()::text, true);
        -- A sequence counts on after a rollback.
        tries := nextval(format('conflicts_%s', hashtext(current_query()) & {KINDS - 1}));
        IF tries < {TRIES_MAX} THEN
            RAISE EXCEPTION 'injected' USING ERRCODE = CASE tries % 2 WHEN 0 THEN '40001' ELSE '40P01' END;
        END IF;
        RETURN NULL;
    END
    $$;
    DO $$
    DECLARE
        name text;
    BEGIN
        FOR name IN SELECT oid::regclass::text FROM pg_class
                     WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition LOOP
            EXECUTE format('CREATE TRIGGER lose_first BEFORE INSERT OR UPDATE OR DELETE ON %s '
                           'FOR EACH STATEMENT EXECUTE FUNCTION lose_first()', name);
        END LOOP;
    END
    $$;
"""
"""Each kind of transaction fails as often as it may, and succeeds with its last try."""


async def a_session_of_16(station: Wire) -> list[Reply]:
    replies = [
        await boot(station),
        await station.call("StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": "Preparing"}),
        await station.call("Authorize", {"idTag": TOKEN}),
        await station.call("StartTransaction", start_16(T0)),
        await station.call("StartTransaction", start_16(T0)),
    ]
    first, again = (reply.payload["transactionId"] for reply in replies[-2:])
    assert first == again
    return [
        *replies,
        await station.call("MeterValues", meter_values_16(first, T0 + HOUR / 2, meter_wh=3000)),
        await station.call("DataTransfer", {"vendorId": "com.example"}),
        await station.call("DiagnosticsStatusNotification", {"status": "Idle"}),
        await station.call("FirmwareStatusNotification", {"status": "Idle"}),
        await station.call("StopTransaction", stop_16(first, T0 + HOUR)),
        await station.call("StopTransaction", stop_16(first, T0 + HOUR)),
    ]


async def a_session_of_201(station: Wire) -> list[Reply]:
    security = {"type": "SettingSystemTime", "timestamp": T0.isoformat()}
    kinds = ("Started", "Updated", "Ended")
    events = [
        event_201(kind, n, T0 + n * HOUR / 2, meter_wh=1000 + 2500 * n, transaction="a-transaction")
        for n, kind in enumerate(kinds)
    ]
    return [
        await boot(station),
        await station.call("SecurityEventNotification", security),
        await station.call("SignCertificate", {"csr": "no request at all"}),
        await station.call("ReservationStatusUpdate", {"reservationId": 1, "reservationUpdateStatus": "Expired"}),
        *[await station.call("TransactionEvent", event) for event in events],
        await station.call("TransactionEvent", events[-1]),
    ]


async def a_command_to(station: Wire, dsn: str) -> Outcome:
    """Whoever asks asks again where the asking itself is lost; it is carried out once."""
    station.answers["TriggerMessage"] = lambda _asked: {"status": "Accepted"}
    async with connect_once(dsn) as connection:
        command = TriggerMessage(message="Heartbeat")
        return await retrying(lambda: ask(connection, "CP-1", command, actor="operator", timeout_s=10))


async def test_every_kind_of_transaction_may_lose_four_times_and_nobody_notices(
    database: str, tmp_path: Path, no_bug_is_logged: list[dict[str, Any]]
) -> None:
    async with serving(database, tmp_path) as running:
        await furnish(database)
        passwords = await commission(database, tmp_path, ["CP-1", "CP-2"])
        async with connect_once(database, as_owner=True) as owner:
            await owner.execute(CONFLICTS)
        async with (
            wire(running.ocpp_url, "CP-1", passwords["CP-1"]) as one,
            wire(running.ocpp_url, "CP-2", passwords["CP-2"], "ocpp2.0.1") as two,
        ):
            replies = [*await a_session_of_16(one), *await a_session_of_201(two)]
            outcome = await a_command_to(one, database)
            await until(lambda: _both_billed(database), what="both sessions are billed")
            for station in (one, two):
                assert (await station.call("Heartbeat", {})).error is None

    assert [reply.error for reply in replies if reply.error] == []
    async with connect_once(database, as_owner=True) as owner:
        sessions = await owner.fetch("SELECT charge_point, energy_wh, holds FROM session ORDER BY charge_point")
        kinds = await owner.fetchval(
            "SELECT count(*) FROM pg_sequences WHERE sequencename LIKE 'conflicts_%' AND last_value >= $1", TRIES_MAX
        )
    assert [tuple(row) for row in sessions] == [("CP-1", 5000, []), ("CP-2", 5000, [])]
    assert outcome.accepted
    assert [action for action, _ in one.asked].count("TriggerMessage") == 1
    assert kinds > 15
    # What the charge point reported, and what is wrong with its request.
    assert {line["event"] for line in no_bug_is_logged} == {"security_event", "certificate_alarm"}, no_bug_is_logged


async def _both_billed(dsn: str) -> bool:
    async with connect_once(dsn) as connection:
        return bool(await connection.fetchval("SELECT count(*) = 2 FROM bill WHERE kind = 'final'"))
