-- Readings become lean: what a charge point says of its values, message by message, is kept once (reading_layout), and each
-- reading holds figures alone. They are partitioned by the month of their instant: small indexes, and a month whose time is
-- over goes as a whole.

-- Measurand, unit, context, phase and location of each sample, in the order of the figures. `id` is 16 bytes of SHA-256
-- over them, so that every node and every copy of the database knows a layout by the same name.
CREATE TABLE reading_layout (
    id       bytea PRIMARY KEY,
    samples  jsonb NOT NULL
);
SELECT csms_append_only('reading_layout');

ALTER TABLE reading RENAME TO reading_before;
DROP TRIGGER append_only ON reading_before;
DROP TRIGGER append_only_row ON reading_before;
ALTER INDEX reading_session RENAME TO reading_before_session;
ALTER INDEX reading_loose RENAME TO reading_before_loose;
ALTER TABLE reading_before
    ALTER COLUMN samples DROP NOT NULL,
    ADD COLUMN layout bytea,
    ADD COLUMN figures text;

-- `samples` holds what figures cannot: signed data and values that are no numbers; and what was stored before.
CREATE TABLE reading (
    at            timestamptz NOT NULL,
    received_at   timestamptz NOT NULL,
    session       integer,
    evse          integer,
    connector     integer,
    charge_point  text NOT NULL,
    transaction   text,
    key           bytea NOT NULL,
    carried_by    text NOT NULL,
    layout        bytea,
    figures       text,
    samples       jsonb,
    quirks        text[] NOT NULL DEFAULT '{}',
    CONSTRAINT reading_carried_by_check CHECK (carried_by IN ('started', 'updated', 'ended', 'meter_values')),
    CONSTRAINT reading_says_something CHECK (num_nonnulls(layout, samples) = 1 AND num_nonnulls(layout, figures) <> 1),
    UNIQUE NULLS NOT DISTINCT (charge_point, at, key, evse, connector, transaction, carried_by)
) PARTITION BY RANGE (at);
CREATE INDEX reading_session ON reading (session, at) WHERE session IS NOT NULL;
CREATE INDEX reading_loose ON reading (charge_point, evse, at) WHERE session IS NULL;

-- The partition of everything whose instant is in no month of its own: clocks say 2099.
CREATE TABLE reading_other PARTITION OF reading DEFAULT;

-- What is there becomes one partition, up to the end of this month; what says that it is from later belongs to the others.
ALTER TABLE reading_before
    ADD CONSTRAINT reading_says_something CHECK (num_nonnulls(layout, samples) = 1 AND num_nonnulls(layout, figures) <> 1);
DO $$
DECLARE
    until timestamptz := (date_trunc('month', now() AT TIME ZONE 'UTC') + interval '1 month') AT TIME ZONE 'UTC';
BEGIN
    INSERT INTO reading (at, received_at, session, evse, connector, charge_point, transaction, key, carried_by, samples, quirks)
    SELECT at, received_at, session, evse, connector, charge_point, transaction, key, carried_by, samples, quirks
      FROM reading_before WHERE at >= until;
    DELETE FROM reading_before WHERE at >= until;
    EXECUTE format('ALTER TABLE reading ATTACH PARTITION reading_before FOR VALUES FROM (MINVALUE) TO (%L)', until);
END
$$;
SELECT csms_append_only('reading');

