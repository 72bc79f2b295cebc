-- The product matrix: who pays by which tariff where. Assignments may name a location group, a token group, a user class and
-- a product; one without a tariff ends what was assigned before.

ALTER TABLE tariff_assignment ALTER COLUMN tariff DROP NOT NULL;
ALTER TABLE tariff_assignment DROP CONSTRAINT tariff_assignment_scope_check;
ALTER TABLE tariff_assignment
    ADD CONSTRAINT tariff_assignment_scope_check CHECK (scope IN ('charge_point', 'site', 'location_group', 'default'));
ALTER TABLE tariff_assignment ADD COLUMN token_group text CHECK (token_group <> '');
ALTER TABLE tariff_assignment ADD COLUMN user_class text
    CHECK (user_class IN ('ad_hoc', 'member', 'employee', 'resident', 'fleet', 'roaming'));
ALTER TABLE tariff_assignment ADD COLUMN product text CHECK (product <> '');
ALTER TABLE tariff_assignment ADD COLUMN priority integer NOT NULL DEFAULT 0;

-- What a driver is to the operator; NULL: nobody said.
ALTER TABLE token_event ADD COLUMN user_class text
    CHECK (user_class IN ('ad_hoc', 'member', 'employee', 'resident', 'fleet', 'roaming'));

-- What it sells; NULL: AC or DC, by its current.
ALTER TABLE charge_point ADD COLUMN product text CHECK (product <> '');

-- Sites join and leave groups; the newest row of a site and group up to an instant says whether it was in then.
CREATE TABLE location_group_event (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    site            text NOT NULL REFERENCES site,
    location_group  text NOT NULL CHECK (location_group <> ''),
    is_member       boolean NOT NULL,
    actor           text NOT NULL,
    at              timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX location_group_event_site ON location_group_event (site, location_group, at DESC, id DESC);
SELECT csms_append_only('location_group_event');
