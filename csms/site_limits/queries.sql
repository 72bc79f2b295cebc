-- name: lock_site
-- One plan of a site at a time, on whatever node it is made; what it ordered is committed when the next one reads.
SELECT pg_advisory_xact_lock(7003, hashtext(:site::text));

-- name: insert_limit
-- What an operator wants kept at a site from now on; amps NULL: nothing any more.
INSERT INTO site_limit (site, amps, phases, min_a, offline_a, rotate, voltage_v, reserves, actor)
VALUES (:site::text, :amps::integer, :phases::integer, :min_a::integer, :offline_a::integer, :rotate::interval,
        :voltage_v::integer, :reserves::text[], :actor::text);

-- name: newest_limit
-- What is wanted at a site.
SELECT l.*, s.time_zone
  FROM site s LEFT JOIN LATERAL (SELECT * FROM site_limit WHERE site = s.id ORDER BY id DESC LIMIT 1) l ON true
 WHERE s.id = :site::text;

-- name: limited_sites
-- Sites that have a limit, and those whose charge points still hold limits of ours; of these charge points, if any are named.
SELECT s.id
  FROM site s
 WHERE (:charge_points::text[] IS NULL
        OR EXISTS (SELECT FROM charge_point c WHERE c.site = s.id AND c.id = ANY (:charge_points)))
   AND ((SELECT l.amps FROM site_limit l WHERE l.site = s.id ORDER BY l.id DESC LIMIT 1) IS NOT NULL
        OR EXISTS (SELECT FROM charge_point c JOIN site_limit_step t ON t.charge_point = c.id AND NOT t.settled
                    WHERE c.site = s.id))
 ORDER BY s.id;

-- name: charge_points_of
-- The charge points of a site: how they are built, their EVSEs as far as they have told, and their live socket.
SELECT c.id, c.current, c.max_power_w, c.booted_at, k.protocol, k.opened_at, k.id IS NOT NULL AS online,
       EXISTS (SELECT FROM socket e WHERE e.charge_point = c.id) AS seen,
       (SELECT max(e.closed_at) FROM socket e WHERE e.charge_point = c.id) AS closed_at,
       (SELECT coalesce(array_agg(DISTINCT n.evse), '{}') FROM connector n
         WHERE n.charge_point = c.id AND n.evse > 0) AS evses,
       (SELECT coalesce(jsonb_object_agg(d.name, d.value), '{}') FROM device_setting d
         WHERE d.charge_point = c.id
           AND (lower(d.name) IN ('connectorphaserotation', 'numberofconnectors')
                OR lower(d.name) ~ '^(evse#\d+|chargingstation)\.(supplyphases|phaserotation)$')) AS wires,
       (SELECT coalesce(jsonb_object_agg(d.name, d.value), '{}') FROM device_setting d
         WHERE d.charge_point = c.id AND d.name = ANY (:names::text[])
           AND d.read_at >= coalesce(c.booted_at, '-infinity')) AS abilities
  FROM charge_point c
  LEFT JOIN LATERAL (SELECT s.* FROM socket s JOIN node ON node.id = s.node
                      WHERE s.charge_point = c.id AND s.closed_at IS NULL AND node.heard_at > now() - node.lease
                      ORDER BY s.opened_at DESC LIMIT 1) k ON true
 WHERE c.site = :site::text
 ORDER BY c.id;

-- name: wirings_of
-- What operators said last of the EVSEs of a site.
SELECT DISTINCT ON (w.charge_point, w.evse) w.*
  FROM site_limit_wiring w JOIN charge_point c ON c.id = w.charge_point
 WHERE c.site = :site::text
 ORDER BY w.charge_point, w.evse, w.id DESC;

-- name: newest_wiring
-- What an operator said last of an EVSE.
SELECT * FROM site_limit_wiring
 WHERE charge_point = :charge_point::text AND evse = :evse::integer
 ORDER BY id DESC LIMIT 1;

-- name: insert_wiring
-- What an operator says of an EVSE.
INSERT INTO site_limit_wiring (charge_point, evse, amps, phases, rotation, via, absent, actor)
VALUES (:charge_point::text, :evse::integer, :amps::integer, :phases::integer, :rotation::text, :via::text,
        :absent::boolean, :actor::text);

