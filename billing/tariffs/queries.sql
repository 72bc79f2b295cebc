-- name: lock_for_resolving
-- Held while tariffs are chosen for sessions; many may. Ends with the transaction.
SELECT pg_advisory_xact_lock_shared(:key);

-- name: lock_for_editing
-- Held while tariffs or assignments are entered; waits for those who choose, so that none of them misses the entry and
-- none of the sessions they hold is missed here. Ends with the transaction.
SELECT pg_advisory_xact_lock(:key);

-- name: insert_tariff
-- A version of a tariff; the key refuses a second one of the same number.
INSERT INTO tariff (id, version, body, sha256, currency, valid_from, created_at, idle_after_stop, idle_cap_s)
VALUES (:id, :version, :body::text::jsonb, :sha256, :currency, :valid_from, :created_at, :idle_after_stop, :idle_cap_s);

-- name: newest_version
-- What the next version of a tariff follows.
SELECT version, sha256, currency, valid_from, idle_after_stop, idle_cap_s
  FROM tariff WHERE id = :id ORDER BY version DESC LIMIT 1;

-- name: insert_publication
-- Who published a version for when; why, where that was past.
INSERT INTO tariff_publication (tariff, version, valid_from, reason, actor, at)
VALUES (:tariff, :version::integer, :valid_from, :reason, :actor, :at);

-- name: open_sessions_by_version
-- Sessions without a final bill that have this tariff: they keep it.
SELECT tariff_version, count(*) AS sessions
  FROM rating WHERE tariff = :tariff AND next_at IS NOT NULL GROUP BY tariff_version ORDER BY tariff_version;

-- name: next_version_from
-- From when on a version gives way to another that is stored already.
SELECT min(valid_from) FROM tariff
 WHERE id = :id AND version <> :version::integer AND (valid_from, version) > (:at::timestamptz, :version);

-- name: version_numbers
-- Every version of some tariffs, without bodies: those are cached, as they never change.
SELECT id, version FROM tariff WHERE id = ANY(:ids::text[]) ORDER BY id, version;

-- name: tariff_bodies
-- Versions of tariffs, whole.
SELECT t.id, t.version, t.body::text AS body, t.valid_from, t.created_at, t.idle_after_stop, t.idle_cap_s
  FROM unnest(:ids::text[], :versions::integer[]) AS wanted (id, version)
  JOIN tariff t USING (id, version);

-- name: list_tariffs
-- Newest version of each tariff, and where it is assigned to.
SELECT t.id, t.version, t.currency, t.valid_from, t.created_at,
       (SELECT count(*) FROM tariff_assignment a WHERE a.tariff = t.id) AS assignments
  FROM (SELECT DISTINCT ON (id) id, version, currency, valid_from, created_at
          FROM tariff ORDER BY id, version DESC) AS t
 ORDER BY t.id;

-- name: list_assignments
-- All assignments of a tariff, in the order in which they were entered.
SELECT * FROM tariff_assignment WHERE tariff = :tariff ORDER BY id;

-- name: all_assignments
-- Every assignment, in the order in which they were entered.
SELECT * FROM tariff_assignment ORDER BY id;

-- name: find_assignment
-- One assignment.
SELECT * FROM tariff_assignment WHERE id = :id::bigint;

-- name: insert_assignment
-- From valid_from on the target charges by the tariff.
INSERT INTO tariff_assignment (tariff, scope, target, token_group, user_class, product, priority, valid_from, entered_at)
VALUES (:tariff, :scope, :target, :token_group, :user_class, :product, :priority, :valid_from, :entered_at)
RETURNING *;

-- name: same_assignment
-- The newest entry for exactly this target, audience, priority and instant: entering it again would change nothing.
SELECT *
  FROM tariff_assignment
 WHERE scope = :scope AND target IS NOT DISTINCT FROM :target AND valid_from = :valid_from AND priority = :priority
   AND (token_group, user_class, product) IS NOT DISTINCT FROM (:token_group::text, :user_class::text, :product::text)
 ORDER BY entered_at DESC, id DESC
 LIMIT 1;

-- name: assignments_for
-- Every assignment that could price a session at one of these charge points, sites or groups of sites.
SELECT *
  FROM tariff_assignment
 WHERE valid_from <= :until
   AND (scope = 'default'
        OR (scope = 'charge_point' AND target = ANY(:charge_points::text[]))
        OR (scope = 'site' AND target = ANY(:sites::text[]))
        OR (scope = 'location_group' AND target = ANY(:location_groups::text[])));

-- name: find_charge_point
-- A charge point by its identity in any case, with its site's currency.
SELECT c.id, s.id AS site, s.currency FROM charge_point c JOIN site s ON s.id = c.site WHERE lower(c.id) = lower(:id);

-- name: find_site
-- A site, its currency and its country.
SELECT id, currency, country FROM site WHERE id = :id;

-- name: find_location_group
-- The currencies of the sites that are in a group now.
SELECT s.currency, array_agg(s.id ORDER BY s.id) AS sites
  FROM (SELECT DISTINCT ON (site) site, is_member FROM location_group_event
         WHERE location_group = :id ORDER BY site, at DESC, id DESC) g
  JOIN site s ON s.id = g.site
 WHERE g.is_member
 GROUP BY s.currency ORDER BY s.currency;

-- name: site_currencies
-- The currencies that sites have.
SELECT DISTINCT currency FROM site ORDER BY currency;

-- name: wake_sessions_without_tariff
-- Sessions that wait for a tariff are looked at again.
INSERT INTO rating_due (session) SELECT session FROM rating WHERE holds && ARRAY['no_tariff', 'currency_mismatch'];
