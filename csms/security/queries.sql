-- name: known_events
-- Which of these events of charge points are here already.
SELECT e.charge_point, e.key
  FROM security_event e
  JOIN unnest(:charge_points::text[], :keys::bytea[]) AS t (charge_point, key) USING (charge_point, key);

-- name: recent_events
-- What these charge points have told lately, by type.
SELECT charge_point, type, count(*) AS told
  FROM security_event
 WHERE charge_point = ANY (:charge_points::text[]) AND received_at > :since::timestamptz AND source = 'charge_point'
 GROUP BY charge_point, type;

-- name: insert_told_events
-- Events of charge points, each once.
INSERT INTO security_event (charge_point, key, type, at, tech_info, received_at, last_at, critical)
SELECT t.charge_point, t.key, t.type, t.at, t.tech_info, t.received_at, t.received_at, t.critical
  FROM unnest(:charge_points::text[], :keys::bytea[], :types::text[], :ats::timestamptz[], :tech_infos::text[],
              :received_ats::timestamptz[], :criticals::boolean[])
       AS t (charge_point, key, type, at, tech_info, received_at, critical)
    ON CONFLICT DO NOTHING;

-- name: count_own_events
-- What this side saw; a row that is there counts on.
INSERT INTO security_event (charge_point, key, type, at, tech_info, received_at, last_at, source, critical, remote, count)
SELECT t.charge_point, t.key, t.type, t.at, t.tech_info, now(), t.last_at, 'csms', t.critical, t.remote, t.count
  FROM unnest(:charge_points::text[], :keys::bytea[], :types::text[], :ats::timestamptz[], :tech_infos::text[],
              :last_ats::timestamptz[], :criticals::boolean[], :remotes::text[], :counts::bigint[])
       AS t (charge_point, key, type, at, tech_info, last_at, critical, remote, count)
    ON CONFLICT (charge_point, key)
    DO UPDATE SET count = security_event.count + excluded.count,
                  at = least(security_event.at, excluded.at),
                  last_at = greatest(security_event.last_at, excluded.last_at);

-- name: events
-- Events of both sides, the newest first.
SELECT number, last_at, at, source, charge_point, type, critical, count, remote, tech_info, received_at
  FROM security_event
 WHERE (:charge_point::text IS NULL OR charge_point = :charge_point)
   AND (:since::timestamptz IS NULL OR last_at >= :since)
   AND (NOT :critical::boolean OR critical)
 ORDER BY last_at DESC, number DESC
 LIMIT :most::integer;

-- name: event
-- One event.
SELECT number, last_at, at, source, charge_point, type, critical, count, remote, tech_info, received_at
  FROM security_event WHERE number = :number::bigint;

-- name: summary
-- How often what happened, the critical first.
SELECT type, source, critical, sum(count)::bigint AS count, count(DISTINCT charge_point) AS charge_points,
       min(at) AS first_at, max(last_at) AS last_at
  FROM security_event
 WHERE (:charge_point::text IS NULL OR charge_point = :charge_point)
   AND (:since::timestamptz IS NULL OR last_at >= :since)
   AND (NOT :critical::boolean OR critical)
 GROUP BY type, source, critical
 ORDER BY critical DESC, count DESC, type
 LIMIT :most::integer;
