-- name: with_display
-- Which of these sessions are on charge points that are here and can show costs: all of 2.x, those of 1.6 that say so.
SELECT s.id
  FROM session s
  JOIN LATERAL (SELECT protocol FROM socket k WHERE k.charge_point = s.charge_point AND k.closed_at IS NULL
                 ORDER BY k.opened_at DESC LIMIT 1) k ON true
 WHERE s.id = ANY (:sessions::integer[]) AND s.transaction IS NOT NULL
   AND (k.protocol <> 'ocpp1.6'
        OR EXISTS (SELECT FROM device_setting d
                    WHERE d.charge_point = s.charge_point AND lower(d.name) = lower(:announced_by::text)
                      AND lower(d.value) = 'true'));

-- name: display_of
-- What a session's display shall show now, and where: nothing while a rule holds it, unless its final bill is made.
SELECT s.charge_point, s.transaction, k.protocol, b.seq, b.kind, b.as_of, b.total_incl_minor, b.currency,
       b.detail ->> 'payable' AS payable,
       coalesce(s.register_end_wh, s.register_begin_wh, 0) AS register_wh, s.register_begin_wh,
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
   AND (b.kind <> 'interim' OR (s.holds = '{}' AND coalesce(r.holds, '{}') = '{}'));

-- name: running_costs
-- The newest interim total of sessions that nothing holds: what an answer to an update may show.
SELECT s.id, b.total_incl_minor, b.currency, b.detail ->> 'payable' AS payable
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
SELECT c.id, c.site, s.country, s.currency, s.time_zone, coalesce(c.product, c.current) AS product, c.idle_after_stop
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

-- name: claim_cost
-- Whether it is ours to tell the charge point this cost: nobody has, and whoever wanted to has had the time for it.
INSERT INTO cost_told AS t (session, seq) VALUES (:session::integer, :seq::integer)
    ON CONFLICT (session) DO UPDATE SET seq = excluded.seq, claimed_at = now(), told_at = NULL, status = NULL
 WHERE t.seq < excluded.seq
    OR t.seq = excluded.seq AND t.told_at IS NULL AND t.claimed_at < now() - :patience::interval
RETURNING true;

-- name: cost_was_told
-- It was told, whatever the charge point made of it.
UPDATE cost_told SET told_at = now(), status = :status::text
 WHERE session = :session::integer AND seq = :seq::integer AND told_at IS NULL;

-- name: cost_was_not_sent
-- No socket took it: whoever holds one next may tell it.
UPDATE cost_told SET claimed_at = '-infinity'
 WHERE session = :session::integer AND seq = :seq::integer AND told_at IS NULL;

-- name: costs_to_tell
-- Bills of late that stand for good, of charge points here that show costs, and of which they have not been told: made
-- by a process without sockets, or by a node that died over it. Once the next driver is at the EVSE, it is too late.
SELECT b.session, b.seq
  FROM bill b
  JOIN session s ON s.id = b.session
  JOIN socket k ON k.charge_point = s.charge_point AND k.closed_at IS NULL AND k.node = :node::uuid
  LEFT JOIN cost_told t ON t.session = b.session
 WHERE b.kind <> 'interim' AND b.created_at > now() - :within::interval AND s.transaction IS NOT NULL
   AND (t.seq IS NULL OR t.seq < b.seq OR t.seq = b.seq AND t.told_at IS NULL AND t.claimed_at < now() - :patience::interval)
   AND (k.protocol <> 'ocpp1.6'
        OR EXISTS (SELECT FROM device_setting d
                    WHERE d.charge_point = s.charge_point AND lower(d.name) = lower(:announced_by::text)
                      AND lower(d.value) = 'true'))
   AND NOT EXISTS (SELECT FROM session l
                    WHERE l.charge_point = s.charge_point AND l.evse = s.evse AND l.started_at > s.started_at
                      AND l.dropped IS NULL)
 ORDER BY b.created_at
 LIMIT 1000;
