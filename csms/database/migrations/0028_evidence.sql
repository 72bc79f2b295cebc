-- Energy evidence: which sites sell kWh under a profile of measuring law, and the keys that meters are known by.

-- The newest entry whose time has come says what holds at a site; profile NULL: none.
CREATE TABLE measuring_profile_event (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    site        text NOT NULL REFERENCES site,
    profile     text CHECK (profile IN ('de-eichrecht')),
    valid_from  timestamptz NOT NULL,
    reason      text NOT NULL CHECK (reason <> ''),
    actor       text NOT NULL,
    at          timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX measuring_profile_event_site ON measuring_profile_event (site, valid_from DESC, id DESC);
SELECT csms_append_only('measuring_profile_event');

-- Public keys of meters as operators registered them, from type plates or registers of keys; never from the charge point.
-- evse NULL: any of the charge point's; serial NULL: any meter's. register is the OBIS code of what is billed.
CREATE TABLE meter_key (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    charge_point   text NOT NULL REFERENCES charge_point,
    evse           integer CHECK (evse > 0),
    serial         text CHECK (serial <> ''),
    public_key     bytea NOT NULL,
    curve          text NOT NULL,
    register       text NOT NULL,
    measures_time  boolean NOT NULL DEFAULT false,
    valid_from     timestamptz NOT NULL,
    reason         text NOT NULL CHECK (reason <> ''),
    actor          text NOT NULL,
    at             timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX meter_key_charge_point ON meter_key (charge_point, valid_from);
SELECT csms_append_only('meter_key');

-- A key that holds no longer: sessions that begin at or after valid_until are not verified with it.
CREATE TABLE meter_key_revocation (
    key          bigint PRIMARY KEY REFERENCES meter_key,
    valid_until  timestamptz NOT NULL,
    reason       text NOT NULL CHECK (reason <> ''),
    actor        text NOT NULL,
    at           timestamptz NOT NULL DEFAULT now()
);
SELECT csms_append_only('meter_key_revocation');
