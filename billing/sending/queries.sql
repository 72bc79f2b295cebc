-- Documents on their way out of the house.

-- name: next_documents
-- The next documents of a seller to customers that were issued from a day to a day and not sent yet, by day.
SELECT i.id, i.number, i.issued_on
  FROM invoice i
 WHERE i.seller = :seller::text AND i.issued_on >= :since::date AND i.issued_on <= :until::date AND i.account IS NOT NULL
   AND (i.issued_on, i.id) > (:after_day::date, :after::bigint)
   AND NOT EXISTS (SELECT FROM document_sending s WHERE s.invoice = i.id)
 ORDER BY i.issued_on, i.id
 LIMIT :limit::integer;

-- name: count_documents
-- How many those are.
SELECT count(*)
  FROM invoice i
 WHERE i.seller = :seller::text AND i.issued_on >= :since::date AND i.issued_on <= :until::date AND i.account IS NOT NULL
   AND NOT EXISTS (SELECT FROM document_sending s WHERE s.invoice = i.id);

-- name: lock_sending
-- Nobody else sends this document until the transaction ends.
SELECT pg_advisory_xact_lock(:key::integer, hashint8(:invoice::bigint));

-- name: last_sending
-- How a document was sent last.
SELECT n, message, at FROM document_sending WHERE invoice = :invoice::bigint ORDER BY n DESC LIMIT 1;

-- name: insert_sending
-- A document was sent: it is in the queue of mails, and its files are in the archive.
INSERT INTO document_sending (invoice, n, message, account, entries, actor, reason, at)
VALUES (:invoice::bigint, :n::integer, :message::bigint, :account::text, :entries::bigint[], :actor::text, :reason::text,
        :now::timestamptz);
