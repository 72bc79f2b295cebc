-- name: insert_request
-- Something that an operator asks for; nothing where the id is taken.
INSERT INTO transfer_request (id, charge_point, kind, message, wish, firmware, actor)
VALUES (:id::integer, :charge_point::text, :kind::text, :message::text, :wish::jsonb, :firmware::text, :actor::text)
    ON CONFLICT DO NOTHING
RETURNING id;

-- name: ask_otherwise
-- The charge point does not know the message: it is asked by another one.
UPDATE transfer_request
   SET message = :message::text, wish = :wish::jsonb, not_known = array_append(not_known, message)
 WHERE id = :id::integer;

-- name: answer_request
-- What the charge point made of it; accepted NULL: nobody knows.
UPDATE transfer_request
   SET accepted = :accepted::boolean, answer = :answer::text, detail = :detail::text, file = :file::text,
       not_known = CASE WHEN :answer::text = 'not_supported' THEN array_append(not_known, message) ELSE not_known END,
       answered_at = now()
 WHERE id = :id::integer;

-- name: requests_of
-- The newest requests of a charge point, newest first.
SELECT * FROM transfer_request
 WHERE charge_point = :charge_point::text AND kind = ANY (:kinds::text[])
 ORDER BY asked_at DESC, id
 LIMIT :most::integer;

-- name: newest_requests
-- The newest request of every charge point that was ever asked.
SELECT DISTINCT ON (charge_point) *
  FROM transfer_request
 WHERE kind = ANY (:kinds::text[])
 ORDER BY charge_point, asked_at DESC, id;

-- name: requests_since
-- What charge points were asked, each since an instant of its own.
SELECT r.*
  FROM unnest(:charge_points::text[], :sinces::timestamptz[]) AS t (charge_point, since)
  JOIN transfer_request r ON r.charge_point = t.charge_point AND r.kind = :kind::text AND r.asked_at >= t.since;

-- name: statuses_since
-- What charge points told, each since an instant of its own (NULL: ever), oldest first; of each at most so many.
SELECT s.*
  FROM unnest(:charge_points::text[], :sinces::timestamptz[]) AS t (charge_point, since)
 CROSS JOIN LATERAL (SELECT * FROM transfer_status n
                      WHERE n.charge_point = t.charge_point AND n.kind = ANY (:kinds::text[])
                        AND (t.since IS NULL OR n.received_at >= t.since)
                      ORDER BY n.received_at DESC, n.id DESC LIMIT :most::integer) s
 ORDER BY s.received_at, s.id;

-- name: insert_statuses
-- What charge points told.
INSERT INTO transfer_status (charge_point, kind, status, request, locations, socket, received_at)
SELECT t.charge_point, t.kind, t.status, t.request, t.locations::jsonb, t.socket, t.received_at
  FROM unnest(:charge_points::text[], :kinds::text[], :statuses::text[], :requests::integer[], :locations::text[],
              :sockets::uuid[], :received_ats::timestamptz[])
       AS t (charge_point, kind, status, request, locations, socket, received_at);

-- name: firmware_versions
-- What charge points said they run when they last booted.
SELECT id, firmware FROM charge_point WHERE id = ANY (:charge_points::text[]);

-- name: announced
-- Settings by which a charge point says what it can do, by their names in lower case.
SELECT lower(name) AS name, value FROM device_setting
 WHERE charge_point = :charge_point::text AND lower(name) = ANY (:names::text[]);

-- name: known_messages
-- Messages that this firmware has answered, and whether it knew them. What never reached it says nothing.
SELECT message, bool_and(answer <> 'not_supported') AS known
  FROM transfer_request
 WHERE charge_point = :charge_point::text AND firmware IS NOT DISTINCT FROM :firmware::text AND accepted IS NOT NULL
   AND answer NOT IN ('offline', 'usage')
 GROUP BY message
UNION ALL
SELECT DISTINCT unnest(not_known), false
  FROM transfer_request
 WHERE charge_point = :charge_point::text AND firmware IS NOT DISTINCT FROM :firmware::text;

-- name: has_security_events
-- Whether the charge point has ever sent what only the security white paper has.
SELECT EXISTS (SELECT FROM security_event WHERE charge_point = :charge_point::text AND source = 'charge_point');

-- name: insert_image
-- Firmware to hand out; nothing where this version is offered already.
INSERT INTO firmware_image (file, version, vendor, model, signature, certificate, actor)
VALUES (:file::bigint, :version::text, :vendor::text, :model::text, :signature::text, :certificate::text, :actor::text)
    ON CONFLICT DO NOTHING
RETURNING id;

-- name: images
-- Firmware, newest first, with its file and what roll-outs it was in.
SELECT i.*, f.name, f.size_bytes, f.sha256, i.signature IS NOT NULL AS signed,
       (SELECT coalesce(array_agg(r.id ORDER BY r.id), '{}') FROM rollout r WHERE r.image = i.id) AS rollouts
  FROM firmware_image i JOIN file f ON f.id = i.file
 WHERE (:id::integer IS NULL OR i.id = :id) AND (:even_withdrawn::boolean OR i.withdrawn_at IS NULL)
 ORDER BY i.id DESC;

-- name: withdraw_image
-- Firmware that is offered no longer.
UPDATE firmware_image SET withdrawn_at = now() WHERE id = :id::integer AND withdrawn_at IS NULL RETURNING file;

-- name: open_rollouts_of_image
-- Roll-outs that still hand it out.
SELECT r.id FROM rollout r
 WHERE r.image = :image::integer AND r.state IN ('running', 'paused', 'stopped')
 ORDER BY r.id;
