-- name: mark_due
-- These sessions have new facts.
INSERT INTO session_due (session) SELECT DISTINCT unnest(:sessions::integer[]);

-- name: take_due
-- The oldest rows of what is to be folded that no other node has taken.
DELETE FROM session_due
 WHERE id IN (SELECT id FROM session_due ORDER BY id LIMIT :most::integer FOR UPDATE SKIP LOCKED)
RETURNING session;

-- name: take_due_of
-- The same for these sessions.
DELETE FROM session_due
 WHERE id IN (SELECT id FROM session_due WHERE session = ANY (:sessions::integer[]) FOR UPDATE SKIP LOCKED)
RETURNING session;

-- name: lock_sessions
-- One fold of a session at a time: what is read after this lock is newer than what any finished fold has read. Facts and
-- bills that refer to the session are not kept waiting.
SELECT id FROM session WHERE id = ANY (:sessions::integer[]) ORDER BY id FOR NO KEY UPDATE;

-- name: mark_unfoldable
-- A session that our own code fails on is held, so that it is seen.
UPDATE session SET holds = array_append(holds, 'rating_failed'), projected_at = now()
 WHERE id = :session::integer AND NOT 'rating_failed' = ANY (holds);

-- name: mark_judged_otherwise
-- Sessions that billing has just judged otherwise than their projection says: the lists must show what holds them.
INSERT INTO session_due (session)
SELECT s.id
  FROM unnest(:sessions::integer[], :holds::text[]) AS j (session, holds)
  JOIN session s ON s.id = j.session
 WHERE array_to_string(s.holds, ',') <> j.holds AND s.projected_at IS NOT NULL;

-- name: sessions_to_fold
-- The sessions with what is known of their charge points, sites and reviews; not those whose readings are no longer kept.
SELECT s.id, s.charge_point, s.transaction, s.reservation, s.generation, s.evse, s.started_at,
       c.site, c.current, coalesce(c.product, c.current) AS product, c.max_power_w, c.idle_after_stop, c.idle_cap_s, site.country, site.currency, site.time_zone,
       (SELECT max(r.reason) FROM review_entry r WHERE r.session = s.id AND r.action = 'drop') AS dropped_by_review,
       EXISTS (SELECT FROM review_entry r WHERE r.session = s.id AND r.action = 'release') AS is_released,
       EXISTS (SELECT FROM transaction_status t WHERE t.session = s.id) AS is_asked
  FROM session s
  JOIN charge_point c ON c.id = s.charge_point
  JOIN site ON site.id = c.site
 WHERE s.id = ANY (:sessions::integer[])
   AND s.created_at >= coalesce((SELECT max(before) FROM reading_retention), '-infinity');

-- name: releases_of_sessions
-- What a person released in these sessions, with what the rules had found by then.
SELECT session, holds, findings, closed
  FROM review_entry WHERE session = ANY (:sessions::integer[]) AND action = 'release' ORDER BY id;

-- name: events_of_sessions
-- All events of these sessions, orphans that were paired with them included.
SELECT e.session AS of_session, false AS linked, e.*
  FROM charging_event e WHERE e.session = ANY (:sessions::integer[])
 UNION ALL
SELECT l.session, true, e.*
  FROM event_link l JOIN charging_event e ON e.id = l.event WHERE l.session = ANY (:sessions::integer[]);

-- name: readings_of_sessions
-- Readings that name these sessions.
SELECT r.session AS of_session, r.transaction, r.at, r.key, r.carried_by, r.layout, r.figures, r.samples, r.quirks,
       r.received_at
  FROM reading r WHERE r.session = ANY (:sessions::integer[]);

-- name: reading_layouts
-- What the figures of readings are of.
SELECT l.id, l.samples FROM reading_layout l WHERE l.id = ANY (:ids::bytea[]);

