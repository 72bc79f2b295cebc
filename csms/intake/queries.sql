-- name: lock_charge_points
-- Events of a charge point are decided one batch at a time, on whatever node they arrive.
SELECT pg_advisory_xact_lock(7001, hashtext(c)) FROM unnest(:charge_points::text[]) c;

-- name: earlier_events
-- Events of these content keys that are stored already, with what became of their sessions: newest occurrence first.
-- A session has stopped when its stop came, paired ones included, or when we concluded that none will come.
SELECT DISTINCT ON (e.charge_point, e.key)
       e.charge_point, e.key, e.occurrence, e.session, e.kind, e.answer, a.total_cost,
       least((SELECT min(s.received_at) FROM charging_event s WHERE s.session = e.session AND s.kind = 'ended'),
             (SELECT min(s.received_at) FROM event_link l JOIN charging_event s ON s.id = l.event
               WHERE l.session = e.session AND s.kind = 'ended'),
             (SELECT n.projected_at FROM session n WHERE n.id = e.session AND n.ended_at IS NOT NULL)) AS stopped_at
  FROM unnest(:charge_points::text[], :keys::bytea[]) AS k (charge_point, key)
  JOIN charging_event e ON e.charge_point = k.charge_point AND e.key = k.key
  LEFT JOIN answered_cost a ON a.charge_point = k.charge_point AND a.key = k.key
 ORDER BY e.charge_point, e.key, e.occurrence DESC;

-- name: latest_sessions
-- The newest generation of each transaction, and whether it has ended: by a stop, a paired one, or as we concluded.
SELECT DISTINCT ON (s.charge_point, s.transaction)
       s.charge_point, s.transaction, s.generation, s.id, s.token,
       (SELECT min(e.at) FROM charging_event e WHERE e.session = s.id AND e.kind = 'started') AS started_at,
       s.ended_at IS NOT NULL
       OR EXISTS (SELECT FROM charging_event e WHERE e.session = s.id AND e.kind = 'ended')
       OR EXISTS (SELECT FROM event_link l JOIN charging_event e ON e.id = l.event
                   WHERE l.session = s.id AND e.kind = 'ended') AS ended
  FROM unnest(:charge_points::text[], :transactions::text[]) AS t (charge_point, transaction)
  JOIN session s ON s.charge_point = t.charge_point AND s.transaction = t.transaction
 ORDER BY s.charge_point, s.transaction, s.generation DESC;

-- name: take_session_ids
-- Fresh session ids; some may stay unused.
SELECT nextval('session_id')::integer AS id FROM generate_series(1, :count::integer);

-- name: insert_sessions
-- Sessions as their first event shows them; the projection follows. A transaction id that is taken fails the batch.
INSERT INTO session (id, charge_point, transaction, generation, evse, connector, token, started_at, last_fact_at)
SELECT * FROM unnest(:ids::integer[], :charge_points::text[], :transactions::text[], :generations::integer[],
                     :evses::integer[], :connectors::integer[], :tokens::text[], :started_ats::timestamptz[],
                     :received_ats::timestamptz[]);

-- name: insert_events
-- Each event once: the unique constraint is the last word, and a violation fails the batch, which is tried again.
INSERT INTO charging_event (charge_point, key, occurrence, session, kind, transaction, evse, connector, token,
                            token_type, at, register_wh, seq_no, trigger, charging_state, stopped_reason, offline,
                            reservation, remote_start, malformed, quirks, answer, socket, received_at)
SELECT charge_point, key, occurrence, session, kind, transaction, evse, connector, token, token_type, at, register_wh,
       seq_no, trigger, charging_state, stopped_reason, offline, reservation, remote_start, malformed,
       coalesce(string_to_array(nullif(quirks, ''), ','), '{}'), answer, socket, received_at
  FROM unnest(:charge_points::text[], :keys::bytea[], :occurrences::integer[], :sessions::integer[], :kinds::text[],
              :transactions::text[], :evses::integer[], :connectors::integer[], :tokens::text[], :token_types::text[],
              :ats::timestamptz[], :registers_wh::numeric[], :seq_nos::bigint[], :triggers::text[],
              :charging_states::text[], :stopped_reasons::text[], :offlines::boolean[], :reservations::integer[],
              :remote_starts::bigint[], :malformeds::boolean[], :quirks::text[], :answers::jsonb[], :sockets::uuid[],
              :received_ats::timestamptz[])
    AS e (charge_point, key, occurrence, session, kind, transaction, evse, connector, token, token_type, at,
          register_wh, seq_no, trigger, charging_state, stopped_reason, offline, reservation, remote_start, malformed,
          quirks, answer, socket, received_at)
;

-- name: insert_layouts
-- What the figures of readings are of, once; in order, as another node may be doing the same.
INSERT INTO reading_layout (id, samples)
SELECT id, samples::jsonb FROM unnest(:ids::bytea[], :samples::text[]) AS l (id, samples) ORDER BY id
    ON CONFLICT DO NOTHING;

-- name: insert_readings
-- Each reading once (RULES.md 2).
INSERT INTO reading (charge_point, evse, connector, transaction, at, key, carried_by, session, layout, figures, samples,
                     quirks, received_at)
SELECT charge_point, evse, connector, transaction, at, key, carried_by, session, layout, figures, samples::jsonb,
       coalesce(string_to_array(nullif(quirks, ''), ','), '{}'), received_at
  FROM unnest(:charge_points::text[], :evses::integer[], :connectors::integer[], :transactions::text[],
              :ats::timestamptz[], :keys::bytea[], :carried_bys::text[], :sessions::integer[], :layouts::bytea[],
              :figures::text[], :samples::text[], :quirks::text[], :received_ats::timestamptz[])
    AS r (charge_point, evse, connector, transaction, at, key, carried_by, session, layout, figures, samples, quirks,
          received_at)
    ON CONFLICT DO NOTHING;

