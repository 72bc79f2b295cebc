-- A tariff changes: what was published by whom for when, and the open sessions that an operator gave another tariff.

-- The act behind a version. reason: why it was to hold from a time that was past already.
CREATE TABLE tariff_publication (
    tariff      text NOT NULL,
    version     integer NOT NULL,
    valid_from  timestamptz NOT NULL,
    reason      text CHECK (reason <> ''),
    actor       text NOT NULL,
    at          timestamptz NOT NULL,
    PRIMARY KEY (tariff, version),
    FOREIGN KEY (tariff, version) REFERENCES tariff (id, version),
    CHECK (reason IS NOT NULL OR valid_from >= date_trunc('minute', at))
);
SELECT csms_append_only('tariff_publication');

-- Sessions that were given another tariff while they had no final bill. Amounts include tax and are those of as_of; without a
-- legal basis none of them rose.
CREATE TABLE recalculation (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    session         integer NOT NULL REFERENCES session,
    tariff_before   text NOT NULL,
    version_before  integer NOT NULL,
    tariff_after    text NOT NULL,
    version_after   integer NOT NULL,
    currency        char(3) NOT NULL,
    before_minor    bigint NOT NULL,
    after_minor     bigint NOT NULL,
    as_of           timestamptz NOT NULL,
    reason          text NOT NULL CHECK (reason <> ''),
    legal_basis     text CHECK (legal_basis <> ''),
    actor           text NOT NULL,
    at              timestamptz NOT NULL,
    FOREIGN KEY (tariff_before, version_before) REFERENCES tariff (id, version),
    FOREIGN KEY (tariff_after, version_after) REFERENCES tariff (id, version),
    CHECK (after_minor <= before_minor OR legal_basis IS NOT NULL)
);
CREATE INDEX recalculation_session ON recalculation (session, id);
SELECT csms_append_only('recalculation');

-- Its tariff is an operator's choice, and no fact resolves it anew.
ALTER TABLE rating ADD COLUMN recalculated boolean NOT NULL DEFAULT false;
