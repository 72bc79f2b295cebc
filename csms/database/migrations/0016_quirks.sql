-- Deviations of charge points: what was seen of each, with the newest frame as proof, and what operators switched.

-- quirks_on, quirks_off: what holds now; every switch stands in quirk_choice. changed_at: nodes look for charge points that
-- an operator changed since they looked last, and let their open sockets know.
ALTER TABLE charge_point
    ADD COLUMN quirks_on   text[] NOT NULL DEFAULT '{}',
    ADD COLUMN quirks_off  text[] NOT NULL DEFAULT '{}',
    ADD COLUMN changed_at  timestamptz NOT NULL DEFAULT now();
CREATE INDEX charge_point_changed ON charge_point (changed_at);

CREATE FUNCTION csms_charge_point_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.changed_at := clock_timestamp();
    RETURN NEW;
END $$;
CREATE TRIGGER charge_point_changed
    BEFORE UPDATE OF site, registration, protocol, strict, template, current, max_power_w, time_zone, quirks_on, quirks_off
    ON charge_point FOR EACH ROW EXECUTE FUNCTION csms_charge_point_changed();

-- One row per charge point and quirk. frame: the newest message (or handshake) that shows it, secrets hidden, cut.
CREATE TABLE quirk_seen (
    charge_point  text NOT NULL REFERENCES charge_point,
    name          text NOT NULL CHECK (name <> ''),
    count         bigint NOT NULL CHECK (count > 0),
    first_at      timestamptz NOT NULL,
    last_at       timestamptz NOT NULL CHECK (last_at >= first_at),
    action        text,
    frame         text NOT NULL,
    PRIMARY KEY (charge_point, name)
);

-- Every switch that an operator turned; the newest of a charge point and name holds.
CREATE TABLE quirk_choice (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    charge_point  text NOT NULL REFERENCES charge_point,
    name          text NOT NULL CHECK (name <> ''),
    choice        text NOT NULL CHECK (choice IN ('on', 'off', 'auto')),
    actor         text NOT NULL,
    at            timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX quirk_choice_charge_point ON quirk_choice (charge_point, id);

SELECT csms_append_only('quirk_choice');

-- The doctor asks for the last connections and the quarantine of one charge point, and whose an address was.
CREATE INDEX socket_opened ON socket (charge_point, opened_at DESC);
CREATE INDEX socket_remote ON socket (remote, opened_at DESC);
CREATE INDEX quarantine_charge_point ON quarantine (charge_point, id);
