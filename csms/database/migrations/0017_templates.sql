-- OCPP 2.1 as a third version; templates of settings for many charge points; what a device model says of its variables.

-- A charge point that offers no subprotocol may be registered as one of 2.1.
ALTER TABLE charge_point DROP CONSTRAINT charge_point_protocol_check;
ALTER TABLE charge_point ADD CONSTRAINT charge_point_protocol_check
    CHECK (protocol IN ('ocpp1.6', 'ocpp2.0.1', 'ocpp2.1'));

-- Settings that charge points shall have, by what they are called in each family of versions. A change is a new version.
CREATE TABLE setting_template (
    name         text NOT NULL CHECK (name ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$'),
    version      integer NOT NULL CHECK (version > 0),
    description  text,
    settings     jsonb NOT NULL CHECK (jsonb_typeof(settings) = 'object'),
    actor        text NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (name, version)
);
SELECT csms_append_only('setting_template');

-- A template on its way into a charge point. completed_at: each of its settings has an answer.
CREATE TABLE template_use (
    charge_point  text NOT NULL REFERENCES charge_point,
    template      text NOT NULL,
    version       integer NOT NULL,
    actor         text NOT NULL,
    outcome       text NOT NULL,
    detail        text,
    began_at      timestamptz NOT NULL DEFAULT now(),
    attempted_at  timestamptz NOT NULL DEFAULT now(),
    completed_at  timestamptz,
    PRIMARY KEY (charge_point, template, version),
    FOREIGN KEY (template, version) REFERENCES setting_template
);

-- What was asked of a charge point, and what it answered. status NULL: it was asked and nobody knows.
CREATE TABLE template_setting (
    charge_point  text NOT NULL,
    template      text NOT NULL,
    version       integer NOT NULL,
    name          text NOT NULL,
    wanted        text NOT NULL,
    before        text,
    status        text,
    asked_at      timestamptz NOT NULL DEFAULT now(),
    answered_at   timestamptz,
    PRIMARY KEY (charge_point, template, version, name),
    FOREIGN KEY (charge_point, template, version) REFERENCES template_use,
    CHECK ((status IS NULL) = (answered_at IS NULL))
);

-- What a full report says of a variable besides its value: type, unit, limits, allowed values, other attributes.
CREATE TABLE device_variable (
    charge_point  text NOT NULL REFERENCES charge_point,
    name          text NOT NULL,
    described     jsonb NOT NULL CHECK (jsonb_typeof(described) = 'object'),
    reported_at   timestamptz NOT NULL,
    PRIMARY KEY (charge_point, name)
);
