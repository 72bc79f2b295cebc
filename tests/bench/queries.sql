-- name: insert_token
-- A card that was there before any session.
INSERT INTO token_event (uid, at, kind, actor) VALUES ('BENCH-TOKEN', :at::timestamptz, 'issued', 'bench');

-- name: insert_sessions
-- Sessions one after the other on each charge point, spread over four weeks, as the fold left them.
INSERT INTO session (id, charge_point, transaction, created_at, evse, connector, token, started_at, ended_at, complete_at,
                     energy_wh, register_begin_wh, register_end_wh, energy_source, last_fact_at, projected_at)
SELECT n + 1, 'BENCH-' || to_char(n % :charge_points::integer, 'FM00000'), (n + 1)::text, start, 1, 1, 'BENCH-TOKEN', start,
       start + interval '30 minutes', start + interval '31 minutes', 9000 + n % 100, turn * 20000.0,
       turn * 20000.0 + 9000 + n % 100, 'register', start + interval '30 minutes', start + interval '31 minutes'
  FROM generate_series(:first::integer, :last::integer) AS n,
       LATERAL (SELECT n / :charge_points AS turn) t,
       LATERAL (SELECT :month::timestamptz + interval '2 hours' + turn * :apart::interval
                       + n % 60 * interval '1 second' AS start) s;

-- name: insert_events
-- Their starts and stops.
INSERT INTO charging_event (charge_point, key, session, kind, transaction, evse, connector, token, at, register_wh,
                            stopped_reason, answer, received_at)
SELECT s.charge_point, sha256((s.id || e.kind)::bytea), s.id, e.kind, s.transaction, 1, 1,
       CASE WHEN e.kind = 'started' THEN s.token END, e.at, e.wh, CASE WHEN e.kind = 'ended' THEN 'Local' END, '{}', e.at
  FROM session s,
       LATERAL (VALUES ('started', s.started_at, s.register_begin_wh), ('ended', s.ended_at, s.register_end_wh))
         AS e (kind, at, wh)
 WHERE s.id BETWEEN :first::integer + 1 AND :last::integer + 1;

-- name: insert_readings
-- Their readings: ten figures each, of the layout that the charge points of the benchmark have (messages.py).
INSERT INTO reading (charge_point, evse, connector, transaction, at, key, carried_by, session, layout, figures, received_at)
SELECT s.charge_point, 1, 1, s.transaction, r.at, sha256((s.id || '-' || k)::bytea), 'meter_values', s.id,
       :layout::bytea,
       concat_ws(' ', round(s.register_begin_wh + s.energy_wh * k / (:readings::integer + 1)), 18000 + k % 40,
                 '15.6', '15.' || k % 10, '15.8', '229.4', '229.' || k % 10, '229.6', k % 100, '16.0'), r.at
  FROM session s, generate_series(1, :readings) AS k,
       LATERAL (SELECT date_trunc('second', s.started_at + interval '30 minutes' * k / (:readings + 1)) AS at) r
 WHERE s.id BETWEEN :first::integer + 1 AND :last::integer + 1;

-- name: insert_running
-- A session that has begun and goes on, with its start.
WITH begun AS (
    INSERT INTO session (id, charge_point, transaction, created_at, evse, connector, token, started_at)
    SELECT :session::integer, 'BENCH-' || to_char(:session::integer, 'FM00000'), :session::integer::text, :at::timestamptz, 1, 1,
           'BENCH-TOKEN', :at
    RETURNING *)
INSERT INTO charging_event (charge_point, key, session, kind, transaction, evse, connector, token, at, register_wh, answer,
                            received_at)
SELECT charge_point, sha256(id::text::bytea), id, 'started', transaction, 1, 1, token, started_at, 0, '{}', started_at
  FROM begun;

-- name: insert_run
-- Its readings of some minutes, of that layout.
INSERT INTO reading (charge_point, evse, connector, transaction, at, key, carried_by, session, layout, figures, received_at)
SELECT s.charge_point, 1, 1, s.transaction, s.started_at + k * interval '1 minute', sha256((s.id || '-' || k)::bytea),
       'meter_values', s.id, :layout::bytea,
       concat_ws(' ', k * 300, 18000 + k % 40, '15.6', '15.' || k % 10, '15.8', '229.4', '229.' || k % 10, '229.6', k % 100,
                 '16.0'),
       s.started_at + k * interval '1 minute'
  FROM session s, generate_series(:first::integer, :last::integer) AS k
 WHERE s.id = :session::integer;