-- name: loose_readings
-- Readings without a transaction on the EVSEs, in the time, of these sessions.
SELECT w.session AS of_session, r.transaction, r.at, r.key, r.carried_by, r.layout, r.figures, r.samples, r.quirks,
       r.received_at
  FROM unnest(:sessions::integer[], :charge_points::text[], :evses::integer[], :sinces::timestamptz[],
              :untils::timestamptz[]) AS w (session, charge_point, evse, since, until)
  JOIN reading r ON r.charge_point = w.charge_point AND r.evse = w.evse AND r.session IS NULL
                AND r.transaction IS NULL AND r.at >= w.since AND r.at <= w.until;

-- name: statuses_of_sessions
-- Statuses of the sessions' connectors and whole EVSEs (connector 0), in their time, the last one before it included;
-- without repeats of the one before, of too many the newest.
SELECT w.session AS of_session, s.status, s.at, s.received_at, s.connector, s.socket
  FROM unnest(:sessions::integer[], :charge_points::text[], :evses::integer[], :connectors::integer[],
              :sinces::timestamptz[], :untils::timestamptz[])
    AS w (session, charge_point, evse, connector, since, until)
  JOIN LATERAL (
        (SELECT p.status, p.at, p.received_at, p.connector, p.socket FROM status_report p
          WHERE p.charge_point = w.charge_point AND p.evse = w.evse AND p.received_at < w.since
            AND (w.connector IS NULL OR p.connector IN (0, w.connector))
          ORDER BY p.received_at DESC LIMIT 1)
        UNION ALL
        (SELECT r.status, r.at, r.received_at, r.connector, r.socket
           FROM (SELECT p.*, lag(p.status) OVER row AS status_before, lag(p.at) OVER row AS at_before
                   FROM status_report p
                  WHERE p.charge_point = w.charge_point AND p.evse = w.evse
                    AND p.received_at >= w.since AND p.received_at <= w.until
                    AND (w.connector IS NULL OR p.connector IN (0, w.connector))
                 WINDOW row AS (PARTITION BY p.connector ORDER BY p.received_at, p.id)) r
          WHERE r.status IS DISTINCT FROM r.status_before OR r.at < r.at_before
          ORDER BY r.received_at DESC LIMIT 2000)
       ) s ON true;

-- name: online_of_sessions
-- When the charge points of these sessions had a socket.
SELECT w.session AS of_session, k.opened_at, k.closed_at
  FROM unnest(:sessions::integer[], :charge_points::text[], :sinces::timestamptz[])
    AS w (session, charge_point, since)
  JOIN socket k ON k.charge_point = w.charge_point AND (k.closed_at IS NULL OR k.closed_at >= w.since);

-- name: reservations_of_sessions
-- What was kept for the drivers of these sessions: of each the first reservation that it used and that the charge point had
-- accepted, for its token or for the group of its token. A reservation that several sessions name is the first one's.
SELECT DISTINCT ON (e.session)
       e.session AS of_session, a.at AS since,
       least(r.until, (SELECT min(c.at) FROM reservation_answer c
                        WHERE c.reservation = r.id AND c.question = 'cancel' AND c.accepted)) AS until
  FROM charging_event e
  JOIN reservation r ON r.charge_point = e.charge_point AND r.id = e.reservation
  JOIN reservation_answer a ON a.reservation = r.id AND a.question = 'reserve' AND a.accepted
  JOIN LATERAL (SELECT upper(p.token) AS uid, p.received_at FROM charging_event p
                 WHERE p.session = e.session AND p.kind <> 'ended' AND p.token IS NOT NULL
                 ORDER BY p.at, p.id LIMIT 1) payer ON true
 WHERE e.session = ANY (:sessions::integer[]) AND e.kind <> 'ended'
   AND (payer.uid = r.token
        OR r.group_id = (SELECT t.group_id FROM token_event t
                          WHERE t.uid = payer.uid AND t.kind = 'issued' AND t.at <= payer.received_at
                          ORDER BY t.at DESC, t.id DESC LIMIT 1))
   AND NOT EXISTS (SELECT FROM charging_event u
                    WHERE u.charge_point = e.charge_point AND u.reservation = r.id AND u.session < e.session)
   AND NOT EXISTS (SELECT FROM session x JOIN bill b ON b.session = x.id AND b.kind = 'final'
                    WHERE x.reservation = r.id)
 ORDER BY e.session, r.id;

