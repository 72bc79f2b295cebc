-- Charging profiles: what we asked of charge points and what they answered, and what they told of their own accord.

-- What was asked, before it was sent. `body` is the command as it travels to the node that holds the socket.
CREATE TABLE profile_request (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    charge_point  text NOT NULL REFERENCES charge_point,
    command       text NOT NULL CHECK (command <> ''),
    body          jsonb NOT NULL,
    actor         text,
    at            timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX profile_request_of ON profile_request (charge_point, id);

-- What became of it; a request without an answer is one whose asker went away.
CREATE TABLE profile_answer (
    request   bigint PRIMARY KEY REFERENCES profile_request,
    accepted  boolean NOT NULL,
    status    text NOT NULL,
    detail    text,
    data      jsonb NOT NULL DEFAULT '{}',
    at        timestamptz NOT NULL DEFAULT now()
);

-- Limits that others impose, needs and schedules of EVs, and reported profiles, each arrival a row: the messages carry
-- no time and no number, so that the same limit twice may be a repeat or may have been lifted between.
CREATE TABLE smart_charging_fact (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    charge_point  text NOT NULL REFERENCES charge_point,
    kind          text NOT NULL CHECK (kind IN ('limit', 'limit_cleared', 'needs', 'ev_schedule', 'profiles')),
    evse          integer NOT NULL CHECK (evse >= 0),
    request       integer CHECK (request IS NOT NULL OR kind <> 'profiles'),
    body          jsonb NOT NULL,
    quirks        text NOT NULL DEFAULT '',
    received_at   timestamptz NOT NULL
);
CREATE INDEX smart_charging_fact_of ON smart_charging_fact (charge_point, kind, id);
CREATE INDEX smart_charging_fact_report ON smart_charging_fact (charge_point, request) WHERE kind = 'profiles';

SELECT csms_append_only('profile_request');
SELECT csms_append_only('profile_answer');
SELECT csms_append_only('smart_charging_fact');
