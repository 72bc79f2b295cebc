-- name: insert_messages
-- Messages of facts that have none yet. Keys come in order: two who queue the same ones wait for each other in one direction.
INSERT INTO mail_message (key, kind, account, brand, message_id, content_hash, sender_address, sender_name, expires_at)
SELECT * FROM unnest(:keys::text[], :kinds::text[], :accounts::text[], :brands::text[], :message_ids::text[],
                     :content_hashes::bytea[], :sender_addresses::text[], :sender_names::text[],
                     :expires_ats::timestamptz[])
    ON CONFLICT (key) DO NOTHING
RETURNING id, key;

-- name: insert_contents
-- What messages say.
INSERT INTO mail_content (message, body)
SELECT message, body::jsonb FROM unnest(:messages::bigint[], :bodies::text[]) AS c (message, body);

-- name: insert_deliveries
-- One for each recipient; those that cannot be written to have ended with that.
INSERT INTO mail_delivery (message, n, address, envelope_id, state, next_at, ended_at)
SELECT message, n, address, envelope_id, CASE WHEN mistake IS NULL THEN 'queued' ELSE 'failed' END,
       CASE WHEN mistake IS NULL THEN now() END, CASE WHEN mistake IS NOT NULL THEN now() END
  FROM unnest(:messages::bigint[], :ns::integer[], :addresses::text[], :envelope_ids::text[], :mistakes::text[])
       AS d (message, n, address, envelope_id, mistake)
RETURNING id, message, n, state;

-- name: insert_mistakes
-- Why recipients cannot be written to.
WITH told AS (
    SELECT d.id, m.words
      FROM unnest(:messages::bigint[], :ns::integer[], :words::text[]) AS m (message, n, words)
      JOIN mail_delivery d ON (d.message, d.n) = (m.message, m.n)
), event AS (
    INSERT INTO mail_event (delivery, kind, state) SELECT id, 'unfit', 'failed' FROM told RETURNING id, delivery
)
INSERT INTO mail_words (event, delivery, words)
SELECT event.id, event.delivery, told.words FROM event JOIN told ON told.id = event.delivery;

-- name: messages_by_key
-- Messages that were queued before.
SELECT id, key, content_hash FROM mail_message WHERE key = ANY (:keys::text[]);

-- name: senders_of_brands
-- Who writes for some brands, as their details say.
SELECT id, details->'mail'->>'address' AS address, details->'mail'->>'name' AS name,
       details->'mail'->>'reply_to' AS reply_to
  FROM brand WHERE id = ANY (:brands::text[]);

-- name: waiting
-- How many deliveries are due, as far as that matters, and since when the first of them is.
SELECT count(*) AS due, coalesce(extract(epoch FROM now() - min(next_at)), 0)::double precision AS late_s
  FROM (SELECT next_at FROM mail_delivery
         WHERE state IN ('queued', 'retry') AND next_at <= now()
         ORDER BY next_at, id LIMIT :limit::integer) AS due;

-- name: lock_pace
-- Held while a claim is made where only so many may be sent in a minute: one counts after the other.
SELECT pg_advisory_xact_lock(:key::bigint);

-- name: claimed_of_late
-- How many were claimed within a minute.
SELECT coalesce(sum(claimed), 0)::integer FROM mail_pace WHERE at > clock_timestamp() - interval '1 minute';

-- name: note_pace
-- So many more were claimed.
INSERT INTO mail_pace (claimed) VALUES (:claimed::integer);

-- name: forget_pace
-- Claims that no longer count.
DELETE FROM mail_pace WHERE at < clock_timestamp() - interval '2 minutes';

-- name: claim
-- Take deliveries that are due. Nobody else takes them before the lease has ended.
WITH due AS (
    SELECT id FROM mail_delivery
     WHERE state IN ('queued', 'retry') AND next_at <= now()
     ORDER BY next_at, id LIMIT :limit::integer FOR UPDATE SKIP LOCKED
)
UPDATE mail_delivery d SET claim = :claim::uuid, next_at = now() + :lease::interval
  FROM due WHERE d.id = due.id
RETURNING d.id;

-- name: fix_senders
-- Who writes where nobody was named: from the first try on it stays so, and with it the Message-ID.
UPDATE mail_message m SET sender_address = :address::text, sender_name = :name::text
  FROM mail_delivery d
 WHERE d.id = ANY (:deliveries::bigint[]) AND m.id = d.message AND m.sender_address IS NULL;

