-- Certificates of charge points: what they asked for, what was made for them, who made it, what became of it.

-- Roots of the embedded authority, the newest in force. The key is in a file of each node that signs, never here.
CREATE TABLE certificate_authority (
    id            integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    organisation  text NOT NULL CHECK (organisation <> ''),
    certificate   text NOT NULL,
    fingerprint   text NOT NULL UNIQUE,
    valid_until   timestamptz NOT NULL,
    actor         text NOT NULL,
    at            timestamptz NOT NULL DEFAULT now()
);

-- What charge points asked for, before it was answered. fault NULL: accepted. key: of what was sent, to know a repeat.
CREATE TABLE certificate_request (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    charge_point  text NOT NULL REFERENCES charge_point,
    purpose       text NOT NULL CHECK (purpose IN ('charge_point', 'v2g', 'combined')),
    key           bytea NOT NULL,
    csr           text,
    length        integer NOT NULL,
    fault         text,
    quirks        text NOT NULL DEFAULT '',
    received_at   timestamptz NOT NULL
);
CREATE INDEX certificate_request_charge_point ON certificate_request (charge_point, received_at);

-- What is to be done for an accepted request. due_at: not before; whoever takes it moves it on, so that two nodes do not
-- both do it. tries: in this state. problem: why the last one came to nothing.
CREATE TABLE certificate_work (
    request       bigint PRIMARY KEY REFERENCES certificate_request,
    state         text NOT NULL DEFAULT 'due'
                  CHECK (state IN ('due', 'issued', 'installed', 'refused', 'failed', 'superseded')),
    due_at        timestamptz NOT NULL,
    tries         integer NOT NULL DEFAULT 0,
    problem       text,
    changed_at    timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX certificate_work_due ON certificate_work (due_at) WHERE state IN ('due', 'issued');

-- What was made. chain: PEM, the charge point's own first. number: its serial number in hex.
CREATE TABLE certificate (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    request       bigint NOT NULL UNIQUE REFERENCES certificate_request,
    charge_point  text NOT NULL REFERENCES charge_point,
    purpose       text NOT NULL CHECK (purpose IN ('charge_point', 'v2g', 'combined')),
    source        text NOT NULL CHECK (source IN ('own', 'est')),
    number        text NOT NULL,
    fingerprint   text NOT NULL UNIQUE,
    subject       text NOT NULL,
    issuer        text NOT NULL,
    issuer_der    bytea NOT NULL,
    chain         text NOT NULL,
    valid_from    timestamptz NOT NULL,
    valid_until   timestamptz NOT NULL,
    at            timestamptz NOT NULL DEFAULT now(),
    UNIQUE (issuer_der, number)
);
CREATE INDEX certificate_charge_point ON certificate (charge_point, id);
CREATE INDEX certificate_ends ON certificate (valid_until);

-- What charge points said to it. accepted NULL: nobody knows, the answer was lost.
CREATE TABLE certificate_delivery (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    certificate   bigint NOT NULL REFERENCES certificate,
    accepted      boolean,
    status        text NOT NULL CHECK (status <> ''),
    detail        text,
    at            timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX certificate_delivery_certificate ON certificate_delivery (certificate, id);

CREATE TABLE certificate_revocation (
    certificate   bigint PRIMARY KEY REFERENCES certificate,
    reason        text NOT NULL,
    actor         text NOT NULL,
    at            timestamptz NOT NULL DEFAULT now()
);

-- Charge points that were asked for a new request.
CREATE TABLE certificate_renewal (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    charge_point  text NOT NULL REFERENCES charge_point,
    purpose       text NOT NULL,
    accepted      boolean,
    status        text NOT NULL CHECK (status <> ''),
    detail        text,
    actor         text NOT NULL,
    at            timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX certificate_renewal_charge_point ON certificate_renewal (charge_point, at);

-- Certificates that charge points trust, as they listed them last. What we sent ourselves is known by name and end.
CREATE TABLE installed_certificate (
    charge_point  text NOT NULL REFERENCES charge_point,
    use           text NOT NULL,
    algorithm     text NOT NULL,
    issuer_name   text NOT NULL,
    issuer_key    text NOT NULL,
    number        text NOT NULL,
    child_of      text,
    told_at       timestamptz NOT NULL,
    PRIMARY KEY (charge_point, use, issuer_name, issuer_key, number)
);

-- Certificates that were sent to be trusted, and what charge points said.
CREATE TABLE certificate_installation (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    charge_point  text NOT NULL REFERENCES charge_point,
    use           text NOT NULL,
    certificate   text NOT NULL,
    number        text NOT NULL,
    subject       text NOT NULL,
    valid_until   timestamptz NOT NULL,
    accepted      boolean,
    status        text NOT NULL CHECK (status <> ''),
    detail        text,
    actor         text NOT NULL,
    at            timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX certificate_installation_charge_point ON certificate_installation (charge_point, id);

-- What charging stations had us find out (contract certificates of EVs, status by OCSP), and what they were told: the
-- newest of each charge point, so that a restless one fills no disk.
CREATE TABLE certificate_inquiry (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    charge_point  text NOT NULL REFERENCES charge_point,
    message       text NOT NULL,
    body          jsonb NOT NULL,
    accepted      boolean NOT NULL,
    reason        text,
    received_at   timestamptz NOT NULL
);
CREATE INDEX certificate_inquiry_charge_point ON certificate_inquiry (charge_point, id);

-- What an operator has to look at, each once: kind and key make it the same.
CREATE TABLE certificate_alarm (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind          text NOT NULL,
    key           text NOT NULL,
    charge_point  text,
    detail        text NOT NULL,
    next_step     text NOT NULL,
    at            timestamptz NOT NULL DEFAULT now(),
    UNIQUE (kind, key)
);

SELECT csms_append_only('certificate_authority');
SELECT csms_append_only('certificate_request');
SELECT csms_append_only('certificate');
SELECT csms_append_only('certificate_delivery');
SELECT csms_append_only('certificate_revocation');
SELECT csms_append_only('certificate_renewal');
SELECT csms_append_only('certificate_installation');
SELECT csms_append_only('certificate_alarm');
