-- Charge points, their facts, and the sessions folded from them.
-- Facts are append-only; `session` is a projection that can be recomputed from them.

-- What holds for the installation as a whole: the fingerprint of the key that the password hashes were made with.
CREATE TABLE installation (
    name   text PRIMARY KEY,
    value  text NOT NULL
);

CREATE TABLE site (
    id          text PRIMARY KEY,
    name        text NOT NULL,
    country     char(2) NOT NULL,
    time_zone   text NOT NULL,
    currency    char(3) NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE charge_point (
    id                text PRIMARY KEY CHECK (id <> '' AND length(id) <= 48 AND position(':' IN id) = 0),
    site              text NOT NULL REFERENCES site,
    registration      text NOT NULL DEFAULT 'Accepted' CHECK (registration IN ('Accepted', 'Pending', 'Rejected')),
    security_profile  smallint NOT NULL DEFAULT 1 CHECK (security_profile BETWEEN 0 AND 3),
    password_salt     bytea,
    password_hash     bytea,
    protocol          text CHECK (protocol IN ('ocpp1.6', 'ocpp2.0.1')),
    strict            boolean NOT NULL DEFAULT false,
    template          boolean NOT NULL DEFAULT true,
    current           text NOT NULL DEFAULT 'AC' CHECK (current IN ('AC', 'DC')),
    max_power_w       numeric(12, 3) CHECK (max_power_w > 0),
    time_zone         text,
    idle_after_stop   boolean NOT NULL DEFAULT false,
    idle_cap_s        integer CHECK (idle_cap_s > 0),
    vendor            text,
    model             text,
    serial            text,
    firmware          text,
    booted_at         timestamptz,
    created_at        timestamptz NOT NULL DEFAULT now()
);
-- Charge points write their identity in any case; two that differ only in case would be one.
CREATE UNIQUE INDEX charge_point_identity ON charge_point (lower(id));

-- The current status is the last arrival; the history is status_report.
CREATE TABLE connector (
    charge_point  text NOT NULL REFERENCES charge_point,
    evse          integer NOT NULL CHECK (evse >= 0),
    connector     integer NOT NULL CHECK (connector >= 0),
    status        text,
    error_code    text,
    info          text,
    reported_at   timestamptz,
    PRIMARY KEY (charge_point, evse, connector)
);

-- What was decided about a token, when; the latest row at an instant is its state at that instant.
CREATE TABLE token_event (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    uid         text NOT NULL CHECK (uid = upper(uid) AND uid <> ''),
    at          timestamptz NOT NULL DEFAULT now(),
    kind        text NOT NULL CHECK (kind IN ('issued', 'blocked', 'unblocked')),
    group_id    text,
    expires_at  timestamptz,
    reason      text,
    actor       text
);
CREATE INDEX token_event_uid ON token_event (uid, at DESC, id DESC);

-- A session's id is also the transactionId that OCPP 1.6 asks us for: unique for ever, within int32.
CREATE SEQUENCE session_id AS integer MINVALUE 1 START 1 NO CYCLE;

CREATE TABLE session (
    id              integer PRIMARY KEY DEFAULT nextval('session_id'),
    charge_point    text NOT NULL REFERENCES charge_point,
    transaction     text NOT NULL,
    generation      integer NOT NULL DEFAULT 0,
    created_at      timestamptz NOT NULL DEFAULT now(),
    -- the projection
    evse            integer,
    connector       integer,
    token           text,
    started_at      timestamptz,
    ended_at        timestamptz,
    released_at     timestamptz,
    complete_at     timestamptz,
    energy_wh       numeric(20, 3),
    register_begin_wh numeric(20, 3),
    register_end_wh numeric(20, 3),
    energy_source   text,
    dropped         text,
    holds           text[] NOT NULL DEFAULT '{}',
    flags           text[] NOT NULL DEFAULT '{}',
    last_fact_at    timestamptz,
    inputs_hash     bytea,
    findings        jsonb NOT NULL DEFAULT '[]',
    projected_at    timestamptz,
    UNIQUE (charge_point, transaction, generation)
);
CREATE INDEX session_open ON session (charge_point, evse) WHERE ended_at IS NULL AND dropped IS NULL;
CREATE INDEX session_open_token ON session (token) WHERE ended_at IS NULL AND dropped IS NULL;
CREATE INDEX session_incomplete ON session (id) WHERE ended_at IS NOT NULL AND complete_at IS NULL AND dropped IS NULL;
CREATE INDEX session_completing ON session (complete_at) WHERE ended_at IS NOT NULL AND dropped IS NULL;
CREATE INDEX session_held ON session (id) WHERE holds <> '{}';
CREATE INDEX session_started ON session (started_at);
CREATE INDEX session_of_evse ON session (charge_point, evse, started_at);
CREATE INDEX session_of_evse_by_arrival ON session (charge_point, evse, id);

-- A start, a stop, a transaction event, once each (RULES.md 3-5). session NULL: it fits nowhere, an orphan.
CREATE TABLE charging_event (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    charge_point    text NOT NULL REFERENCES charge_point,
    key             bytea NOT NULL,
    occurrence      integer NOT NULL DEFAULT 0,
    session         integer REFERENCES session,
    kind            text NOT NULL CHECK (kind IN ('started', 'updated', 'ended')),
    transaction     text,
    evse            integer,
    connector       integer,
    token           text,
    token_type      text,
    at              timestamptz NOT NULL,
    register_wh     numeric(20, 3),
    seq_no          bigint,
    trigger         text,
    charging_state  text,
    stopped_reason  text,
    offline         boolean NOT NULL DEFAULT false,
    reservation     integer,
    remote_start    bigint,
    malformed       boolean NOT NULL DEFAULT false,
    quirks          text[] NOT NULL DEFAULT '{}',
    answer          jsonb NOT NULL,
    socket          uuid,
    received_at     timestamptz NOT NULL,
    UNIQUE (charge_point, key, occurrence)
);
CREATE INDEX charging_event_session ON charging_event (session);
-- What looks for a session's start and stop must not read its thousand updates.
CREATE INDEX charging_event_edge ON charging_event (session, kind) WHERE kind <> 'updated';
CREATE INDEX charging_event_orphan ON charging_event (charge_point, received_at) WHERE session IS NULL;

-- The final cost that the answer to an ending event carried, so that a repeat gets the same answer.
CREATE TABLE answered_cost (
    charge_point  text NOT NULL,
    key           bytea NOT NULL,
    total_cost    numeric NOT NULL,
    at            timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (charge_point, key)
);

-- An orphan that was later found to belong to a session, and why.
CREATE TABLE event_link (
    event    bigint PRIMARY KEY REFERENCES charging_event,
    session  integer NOT NULL REFERENCES session,
    why      text NOT NULL,
    at       timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX event_link_session ON event_link (session);

-- One row per meterValue element (RULES.md 2). carried_by: the kind of event it came in, or meter_values.
CREATE TABLE reading (
    charge_point  text NOT NULL,
    evse          integer,
    connector     integer,
    transaction   text,
    at            timestamptz NOT NULL,
    key           bytea NOT NULL,
    carried_by    text NOT NULL CHECK (carried_by IN ('started', 'updated', 'ended', 'meter_values')),
    session       integer,
    samples       jsonb NOT NULL,
    quirks        text[] NOT NULL DEFAULT '{}',
    received_at   timestamptz NOT NULL,
    UNIQUE NULLS NOT DISTINCT (charge_point, at, key, evse, connector, transaction, carried_by)
);
CREATE INDEX reading_session ON reading (session, at) WHERE session IS NOT NULL;
CREATE INDEX reading_loose ON reading (charge_point, evse, at) WHERE session IS NULL;

CREATE TABLE status_report (
    id                 bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    charge_point       text NOT NULL,
    evse               integer NOT NULL,
    connector          integer NOT NULL,
    status             text NOT NULL,
    at                 timestamptz,
    error_code         text,
    info               text,
    vendor_error_code  text,
    socket             uuid,
    received_at        timestamptz NOT NULL
);
CREATE INDEX status_report_evse ON status_report (charge_point, evse, received_at);

-- Sessions whose facts have changed since they were folded. A row per change: taken by DELETE, so that a fact committed
-- after the fold has read leaves its own row behind.
CREATE TABLE session_due (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    session  integer NOT NULL
);

-- Projected sessions that billing has not looked at yet; same scheme.
CREATE TABLE rating_due (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    session  integer NOT NULL
);

CREATE TABLE review_entry (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    session  integer NOT NULL REFERENCES session,
    action   text NOT NULL CHECK (action IN ('release', 'drop')),
    holds    text[] NOT NULL,
    reason   text NOT NULL CHECK (reason <> ''),
    actor    text NOT NULL,
    at       timestamptz NOT NULL DEFAULT now(),
    findings jsonb NOT NULL DEFAULT '[]',
    closed   boolean NOT NULL DEFAULT true
);
CREATE INDEX review_entry_session ON review_entry (session);

-- Frames that could not be read as what they claim to be (RULES.md 7).
CREATE TABLE quarantine (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    charge_point  text NOT NULL,
    frame         text NOT NULL,
    reason        text NOT NULL,
    socket        uuid,
    received_at   timestamptz NOT NULL
);

-- Raw frames, both directions: evidence, and what `cp trace` shows. One partition per day.
CREATE TABLE frame (
    charge_point  text NOT NULL,
    direction     text NOT NULL CHECK (direction IN ('in', 'out')),
    action        text,
    body          text NOT NULL,
    socket        uuid,
    received_at   timestamptz NOT NULL
) PARTITION BY RANGE (received_at);
CREATE INDEX frame_charge_point ON frame (charge_point, received_at);

-- Frames that outlive their partition: those of sessions that are held or signed.
CREATE TABLE kept_frame (LIKE frame);
CREATE INDEX kept_frame_charge_point ON kept_frame (charge_point, received_at);

CREATE TABLE security_event (
    charge_point  text NOT NULL,
    key           bytea NOT NULL,
    type          text NOT NULL,
    at            timestamptz NOT NULL,
    tech_info     text,
    received_at   timestamptz NOT NULL,
    PRIMARY KEY (charge_point, key)
);

-- Settings (1.6 configuration keys, 2.0.1 variables) as the charge point last reported them.
CREATE TABLE device_setting (
    charge_point  text NOT NULL REFERENCES charge_point,
    name          text NOT NULL,
    value         text,
    mutability    text,
    read_at       timestamptz NOT NULL,
    PRIMARY KEY (charge_point, name)
);

-- What we wanted a charge point to be set to at boot, and what it said (RULES.md 10).
CREATE TABLE template_result (
    charge_point  text NOT NULL REFERENCES charge_point,
    name          text NOT NULL,
    wanted        text NOT NULL,
    status        text NOT NULL,
    version       integer NOT NULL,
    at            timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (charge_point, name)
);

-- What a 2.x charge point said of a transaction when asked (GetTransactionStatus; RULES.md 13, 14).
CREATE TABLE transaction_status (
    id                bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    session           integer NOT NULL REFERENCES session,
    ongoing           boolean,
    messages_in_queue boolean,
    asked_at          timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX transaction_status_session ON transaction_status (session);

-- Other things that charge points tell (firmware and log status, vendor data, monitoring events).
CREATE TABLE notice (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    charge_point  text NOT NULL,
    kind          text NOT NULL,
    body          jsonb NOT NULL,
    received_at   timestamptz NOT NULL
);
CREATE INDEX notice_charge_point ON notice (charge_point, received_at);

-- Sockets, open and past: presence, and the proof of when a charge point was online.
CREATE TABLE socket (
    id            uuid PRIMARY KEY,
    charge_point  text NOT NULL REFERENCES charge_point,
    node          uuid NOT NULL,
    protocol      text NOT NULL,
    remote        text,
    opened_at     timestamptz NOT NULL,
    closed_at     timestamptz,
    close_code    integer,
    close_reason  text
);
CREATE INDEX socket_open ON socket (charge_point) WHERE closed_at IS NULL;
CREATE INDEX socket_history ON socket (charge_point, closed_at);

CREATE TABLE node (
    id            uuid PRIMARY KEY,
    pid           integer NOT NULL,
    host          text NOT NULL,
    started_at    timestamptz NOT NULL DEFAULT now(),
    heard_at      timestamptz NOT NULL DEFAULT now(),
    ocpp_url      text,
    http_url      text
);

-- Commands to charge points on their way through the node that holds the socket.
CREATE TABLE command (
    id            uuid PRIMARY KEY,
    charge_point  text NOT NULL REFERENCES charge_point,
    body          jsonb NOT NULL,
    actor         text,
    created_at    timestamptz NOT NULL DEFAULT now(),
    expires_at    timestamptz NOT NULL,
    node          uuid,
    taken_at      timestamptz,
    outcome       jsonb,
    done_at       timestamptz
);
CREATE INDEX command_waiting ON command (created_at) WHERE done_at IS NULL;

-- Versioned choices: review limits, interim thresholds, rounding. A version is never edited.
CREATE TABLE policy (
    kind        text NOT NULL CHECK (kind IN ('review', 'interim', 'rating')),
    version     integer NOT NULL,
    body        jsonb NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (kind, version)
);

SELECT csms_append_only('token_event');
SELECT csms_append_only('charging_event');
SELECT csms_append_only('answered_cost');
SELECT csms_append_only('event_link');
SELECT csms_append_only('reading');
SELECT csms_append_only('status_report');
SELECT csms_append_only('review_entry');
SELECT csms_append_only('quarantine');
SELECT csms_append_only('policy');
