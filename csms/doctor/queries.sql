-- name: frames_of
-- The newest frames of a charge point since an instant, newest first.
SELECT direction, action, body, socket, received_at
  FROM frame
 WHERE charge_point = :charge_point::text AND received_at > :since::timestamptz
 ORDER BY received_at DESC
 LIMIT :most::integer;

-- name: frame_near
-- The frame of a transaction message that came about an instant.
SELECT body
  FROM frame
 WHERE charge_point = :charge_point::text AND direction = 'in'
   AND action IN ('StartTransaction', 'StopTransaction', 'MeterValues', 'TransactionEvent')
   AND received_at BETWEEN :at::timestamptz - interval '5 seconds' AND :at + interval '5 seconds'
 ORDER BY abs(extract(epoch FROM received_at - :at))
 LIMIT 1;

-- name: sockets_of
-- The newest connections of a charge point, newest first.
SELECT id, protocol, remote, opened_at, closed_at, close_code
  FROM socket WHERE charge_point = :charge_point::text
 ORDER BY opened_at DESC
 LIMIT :most::integer;

-- name: sessions_of
-- The newest sessions of a charge point with what the review found, newest first.
SELECT s.id, s.transaction, s.started_at, s.ended_at, s.register_begin_wh, s.register_end_wh, s.findings, s.flags,
       coalesce((SELECT max(e.received_at) FROM charging_event e WHERE e.session = s.id AND e.kind <> 'updated'),
                s.last_fact_at, s.created_at) AS heard_at
  FROM session s
 WHERE s.charge_point = :charge_point::text AND s.transaction IS NOT NULL
 ORDER BY s.id DESC
 LIMIT :most::integer;

-- name: orphans_of
-- Stops that fitted no session when they came, newest first.
SELECT transaction, received_at
  FROM charging_event
 WHERE charge_point = :charge_point::text AND session IS NULL AND kind = 'ended' AND transaction IS NOT NULL
 ORDER BY received_at DESC
 LIMIT :most::integer;

-- name: quarantine_of
-- Frames that were put aside, newest first.
SELECT frame, reason, received_at
  FROM quarantine WHERE charge_point = :charge_point::text
 ORDER BY id DESC
 LIMIT :most::integer;

-- name: country_of
-- Where a charge point stands.
SELECT s.country FROM charge_point c JOIN site s ON s.id = c.site WHERE c.id = :charge_point::text;
