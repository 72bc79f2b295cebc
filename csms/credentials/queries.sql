-- name: lock_charge_point
-- Changes of the credentials of one charge point come one after the other.
SELECT id FROM charge_point WHERE id = :charge_point::text FOR NO KEY UPDATE;

-- name: count_waiting
-- How many passwords it may hold beside the present one, for all we know.
SELECT count(*) FROM password_change WHERE charge_point = :charge_point::text AND hash IS NOT NULL;

-- name: insert_change
-- A password that is about to be sent.
INSERT INTO password_change (charge_point, salt, hash, actor, answer_due_at)
VALUES (:charge_point::text, :salt::bytea, :hash::bytea, :actor::text, now() + :patience::interval)
RETURNING id;

-- name: state_of_change
-- What became of a change so far.
SELECT state FROM password_change WHERE id = :id::bigint;

-- name: keep_waiting
-- Nobody knows yet whether the charge point holds it, or it will only from its next restart on.
UPDATE password_change SET state = :state::text, outcome = :outcome::text, settled_at = now()
 WHERE id = :id::bigint AND hash IS NOT NULL;

-- name: drop_change
-- The charge point does not hold it.
UPDATE password_change SET state = :state::text, outcome = coalesce(:outcome::text, outcome), settled_at = now(),
                           salt = NULL, hash = NULL
 WHERE id = :id::bigint AND hash IS NOT NULL;

-- name: take_into_use
-- The charge point holds it: from now on it is the present one.
UPDATE charge_point c
   SET password_salt = p.salt, password_hash = p.hash, password_changed_at = now()
  FROM password_change p
 WHERE p.id = :id::bigint AND p.hash IS NOT NULL AND c.id = p.charge_point
RETURNING c.id;

-- name: drop_older
-- What was tried before a password that is in use now.
UPDATE password_change SET state = 'superseded', settled_at = now(), salt = NULL, hash = NULL
 WHERE charge_point = :charge_point::text AND hash IS NOT NULL AND id < :id::bigint;

-- name: drop_unanswered
-- The charge point has come back with another password than these, which were sent before and not answered. One that
-- was accepted for after a restart may still be taken into use.
UPDATE password_change SET state = 'not_taken', settled_at = now(), salt = NULL, hash = NULL
 WHERE charge_point = :charge_point::text AND hash IS NOT NULL
   AND (state = 'unknown' AND settled_at < :at::timestamptz OR state = 'sent' AND answer_due_at < :at::timestamptz);

-- name: reach_profile
-- The charge point has come up with the profile that was wanted: from now on with no lower one (A05.FR.07, A05.FR.09).
UPDATE charge_point SET security_profile = security_profile_wanted, security_profile_wanted = NULL
 WHERE id = :charge_point::text AND security_profile_wanted = :profile::smallint
RETURNING security_profile;

-- name: want_profile
-- The charge point is asked to come up with this profile; NULL: with the present one.
UPDATE charge_point SET security_profile_wanted = :profile::smallint WHERE id = :charge_point::text;

-- name: fleet
-- Charge points with the age of their passwords and whether a node holds a socket of theirs.
SELECT c.id, c.site, c.security_profile, c.security_profile_wanted, c.password_changed_at,
       c.password_hash IS NOT NULL AS has_password,
       (SELECT count(*) FROM password_change p WHERE p.charge_point = c.id AND p.hash IS NOT NULL) AS waiting,
       k.protocol
  FROM charge_point c
  LEFT JOIN LATERAL (SELECT s.protocol FROM socket s JOIN node ON node.id = s.node
                      WHERE s.charge_point = c.id AND s.closed_at IS NULL
                        AND node.heard_at > now() - node.lease
                      ORDER BY s.opened_at DESC LIMIT 1) k ON true
 WHERE (:id::text IS NULL OR c.id = :id) AND (:site::text IS NULL OR c.site = :site)
 ORDER BY c.id;

-- name: changes
-- Changes of passwords, the newest first.
SELECT id, charge_point, made_at, state, outcome, settled_at, actor
  FROM password_change
 WHERE (:charge_point::text IS NULL OR charge_point = :charge_point)
 ORDER BY id DESC
 LIMIT :most::integer;
