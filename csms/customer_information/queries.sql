-- name: insert_request
-- What is about to be asked; its number.
INSERT INTO customer_request (charge_point, token, report, clear, actor)
VALUES (:charge_point::text, :token::text, :report::boolean, :clear::boolean, :actor::text)
RETURNING id;

-- name: insert_answer
-- What became of it.
INSERT INTO customer_answer (request, accepted, status, detail)
VALUES (:request::integer, :accepted::boolean, :status::text, :detail::text);

-- name: insert_part
-- A part that somebody waits for; any other is not kept. A repeat tells nothing new.
INSERT INTO customer_part (request, seq_no, more, data)
SELECT r.id, :seq_no::integer, :more::boolean, :data::text
  FROM customer_request r
 WHERE r.id = :request::integer AND r.charge_point = :charge_point::text AND r.report
   AND r.at > :at::timestamptz - :longest::interval
   AND NOT EXISTS (SELECT FROM customer_handover h WHERE h.request = r.id)
    ON CONFLICT DO NOTHING;

-- name: parts_of
-- The parts that came for a request.
SELECT seq_no, more, data FROM customer_part WHERE request = :request::integer ORDER BY seq_no;

-- name: insert_handover
-- The one who asked has got what there is.
INSERT INTO customer_handover (request, parts, complete) VALUES (:request::integer, :parts::integer, :complete::boolean);

-- name: delete_parts
-- What was handed out is not kept.
DELETE FROM customer_part WHERE request = :request::integer;

-- name: delete_old_parts
-- What nobody has fetched is not kept either, nor what came late to those who had it handed out.
DELETE FROM customer_part p
 WHERE p.received_at < now() - :longest::interval
    OR EXISTS (SELECT FROM customer_handover h WHERE h.request = p.request);