-- name: claimed
-- All that is needed to send some deliveries. age: since the first try.
SELECT d.id, d.n, d.address, d.envelope_id, d.state, d.tries, coalesce(now() - d.first_tried_at, interval '0') AS age,
       m.message_id, m.kind, m.sender_address, m.sender_name, m.queued_at,
       coalesce(m.expires_at <= now(), false) AS is_expired, c.body::text AS body, s.since AS suppressed_since
  FROM mail_delivery d
  JOIN mail_message m ON m.id = d.message
  LEFT JOIN mail_content c ON c.message = m.id
  LEFT JOIN mail_suppression s ON s.address = lower(d.address) AND s.lifted_at IS NULL
 WHERE d.id = ANY (:deliveries::bigint[])
 ORDER BY d.id;

-- name: begin_sending
-- The end of the message comes next. Nothing where somebody else has claimed or decided it meanwhile.
UPDATE mail_delivery
   SET state = 'sending', tries = tries + 1, tried_at = now(), first_tried_at = coalesce(first_tried_at, now()),
       next_at = now() + :lease::interval
 WHERE id = :id::bigint AND claim = :claim::uuid AND state IN ('queued', 'retry')
RETURNING id;

-- name: record
-- What became of a try, if the delivery is still whose try it was; told in any case. A state is only left where the new one
-- may follow it: see csms_mail_state().
WITH before AS (
    SELECT id, state, address FROM mail_delivery WHERE id = :id::bigint FOR UPDATE
), moved AS (
    UPDATE mail_delivery d
       SET state = :state::text,
           tries = d.tries + CASE WHEN :is_try::boolean AND before.state IN ('queued', 'retry') THEN 1 ELSE 0 END,
           tried_at = CASE WHEN :is_try AND before.state IN ('queued', 'retry') THEN now() ELSE d.tried_at END,
           first_tried_at = CASE WHEN :is_try THEN coalesce(d.first_tried_at, now()) ELSE d.first_tried_at END,
           claim = NULL,
           next_at = now() + :pause::interval,
           ended_at = CASE WHEN :is_end::boolean THEN now() END
      FROM before
     WHERE d.id = before.id AND d.claim = :claim::uuid AND before.state = ANY (:from_states::text[])
    RETURNING d.id
), event AS (
    INSERT INTO mail_event (delivery, kind, state, code, status, took_effect)
    SELECT id, :kind::text, :state, :code::integer, :status::text, EXISTS (SELECT FROM moved) FROM before
    RETURNING id, delivery
), words AS (
    INSERT INTO mail_words (event, delivery, words)
    SELECT event.id, event.delivery, :words::text FROM event JOIN before ON before.id = event.delivery
     WHERE :words <> '' AND before.address IS NOT NULL
), suppressed AS (
    INSERT INTO mail_suppression (address, delivery, status)
    SELECT lower(before.address), moved.id, :status FROM moved JOIN before ON before.id = moved.id
     WHERE :suppress::boolean AND before.address IS NOT NULL
        ON CONFLICT (address) WHERE lifted_at IS NULL DO NOTHING
)
SELECT EXISTS (SELECT FROM moved);

-- name: beat
-- Whoever has claimed these is alive.
UPDATE mail_delivery SET next_at = now() + :lease::interval
 WHERE claim = ANY (:claims::uuid[]) AND state IN ('queued', 'retry', 'sending');

-- name: release
-- What was claimed and not begun is everybody's again.
UPDATE mail_delivery SET claim = NULL, next_at = now()
 WHERE claim = :claim::uuid AND state IN ('queued', 'retry') AND id = ANY (:deliveries::bigint[]);

-- name: lapse
-- Deliveries whose sender was not heard of any more after it began to send the end of the message.
WITH silent AS (
    SELECT id, first_tried_at FROM mail_delivery
     WHERE state = 'sending' AND next_at <= now()
     ORDER BY next_at, id LIMIT :limit::integer FOR UPDATE SKIP LOCKED
), moved AS (
    UPDATE mail_delivery d
       SET state = CASE WHEN again.is_so THEN 'retry' ELSE 'doubtful' END,
           next_at = CASE WHEN again.is_so THEN now() END
      FROM silent CROSS JOIN LATERAL
           (SELECT :resend::boolean AND silent.first_tried_at > now() - :retry::interval AS is_so) AS again
     WHERE d.id = silent.id
    RETURNING d.id, d.state
)
INSERT INTO mail_event (delivery, kind, state) SELECT id, 'lapsed', state FROM moved RETURNING delivery, state;