-- Months of reading (UTC) up to so many ahead, without a gap. Returns how many are new. Readings of such a month that came
-- before there was one, from clocks that were ahead, move into it. It waits two seconds at most for whoever reads the
-- others; the next call tries again.
CREATE FUNCTION csms_ensure_reading_partitions(months_ahead integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET lock_timeout = '2s' SET timezone = 'UTC' AS $$
DECLARE
    month timestamptz;
    name text;
    made integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('csms_reading_partitions'));
    FOR month IN
        SELECT generate_series(max(until), date_trunc('month', now()) + months_ahead * interval '1 month', interval '1 month')
          FROM (SELECT (regexp_match(pg_get_expr(c.relpartbound, c.oid), 'TO \(''([^'']+)''\)'))[1]::timestamptz AS until
                  FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
                 WHERE i.inhparent = 'reading'::regclass) bounds
    LOOP
        name := 'reading_' || to_char(month, 'YYYYMM');
        IF EXISTS (SELECT FROM reading_other WHERE at >= month AND at < month + interval '1 month') THEN
            ALTER TABLE reading DETACH PARTITION reading_other;
            ALTER TABLE reading_other RENAME TO reading_stray;
        END IF;
        EXECUTE format('CREATE TABLE %I (LIKE reading INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', name);
        EXECUTE format('ALTER TABLE reading ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', name, month,
                       month + interval '1 month');
        IF to_regclass('reading_stray') IS NOT NULL THEN
            CREATE TABLE reading_other PARTITION OF reading DEFAULT;
            INSERT INTO reading SELECT * FROM reading_stray;
            DROP TABLE reading_stray;
        END IF;
        made := made + 1;
    END LOOP;
    RETURN made;
END
$$;
SELECT csms_ensure_reading_partitions(2);

-- The samples of a reading as they are kept elsewhere: [value, measurand, unit, context, phase, location] each.
CREATE FUNCTION csms_samples(said jsonb, figures text) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT jsonb_agg(jsonb_build_array(f.value) || s.said ORDER BY n)
      FROM unnest(string_to_array(figures, ' ')) WITH ORDINALITY AS f (value, n)
      JOIN jsonb_array_elements(said) WITH ORDINALITY AS s (said, n) USING (n)
$$;

-- Which readings went when their time was over: of sessions that we heard of before `before` not all are there any more, so
-- they are never folded again; what they gave stands in their rows and bills.
CREATE TABLE reading_retention (
    before      timestamptz PRIMARY KEY,
    months      text[] NOT NULL,
    dropped_at  timestamptz NOT NULL DEFAULT now()
);
SELECT csms_append_only('reading_retention');

-- Drop the partitions of reading that ended so many months ago or more, oldest first. Returns their names. None goes while a
-- session of before that time has no final bill and is not dropped either, or while one holds readings of a session that
-- we heard of later. It waits two seconds at most for whoever is reading one; the next call tries again.
CREATE FUNCTION csms_drop_reading_partitions(older_than_months integer) RETURNS SETOF text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET lock_timeout = '2s' SET timezone = 'UTC' AS $$
DECLARE
    horizon timestamptz := date_trunc('month', now()) - older_than_months * interval '1 month';
    part record;
    is_needed boolean;
    gone text[] := '{}';
BEGIN
    ASSERT older_than_months >= 1, 'the month that runs is never dropped';
    PERFORM pg_advisory_xact_lock(hashtext('csms_reading_partitions'));
    IF EXISTS (SELECT FROM session s WHERE s.created_at < horizon AND s.dropped IS NULL
                  AND NOT EXISTS (SELECT FROM bill b WHERE b.session = s.id AND b.kind = 'final')) THEN
        RETURN;
    END IF;
    FOR part IN
        SELECT c.relname AS name
          FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
         WHERE i.inhparent = 'reading'::regclass
           AND (regexp_match(pg_get_expr(c.relpartbound, c.oid), 'TO \(''([^'']+)''\)'))[1]::timestamptz <= horizon
         ORDER BY c.relname
    LOOP
        EXECUTE format('SELECT EXISTS (SELECT FROM %I r JOIN session s ON s.id = r.session WHERE s.created_at >= $1)', part.name)
           INTO is_needed USING horizon;
        CONTINUE WHEN is_needed;
        EXECUTE format('DROP TABLE %I', part.name);
        gone := gone || part.name::text;
        RETURN NEXT part.name;
    END LOOP;
    IF gone <> '{}' THEN
        INSERT INTO reading_retention (before, months) VALUES (horizon, gone)
            ON CONFLICT DO NOTHING;
    END IF;
END
$$;
