-- Tariffs, their assignments, and bills. Bills are append-only; a correction is a new one that points at the old one.

CREATE TABLE tariff (
    id          text NOT NULL,
    version     integer NOT NULL CHECK (version >= 1),
    body        jsonb NOT NULL,
    sha256      bytea NOT NULL,
    currency    char(3) NOT NULL,
    valid_from  timestamptz NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (id, version)
);

-- Who charges by which tariff from when on; the narrowest scope wins, within it the latest valid_from.
CREATE TABLE tariff_assignment (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tariff      text NOT NULL,
    scope       text NOT NULL CHECK (scope IN ('charge_point', 'site', 'default')),
    target      text,
    valid_from  timestamptz NOT NULL,
    entered_at  timestamptz NOT NULL DEFAULT now(),
    CHECK ((scope = 'default') = (target IS NULL))
);
CREATE INDEX tariff_assignment_target ON tariff_assignment (scope, target, valid_from);

-- Where billing stands with a session. The tariff, once resolved, never changes (RULES.md 15).
CREATE TABLE rating (
    session         integer PRIMARY KEY REFERENCES session,
    tariff          text,
    tariff_version  integer,
    resolved_at     timestamptz,
    holds           text[] NOT NULL DEFAULT '{}',
    flags           text[] NOT NULL DEFAULT '{}',
    notes           text[] NOT NULL DEFAULT '{}',
    last_seq        integer NOT NULL DEFAULT 0,
    next_at         timestamptz,
    FOREIGN KEY (tariff, tariff_version) REFERENCES tariff (id, version)
);
CREATE INDEX rating_next ON rating (next_at) WHERE next_at IS NOT NULL;
CREATE INDEX rating_held ON rating (session) WHERE holds <> '{}';

CREATE TABLE bill (
    session           integer NOT NULL REFERENCES session,
    seq               integer NOT NULL CHECK (seq >= 1),
    kind              text NOT NULL CHECK (kind IN ('interim', 'final', 'correction')),
    as_of             timestamptz NOT NULL,
    energy_wh         numeric(20, 3) NOT NULL,
    currency          char(3) NOT NULL,
    total_excl_minor  bigint NOT NULL,
    total_tax_minor   bigint NOT NULL,
    total_incl_minor  bigint NOT NULL,
    total_excl_exact  numeric NOT NULL,
    total_incl_exact  numeric NOT NULL,
    tariff            text NOT NULL,
    tariff_version    integer NOT NULL,
    policy_version    integer NOT NULL,
    engine_version    text NOT NULL,
    inputs_hash       bytea NOT NULL,
    inputs            jsonb NOT NULL,
    detail            jsonb NOT NULL,
    corrects          integer,
    created_at        timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (session, seq),
    FOREIGN KEY (tariff, tariff_version) REFERENCES tariff (id, version),
    FOREIGN KEY (session, corrects) REFERENCES bill (session, seq),
    CHECK ((kind = 'correction') = (corrects IS NOT NULL)),
    CHECK (total_excl_minor + total_tax_minor = total_incl_minor)
);
-- A session is billed once.
CREATE UNIQUE INDEX bill_final ON bill (session) WHERE kind = 'final';

SELECT csms_append_only('tariff');
SELECT csms_append_only('tariff_assignment');
SELECT csms_append_only('bill');
