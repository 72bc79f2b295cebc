-- name: insert_reservation
-- What is about to be asked for; the id that it gets.
INSERT INTO reservation (charge_point, evse, token, group_id, until, actor)
VALUES (:charge_point::text, :evse::integer, :token::text, :group_id::text, :until::timestamptz, :actor::text)
RETURNING id;

-- name: insert_answer
-- What became of a question about a reservation.
INSERT INTO reservation_answer (reservation, question, accepted, status, detail, actor)
VALUES (:reservation::integer, :question::text, :accepted::boolean, :status::text, :detail::text, :actor::text);

-- name: insert_report
-- What a charging station told of a reservation; a repeat tells nothing new.
INSERT INTO reservation_report (charge_point, reservation, status, quirks, received_at)
VALUES (:charge_point::text, :reservation::integer, :status::text, :quirks::text, :received_at::timestamptz)
    ON CONFLICT DO NOTHING;

-- name: find_reservation
-- The reservation of an id, and the session that stands for it where nobody used it.
SELECT r.*, s.id AS unused
  FROM reservation r LEFT JOIN session s ON s.reservation = r.id AND s.dropped IS NULL
 WHERE r.id = :id::integer;

-- name: newest_reservations
-- Reservations before an id, newest first, each with the session that stands for it where nobody used it.
SELECT r.*, s.id AS unused
  FROM reservation r LEFT JOIN session s ON s.reservation = r.id AND s.dropped IS NULL
 WHERE (:charge_point::text IS NULL OR r.charge_point = :charge_point) AND r.id < :before::bigint
 ORDER BY r.id DESC
 LIMIT :most::integer;

-- name: answers_of
-- What was answered about these reservations.
SELECT reservation, question, accepted, status, detail, actor, at
  FROM reservation_answer
 WHERE reservation = ANY (:ids::integer[])
 ORDER BY id;

-- name: reports_of
-- What their own charge points told of these reservations.
SELECT p.reservation, p.status, p.received_at
  FROM reservation r
  JOIN reservation_report p ON p.charge_point = r.charge_point AND p.reservation = r.id
 WHERE r.id = ANY (:ids::integer[])
 ORDER BY p.received_at;

-- name: uses_of
-- Transactions at their own charge points that named these reservations: each one's first event by its charge point's clock.
SELECT DISTINCT ON (r.id, e.transaction, coalesce(e.session, l.session))
       r.id AS reservation, coalesce(e.session, l.session) AS session, e.transaction, e.token, e.at,
       e.received_at
  FROM reservation r
  JOIN charging_event e ON e.charge_point = r.charge_point AND e.reservation = r.id
  LEFT JOIN event_link l ON l.event = e.id
 WHERE r.id = ANY (:ids::integer[])
 ORDER BY r.id, e.transaction, coalesce(e.session, l.session), e.at;

-- name: known_settings
-- What a charge point said of reservations since it last booted, by names in lower case.
SELECT lower(d.name) AS name, d.value
  FROM device_setting d JOIN charge_point c ON c.id = d.charge_point
 WHERE d.charge_point = :charge_point::text AND lower(d.name) = ANY (:names::text[])
   AND d.read_at >= coalesce(c.booted_at, '-infinity');
