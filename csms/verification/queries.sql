-- Statements by which stored sessions are compared with their facts. Parameters are written :name.

-- name: rows_after
-- The next sessions as they are stored, and whether new facts of theirs wait to be folded.
SELECT s.id, s.evse, s.connector, s.token, s.started_at, s.ended_at, s.released_at, s.energy_wh, s.register_begin_wh,
       s.register_end_wh, s.energy_source, s.dropped, s.holds, s.flags, s.last_fact_at, s.inputs_hash, s.projected_at,
       EXISTS (SELECT FROM session_due d WHERE d.session = s.id) AS waits,
       s.created_at < (SELECT max(before) FROM reading_retention) AS gone
  FROM session s
 WHERE s.id > :after::integer
 ORDER BY s.id
 LIMIT :most::integer;

-- name: rows_of
-- The same of these sessions.
SELECT s.id, s.evse, s.connector, s.token, s.started_at, s.ended_at, s.released_at, s.energy_wh, s.register_begin_wh,
       s.register_end_wh, s.energy_source, s.dropped, s.holds, s.flags, s.last_fact_at, s.inputs_hash, s.projected_at,
       false AS waits
  FROM session s
 WHERE s.id = ANY (:sessions::integer[])
 ORDER BY s.id;

-- name: review_policies
-- Every review policy that ever was in force, oldest first.
SELECT version, body, created_at FROM policy WHERE kind = 'review' ORDER BY version;
