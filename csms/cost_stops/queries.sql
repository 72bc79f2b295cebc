-- name: take_due
-- Stops whose turn has come, of running sessions of charge points that are connected here. Nobody else takes them before
-- `lease` has passed: one stop of a session is asked for at a time, and a node that dies over it is followed by another.
UPDATE cost_stop_due d
   SET next_at = now() + :lease::interval
  FROM session s
 WHERE s.id = d.session AND s.ended_at IS NULL AND s.dropped IS NULL AND s.transaction IS NOT NULL
   AND d.session IN (SELECT session FROM cost_stop_due
                      WHERE charge_point = ANY (:charge_points::text[]) AND next_at <= now()
                      ORDER BY next_at LIMIT 100 FOR UPDATE SKIP LOCKED)
RETURNING d.session, d.seq, d.charge_point, d.tries, s.transaction;

-- name: insert_try
-- What a charge point said when it was asked to stop.
INSERT INTO cost_stop_try (session, seq, n, accepted, status, detail)
VALUES (:session::integer, :seq::integer, :n::integer, :accepted::boolean, :status::text, :detail::text)
    ON CONFLICT DO NOTHING;

-- name: put_off
-- When the stop is asked for again, if the session has not ended by then.
UPDATE cost_stop_due SET tries = :tries::integer, next_at = now() + :pause::interval
 WHERE session = :session::integer AND seq = :seq::integer;

-- name: count_due
-- Running sessions that are to be stopped, and those of them that go on although they were asked to.
SELECT count(*) AS waiting, count(*) FILTER (WHERE d.tries > 1 OR y.session IS NOT NULL) AS disobeyed
  FROM cost_stop_due d
  JOIN session s ON s.id = d.session AND s.ended_at IS NULL
  LEFT JOIN LATERAL (SELECT t.session FROM cost_stop_try t
                      WHERE t.session = d.session AND t.seq = d.seq AND NOT t.accepted LIMIT 1) y ON true;