-- name: sessions_on_evses
-- Sessions that run on these EVSEs as far as we know, and the last one where its vehicle may still stand there.
SELECT s.id
  FROM unnest(:charge_points::text[], :evses::integer[]) AS e (charge_point, evse)
  JOIN session s ON s.charge_point = e.charge_point AND s.evse = e.evse AND s.ended_at IS NULL AND s.dropped IS NULL
 UNION
SELECT l.id
  FROM unnest(:charge_points::text[], :evses::integer[]) AS e (charge_point, evse)
  JOIN LATERAL (SELECT s.id, s.released_at FROM session s
                 WHERE s.charge_point = e.charge_point AND s.evse = e.evse AND s.dropped IS NULL
                 ORDER BY s.id DESC LIMIT 1) l ON l.released_at IS NULL;

-- name: insert_statuses
-- The history of statuses.
INSERT INTO status_report (charge_point, evse, connector, status, at, error_code, info, vendor_error_code, socket,
                           received_at)
SELECT * FROM unnest(:charge_points::text[], :evses::integer[], :connectors::integer[], :statuses::text[],
                     :ats::timestamptz[], :error_codes::text[], :infos::text[], :vendor_error_codes::text[],
                     :sockets::uuid[], :received_ats::timestamptz[]);

-- name: upsert_connectors
-- The last arrival is the current status, whatever its timestamp says (RULES.md 8).
INSERT INTO connector (charge_point, evse, connector, status, error_code, info, reported_at)
SELECT * FROM unnest(:charge_points::text[], :evses::integer[], :connectors::integer[], :statuses::text[],
                     :error_codes::text[], :infos::text[], :received_ats::timestamptz[])
    ON CONFLICT (charge_point, evse, connector)
    DO UPDATE SET status = excluded.status, error_code = excluded.error_code, info = excluded.info,
                  reported_at = excluded.reported_at;

-- name: insert_notices
-- Firmware and log status, vendor data, monitoring events.
INSERT INTO notice (charge_point, kind, body, received_at)
SELECT * FROM unnest(:charge_points::text[], :kinds::text[], :bodies::jsonb[], :received_ats::timestamptz[]);

-- name: upsert_settings
-- Settings as the charge point reported them; those that are new only while it has fewer than so many. Returns those kept.
WITH told AS (
    SELECT t.*, s.name IS NULL AS is_new,
           row_number() OVER (PARTITION BY t.charge_point, s.name IS NULL ORDER BY t.name) AS nth
      FROM unnest(:charge_points::text[], :names::text[], :values::text[], :mutabilities::text[],
                  :read_ats::timestamptz[]) AS t (charge_point, name, value, mutability, read_at)
      LEFT JOIN device_setting s ON s.charge_point = t.charge_point AND s.name = t.name
), kept AS (
    SELECT charge_point, count(*) AS settings FROM device_setting
     WHERE charge_point IN (SELECT charge_point FROM told WHERE is_new) GROUP BY charge_point
)
INSERT INTO device_setting (charge_point, name, value, mutability, read_at)
SELECT t.charge_point, t.name, t.value, t.mutability, t.read_at
  FROM told t LEFT JOIN kept k ON k.charge_point = t.charge_point
 WHERE NOT t.is_new OR t.nth <= :most::integer - coalesce(k.settings, 0)
    ON CONFLICT (charge_point, name)
    DO UPDATE SET value = excluded.value, mutability = coalesce(excluded.mutability, device_setting.mutability),
                  read_at = excluded.read_at
RETURNING charge_point;

-- name: insert_quarantine
-- Frames that could not be read as what they claim to be.
INSERT INTO quarantine (charge_point, frame, reason, socket, received_at)
SELECT * FROM unnest(:charge_points::text[], :frames::text[], :reasons::text[], :sockets::uuid[],
                     :received_ats::timestamptz[]);

-- name: insert_frames
-- Evidence, both directions. Nobody waits for it and no fact needs it: its commit waits for no disk.
INSERT INTO frame (charge_point, direction, action, body, socket, received_at)
SELECT f.*
  FROM (SELECT set_config('synchronous_commit', 'off', true)) AS relaxed,
       unnest(:charge_points::text[], :directions::text[], :actions::text[], :bodies::text[], :sockets::uuid[],
              :received_ats::timestamptz[]) AS f;

-- name: lock_housekeeping
-- One node after the other, so that each sees what those before it have copied.
SELECT pg_advisory_xact_lock(7015);

-- name: keep_frames
-- Copy the evidence of held and signed sessions out of the days that are about to be dropped, whole days only (UTC).
INSERT INTO kept_frame
SELECT f.*
  FROM frame f
 WHERE f.received_at < date_trunc('day', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' - make_interval(days => :days::integer)
   AND EXISTS (SELECT FROM session s
                WHERE s.charge_point = f.charge_point AND (s.holds <> '{}' OR s.energy_source = 'signed')
                  AND f.received_at BETWEEN s.created_at - interval '1 hour'
                                        AND coalesce(s.last_fact_at, s.created_at) + interval '1 hour')
   AND NOT EXISTS (SELECT FROM kept_frame k WHERE k.charge_point = f.charge_point AND k.received_at = f.received_at
                      AND k.body = f.body);

-- name: open_sessions_of_tokens
-- Sessions that run on these tokens.
SELECT token, array_agg(id) AS sessions
  FROM session
 WHERE token = ANY (:tokens::text[]) AND ended_at IS NULL AND dropped IS NULL
 GROUP BY token;