-- name: unused_reservations
-- Reservations that charge points had accepted, that ran out, that no message has named since, nobody took back, and of
-- which there is no session yet; with the place at which they were kept.
SELECT r.id, r.charge_point, r.token, a.at AS since, r.until, c.site, site.currency,
       coalesce(c.product, c.current) AS product
  FROM reservation r
  JOIN reservation_answer a ON a.reservation = r.id AND a.question = 'reserve' AND a.accepted
  JOIN charge_point c ON c.id = r.charge_point
  JOIN site ON site.id = c.site
 WHERE r.until > :since::timestamptz AND r.until <= :now::timestamptz AND a.at < r.until
   AND NOT EXISTS (SELECT FROM session s WHERE s.reservation = r.id)
   AND NOT EXISTS (SELECT FROM reservation_answer x
                    WHERE x.reservation = r.id AND x.question = 'cancel' AND x.accepted)
   AND NOT EXISTS (SELECT FROM reservation_report p
                    WHERE p.charge_point = r.charge_point AND p.reservation = r.id AND p.status = 'Removed')
   AND NOT EXISTS (SELECT FROM charging_event e WHERE e.charge_point = r.charge_point AND e.reservation = r.id)
 ORDER BY r.id;

-- name: insert_unused
-- The sessions of reservations that nobody used; what another node has noted is noted once.
INSERT INTO session (charge_point, reservation, token, started_at, ended_at)
SELECT * FROM unnest(:charge_points::text[], :reservations::integer[], :tokens::text[], :sinces::timestamptz[],
                     :untils::timestamptz[])
    ON CONFLICT (reservation) DO NOTHING
RETURNING id;

-- name: kept_of_sessions
-- The reservations of these sessions; the first session that names one after all, and what else speaks against a price.
SELECT s.id AS of_session, r.id AS reservation, r.token, a.at AS since, r.until,
       (SELECT min(coalesce(e.session, l.session))
          FROM charging_event e LEFT JOIN event_link l ON l.event = e.id
         WHERE e.charge_point = r.charge_point AND e.reservation = r.id) AS used_by,
       CASE WHEN EXISTS (SELECT FROM reservation_report p
                          WHERE p.charge_point = r.charge_point AND p.reservation = r.id AND p.status = 'Removed')
            THEN 'the charge point gave the reservation up'
            WHEN EXISTS (SELECT FROM reservation_answer x
                          WHERE x.reservation = r.id AND x.question = 'cancel' AND x.accepted)
            THEN 'the reservation was cancelled'
            WHEN EXISTS (SELECT FROM charging_event e WHERE e.charge_point = r.charge_point AND e.reservation = r.id)
            THEN 'a transaction named the reservation' END AS why_not
  FROM session s
  JOIN reservation r ON r.id = s.reservation
  JOIN reservation_answer a ON a.reservation = r.id AND a.question = 'reserve' AND a.accepted
 WHERE s.id = ANY (:sessions::integer[]);

