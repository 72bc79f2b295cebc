-- name: insert_rollout
-- What an operator wants of many charge points.
INSERT INTO rollout (kind, image, plan, actor) VALUES (:kind::text, :image::integer, :plan::jsonb, :actor::text)
RETURNING id;

-- name: insert_members
-- Who is in it, and in which wave.
INSERT INTO rollout_member (rollout, charge_point, wave, exclusive)
SELECT :rollout::integer, t.charge_point, t.wave, :exclusive::boolean
  FROM unnest(:charge_points::text[], :waves::integer[]) AS t (charge_point, wave);

-- name: taken
-- Charge points that are in another roll-out of firmware, which is not over for them.
SELECT charge_point, rollout FROM rollout_member
 WHERE exclusive AND state IN ('waiting', 'asked', 'running') AND charge_point = ANY (:charge_points::text[])
 ORDER BY charge_point;

-- name: candidates
-- Charge points that may be chosen; those that are online first.
SELECT c.id, c.vendor, c.model, c.firmware,
       EXISTS (SELECT FROM socket s JOIN node n ON n.id = s.node
                WHERE s.charge_point = c.id AND s.closed_at IS NULL AND n.heard_at > now() - n.lease) AS online
  FROM charge_point c
 WHERE (:site::text IS NULL OR c.site = :site)
   AND (:model::text IS NULL OR lower(c.model) = lower(:model))
   AND (:named::text[] IS NULL OR lower(c.id) = ANY (SELECT lower(each) FROM unnest(:named::text[]) AS each))
 ORDER BY online DESC, c.id;

-- name: open_rollouts
-- Roll-outs in which somebody is not through.
SELECT DISTINCT rollout FROM rollout_member WHERE state IN ('waiting', 'asked', 'running') ORDER BY rollout;

-- name: lock_rollout
-- One node at a time decides about a roll-out; false where another one is at it.
SELECT pg_try_advisory_xact_lock(7014, :rollout::integer);

-- name: wait_for_rollout
-- For an operator's word: nobody decides about the roll-out meanwhile.
SELECT pg_advisory_xact_lock(7014, :rollout::integer);

-- name: rollout
-- A roll-out with the firmware that it brings.
SELECT r.*, i.version, i.vendor, i.model, i.file, f.name AS file_name
  FROM rollout r LEFT JOIN firmware_image i ON i.id = r.image LEFT JOIN file f ON f.id = i.file
 WHERE r.id = :rollout::integer;

-- name: rollouts
-- Roll-outs, newest first.
SELECT r.id, r.kind, r.image, i.version, r.state, r.reason, r.wave, r.actor, r.created_at, r.changed_at,
       (SELECT max(m.wave) FROM rollout_member m WHERE m.rollout = r.id) AS waves,
       (SELECT count(*) FROM rollout_member m WHERE m.rollout = r.id) AS charge_points,
       (SELECT count(*) FROM rollout_member m WHERE m.rollout = r.id AND m.state IN ('done', 'skipped')) AS done,
       (SELECT count(*) FROM rollout_member m WHERE m.rollout = r.id AND m.state = 'failed') AS failed,
       (SELECT count(*) FROM rollout_member m WHERE m.rollout = r.id AND m.state IN ('waiting', 'asked', 'running')) AS open
  FROM rollout r LEFT JOIN firmware_image i ON i.id = r.image
 WHERE r.kind = :kind::text AND (:rollout::integer IS NULL OR r.id = :rollout)
 ORDER BY r.id DESC
 LIMIT :most::integer;

-- name: members
-- Who is in it, with what is known of each that is not through.
SELECT m.*, c.vendor, c.model, c.firmware, c.booted_at, c.registration, z.time_zone, q.asked_at AS request_asked_at,
       k.protocol AS spoken,
       CASE WHEN m.state IN ('waiting', 'asked', 'running')
            THEN EXISTS (SELECT FROM session s
                          WHERE s.charge_point = m.charge_point AND s.ended_at IS NULL AND s.dropped IS NULL)
            ELSE false END AS busy,
       g.file AS received_file, g.size_bytes AS received_bytes, g.used_at AS received_at
  FROM rollout_member m
  JOIN charge_point c ON c.id = m.charge_point
  JOIN site z ON z.id = c.site
  LEFT JOIN transfer_request q ON q.id = m.request
  LEFT JOIN LATERAL (SELECT s.protocol FROM socket s JOIN node n ON n.id = s.node
                      WHERE m.state IN ('waiting', 'asked', 'running') AND s.charge_point = m.charge_point
                        AND s.closed_at IS NULL AND n.heard_at > now() - n.lease
                      ORDER BY s.opened_at DESC LIMIT 1) k ON true
  LEFT JOIN LATERAL (SELECT a.file, f.size_bytes, a.used_at
                       FROM rollout_event e JOIN file_grant a ON a.request = e.request JOIN file f ON f.id = a.file
                      WHERE m.asked > 0 AND e.rollout = m.rollout AND e.charge_point = m.charge_point
                        AND e.kind = 'asked' AND a.direction = 'upload' AND a.used_at IS NOT NULL
                      ORDER BY a.used_at DESC LIMIT 1) g ON true
 WHERE m.rollout = :rollout::integer AND (:charge_point::text IS NULL OR lower(m.charge_point) = lower(:charge_point))
 ORDER BY m.wave, m.charge_point;

