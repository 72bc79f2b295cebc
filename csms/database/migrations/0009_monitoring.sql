-- Monitoring: what charging stations were asked to watch and tell of themselves, and what they told.

-- One row per question of an operator, before it was sent. The id is the requestId on the wire, where the message has one.
CREATE TABLE monitoring_request (
    id            integer GENERATED ALWAYS AS IDENTITY (MINVALUE 1 NO CYCLE) PRIMARY KEY,
    charge_point  text NOT NULL REFERENCES charge_point,
    message       text NOT NULL CHECK (message <> ''),
    wish          jsonb NOT NULL,
    actor         text NOT NULL,
    at            timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX monitoring_request_charge_point ON monitoring_request (charge_point, id);

-- What became of it. accepted NULL: nobody knows, the answer was lost.
CREATE TABLE monitoring_answer (
    request   integer PRIMARY KEY REFERENCES monitoring_request,
    accepted  boolean,
    status    text NOT NULL CHECK (status <> ''),
    detail    text,
    data      jsonb NOT NULL DEFAULT '{}',
    at        timestamptz NOT NULL DEFAULT now()
);

-- The parts of the reports that were asked for; others are acknowledged and not kept.
CREATE TABLE monitoring_report (
    request      integer NOT NULL REFERENCES monitoring_request,
    seq_no       integer NOT NULL,
    more         boolean NOT NULL,
    monitors     jsonb NOT NULL,
    received_at  timestamptz NOT NULL,
    PRIMARY KEY (request, seq_no)
);

-- What is known of monitors now: from answers and reports.
CREATE TABLE monitor (
    charge_point        text NOT NULL REFERENCES charge_point,
    id                  integer NOT NULL,
    name                text NOT NULL,
    type                text NOT NULL,
    value               text,
    severity            integer,
    during_transaction  boolean NOT NULL,
    told_at             timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (charge_point, id)
);

-- Events, the newest of each charge point: writers drop the oldest beyond a number, so that a restless one fills no disk.
-- severity: of the monitor as it was known when the event came.
CREATE TABLE monitoring_event (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    charge_point  text NOT NULL REFERENCES charge_point,
    key           bytea NOT NULL,
    event         integer NOT NULL,
    at            timestamptz NOT NULL,
    name          text NOT NULL,
    value         text NOT NULL,
    trigger       text NOT NULL,
    kind          text,
    monitor       integer,
    severity      integer,
    is_cleared    boolean NOT NULL,
    cause         integer,
    tech_code     text,
    tech_info     text,
    transaction   text,
    received_at   timestamptz NOT NULL,
    UNIQUE (charge_point, key)
);
CREATE INDEX monitoring_event_charge_point ON monitoring_event (charge_point, id);

SELECT csms_append_only('monitoring_request');
SELECT csms_append_only('monitoring_answer');
SELECT csms_append_only('monitoring_report');

-- What was told before there was this table: the time of the event itself was not kept.
INSERT INTO monitoring_event (charge_point, key, event, at, name, value, trigger, is_cleared, received_at)
SELECT n.charge_point, decode(md5(n.received_at::text || told.event::text), 'hex'), (told.event ->> 0)::integer, n.received_at,
       told.event ->> 1, told.event ->> 2, told.event ->> 3, false, n.received_at
  FROM notice n
  JOIN charge_point c ON c.id = n.charge_point
 CROSS JOIN LATERAL jsonb_array_elements(n.body -> 'events') AS told (event)
 WHERE n.kind = 'monitoring'
 ORDER BY n.received_at
    ON CONFLICT DO NOTHING;