-- name: neighbours_of_sessions
-- The sessions just before and after on the same EVSE, by starts that can be true. Ids are given in the order of arrival:
-- what we heard of first follows nobody, whatever its clock says. Of one with the same start, whether it has a stop or
-- readings of its own.
SELECT w.session AS of_session, n.side, n.id, n.token, n.started_at, n.ended_at, n.register_end_wh, n.created_at,
       CASE WHEN n.projected_at IS NULL
            THEN (SELECT e.register_wh FROM charging_event e WHERE e.session = n.id AND e.kind = 'started' LIMIT 1)
            ELSE n.register_begin_wh END AS register_begin_wh,
       n.started_at = w.start
       AND (EXISTS (SELECT FROM charging_event e WHERE e.session = n.id AND e.kind = 'ended')
            OR EXISTS (SELECT FROM reading r WHERE r.session = n.id)) AS has_facts
  FROM unnest(:sessions::integer[], :charge_points::text[], :evses::integer[], :starts::timestamptz[])
    AS w (session, charge_point, evse, start)
  JOIN LATERAL (
        (SELECT 'previous' AS side, p.* FROM session p
          WHERE p.charge_point = w.charge_point AND p.evse = w.evse AND p.id <> w.session AND p.dropped IS NULL
            AND (p.started_at, p.id) < (w.start, w.session)
            AND p.started_at >= '2015-01-01T00:00Z' AND p.started_at <= p.created_at + interval '5 minutes'
          ORDER BY p.started_at DESC, p.id DESC LIMIT 1)
        UNION ALL
        (SELECT 'following', p.* FROM session p
          WHERE p.charge_point = w.charge_point AND p.evse = w.evse AND p.id > w.session AND p.dropped IS NULL
            AND p.started_at >= w.start
            AND p.started_at >= '2015-01-01T00:00Z' AND p.started_at <= p.created_at + interval '5 minutes'
          ORDER BY p.started_at, p.id LIMIT 1)
       ) n ON true;

-- name: ends_to_change
-- Which of these sessions end otherwise than their projection says so far: their followers look at that.
SELECT s.id
  FROM unnest(:sessions::integer[], :ended_ats::timestamptz[], :register_ends_wh::numeric[])
    AS p (session, ended_at, register_end_wh)
  JOIN session s ON s.id = p.session
 WHERE (s.ended_at, s.register_end_wh) IS DISTINCT FROM (p.ended_at, p.register_end_wh);

-- name: followers_of
-- The sessions just after these on the same EVSE, as they stand by now.
SELECT n.id
  FROM session w
  JOIN LATERAL (
        SELECT p.id FROM session p
         WHERE p.charge_point = w.charge_point AND p.evse = w.evse AND p.id > w.id AND p.dropped IS NULL
           AND p.started_at >= w.started_at
           AND p.started_at >= '2015-01-01T00:00Z' AND p.started_at <= p.created_at + interval '5 minutes'
         ORDER BY p.started_at, p.id LIMIT 1
       ) n ON true
 WHERE w.id = ANY(:sessions::integer[]);

-- name: overtaken
-- Sessions that end, or are released, after the start of the one behind them on the EVSE, of which nobody knew when they
-- were folded: starts that were queued may come after statuses. A start is committed within five seconds, or not at all.
SELECT DISTINCT p.id
  FROM unnest(:sessions::integer[], :previous::integer[]) AS w (session, previous)
  JOIN session n ON n.id = w.session
  JOIN session p ON p.id = w.previous
 WHERE p.projected_at < n.created_at + interval '5 seconds'
   AND greatest(p.ended_at, p.released_at) > n.started_at;

-- name: project_sessions
-- The projection, as folded.
UPDATE session s
   SET evse = p.evse, connector = p.connector, token = p.token, started_at = p.started_at, ended_at = p.ended_at,
       released_at = p.released_at, complete_at = p.complete_at, energy_wh = p.energy_wh,
       register_begin_wh = p.register_begin_wh, register_end_wh = p.register_end_wh,
       energy_source = p.energy_source, dropped = p.dropped,
       holds = coalesce(string_to_array(nullif(p.holds, ''), ','), '{}'),
       flags = coalesce(string_to_array(nullif(p.flags, ''), ','), '{}'),
       last_fact_at = p.last_fact_at, inputs_hash = p.inputs_hash, findings = p.findings::jsonb, projected_at = now()
  FROM unnest(:sessions::integer[], :evses::integer[], :connectors::integer[], :tokens::text[],
              :started_ats::timestamptz[], :ended_ats::timestamptz[], :released_ats::timestamptz[],
              :complete_ats::timestamptz[], :energies_wh::numeric[], :register_begins_wh::numeric[],
              :register_ends_wh::numeric[], :energy_sources::text[], :droppeds::text[], :holds::text[],
              :flags::text[], :last_fact_ats::timestamptz[], :inputs_hashes::bytea[], :findings::text[])
    AS p (session, evse, connector, token, started_at, ended_at, released_at, complete_at, energy_wh,
          register_begin_wh, register_end_wh, energy_source, dropped, holds, flags, last_fact_at, inputs_hash,
          findings)
 WHERE s.id = p.session;

