-- name: insert_request
-- What is about to be asked for; the id that it gets.
INSERT INTO monitoring_request (charge_point, message, wish, actor)
VALUES (:charge_point::text, :message::text, :wish::jsonb, :actor::text)
RETURNING id;

-- name: insert_answer
-- What became of it.
INSERT INTO monitoring_answer (request, accepted, status, detail, data)
VALUES (:request::integer, :accepted::boolean, :status::text, :detail::text, :data::jsonb);

-- name: insert_report
-- A part of a report that this charge point was asked for; its repeat tells nothing new.
INSERT INTO monitoring_report (request, seq_no, more, monitors, received_at)
SELECT r.id, :seq_no::integer, :more::boolean, :monitors::jsonb, :received_at::timestamptz
  FROM monitoring_request r
 WHERE r.id = :request::integer AND r.charge_point = :charge_point::text AND r.message = 'GetMonitoringReport'
   AND :seq_no BETWEEN 0 AND :parts_max::integer
    ON CONFLICT DO NOTHING;

-- name: parts_of
-- The parts of a report that have come.
SELECT seq_no, more, monitors FROM monitoring_report WHERE request = :request::integer ORDER BY seq_no;

-- name: count_monitors
-- How many monitors of a charge point are known.
SELECT count(*) FROM monitor WHERE charge_point = :charge_point::text;

-- name: upsert_monitors
-- Monitors as they were answered or reported last.
INSERT INTO monitor (charge_point, id, name, type, value, severity, during_transaction)
SELECT DISTINCT ON (m.id) :charge_point::text, m.*
  FROM unnest(:ids::integer[], :names::text[], :types::text[], :values::text[], :severities::integer[],
              :during_transactions::boolean[]) AS m (id, name, type, value, severity, during_transaction)
    ON CONFLICT (charge_point, id) DO UPDATE
   SET name = excluded.name, type = excluded.type, value = excluded.value, severity = excluded.severity,
       during_transaction = excluded.during_transaction, told_at = now();

-- name: forget_monitors
-- Monitors that are no more.
DELETE FROM monitor WHERE charge_point = :charge_point::text AND id = ANY (:ids::integer[]);

-- name: forget_others
-- Monitors that a whole report did not name.
DELETE FROM monitor WHERE charge_point = :charge_point::text AND id <> ALL (:ids::integer[]);

-- name: insert_events
-- Events with the severity of their monitors, where these are known; a repeat tells nothing new.
INSERT INTO monitoring_event (charge_point, key, event, at, name, value, trigger, kind, monitor, severity, is_cleared, cause,
                              tech_code, tech_info, transaction, received_at)
SELECT :charge_point::text, e.key, e.event, e.at, e.name, e.value, e.trigger, e.kind, e.monitor, m.severity, e.is_cleared,
       e.cause, e.tech_code, e.tech_info, e.transaction, :received_at::timestamptz
  FROM unnest(:keys::bytea[], :events::integer[], :ats::timestamptz[], :names::text[], :values::text[], :triggers::text[],
              :kinds::text[], :monitors::integer[], :are_cleared::boolean[], :causes::integer[], :tech_codes::text[],
              :tech_infos::text[], :transactions::text[]) WITH ORDINALITY
       AS e (key, event, at, name, value, trigger, kind, monitor, is_cleared, cause, tech_code, tech_info, transaction, place)
  LEFT JOIN monitor m ON m.charge_point = :charge_point AND m.id = e.monitor
 ORDER BY e.place
    ON CONFLICT DO NOTHING;

-- name: drop_oldest_events
-- What a charge point told beyond the number that is kept of each.
DELETE FROM monitoring_event
 WHERE charge_point = :charge_point::text
   AND id <= (SELECT id FROM monitoring_event WHERE charge_point = :charge_point ORDER BY id DESC OFFSET :kept::integer LIMIT 1);

-- name: newest_events
-- Events, newest first, by when they came; with the severity as known now where it was not known then.
SELECT e.charge_point, e.at, e.name, e.value, e.trigger, e.kind, e.monitor, coalesce(e.severity, m.severity) AS severity,
       e.is_cleared, e.event, e.cause, e.tech_code, e.tech_info, e.transaction, e.received_at
  FROM monitoring_event e
  LEFT JOIN monitor m ON m.charge_point = e.charge_point AND m.id = e.monitor
 WHERE (:charge_point::text IS NULL OR e.charge_point = :charge_point)
   AND (:since::timestamptz IS NULL OR e.received_at >= :since)
 ORDER BY e.id DESC
 LIMIT :most::integer;
