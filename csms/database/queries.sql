-- The statements of the database room itself. Parameters are written :name.

-- name: create_schema_migration
-- What has been applied. role_protects: the role csms_app was there, not only the triggers. code_min: the file that code
-- must know to work on the schema from then on, 0 for any that did before, null where nobody has said so.
CREATE TABLE IF NOT EXISTS schema_migration (
    version        integer PRIMARY KEY,
    name           text NOT NULL,
    sha256         text NOT NULL,
    role_protects  boolean NOT NULL,
    applied_at     timestamptz NOT NULL DEFAULT now(),
    code_min       integer
);

-- name: add_code_min
-- Where an older csms has made the table. It goes on writing its rows without.
ALTER TABLE schema_migration ADD COLUMN IF NOT EXISTS code_min integer;

-- name: has_code_min
-- Is the column there? Looked up first, as even a change that changes nothing takes the whole table.
SELECT EXISTS (SELECT FROM pg_attribute
                WHERE attrelid = 'public.schema_migration'::regclass AND attname = 'code_min' AND NOT attisdropped);

-- name: has_schema_migration
-- Has anything ever been applied here?
SELECT to_regclass('public.schema_migration') IS NOT NULL;

-- name: applied_migrations
-- In the order in which they ran. By way of JSON: an older csms has made the table without code_min.
SELECT version, name, sha256, applied_at, (to_jsonb(m) ->> 'code_min')::integer AS code_min
  FROM schema_migration m
 ORDER BY version;

-- name: record_migration
-- In the transaction of the migration itself, where it has one.
INSERT INTO schema_migration (version, name, sha256, role_protects, code_min)
VALUES (:version, :name, :sha256, :role_protects, :code_min);

-- name: try_lock_migrations
-- One process migrates, the others wait.
SELECT pg_try_advisory_lock(:key);

-- name: bound_lock_waits
-- For this transaction: who waits for a table has everybody else waiting behind him.
SELECT set_config('lock_timeout', :limit, true);

-- name: oldest_transactions
-- Who may be in the way of a migration. Not what they do: that may hold personal data.
SELECT pid, application_name AS application, coalesce(state, 'unknown') AS state,
       extract(epoch FROM now() - xact_start)::integer AS open_s
  FROM pg_stat_activity
 WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start < now() - interval '100 milliseconds'
 ORDER BY xact_start
 LIMIT 3;

-- name: invalid_indexes
-- What is left of concurrent indexes whose making was cut off.
SELECT i.indexrelid::regclass::text AS name
  FROM pg_index i
  JOIN pg_class c ON c.oid = i.indexrelid
 WHERE NOT i.indisvalid AND c.relnamespace = 'public'::regnamespace AND c.relname = ANY (:names::text[]);

-- name: unlock_migrations
-- The counterpart; closing the connection does the same.
SELECT pg_advisory_unlock(:key);

-- name: create_app_role
-- Roles belong to the whole server: another database may have made it, even at this moment.
DO $$
BEGIN
    CREATE ROLE csms_app NOLOGIN;
EXCEPTION
    WHEN duplicate_object OR unique_violation THEN NULL;
END
$$;

-- name: grant_app_role
-- A superuser may become any role; another owner needs to be a member.
DO $$
BEGIN
    IF NOT pg_has_role(current_user, 'csms_app', 'MEMBER') THEN
        GRANT csms_app TO current_user;
    END IF;
END
$$;

-- name: can_become_app
-- Does the role exist, and may this user SET it?
SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = :role AND pg_has_role(session_user, oid, 'MEMBER'));

-- name: has_grant_function
-- Comes with the first migration.
SELECT to_regprocedure('csms_grant_app()') IS NOT NULL;

-- name: app_lacks_rights
-- Is there a table that csms_app may not even read? After every migration, and after a restore to a server without the
-- role. Only then rights are given: nodes that start at the same time would get into each other's way.
SELECT EXISTS (SELECT FROM pg_roles r, pg_class c
                WHERE r.rolname = 'csms_app' AND c.relnamespace = 'public'::regnamespace
                  AND c.relkind IN ('r', 'p', 'v') AND NOT c.relispartition
                  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')
                  AND NOT has_table_privilege(r.oid, c.oid, 'SELECT'));

-- name: grant_app
-- Rights of csms_app on every table there is now.
SELECT csms_grant_app();

-- name: append_only_tables
-- Tables with the triggers, both of them always on, and whether the role could change one nevertheless.
SELECT c.relname AS name,
       EXISTS (SELECT FROM pg_roles r
                WHERE r.rolname = 'csms_app' AND has_table_privilege(r.oid, c.oid, 'UPDATE, DELETE, TRUNCATE')) AS changeable
  FROM pg_trigger t
  JOIN pg_trigger by_row ON by_row.tgrelid = t.tgrelid AND by_row.tgname = 'append_only_row' AND by_row.tgenabled = 'A'
  JOIN pg_class c ON c.oid = t.tgrelid
 WHERE t.tgname = 'append_only' AND t.tgenabled = 'A'
 ORDER BY c.relname;

-- name: tables
-- The tables, partitions as one with their parent, each with the statement that counts its rows.
SELECT c.relname AS name, format('SELECT count(*) FROM %s', c.oid::regclass) AS statement
  FROM pg_class c
 WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
   AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')
 ORDER BY c.relname;

-- name: database_facts
-- For `csms db status`.
SELECT current_setting('server_version') AS server_version,
       current_database() AS database,
       pg_database_size(current_database()) AS size_bytes;

-- name: has_tables
-- Is there anything of anybody in this database? Extensions do not count.
SELECT EXISTS (SELECT FROM pg_class c
                WHERE c.relnamespace = 'public'::regnamespace
                  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e'));

-- name: probe_commit
-- A commit that is flushed to disk like any other, and touches no table.
SELECT pg_logical_emit_message(true, 'csms', 'probe');

-- name: probe_space_begin
-- Extends a file, so that a full disk shows; it goes with the end of the transaction.
CREATE TEMP TABLE csms_space_probe ON COMMIT DROP AS
SELECT repeat(md5(n::text), 60) AS filling
  FROM generate_series(1, 256) AS n;

-- name: probe_space_end
-- Half a megabyte of write-ahead log, flushed by the commit.
SELECT pg_logical_emit_message(true, 'csms', repeat('space', 100000));

-- name: ensure_frame_partitions
-- From yesterday to so many days ahead.
SELECT csms_ensure_frame_partitions(:days_ahead);

-- name: drop_frame_partitions
-- Names of the partitions that went.
SELECT csms_drop_frame_partitions(:older_than_days) AS name;

-- name: ensure_reading_partitions
-- How many months are new.
SELECT csms_ensure_reading_partitions(:months_ahead);

-- name: drop_reading_partitions
-- Names of the months that went.
SELECT csms_drop_reading_partitions(:older_than_months) AS name;