-- name: mark_rating_due
-- Billing has something to look at.
INSERT INTO rating_due (session) SELECT DISTINCT unnest(:sessions::integer[]);

-- name: mark_limited_due
-- Of these sessions those that may cost only so much: billing looks at each new fact of theirs.
INSERT INTO rating_due (session) SELECT w.session FROM cost_watch w WHERE w.session = ANY (:sessions::integer[]);

-- name: sweep_due
-- Sessions whose state may change by time alone: Available while no stop came, or ended and not yet complete.
INSERT INTO session_due (session)
SELECT s.id
  FROM connector c
  JOIN session s ON s.charge_point = c.charge_point AND s.evse = c.evse
                AND (s.connector IS NULL OR s.connector = c.connector)
 WHERE c.status = 'Available' AND c.reported_at <= :now::timestamptz - :patience::interval
   AND s.ended_at IS NULL AND s.dropped IS NULL
   AND (s.projected_at IS NULL OR s.projected_at < :now::timestamptz - :least::interval)
UNION
SELECT s.id
  FROM session s
 WHERE s.ended_at IS NOT NULL AND s.complete_at IS NULL AND s.dropped IS NULL
   AND (s.projected_at IS NULL OR s.projected_at < :now::timestamptz - :least::interval)
UNION
SELECT s.id
  FROM session s
  JOIN reservation r ON r.id = s.reservation
 WHERE s.complete_at > :now AND s.dropped IS NULL
   AND EXISTS (SELECT FROM charging_event e WHERE e.charge_point = r.charge_point AND e.reservation = r.id);

-- name: orphans_to_pair
-- Stops that fit nowhere and have settled, with the open sessions of their charge points that fit by meter and time: a
-- session that goes on after the stop was stamped is another one. What a session row says of its end may be older than
-- its facts, so one that waits to be folded is looked at the next time.
SELECT e.id AS event, e.charge_point, e.at, e.register_wh,
       array_agg(s.id) FILTER (WHERE s.id IS NOT NULL) AS candidates
  FROM charging_event e
  LEFT JOIN session s ON s.charge_point = e.charge_point AND s.ended_at IS NULL AND s.dropped IS NULL
                     AND s.started_at <= e.at AND s.projected_at IS NOT NULL
                     AND (s.register_begin_wh IS NULL OR e.register_wh IS NULL
                          OR e.register_wh >= coalesce(s.register_end_wh, s.register_begin_wh))
                     AND (e.token IS NULL OR s.token IS NULL OR e.token = s.token)
                     AND NOT EXISTS (SELECT FROM reading r WHERE r.session = s.id AND r.at > e.at)
                     AND NOT EXISTS (SELECT FROM charging_event u
                                      WHERE u.session = s.id AND (u.kind = 'ended' OR u.at > e.at))
                     AND NOT EXISTS (SELECT FROM event_link l WHERE l.session = s.id)
                     AND NOT EXISTS (SELECT FROM session_due d WHERE d.session = s.id)
 WHERE e.session IS NULL AND e.kind = 'ended'
   AND e.received_at > :since::timestamptz AND e.received_at <= :settled::timestamptz
   AND NOT EXISTS (SELECT FROM event_link l WHERE l.event = e.id)
 GROUP BY e.id;

-- name: link_events
-- Orphans that found their session.
INSERT INTO event_link (event, session, why)
SELECT * FROM unnest(:events::bigint[], :sessions::integer[], :whys::text[])
    ON CONFLICT DO NOTHING;

