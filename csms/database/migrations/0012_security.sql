-- Passwords on their way into charge points, profiles that charge points are to come up with, our own security events,
-- and commands whose secrets are gone as soon as they are done.

-- `kept` is what stays of a command: made when it is asked, without the secrets that `body` carries until it is done.
ALTER TABLE command ADD COLUMN kept jsonb;
ALTER TABLE command ALTER COLUMN body DROP NOT NULL;
UPDATE command SET kept = CASE WHEN done_at IS NULL THEN jsonb_build_object('command', body -> 'command') ELSE body END;
UPDATE command SET body = NULL WHERE done_at IS NOT NULL;

-- `security_profile_wanted`: the charge point was asked to come up with it; until it does, the present one is taken too.
-- `serial_registered`: the serial number that the operator gave; `serial` is what the charge point told at its last boot.
ALTER TABLE charge_point
    ADD COLUMN password_changed_at     timestamptz,
    ADD COLUMN security_profile_wanted smallint CHECK (security_profile_wanted BETWEEN 1 AND 3),
    ADD COLUMN serial_registered       text CHECK (serial_registered <> ''),
    ADD CONSTRAINT charge_point_profile_rises CHECK (security_profile_wanted > security_profile);
UPDATE charge_point SET password_changed_at = created_at WHERE password_hash IS NOT NULL;

-- A password that was, or may have been, given to a charge point (OCPP 2.0.1 A01). Its hash stands here only while
-- nobody knows whether the charge point holds it: it opens the door beside the present one until it has shown which.
CREATE TABLE password_change (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    charge_point    text NOT NULL REFERENCES charge_point,
    state           text NOT NULL DEFAULT 'sent'
                    CHECK (state IN ('sent', 'unknown', 'after_restart', 'in_use', 'refused', 'not_taken', 'superseded')),
    salt            bytea,
    hash            bytea,
    actor           text,
    outcome         text,
    made_at         timestamptz NOT NULL DEFAULT now(),
    answer_due_at   timestamptz NOT NULL,
    settled_at      timestamptz,
    CHECK ((state IN ('sent', 'unknown', 'after_restart')) = (hash IS NOT NULL)),
    CHECK ((hash IS NULL) = (salt IS NULL))
);
CREATE INDEX password_change_of ON password_change (charge_point, id);
CREATE INDEX password_change_waiting ON password_change (charge_point) WHERE hash IS NOT NULL;

-- Events of ours stand beside those that charge points send. One row of ours counts what happened within an hour;
-- charge_point is '' where nobody knows whose socket it was.
ALTER TABLE security_event
    ADD COLUMN number    bigint GENERATED ALWAYS AS IDENTITY,
    ADD COLUMN source    text NOT NULL DEFAULT 'charge_point' CHECK (source IN ('charge_point', 'csms')),
    ADD COLUMN critical  boolean NOT NULL DEFAULT false,
    ADD COLUMN remote    text,
    ADD COLUMN count     bigint NOT NULL DEFAULT 1 CHECK (count > 0),
    ADD COLUMN last_at   timestamptz NOT NULL DEFAULT now();
UPDATE security_event SET last_at = received_at;
UPDATE security_event SET source = 'csms', critical = true
 WHERE type = 'ForeignTransaction' AND tech_info LIKE '% stops of transactions of other charge points%';
UPDATE security_event SET critical = true
 WHERE type IN ('FirmwareUpdated', 'SettingSystemTime', 'StartupOfTheDevice', 'ResetOrReboot', 'SecurityLogWasCleared',
                'MemoryExhaustion', 'TamperDetectionActivated');
CREATE UNIQUE INDEX security_event_number ON security_event (number);
CREATE INDEX security_event_recent ON security_event (charge_point, received_at);
CREATE INDEX security_event_newest ON security_event (last_at);