-- name: count_by_state
-- Deliveries that have not ended, and since when the first that should have gone waits.
SELECT state, count(*) AS deliveries,
       coalesce(extract(epoch FROM now() - min(next_at) FILTER (WHERE state IN ('queued', 'retry'))), 0)::double precision
       AS late_s
  FROM (SELECT state, next_at FROM mail_delivery WHERE next_at IS NOT NULL
        UNION ALL
        SELECT state, NULL FROM mail_delivery WHERE state = 'doubtful') AS open
 GROUP BY state;

-- name: count_suppressed
-- Addresses that are not written to.
SELECT count(*) FROM mail_suppression WHERE lifted_at IS NULL;

-- name: ended_before
-- Deliveries that ended so long ago that nobody needs to know any more to whom they went.
SELECT id FROM mail_delivery
 WHERE address IS NOT NULL AND ended_at < now() - :retention::interval
 ORDER BY ended_at LIMIT :limit::integer FOR UPDATE SKIP LOCKED;

-- name: ended_of_account
-- Deliveries that hold personal data of a customer, and whether they have ended.
SELECT d.id, d.ended_at IS NOT NULL AS has_ended FROM mail_delivery d JOIN mail_message m ON m.id = d.message
 WHERE m.account = :account::text AND d.address IS NOT NULL
 ORDER BY d.id FOR UPDATE OF d;

-- name: forget_addresses
-- These deliveries lose their address, and with it the words of servers.
WITH gone AS (
    UPDATE mail_delivery SET address = NULL WHERE id = ANY (:deliveries::bigint[]) RETURNING id, message
), words AS (
    DELETE FROM mail_words w USING gone WHERE w.delivery = gone.id
)
SELECT DISTINCT message FROM gone;

-- name: forget_contents
-- What messages said goes with the last address that they were sent to.
DELETE FROM mail_content c
 WHERE c.message = ANY (:messages::bigint[])
   AND NOT EXISTS (SELECT FROM mail_delivery d WHERE d.message = c.message AND d.address IS NOT NULL);

-- name: forget_suppressions
-- Addresses that were suppressed because of these deliveries; what is forgotten is not written to either.
DELETE FROM mail_suppression WHERE delivery = ANY (:deliveries::bigint[]);

-- name: list_deliveries
-- Deliveries with their messages, the newest first.
SELECT d.id, m.key, m.kind, m.account, d.address, d.state, d.tries, m.queued_at, d.tried_at, d.next_at, d.ended_at,
       e.kind AS event, e.code, e.status, w.words
  FROM mail_delivery d
  JOIN mail_message m ON m.id = d.message
  LEFT JOIN LATERAL (SELECT * FROM mail_event v WHERE v.delivery = d.id ORDER BY v.id DESC LIMIT 1) e ON true
  LEFT JOIN mail_words w ON w.event = e.id
 WHERE (:state::text IS NULL OR d.state = :state)
   AND (:kind::text IS NULL OR m.kind = :kind)
   AND (:account::text IS NULL OR m.account = :account)
   AND (:key::text IS NULL OR m.key = :key)
   AND (:since::timestamptz IS NULL OR m.queued_at >= :since)
 ORDER BY d.id DESC LIMIT :limit::integer;

-- name: find_delivery
-- One delivery with its message.
SELECT d.id, d.n, d.address, d.envelope_id, d.state, d.tries, d.claim, d.next_at, d.first_tried_at, d.tried_at, d.ended_at,
       m.id AS message, m.key, m.kind, m.account, m.brand, m.message_id, m.sender_address, m.sender_name, m.queued_at,
       m.expires_at, c.body::text AS body
  FROM mail_delivery d JOIN mail_message m ON m.id = d.message LEFT JOIN mail_content c ON c.message = m.id
 WHERE d.id = :id::bigint;

-- name: events_of
-- What became of a delivery, step by step.
SELECT e.id, e.at, e.kind, e.state, e.code, e.status, e.took_effect, w.words, e.actor, e.reason
  FROM mail_event e LEFT JOIN mail_words w ON w.event = e.id
 WHERE e.delivery = :id::bigint ORDER BY e.id;

-- name: lock_delivery
-- How a delivery stands, and nobody changes it until the transaction ends.
SELECT id, state, address, tries, claim FROM mail_delivery WHERE id = :id::bigint FOR UPDATE;