-- name: list_sessions
-- Sessions with where billing stands: newest bill, own holds of billing.
SELECT s.id, s.charge_point, coalesce(s.evse, k.evse) AS evse, s.connector, s.token,
       s.transaction AS transaction_id, s.generation, s.reservation,
       s.started_at, s.ended_at, s.released_at, s.complete_at, s.energy_wh, s.energy_source, s.dropped, s.flags,
       s.register_begin_wh, s.register_end_wh, s.created_at, c.site,
       ARRAY(SELECT DISTINCT h FROM unnest(s.holds || coalesce(r.holds, '{}')) h ORDER BY h) AS holds,
       coalesce(r.flags, '{}') AS rating_flags, coalesce(r.notes, '{}') AS notes,
       b.kind AS bill_kind, b.total_excl_minor, b.total_tax_minor, b.total_incl_minor, b.currency, b.as_of,
       b.tariff, b.tariff_version,
       EXISTS (SELECT FROM bill f WHERE f.session = s.id AND f.kind = 'final') AS billed
  FROM session s
  JOIN charge_point c ON c.id = s.charge_point
  LEFT JOIN rating r ON r.session = s.id
  LEFT JOIN reservation k ON k.id = s.reservation
  LEFT JOIN LATERAL (SELECT * FROM bill b WHERE b.session = s.id ORDER BY b.seq DESC LIMIT 1) b ON true
 WHERE (:charge_point::text IS NULL OR lower(s.charge_point) = lower(:charge_point))
   AND (:site::text IS NULL OR c.site = :site)
   AND (:token::text IS NULL OR s.token = upper(:token))
   AND (:session::integer IS NULL OR s.id = :session)
   AND (:since::timestamptz IS NULL OR coalesce(s.started_at, s.created_at) >= :since)
   AND (:until::timestamptz IS NULL OR coalesce(s.started_at, s.created_at) < :until)
 ORDER BY coalesce(s.started_at, s.created_at), s.id;

-- name: list_orphans
-- Events that fit no session.
SELECT e.id, e.charge_point, e.kind, e.transaction, e.token, e.at, e.register_wh, e.stopped_reason, e.received_at,
       l.session AS paired_with
  FROM charging_event e LEFT JOIN event_link l ON l.event = e.id
 WHERE e.session IS NULL
 ORDER BY e.received_at, e.id;

-- name: insert_review
-- Who decided what, and why; and what was seen when it was decided.
INSERT INTO review_entry (session, action, holds, reason, actor, findings, closed)
SELECT s.id, :action::text, :holds::text[], :reason::text, :actor::text, s.findings, s.ended_at IS NOT NULL
  FROM session s WHERE s.id = :session::integer;

-- name: lock_rating
-- Nobody bills this session while a review of it is decided; whether it is billed already.
SELECT EXISTS (SELECT FROM bill b WHERE b.session = r.session AND b.kind = 'final') AS billed
  FROM rating r WHERE r.session = :session::integer FOR UPDATE;

-- name: review_log
-- All review decisions of a session.
SELECT action, holds, reason, actor, at FROM review_entry WHERE session = :session::integer ORDER BY id;

-- name: review_policies
-- The newest review policy.
SELECT version, body FROM policy WHERE kind = 'review' ORDER BY version DESC LIMIT 1;

-- name: insert_policy
-- The first policy of an installation.
INSERT INTO policy (kind, version, body) VALUES ('review', :version::integer, :body::jsonb) ON CONFLICT DO NOTHING;

-- name: transaction_statuses
-- What charge points said of these transactions when asked, oldest first. That their queue is empty counts only from the
-- stop on; of several answers the newest that says anything counts.
SELECT t.session, t.asked_at,
       (SELECT n.ongoing FROM transaction_status n
         WHERE n.session = t.session AND n.ongoing IS NOT NULL ORDER BY n.id DESC LIMIT 1) AS ongoing,
       CASE WHEN t.asked_at >= (SELECT min(e.received_at) FROM charging_event e
                                 WHERE e.session = t.session AND e.kind = 'ended')
            THEN t.messages_in_queue END AS messages_in_queue
  FROM transaction_status t WHERE t.session = ANY (:sessions::integer[]) ORDER BY t.id;

