-- name: display_of
-- What a session's display shall show now, and where: nothing while a rule holds it, unless its final bill is made.
SELECT s.charge_point, s.transaction, k.protocol, b.seq, b.kind, b.as_of, b.total_incl_minor, b.currency,
       coalesce(s.register_end_wh, s.register_begin_wh, 0) AS register_wh,
       EXISTS (SELECT FROM device_setting d
                WHERE d.charge_point = s.charge_point AND lower(d.name) = lower(:announced_by::text)
                  AND lower(d.value) = 'true') AS shows_costs,
       EXISTS (SELECT FROM connector n
                WHERE n.charge_point = s.charge_point AND n.evse = s.evse
                  AND n.status IN ('SuspendedEV', 'Finishing')) AS is_idle
  FROM session s
  JOIN LATERAL (SELECT * FROM socket k WHERE k.charge_point = s.charge_point AND k.closed_at IS NULL
                 ORDER BY k.opened_at DESC LIMIT 1) k ON true
  JOIN LATERAL (SELECT * FROM bill b WHERE b.session = s.id ORDER BY b.seq DESC LIMIT 1) b ON true
  LEFT JOIN rating r ON r.session = s.id
 WHERE s.id = :session::integer AND s.transaction IS NOT NULL
   AND (b.kind = 'final' OR (s.holds = '{}' AND coalesce(r.holds, '{}') = '{}'));

-- name: running_costs
-- The newest interim total of sessions that nothing holds: what an answer to an update may show.
SELECT s.id, b.total_incl_minor, b.currency
  FROM session s
  JOIN rating r ON r.session = s.id AND r.holds = '{}'
  JOIN LATERAL (SELECT * FROM bill b WHERE b.session = s.id ORDER BY b.seq DESC LIMIT 1) b ON true
 WHERE s.id = ANY (:sessions::integer[]) AND s.holds = '{}' AND b.kind = 'interim';

-- name: store_answered_cost
-- What the answer says; the first one counts.
INSERT INTO answered_cost (charge_point, key, total_cost)
VALUES (:charge_point::text, :key::bytea, :total_cost::numeric)
    ON CONFLICT DO NOTHING;
