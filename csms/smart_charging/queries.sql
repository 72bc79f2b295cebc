-- name: insert_request
-- What is about to be asked of a charge point.
INSERT INTO profile_request (charge_point, command, body, actor)
VALUES (:charge_point::text, :command::text, :body::jsonb, :actor::text)
RETURNING id;

-- name: insert_answer
-- What became of a request.
INSERT INTO profile_answer (request, accepted, status, detail, data)
VALUES (:request::bigint, :accepted::boolean, :status::text, :detail::text, :data::jsonb);

-- name: accepted_changes
-- Profiles that a charge point accepted or cleared, in the order in which it was asked.
SELECT r.body, a.at
  FROM profile_request r JOIN profile_answer a ON a.request = r.id
 WHERE r.charge_point = :charge_point::text AND a.accepted
   AND r.command IN ('SetChargingProfile', 'ClearChargingProfile')
 ORDER BY r.id;

-- name: newest_requests
-- What was asked last and what was answered, newest first.
SELECT r.id, r.command, r.body, r.actor, r.at, a.accepted, a.status, a.detail
  FROM profile_request r LEFT JOIN profile_answer a ON a.request = r.id
 WHERE r.charge_point = :charge_point::text
 ORDER BY r.id DESC
 LIMIT :most::integer;

-- name: ended_transactions
-- Of these transactions of a charge point, those whose sessions have ended.
SELECT transaction
  FROM session
 WHERE charge_point = :charge_point::text AND transaction = ANY(:transactions::text[])
 GROUP BY transaction
HAVING bool_and(ended_at IS NOT NULL);

-- name: insert_fact
-- Something that a charge point told.
INSERT INTO smart_charging_fact (charge_point, kind, evse, request, body, quirks, received_at)
VALUES (:charge_point::text, :kind::text, :evse::integer, :request::integer, :body::jsonb, :quirks::text,
        :received_at::timestamptz);

-- name: report_parts
-- The parts of a report of profiles, in the order in which they came.
SELECT id, body
  FROM smart_charging_fact
 WHERE charge_point = :charge_point::text AND kind = 'profiles' AND request = :request::integer
 ORDER BY id;

-- name: limit_facts
-- Of each source and EVSE, what was told last of a limit; oldest first.
SELECT * FROM (
    SELECT DISTINCT ON (evse, body ->> 'source', kind) id, kind, evse, body, received_at
      FROM smart_charging_fact
     WHERE charge_point = :charge_point::text AND kind IN ('limit', 'limit_cleared')
     ORDER BY evse, body ->> 'source', kind, id DESC
) newest
 ORDER BY id;

-- name: newest_of_evses
-- What the vehicles at each EVSE asked for last, and how they meant to charge.
SELECT DISTINCT ON (kind, evse) kind, evse, body, received_at
  FROM smart_charging_fact
 WHERE charge_point = :charge_point::text AND kind IN ('needs', 'ev_schedule')
 ORDER BY kind, evse, id DESC;

-- name: known_settings
-- Settings of these names that were read since the charge point booted last.
SELECT s.name, s.value
  FROM device_setting s JOIN charge_point c ON c.id = s.charge_point
 WHERE s.charge_point = :charge_point::text AND s.name = ANY(:names::text[])
   AND s.read_at >= coalesce(c.booted_at, '-infinity');