-- name: insert_transaction_status
-- What a charge point said of a transaction.
INSERT INTO transaction_status (session, ongoing, messages_in_queue)
VALUES (:session::integer, :ongoing::boolean, :messages_in_queue::boolean);

-- name: findings_of
-- What the rules noticed about a session, with the figures compared.
SELECT findings FROM session WHERE id = :session::integer;

-- name: count_sessions
-- Sessions that run, and ended ones that wait for a person.
SELECT (SELECT count(*) FROM session WHERE ended_at IS NULL AND dropped IS NULL) AS open,
       (SELECT count(*) FROM session s
         WHERE s.holds <> '{}' AND s.ended_at IS NOT NULL AND s.dropped IS NULL
           AND NOT EXISTS (SELECT FROM bill b WHERE b.session = s.id AND b.kind = 'final')) AS held;

-- name: started_since
-- The session that a remote start brought about: by its remote start id (2.x), else by token and EVSE (1.6).
SELECT e.session
  FROM charging_event e
 WHERE e.charge_point = :charge_point::text AND e.received_at >= :since::timestamptz AND e.session IS NOT NULL
   AND (e.remote_start = :remote_start::bigint
        OR (e.kind = 'started' AND e.remote_start IS NULL AND e.token = :token::text
            AND (:evse::integer IS NULL OR e.evse = :evse)))
 ORDER BY e.id LIMIT 1;

-- name: sessions_to_ask
-- 2.x transactions that ended but miss events, or have been silent on an Available EVSE: ask them again after each delay,
-- counted from the end, or from the silence.
SELECT s.id, s.charge_point, s.transaction
  FROM session s
  JOIN LATERAL (SELECT min(e.received_at) AS at FROM charging_event e
                 WHERE e.session = s.id AND e.kind = 'ended') stop ON true
  JOIN LATERAL (SELECT count(*) AS times FROM transaction_status t
                 WHERE t.session = s.id AND t.asked_at >= stop.at) asked ON true
 WHERE s.ended_at IS NOT NULL AND s.complete_at > :now::timestamptz AND s.dropped IS NULL
   AND s.charge_point = ANY (:charge_points::text[]) AND s.transaction <> s.id::text
   AND asked.times < cardinality(:delays::interval[])
   AND stop.at + (:delays::interval[])[asked.times + 1] <= :now
UNION
SELECT s.id, s.charge_point, s.transaction
  FROM connector c
  JOIN session s ON s.charge_point = c.charge_point AND s.evse = c.evse
                AND (s.connector IS NULL OR s.connector = c.connector)
  JOIN LATERAL (SELECT count(*) AS times FROM transaction_status t
                 WHERE t.session = s.id AND t.asked_at >= c.reported_at) asked ON true
 WHERE c.charge_point = ANY (:charge_points::text[])
   AND c.status = 'Available' AND c.reported_at < :now - :silence::interval
   AND s.ended_at IS NULL AND s.dropped IS NULL AND s.transaction <> s.id::text
   AND asked.times < cardinality(:delays::interval[])
   AND (asked.times = 0 OR c.reported_at + :silence::interval + (:delays::interval[])[asked.times] <= :now)
   AND NOT EXISTS (SELECT FROM charging_event e WHERE e.session = s.id AND e.received_at > c.reported_at)
 LIMIT 100;

-- name: count_bills
-- Bills by kind.
SELECT kind, count(*) AS bills FROM bill GROUP BY kind;

-- name: newest_sessions
-- The sessions of transaction ids.
SELECT DISTINCT ON (s.charge_point, s.transaction) s.id, s.charge_point, s.transaction
  FROM unnest(:charge_points::text[], :transactions::text[]) AS w (charge_point, transaction)
  JOIN session s ON s.charge_point = w.charge_point AND s.transaction = w.transaction
 ORDER BY s.charge_point, s.transaction, s.generation DESC;

