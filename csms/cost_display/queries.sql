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

-- name: priced_charge_point
-- What prices look at of a charge point.
SELECT c.id, c.site, s.currency, s.time_zone, coalesce(c.product, c.current) AS product, c.idle_after_stop
  FROM charge_point c JOIN site s ON s.id = c.site WHERE c.id = :charge_point::text;

-- name: announces
-- Whether a 1.6 charge point says that it shows prices.
SELECT EXISTS (SELECT FROM device_setting
                WHERE charge_point = :charge_point::text AND lower(name) = lower(:announced_by::text)
                  AND lower(value) = 'true');

-- name: announcing
-- Those of these charge points that speak 1.6, say that they show prices, and whose settings we look after.
SELECT c.id AS charge_point
  FROM charge_point c
  JOIN device_setting d ON d.charge_point = c.id AND lower(d.name) = lower(:announced_by::text) AND lower(d.value) = 'true'
  JOIN LATERAL (SELECT protocol FROM socket k WHERE k.charge_point = c.id AND k.closed_at IS NULL
                 ORDER BY k.opened_at DESC LIMIT 1) k ON k.protocol = 'ocpp1.6'
 WHERE c.id = ANY (:charge_points::text[]) AND c.template;

-- name: display_settings
-- The settings of a charge point as it last told them.
SELECT name, value FROM device_setting WHERE charge_point = :charge_point::text;
