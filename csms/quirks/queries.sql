-- name: count_seen
-- What was seen since the last time, added up; the newest frame stays as proof. Unknown charge points are left out.
INSERT INTO quirk_seen (charge_point, name, count, first_at, last_at, action, frame)
SELECT s.charge_point, s.name, s.count, s.first_at, s.last_at, s.action, s.frame
  FROM unnest(:charge_points::text[], :names::text[], :counts::bigint[], :first_ats::timestamptz[], :last_ats::timestamptz[],
              :actions::text[], :frames::text[]) AS s (charge_point, name, count, first_at, last_at, action, frame)
  JOIN charge_point c ON c.id = s.charge_point
 ORDER BY s.charge_point, s.name
    ON CONFLICT (charge_point, name) DO UPDATE
   SET count = quirk_seen.count + excluded.count,
       first_at = least(quirk_seen.first_at, excluded.first_at),
       last_at = greatest(quirk_seen.last_at, excluded.last_at),
       action = CASE WHEN excluded.last_at >= quirk_seen.last_at THEN excluded.action ELSE quirk_seen.action END,
       frame = CASE WHEN excluded.last_at >= quirk_seen.last_at THEN excluded.frame ELSE quirk_seen.frame END;

-- name: charge_points_of_address
-- The charge points that came from an address of late and are not connected: whom a failed TLS handshake may concern.
SELECT DISTINCT l.charge_point AS id
  FROM (SELECT s.charge_point FROM socket s
         WHERE s.remote = :remote::text AND s.opened_at > now() - interval '90 days'
         ORDER BY s.opened_at DESC LIMIT 200) l
 WHERE NOT EXISTS (SELECT FROM socket o WHERE o.charge_point = l.charge_point AND o.closed_at IS NULL)
 ORDER BY 1
 LIMIT :most::integer;

-- name: forget_proofs
-- Proofs that are older than frames may be; that it was seen stays known.
UPDATE quirk_seen SET frame = '' WHERE last_at < now() - make_interval(days => :days::integer) AND frame <> '';

-- name: seen
-- What was seen of charge points, of one or of all.
SELECT q.charge_point, q.name, q.count, q.first_at, q.last_at, q.action, q.frame
  FROM quirk_seen q
 WHERE (:charge_point::text IS NULL OR q.charge_point = :charge_point)
   AND (:name::text IS NULL OR q.name = :name)
 ORDER BY q.charge_point, q.name;

-- name: counts
-- Each quirk's charge points and messages.
SELECT name, count(*) AS charge_points, sum(count)::bigint AS messages, max(last_at) AS last_at
  FROM quirk_seen GROUP BY name;

-- name: makes_of
-- The makes that showed a quirk.
SELECT coalesce(c.vendor, '') AS vendor, coalesce(c.model, '') AS model, count(*) AS charge_points,
       sum(q.count)::bigint AS messages
  FROM quirk_seen q
  JOIN charge_point c ON c.id = q.charge_point
 WHERE q.name = :name::text
 GROUP BY 1, 2
 ORDER BY messages DESC, 1, 2
 LIMIT 50;

-- name: insert_choice
-- What an operator said of a quirk.
INSERT INTO quirk_choice (charge_point, name, choice, actor)
VALUES (:charge_point::text, :name::text, :choice::text, :actor::text);

-- name: choose
-- What holds for a charge point from now on.
UPDATE charge_point
   SET quirks_on = CASE WHEN :choice::text = 'on' THEN array_append(array_remove(quirks_on, :name::text), :name)
                        ELSE array_remove(quirks_on, :name) END,
       quirks_off = CASE WHEN :choice = 'off' THEN array_append(array_remove(quirks_off, :name), :name)
                         ELSE array_remove(quirks_off, :name) END
 WHERE id = :charge_point::text;

-- name: changed_since
-- Charge points that operators changed after an instant by this database's clock.
SELECT id, changed_at FROM charge_point WHERE changed_at > :since::timestamptz;

-- name: now
-- The clock of this database.
SELECT now();