-- name: store_rollout
-- Where the roll-out stands now.
UPDATE rollout
   SET state = :state::text, wave = :wave::integer, wave_at = :wave_at::timestamptz, reason = :reason::text,
       changed_at = :now::timestamptz
 WHERE id = :rollout::integer;

-- name: store_members
-- Where charge points stand now.
UPDATE rollout_member m
   SET state = t.state, reason = t.reason, asked = t.asked, failures = t.failures, not_before = t.not_before,
       request = coalesce(t.request, m.request), changed_at = t.changed_at
  FROM unnest(:charge_points::text[], :states::text[], :reasons::text[], :asked::integer[], :failures::integer[],
              :not_befores::timestamptz[], :requests::integer[], :changed_ats::timestamptz[])
       AS t (charge_point, state, reason, asked, failures, not_before, request, changed_at)
 WHERE m.rollout = :rollout::integer AND m.charge_point = t.charge_point;

-- name: insert_events
-- What was decided or seen.
INSERT INTO rollout_event (rollout, charge_point, kind, reason, attempt, request, actor, at)
SELECT :rollout::integer, t.charge_point, t.kind, t.reason, t.attempt, t.request, :actor::text, :at::timestamptz
  FROM unnest(:charge_points::text[], :kinds::text[], :reasons::text[], :attempts::integer[], :requests::integer[])
       AS t (charge_point, kind, reason, attempt, request);

-- name: withdraw_waiting
-- Whose turn will not come.
UPDATE rollout_member SET state = 'withdrawn', reason = :reason::text, changed_at = now()
 WHERE rollout = :rollout::integer AND state = 'waiting'
RETURNING charge_point;

-- name: forgive
-- The operator has looked at these failures, and goes on.
UPDATE rollout_member SET forgiven = true WHERE rollout = :rollout::integer AND state = 'failed';

-- name: try_again
-- Failed ones, from the beginning.
UPDATE rollout_member
   SET state = 'waiting', reason = NULL, failures = 0, not_before = NULL, forgiven = false, changed_at = now()
 WHERE rollout = :rollout::integer AND state = 'failed'
   AND (:charge_points::text[] IS NULL OR charge_point = ANY (:charge_points::text[]))
RETURNING charge_point;

-- name: events
-- The steps of a roll-out, or of one charge point in it.
SELECT charge_point, kind, reason, attempt, request, actor, at FROM rollout_event
 WHERE rollout = :rollout::integer AND charge_point IS NOT DISTINCT FROM :charge_point::text
 ORDER BY id;

-- name: told
-- What a charge point told of the requests of a roll-out, and what it fetched or sent.
SELECT s.received_at AS at, s.status AS what, s.request, NULL::bigint AS file, NULL::bigint AS bytes
  FROM transfer_status s
 WHERE s.charge_point = :charge_point::text AND s.kind = :kind::text AND s.received_at >= :since::timestamptz
UNION ALL
SELECT t.at, g.direction || ': ' || t.outcome, g.request, g.file, t.bytes
  FROM file_transfer t JOIN file_grant g ON g.id = t."grant"
  JOIN rollout_event e ON e.request = g.request AND e.kind = 'asked'
 WHERE e.rollout = :rollout::integer AND e.charge_point = :charge_point::text
 ORDER BY at
 LIMIT 2000;

-- name: received_files
-- Files that the charge points of a collection have sent.
SELECT DISTINCT f.id, f.name, f.charge_point, f.size_bytes, f.sha256, f.completed_at
  FROM rollout_event e JOIN file_grant g ON g.request = e.request JOIN file f ON f.id = g.file
 WHERE e.rollout = :rollout::integer AND e.kind = 'asked' AND g.direction = 'upload' AND g.used_at IS NOT NULL
   AND f.deleted_at IS NULL
 ORDER BY f.id;