-- name: sessions_of
-- Sessions that run on the EVSEs of a site, neither told nor concluded to have ended, oldest first; how they stand. One that
-- was dropped is not billed, and its vehicle goes on charging by what it was told: until it ends, or its EVSE says that it
-- is free, or another session that was there with it, or after it, has ended.
WITH running AS (
    SELECT s.*
      FROM session s JOIN charge_point c ON c.id = s.charge_point
     WHERE c.site = :site::text AND s.ended_at IS NULL AND s.dropped IS NULL AND s.evse > 0
    UNION ALL
    SELECT s.*
      FROM session s
     WHERE s.id IN (SELECT t.session FROM site_limit_step t JOIN charge_point c ON c.id = t.charge_point
                     WHERE c.site = :site::text AND NOT t.settled)
       AND s.ended_at IS NULL AND s.dropped IS NOT NULL AND s.evse > 0
       AND NOT EXISTS (SELECT FROM session o
                        WHERE o.charge_point = s.charge_point AND o.evse = s.evse AND o.ended_at > s.started_at)
       AND NOT EXISTS (SELECT FROM connector n
                        WHERE n.charge_point = s.charge_point AND n.evse = s.evse AND n.status = 'Available'
                          AND n.reported_at > s.created_at)
)
SELECT s.id, s.charge_point, s.evse, s.transaction, s.created_at, s.dropped IS NOT NULL AS dropped, n.status,
       (SELECT e.charging_state FROM charging_event e
         WHERE e.session = s.id AND e.charging_state IS NOT NULL ORDER BY e.id DESC LIMIT 1) AS charging_state
  FROM running s
  LEFT JOIN LATERAL (SELECT status FROM connector WHERE charge_point = s.charge_point AND evse = s.evse
                      ORDER BY reported_at DESC NULLS LAST LIMIT 1) n ON true
 WHERE NOT EXISTS (SELECT FROM charging_event e WHERE e.session = s.id AND e.kind = 'ended')
   AND NOT EXISTS (SELECT FROM event_link l JOIN charging_event e ON e.id = l.event
                    WHERE l.session = s.id AND e.kind = 'ended')
 ORDER BY s.id;

-- name: readings_of
-- The newest readings of these sessions.
SELECT r.session, coalesce(r.samples, csms_samples(l.samples, r.figures)) AS samples, r.received_at
  FROM unnest(:sessions::integer[]) AS s (id)
  JOIN LATERAL (SELECT * FROM reading WHERE session = s.id ORDER BY at DESC LIMIT :most::integer) r ON true
  LEFT JOIN reading_layout l ON l.id = r.layout
 ORDER BY r.received_at;

-- name: steps_of
-- Limits told to EVSEs of a site that may hold.
SELECT t.*
  FROM site_limit_step t JOIN charge_point c ON c.id = t.charge_point
 WHERE c.site = :site::text AND NOT t.settled
 ORDER BY t.id;

-- name: told_last
-- When the charge points of a site were sent something last.
SELECT c.id, (SELECT t.sent_at FROM site_limit_step t
               WHERE t.charge_point = c.id AND t.status IS DISTINCT FROM 'withdrawn' ORDER BY t.id DESC LIMIT 1) AS at
  FROM charge_point c
 WHERE c.site = :site::text;

-- name: changes_by_others
-- Profiles that an operator set or cleared at charge points of a site after limits were told that may hold. Each may take
-- effect until it is answered, or, where nobody books an answer, until a while after it was asked for.
SELECT DISTINCT r.id, r.charge_point, r.body, coalesce(a.at, r.at + interval '2 minutes') AS at
  FROM charge_point c
  JOIN site_limit_step t ON t.charge_point = c.id AND NOT t.settled AND t.accepted
  JOIN profile_request r ON r.charge_point = c.id AND r.at >= t.sent_at - interval '10 minutes'
  LEFT JOIN profile_answer a ON a.request = r.id
 WHERE c.site = :site::text AND coalesce(a.at, r.at + interval '2 minutes') >= t.sent_at AND r.command IN ('SetChargingProfile', 'ClearChargingProfile')
   AND (a.accepted IS DISTINCT FROM false OR a.status IN ('timeout', 'offline'))
 ORDER BY r.id;

-- name: turns_of
-- What the last plan remembered of the vehicles of a site.
SELECT t.*
  FROM site_limit_turn t JOIN charge_point c ON c.id = t.charge_point
 WHERE c.site = :site::text;

-- name: store_turns
-- What this plan remembers of each vehicle, where that is something else.
INSERT INTO site_limit_turn AS t (charge_point, evse, session, served, since, want_a, target_a)
SELECT * FROM unnest(:charge_points::text[], :evses::integer[], :sessions::integer[], :serveds::boolean[],
                     :sinces::timestamptz[], :wants::integer[], :targets::integer[])
    ON CONFLICT (charge_point, evse)
    DO UPDATE SET session = excluded.session, served = excluded.served, since = excluded.since,
                  want_a = excluded.want_a, target_a = excluded.target_a
     WHERE (t.session, t.served, t.since, t.want_a, t.target_a)
           IS DISTINCT FROM (excluded.session, excluded.served, excluded.since, excluded.want_a, excluded.target_a);