-- name: note_foreign_transactions
-- A charge point that names transactions of others: one security event an hour and charge point, whatever it sends.
INSERT INTO security_event (charge_point, key, type, at, tech_info, received_at, last_at, source, critical, count)
SELECT e.charge_point, decode(md5('foreign' || date_trunc('hour', min(e.received_at))), 'hex'),
       'ForeignTransaction', min(e.received_at),
       count(*) || ' stops of transactions of other charge points, the first ' || min(e.transaction), now(),
       max(e.received_at), 'csms', true, count(*)
  FROM charging_event e
  JOIN session s ON s.id::text = e.transaction AND s.charge_point <> e.charge_point
 WHERE e.session IS NULL AND e.received_at > :since::timestamptz
 GROUP BY e.charge_point, date_trunc('hour', e.received_at)
    ON CONFLICT DO NOTHING
RETURNING charge_point, tech_info;

-- name: facts_of_session
-- The single facts of a session in the order in which they happened: its events, its readings.
SELECT e.at, e.received_at, e.kind, e.evse, e.connector,
       jsonb_build_object('transaction', e.transaction, 'token', e.token, 'token_type', e.token_type,
                          'register_wh', e.register_wh, 'seq_no', e.seq_no, 'trigger', e.trigger,
                          'charging_state', e.charging_state, 'stopped_reason', e.stopped_reason, 'offline', e.offline,
                          'reservation', e.reservation, 'remote_start', e.remote_start, 'malformed', e.malformed,
                          'quirks', to_jsonb(e.quirks)) AS told,
       NULL::jsonb AS samples
  FROM charging_event e
 WHERE e.session = :session::integer OR e.id IN (SELECT l.event FROM event_link l WHERE l.session = :session::integer)
 UNION ALL
SELECT r.at, r.received_at, 'reading', r.evse, r.connector,
       jsonb_build_object('transaction', r.transaction, 'carried_by', r.carried_by, 'quirks', to_jsonb(r.quirks)),
       coalesce(r.samples, csms_samples(l.samples, r.figures))
  FROM reading r LEFT JOIN reading_layout l ON l.id = r.layout
 WHERE r.session = :session::integer
 ORDER BY at, received_at;

-- name: facts_of_charge_point
-- What a charge point told last beside its sessions: statuses, readings of no session, data of its vendor, boots.
SELECT t.*
  FROM ((SELECT s.at, s.received_at, 'status' AS kind, s.evse, s.connector,
                jsonb_build_object('status', s.status, 'error_code', s.error_code, 'info', s.info,
                                   'vendor_error_code', s.vendor_error_code) AS told,
                NULL::jsonb AS samples
           FROM status_report s WHERE s.charge_point = :charge_point::text
          ORDER BY s.received_at DESC LIMIT :most::bigint)
        UNION ALL
        (SELECT r.at, r.received_at, 'reading', r.evse, r.connector,
                jsonb_build_object('transaction', r.transaction, 'carried_by', r.carried_by,
                                   'quirks', to_jsonb(r.quirks)),
                coalesce(r.samples, csms_samples(l.samples, r.figures))
           FROM reading r LEFT JOIN reading_layout l ON l.id = r.layout
          WHERE r.charge_point = :charge_point::text AND r.session IS NULL
          ORDER BY r.received_at DESC LIMIT :most::bigint)
        UNION ALL
        (SELECT NULL, n.received_at, n.kind, NULL, NULL, n.body, NULL
           FROM notice n WHERE n.charge_point = :charge_point::text
          ORDER BY n.received_at DESC LIMIT :most::bigint)) t
 ORDER BY t.received_at DESC LIMIT :most::bigint;

-- name: place_of_charge_point
-- A charge point by its identity in any case, with what prices look at.
SELECT c.id, c.site, site.currency, coalesce(c.product, c.current) AS product
  FROM charge_point c JOIN site ON site.id = c.site
 WHERE lower(c.id) = lower(:charge_point::text);
