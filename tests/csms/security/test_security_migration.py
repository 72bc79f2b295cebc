"""A database from before: its commands lose their secrets, its passwords and security events stay what they were."""

from __future__ import annotations

from csms.database.migrate import migrate
from csms.database.migration import own_migrations
from csms.database.pool import connect_once

NUMBER = 12
BEFORE = """
INSERT INTO site (id, name, country, time_zone, currency) VALUES ('s', 's', 'DE', 'UTC', 'EUR');
INSERT INTO charge_point (id, site, password_salt, password_hash, created_at)
VALUES ('CP-1', 's', '\\x01', '\\x02', '2026-01-01Z');
INSERT INTO charge_point (id, site, security_profile) VALUES ('CP-2', 's', 0);
INSERT INTO command (id, charge_point, body, expires_at, done_at)
VALUES ('00000000-0000-0000-0000-000000000001', 'CP-1', '{"command": "Reset", "hard": true}', now(), now()),
       ('00000000-0000-0000-0000-000000000002', 'CP-1', '{"command": "SetSettings", "values": [["Key", "made-up-4711"]]}',
        now(), NULL);
INSERT INTO security_event (charge_point, key, type, at, tech_info, received_at)
VALUES ('CP-1', '\\x01', 'TamperDetectionActivated', '2026-02-01Z', NULL, '2026-02-01Z'),
       ('CP-1', '\\x02', 'InvalidMessages', '2026-02-02Z', NULL, '2026-02-02Z'),
       ('CP-1', '\\x03', 'ForeignTransaction', '2026-02-03Z', '7 stops of transactions of other charge points, the first 1',
        '2026-02-03Z');
"""


async def test_what_was_stored_before_is_brought_into_the_new_shape(empty_database: str) -> None:
    every = own_migrations()
    await migrate(empty_database, migrations=[each for each in every if each.version < NUMBER])
    async with connect_once(empty_database, as_owner=True) as connection:
        await connection.execute(BEFORE)
    await migrate(empty_database, migrations=every)
    async with connect_once(empty_database) as connection:
        commands = await connection.fetch("SELECT body, kept FROM command ORDER BY id")
        changed = await connection.fetch(
            "SELECT id, password_changed_at IS NOT NULL AS known FROM charge_point ORDER BY id"
        )
        events = await connection.fetch(
            "SELECT type, source, critical, count, last_at = received_at AS same FROM security_event ORDER BY at"
        )

    assert [(each["body"] is None, each["kept"]) for each in commands] == [
        (True, {"command": "Reset", "hard": True}),
        (False, {"command": "SetSettings"}),
    ]
    assert [(each["id"], each["known"]) for each in changed] == [("CP-1", True), ("CP-2", False)]
    assert [tuple(each) for each in events] == [
        ("TamperDetectionActivated", "charge_point", True, 1, True),
        ("InvalidMessages", "charge_point", False, 1, True),
        ("ForeignTransaction", "csms", True, 1, True),
    ]