-- name: settle_ended
-- What was told for these sessions went with them.
UPDATE site_limit_step SET settled = true WHERE id = ANY (:ids::bigint[]) AND NOT settled;

-- name: insert_step
-- A limit that is about to be sent; it counts from now on.
INSERT INTO site_limit_step (site, charge_point, evse, slot, session, amps, why)
VALUES (:site::text, :charge_point::text, :evse::integer, :slot::text, :session::integer, :amps::integer, :why::text)
RETURNING id;

-- name: release_step
-- A limit goes out now, if it still should: nothing newer was ordered for its slot, nothing has settled it, and it has not
-- waited for long. Its time counts from here. No row: it is not sent.
UPDATE site_limit_step t SET sent_at = clock_timestamp()
 WHERE t.id = :id::bigint AND NOT t.settled AND t.answered_at IS NULL
   AND t.sent_at >= clock_timestamp() - :age_max::interval
   AND NOT EXISTS (SELECT FROM site_limit_step n
                    WHERE n.charge_point = t.charge_point AND n.evse = t.evse AND n.slot = t.slot
                      AND n.session IS NOT DISTINCT FROM t.session AND n.id > t.id)
RETURNING t.id;

-- name: withdraw_step
-- A limit that was not sent, and never will be: it has changed nothing.
UPDATE site_limit_step
   SET answered_at = clock_timestamp(), accepted = false, status = 'withdrawn', settled = true
 WHERE id = :id::bigint AND answered_at IS NULL;

-- name: answer_step
-- What became of a limit. One that was accepted puts an end to doubt about those before it, save where one of them was
-- accepted after it had gone out: which of the two holds is not known then. What counted no more, and was accepted all the
-- same, counts again. One that failed covers failures before it that were for no more; the newest ones stay, since the
-- next try waits the longer the more there are.
WITH answered AS (
    UPDATE site_limit_step t
       SET answered_at = clock_timestamp(), accepted = :accepted::boolean, status = :status::text, detail = :detail::text,
           settled = CASE WHEN :accepted
                          THEN t.amps IS NULL
                               AND NOT EXISTS (SELECT FROM site_limit_step n
                                                WHERE n.charge_point = t.charge_point AND n.evse = t.evse
                                                  AND n.slot = t.slot AND n.session IS NOT DISTINCT FROM t.session
                                                  AND n.id > t.id AND n.accepted)
                          ELSE t.settled END
     WHERE t.id = :id::bigint AND t.answered_at IS NULL
    RETURNING t.id, t.charge_point, t.evse, t.slot, t.session, t.amps, t.accepted, t.sent_at
), earlier AS (
    SELECT t.id, t.amps, t.accepted, t.answered_at, a.accepted AS by_accepted, a.amps AS by_amps, a.sent_at AS by_sent_at,
           row_number() OVER (ORDER BY t.id DESC) AS age
      FROM answered a JOIN site_limit_step t
        ON t.charge_point = a.charge_point AND t.evse = a.evse AND t.slot = a.slot
           AND t.session IS NOT DISTINCT FROM a.session AND t.id < a.id AND NOT t.settled
)
UPDATE site_limit_step t SET settled = true
  FROM earlier e
 WHERE t.id = e.id
   AND CASE WHEN e.by_accepted THEN NOT (coalesce(e.accepted, false) AND e.answered_at > e.by_sent_at)
            ELSE e.accepted IS NOT TRUE AND e.age > :kept::integer
                 AND (e.by_amps IS NULL OR coalesce(e.amps <= e.by_amps, false)) END;

-- name: forget_steps
-- Old ones that count no more.
DELETE FROM site_limit_step WHERE settled AND sent_at < now() - :age::interval;

-- name: limits_told
-- What operators wanted at a site, newest first.
SELECT id, at, amps, phases, min_a, offline_a, rotate, voltage_v, reserves, actor
  FROM site_limit WHERE site = :site::text ORDER BY id DESC LIMIT :most::integer;

-- name: steps_told
-- Limits that were told at a site, newest first.
SELECT sent_at, answered_at, charge_point, evse, slot, session, amps, why, accepted, status, detail
  FROM site_limit_step
 WHERE site = :site::text AND (:charge_point::text IS NULL OR charge_point = :charge_point)
 ORDER BY id DESC LIMIT :most::integer;
