-- Site limits: what may flow on a site's grid connection, how its EVSEs hang on it, and every limit that was told to one.

-- What operators wanted, the newest row counts. amps NULL: no limit any more; our profiles are taken off again.
CREATE TABLE site_limit (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    site       text NOT NULL REFERENCES site,
    amps       integer CHECK (amps > 0),
    phases     integer CHECK (phases IN (1, 3)),
    min_a      integer CHECK (min_a > 0),
    offline_a  integer CHECK (offline_a >= 0),
    rotate     interval CHECK (rotate > '0'),
    voltage_v  integer CHECK (voltage_v > 0),
    reserves   text[],
    actor      text,
    at         timestamptz NOT NULL DEFAULT now(),
    CHECK (amps IS NULL OR num_nulls(phases, min_a, offline_a, rotate, voltage_v, reserves) = 0)
);
CREATE INDEX site_limit_newest ON site_limit (site, id DESC);

-- What operators said of an EVSE's wiring, the newest row counts. NULL: not said.
CREATE TABLE site_limit_wiring (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    charge_point  text NOT NULL REFERENCES charge_point,
    evse          integer NOT NULL CHECK (evse > 0),
    amps          integer CHECK (amps > 0),
    phases        integer CHECK (phases IN (1, 3)),
    rotation      text,
    via           text NOT NULL CHECK (via IN ('tx', 'tx_default', 'charge_point_max')),
    absent        boolean NOT NULL,
    actor         text,
    at            timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX site_limit_wiring_newest ON site_limit_wiring (charge_point, evse, id DESC);

-- A limit on its way to an EVSE, written before it is sent; what was answered is filled in. amps NULL: taken off.
-- settled: a later one of the same slot was accepted, or the session is over, so that it counts no more.
CREATE TABLE site_limit_step (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    site          text NOT NULL REFERENCES site,
    charge_point  text NOT NULL REFERENCES charge_point,
    evse          integer NOT NULL CHECK (evse > 0),
    slot          text NOT NULL CHECK (slot IN ('base', 'tx')),
    session       integer REFERENCES session,
    amps          integer CHECK (amps >= 0),
    why           text NOT NULL,
    sent_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    answered_at   timestamptz,
    accepted      boolean,
    status        text,
    detail        text,
    settled       boolean NOT NULL DEFAULT false,
    CHECK ((slot = 'tx') = (session IS NOT NULL)),
    CHECK ((answered_at IS NULL) = (accepted IS NULL))
);
CREATE INDEX site_limit_step_current ON site_limit_step (charge_point) WHERE NOT settled;
CREATE INDEX site_limit_step_of ON site_limit_step (charge_point, id DESC);
CREATE INDEX site_limit_step_history ON site_limit_step (site, id DESC);
CREATE INDEX site_limit_step_old ON site_limit_step (sent_at) WHERE settled;

-- What the planner remembers of a vehicle from one plan to the next: whether its turn runs and since when, and what it
-- was thought to want.
CREATE TABLE site_limit_turn (
    charge_point  text NOT NULL REFERENCES charge_point,
    evse          integer NOT NULL,
    session       integer NOT NULL REFERENCES session,
    served        boolean NOT NULL,
    since         timestamptz NOT NULL,
    want_a        integer NOT NULL,
    target_a      integer NOT NULL,
    PRIMARY KEY (charge_point, evse)
);

SELECT csms_append_only('site_limit');
SELECT csms_append_only('site_limit_wiring');
