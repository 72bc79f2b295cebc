-- What the office does by itself: invoices with each session, and sending them.

-- name: sessions_due
-- Sessions that are to be invoiced by now, the longest due first.
SELECT session, account FROM invoice_due WHERE next_at <= :now::timestamptz ORDER BY next_at, session LIMIT :limit::integer;

-- name: settle_sessions
-- These need no invoice of their own any more.
DELETE FROM invoice_due WHERE session = ANY(:sessions::integer[]);

-- name: postpone_session
-- It cannot be invoiced as things are: looked at again after a while, which grows with how long it has been so.
UPDATE invoice_due
   SET problem = :problem::text,
       next_at = :now::timestamptz + least(greatest((:now - since) / 2, interval '1 minute'), interval '6 hours')
 WHERE session = :session::integer AND next_at <= :now
RETURNING problem;

-- name: which_are_settled
-- Of these sessions, those that are on a document, or were dropped.
SELECT s.id FROM session s
 WHERE s.id = ANY(:sessions::integer[])
   AND (s.dropped IS NOT NULL OR EXISTS (SELECT FROM invoice_source i WHERE i.session = s.id));

-- name: note_document_due
-- A document is to be sent.
INSERT INTO document_due (invoice, since, next_at) VALUES (:invoice::bigint, :now::timestamptz, :now) ON CONFLICT DO NOTHING;

-- name: documents_due
-- Documents that are to be sent by now, the longest due first.
SELECT invoice FROM document_due WHERE next_at <= :now::timestamptz ORDER BY next_at, invoice LIMIT :limit::integer;

-- name: settle_document
-- It was sent.
DELETE FROM document_due WHERE invoice = :invoice::bigint;

-- name: postpone_document
-- It cannot be sent as things are: as postpone_session.
UPDATE document_due
   SET problem = :problem::text,
       next_at = :now::timestamptz + least(greatest((:now - since) / 2, interval '1 minute'), interval '1 day')
 WHERE invoice = :invoice::bigint;

-- name: is_anything_due
-- Whether there is a session to be invoiced, or a document to be sent.
SELECT EXISTS (SELECT FROM invoice_due WHERE next_at <= :now::timestamptz)
       OR (:sends::boolean AND EXISTS (SELECT FROM document_due WHERE next_at <= :now));

-- name: count_waiting
-- How many of them wait since something is in the way.
SELECT (SELECT count(*) FROM invoice_due WHERE problem IS NOT NULL) AS sessions,
       (SELECT count(*) FROM document_due WHERE problem IS NOT NULL) AS documents;

-- name: customers_by_session
-- The next customers who are invoiced with each session, and pay for themselves.
SELECT id, seller FROM account
 WHERE rhythm = 'session' AND payer IS NULL AND state <> 'pseudonymised' AND id > :after::text
 ORDER BY id
 LIMIT :limit::integer;
