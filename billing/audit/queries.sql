-- name: lock_log
-- One entry after the other, until the transaction ends: taken as its last lock, for nobody waits for one while holding it.
SELECT pg_advisory_xact_lock(:key::bigint);

-- name: last_entry
-- The end of the chain.
SELECT id, hash FROM audit_entry ORDER BY id DESC LIMIT 1;

-- name: insert_entries
-- The next entries, in their order.
INSERT INTO audit_entry (id, at, actor, reason, noun, subject, action, before, after, hash_prev, hash)
SELECT e.id, :at::timestamptz, :actor::text, :reason::text, e.noun, e.subject, e.action, e.before::jsonb, e.after::jsonb,
       e.hash_prev, e.hash
  FROM unnest(:ids::bigint[], :nouns::text[], :subjects::text[], :actions::text[], :befores::text[], :afters::text[],
              :hashes_prev::bytea[], :hashes::bytea[])
    AS e (id, noun, subject, action, before, after, hash_prev, hash);

-- name: insert_personal
-- The values behind the commitments of entries.
INSERT INTO audit_personal (entry, side, account, salt, body)
SELECT p.entry, p.side, p.account, p.salt, p.body::jsonb
  FROM unnest(:entries::bigint[], :sides::text[], :accounts::text[], :salts::bytea[], :bodies::text[])
    AS p (entry, side, account, salt, body);

-- name: entries_after
-- The next entries of all, in the order of the chain.
SELECT id, at, actor, reason, noun, subject, action, before::text AS before, after::text AS after, hash_prev, hash
  FROM audit_entry
 WHERE id > :after::bigint
 ORDER BY id
 LIMIT :limit::integer;

-- name: newest_entries
-- The newest entries, of a noun and a subject where they are named.
SELECT id, at, actor, reason, noun, subject, action, before::text AS before, after::text AS after, hash_prev, hash
  FROM audit_entry
 WHERE (:noun::text IS NULL OR noun = :noun) AND (:subject::text IS NULL OR subject = :subject)
   AND (:since::timestamptz IS NULL OR at >= :since)
 ORDER BY id DESC
 LIMIT :limit::integer;

-- name: personal_of
-- What is still kept behind the commitments of some entries, of anybody or of one account.
SELECT entry, side, salt, body::text AS body
  FROM audit_personal
 WHERE entry = ANY(:entries::bigint[]) AND (:account::text IS NULL OR account = :account)
 ORDER BY entry, side;

-- name: forget_personal
-- Forget the values of an account, in every entry that ever held some. Returns how many.
WITH gone AS (DELETE FROM audit_personal WHERE account = :account::text RETURNING 1)
SELECT count(*) FROM gone;

-- name: entries_about
-- The newest entries about some things, the oldest of them first.
SELECT * FROM (
    SELECT e.id, e.at, e.actor, e.reason, e.noun, e.subject, e.action, e.before::text AS before, e.after::text AS after,
           e.hash_prev, e.hash
      FROM unnest(:nouns::text[], :subjects::text[]) AS w (noun, subject)
      JOIN audit_entry e ON e.noun = w.noun AND e.subject = w.subject
     ORDER BY e.id DESC
     LIMIT :limit::integer) newest
 ORDER BY id;
