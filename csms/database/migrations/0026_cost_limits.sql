-- Limits in money that stop sessions: who set them, what they came to, and the stops that are still to be asked for.

-- What a session, a token or a token group may cost. The newest row of a scope and target up to an instant counts; one
-- without an amount ends the limit. is_total: for all sessions since valid_from together, else for each of them.
CREATE TABLE cost_limit (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    scope         text NOT NULL CHECK (scope IN ('session', 'token', 'token_group')),
    target        text NOT NULL CHECK (target <> ''),
    amount_minor  bigint CHECK (amount_minor >= 0),
    currency      char(3),
    is_total      boolean NOT NULL DEFAULT false,
    valid_from    timestamptz NOT NULL,
    reason        text NOT NULL CHECK (reason <> ''),
    actor         text NOT NULL,
    entered_at    timestamptz NOT NULL DEFAULT now(),
    CHECK ((amount_minor IS NULL) = (currency IS NULL)),
    CHECK (NOT is_total OR scope <> 'session')
);
CREATE INDEX cost_limit_target ON cost_limit (scope, target, valid_from);

-- Sessions without a final bill that a limit concerns, as they were rated last. ceiling: what it may cost by that limit.
CREATE TABLE cost_watch (
    session        integer PRIMARY KEY REFERENCES session,
    cost_limit     bigint NOT NULL REFERENCES cost_limit,
    ceiling_minor  bigint NOT NULL,
    amount_minor   bigint NOT NULL,
    currency       char(3) NOT NULL,
    as_of          timestamptz NOT NULL
);

-- Decisions that a session is to be stopped, with what it cost by then.
CREATE TABLE cost_stop (
    session        integer NOT NULL REFERENCES session,
    seq            integer NOT NULL CHECK (seq >= 1),
    cost_limit     bigint NOT NULL REFERENCES cost_limit,
    ceiling_minor  bigint NOT NULL,
    amount_minor   bigint NOT NULL,
    currency       char(3) NOT NULL,
    energy_wh      numeric(20, 3) NOT NULL,
    as_of          timestamptz NOT NULL,
    decided_at     timestamptz NOT NULL,
    PRIMARY KEY (session, seq),
    CHECK (amount_minor >= ceiling_minor)
);

-- Stops that are still to be asked for; next_at lies ahead while somebody asks. At most one of a session.
CREATE TABLE cost_stop_due (
    session       integer PRIMARY KEY REFERENCES session,
    seq           integer NOT NULL,
    charge_point  text NOT NULL REFERENCES charge_point,
    tries         integer NOT NULL DEFAULT 0,
    next_at       timestamptz NOT NULL,
    FOREIGN KEY (session, seq) REFERENCES cost_stop (session, seq)
);
CREATE INDEX cost_stop_due_next ON cost_stop_due (charge_point, next_at);

-- What charge points said when they were asked.
CREATE TABLE cost_stop_try (
    session   integer NOT NULL,
    seq       integer NOT NULL,
    n         integer NOT NULL,
    accepted  boolean NOT NULL,
    status    text NOT NULL,
    detail    text,
    at        timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (session, seq, n),
    FOREIGN KEY (session, seq) REFERENCES cost_stop (session, seq)
);

-- What became of a limit, written with the session's final bill. overshoot: what the bill is above it, 0 if nothing.
CREATE TABLE cost_outcome (
    session          integer PRIMARY KEY REFERENCES session,
    cost_limit       bigint NOT NULL REFERENCES cost_limit,
    ceiling_minor    bigint NOT NULL,
    stop_seq         integer,
    final_minor      bigint NOT NULL,
    overshoot_minor  bigint NOT NULL,
    currency         char(3) NOT NULL,
    at               timestamptz NOT NULL DEFAULT now(),
    CHECK (overshoot_minor = greatest(final_minor - ceiling_minor, 0))
);

SELECT csms_append_only('cost_limit');
SELECT csms_append_only('cost_stop');
SELECT csms_append_only('cost_stop_try');
SELECT csms_append_only('cost_outcome');