-- name: failed_since
-- Deliveries that failed since an instant, of a kind or of all.
SELECT d.id FROM mail_delivery d JOIN mail_message m ON m.id = d.message
 WHERE d.state = 'failed' AND d.ended_at >= :since::timestamptz AND (:kind::text IS NULL OR m.kind = :kind)
 ORDER BY d.id;

-- name: decide
-- An operator decides on a delivery. Whoever has claimed it finds that out before the end of the message.
WITH moved AS (
    UPDATE mail_delivery
       SET state = :state::text, next_at = CASE WHEN :state = 'retry' THEN now() END,
           ended_at = CASE WHEN :is_end::boolean THEN now() END,
           first_tried_at = CASE WHEN :is_new_start::boolean THEN NULL ELSE first_tried_at END,
           claim = CASE WHEN state = 'doubtful' THEN claim END
     WHERE id = :id::bigint
    RETURNING id, state
)
INSERT INTO mail_event (delivery, kind, state, actor, reason)
SELECT id, :kind::text, state, :actor::text, :reason::text FROM moved;

-- name: is_suppressed
-- Is this address not written to?
SELECT EXISTS (SELECT FROM mail_suppression WHERE address = :address::text AND lifted_at IS NULL);

-- name: list_suppressions
-- Addresses that are not written to, and on demand those that are again.
SELECT s.id, s.address, s.since, s.status, s.delivery, m.key, m.account, s.lifted_at, s.lifted_by, s.lifted_reason
  FROM mail_suppression s JOIN mail_delivery d ON d.id = s.delivery JOIN mail_message m ON m.id = d.message
 WHERE :lifted::boolean OR s.lifted_at IS NULL
 ORDER BY s.id DESC;

-- name: lift_suppression
-- The address is written to again.
UPDATE mail_suppression SET lifted_at = now(), lifted_by = :actor::text, lifted_reason = :reason::text
 WHERE address = :address::text AND lifted_at IS NULL
RETURNING id, address, since, status, delivery, lifted_at, lifted_by, lifted_reason;

-- name: report_known
-- Was this report read before?
SELECT at FROM mail_report WHERE digest = :digest::bytea;

-- name: insert_report
-- A report was read.
INSERT INTO mail_report (digest, matched, actor) VALUES (:digest::bytea, :matched::integer, :actor::text)
    ON CONFLICT (digest) DO NOTHING RETURNING digest;

-- name: by_envelope
-- The delivery with an envelope id.
SELECT id FROM mail_delivery WHERE envelope_id = ANY (:envelope_ids::text[]);

-- name: by_message_id
-- The deliveries of a message.
SELECT d.id, d.address FROM mail_delivery d JOIN mail_message m ON m.id = d.message
 WHERE m.message_id = ANY (:message_ids::text[]) ORDER BY d.id;

-- name: report
-- What a mail server reports of a delivery; it counts where the delivery may still become what it says.
WITH before AS (
    SELECT id, state, address FROM mail_delivery WHERE id = :id::bigint FOR UPDATE
), moved AS (
    UPDATE mail_delivery d SET state = :state::text, next_at = NULL, ended_at = now(), claim = NULL
      FROM before
     WHERE d.id = before.id AND :state::text IS NOT NULL AND before.state = ANY (:from_states::text[])
    RETURNING d.id
), event AS (
    INSERT INTO mail_event (delivery, kind, state, status, took_effect)
    SELECT id, :kind::text, CASE WHEN EXISTS (SELECT FROM moved) THEN :state ELSE state END, :status::text,
           :state::text IS NULL OR EXISTS (SELECT FROM moved)
      FROM before
    RETURNING id, delivery
), words AS (
    INSERT INTO mail_words (event, delivery, words)
    SELECT event.id, event.delivery, :words::text FROM event JOIN before ON before.id = event.delivery
     WHERE :words <> '' AND before.address IS NOT NULL
), suppressed AS (
    INSERT INTO mail_suppression (address, delivery, status)
    SELECT lower(before.address), moved.id, :status FROM moved JOIN before ON before.id = moved.id
     WHERE :suppress::boolean AND before.address IS NOT NULL
        ON CONFLICT (address) WHERE lifted_at IS NULL DO NOTHING
    RETURNING id
)
SELECT EXISTS (SELECT FROM moved) AS moved, EXISTS (SELECT FROM suppressed) AS suppressed;

-- name: instant
-- What now() is in this transaction, as its rows have it.
SELECT now();
