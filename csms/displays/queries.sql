-- name: next_request
-- The number of a request that is about to be made.
SELECT nextval(pg_get_serial_sequence('display_request', 'id'))::integer;

-- name: lock_messages
-- Messages of a charge point are numbered one after the other.
SELECT pg_advisory_xact_lock(7008, hashtext(:charge_point::text));

-- name: next_message
-- The number after all that were asked for here or told of, NULL where there is none left.
SELECT CASE WHEN max(id) < 2147483647 THEN max(id) + 1 END
  FROM (SELECT 0 AS id
        UNION ALL
        SELECT message FROM display_request WHERE charge_point = :charge_point::text AND message IS NOT NULL
        UNION ALL
        SELECT (told ->> 'id')::integer
          FROM display_report, jsonb_array_elements(messages) told
         WHERE charge_point = :charge_point::text) numbers;

-- name: insert_request
-- What is about to be asked.
INSERT INTO display_request (id, charge_point, message, body, actor)
VALUES (:id::integer, :charge_point::text, :message::integer, :body::jsonb, :actor::text);

-- name: insert_answer
-- What became of it.
INSERT INTO display_answer (request, accepted, status, detail)
VALUES (:request::integer, :accepted::boolean, :status::text, :detail::text);

-- name: insert_report
-- A part of what a charging station told of its messages.
INSERT INTO display_report (charge_point, request, more, messages, quirks, received_at)
VALUES (:charge_point::text, :request::integer, :more::boolean, :messages::jsonb, :quirks::text, :received_at::timestamptz);

-- name: reports_of
-- The parts that came for a request, in their order.
SELECT more, messages FROM display_report WHERE charge_point = :charge_point::text AND request = :request::integer ORDER BY id;
