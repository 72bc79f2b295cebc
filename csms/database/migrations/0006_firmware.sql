-- Firmware and logs: what charge points were asked to fetch or send, and what they told of it.

-- One row per thing that an operator asked for. The id is the requestId on the wire, where the message has one.
-- accepted NULL: not answered (yet). not_known: messages that the charge point answered with "not implemented" on the way.
CREATE TABLE transfer_request (
    id            integer PRIMARY KEY CHECK (id > 0),
    charge_point  text NOT NULL REFERENCES charge_point,
    kind          text NOT NULL CHECK (kind IN ('firmware', 'publication', 'log')),
    message       text NOT NULL,
    wish          jsonb NOT NULL,
    firmware      text,
    actor         text,
    asked_at      timestamptz NOT NULL DEFAULT now(),
    not_known     text[] NOT NULL DEFAULT '{}',
    accepted      boolean,
    answer        text,
    detail        text,
    file          text,
    answered_at   timestamptz,
    CHECK (accepted IS NULL OR answer IS NOT NULL)
);
CREATE INDEX transfer_request_charge_point ON transfer_request (charge_point, kind, asked_at DESC);

-- What charge points told, as it came. request: as told; to which of ours it belongs is worked out when it is read.
CREATE TABLE transfer_status (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    charge_point  text NOT NULL,
    kind          text NOT NULL CHECK (kind IN ('firmware', 'publication', 'log')),
    status        text NOT NULL,
    request       integer,
    locations     jsonb NOT NULL DEFAULT '[]',
    socket        uuid,
    received_at   timestamptz NOT NULL
);
CREATE INDEX transfer_status_charge_point ON transfer_status (charge_point, kind, received_at);

SELECT csms_append_only('transfer_status');
