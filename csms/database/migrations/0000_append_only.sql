-- What every later migration builds on: tables that only grow, what the role csms_app may do, partitions of raw frames.
-- The role itself is made by the runner, as not every owner may create one.

CREATE FUNCTION csms_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % is refused', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'insufficient_privilege',
              HINT = 'A correction is a new row that names the old one.';
END
$$;

-- Make a table append-only for everybody: the role loses the right, and a trigger raises where the role is missing or
-- the owner itself slips. The row trigger is inherited by partitions, the statement trigger catches TRUNCATE as well.
CREATE FUNCTION csms_append_only(target regclass) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE TRIGGER append_only_row BEFORE UPDATE OR DELETE ON %s '
                   'FOR EACH ROW EXECUTE FUNCTION csms_refuse_change()', target);
    EXECUTE format('CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON %s '
                   'FOR EACH STATEMENT EXECUTE FUNCTION csms_refuse_change()', target);
    EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER append_only_row', target);
    EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER append_only', target);
END
$$;

-- Is it? By the trigger, which is there with and without the role.
CREATE FUNCTION csms_is_append_only(target regclass) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = target AND tgname = 'append_only' AND tgenabled = 'A')
$$;

-- Bring the rights of csms_app in line with the tables there are. The runner calls it after every run; it may be
-- repeated. Partitions are reached through their parent only, and the record of migrations is the owner's.
CREATE FUNCTION csms_grant_app() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    part record;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'csms_app') THEN
        RETURN;
    END IF;
    GRANT USAGE ON SCHEMA public TO csms_app;
    GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO csms_app;
    FOR part IN
        SELECT c.oid::regclass AS name, c.relispartition AS is_partition
          FROM pg_class c
         WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v')
           AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')
    LOOP
        EXECUTE format('REVOKE ALL ON %s FROM csms_app', part.name);
        IF part.is_partition THEN
            CONTINUE;
        END IF;
        EXECUTE format('GRANT SELECT ON %s TO csms_app', part.name);
        IF part.name = 'schema_migration'::regclass THEN
            CONTINUE;
        END IF;
        EXECUTE format('GRANT INSERT ON %s TO csms_app', part.name);
        IF NOT csms_is_append_only(part.name) THEN
            EXECUTE format('GRANT UPDATE, DELETE ON %s TO csms_app', part.name);
        END IF;
    END LOOP;
END
$$;

-- Partitions of frame by day (UTC), from yesterday (a clock may be set back) to so many days ahead. Returns how many
-- are new. Built apart and then attached, which does not stop writers as CREATE ... PARTITION OF would.
CREATE FUNCTION csms_ensure_frame_partitions(days_ahead integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    today date := (now() AT TIME ZONE 'UTC')::date;
    first_day date;
    name text;
    made integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('csms_frame_partitions'));
    FOR days IN -1 .. days_ahead LOOP
        first_day := today + days;
        name := 'frame_' || to_char(first_day, 'YYYYMMDD');
        CONTINUE WHEN to_regclass(name) IS NOT NULL;
        EXECUTE format('CREATE TABLE %I (LIKE frame INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING GENERATED)', name);
        EXECUTE format('ALTER TABLE frame ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', name,
                       first_day::timestamp AT TIME ZONE 'UTC', (first_day + 1)::timestamp AT TIME ZONE 'UTC');
        made := made + 1;
    END LOOP;
    RETURN made;
END
$$;

-- Drop the partitions of frame that ended more than so many days ago. Returns the names. It waits two seconds at most
-- for whoever is reading one; the next call tries again.
CREATE FUNCTION csms_drop_frame_partitions(older_than_days integer) RETURNS SETOF text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET lock_timeout = '2s' AS $$
DECLARE
    last_kept date := (now() AT TIME ZONE 'UTC')::date - older_than_days;
    name text;
BEGIN
    ASSERT older_than_days >= 1, 'the partition of today is never dropped';
    PERFORM pg_advisory_xact_lock(hashtext('csms_frame_partitions'));
    FOR name IN
        SELECT c.relname
          FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
         WHERE i.inhparent = 'frame'::regclass AND c.relname ~ '^frame_\d{8}$'
           AND to_date(right(c.relname, 8), 'YYYYMMDD') < last_kept
         ORDER BY c.relname
    LOOP
        EXECUTE format('DROP TABLE %I', name);
        RETURN NEXT name;
    END LOOP;
END
$$;
