-- The archive: entries are appended behind the last one, by one writer at a time.

-- name: lock_for_depositing
-- Held from before a content is written until its row is committed; many may. Whoever deletes contents waits.
SELECT pg_advisory_xact_lock_shared(:key::bigint);

-- name: try_lock_for_deleting
-- Nobody is depositing, and nobody begins until the transaction ends; false where somebody is.
SELECT pg_try_advisory_xact_lock(:key::bigint);

-- name: lock_chain
-- One writer at a time, until the transaction ends: take it last.
SELECT pg_advisory_xact_lock(:key::bigint);

-- name: head
-- The last entry.
SELECT id, hash FROM archive_entry ORDER BY id DESC LIMIT 1;

-- name: append
-- Entries in order, numbered and hashed already.
INSERT INTO archive_entry (id, at, action, actor, reason, about, subject, account, sha256, size_bytes, media_type, kind,
                           retention_class, retain_until, hash_prev, hash)
SELECT * FROM unnest(:ids::bigint[], :ats::timestamptz[], :actions::text[], :actors::text[], :reasons::text[],
                     :abouts::bigint[], :subjects::text[], :accounts::text[], :sums::bytea[], :sizes::bigint[],
                     :media_types::text[], :kinds::text[], :classes::text[], :untils::date[], :hash_prevs::bytea[],
                     :hashes::bytea[]);

-- name: living_twins
-- Of deposits (n) the living entry with the same content, subject and kind.
SELECT w.n, min(e.id) AS id
  FROM unnest(:ns::integer[], :sums::bytea[], :subjects::text[], :kinds::text[]) AS w (n, sha256, subject, kind)
  JOIN archive_entry e ON e.action = 'stored' AND e.sha256 = w.sha256 AND e.subject = w.subject AND e.kind = w.kind
 WHERE NOT EXISTS (SELECT FROM archive_entry d WHERE d.action = 'deleted' AND d.about = e.id)
 GROUP BY w.n;

-- name: entries_by_id
-- Some entries, whole.
SELECT * FROM archive_entry WHERE id = ANY(:ids::bigint[]) ORDER BY id;

-- name: entries_after
-- The next so many of the chain, up to where it ended when somebody began to read it.
SELECT * FROM archive_entry WHERE id > :after::bigint AND id <= :last::bigint ORDER BY id LIMIT :count::bigint;

-- name: list_entries
-- What was stored, newest first, with what became of it. Filters that are NULL let everything pass.
SELECT e.id, e.at, e.subject, e.account, e.kind, e.media_type, e.size_bytes, e.sha256, e.retention_class, e.retain_until,
       e.actor, d.at AS deleted_at, coalesce(h.held, false) AS held
  FROM archive_entry e
  LEFT JOIN archive_entry d ON d.action = 'deleted' AND d.about = e.id
  LEFT JOIN LATERAL (SELECT true AS held FROM archive_entry h
                      WHERE h.action = 'hold_set'
                        AND (h.about = e.id OR h.subject = e.subject OR h.account = e.account)
                        AND NOT EXISTS (SELECT FROM archive_entry l WHERE l.action = 'hold_lifted' AND l.about = h.id)
                      LIMIT 1) h ON true
 WHERE e.action = 'stored'
   AND (:subject::text IS NULL OR e.subject = :subject)
   AND (:account::text IS NULL OR e.account = :account)
   AND (:kind::text IS NULL OR e.kind = :kind)
   AND (:id::bigint IS NULL OR e.id = :id)
 ORDER BY e.id DESC LIMIT :count::bigint;

-- name: list_holds
-- Every hold that was set, newest first, and how it was lifted.
SELECT h.id, h.at, h.actor, h.reason, h.about AS entry, h.subject, h.account,
       l.at AS lifted_at, l.actor AS lifted_by, l.reason AS lifted_why
  FROM archive_entry h LEFT JOIN archive_entry l ON l.action = 'hold_lifted' AND l.about = h.id
 WHERE h.action = 'hold_set' AND (NOT :open::boolean OR l.id IS NULL)
 ORDER BY h.id DESC;

-- name: is_known
-- Whether anything was stored under a subject or an account, or may be: there is such an account.
SELECT EXISTS (SELECT FROM archive_entry
                WHERE action = 'stored' AND (subject = :subject::text OR account = :account::text))
       OR EXISTS (SELECT FROM account WHERE id = :account);

-- name: expired
-- What nobody has to keep any longer: past its retention, not deleted yet, not held.
SELECT e.* FROM archive_entry e
 WHERE e.action = 'stored' AND e.retain_until < :today::date AND e.id > :after::bigint
   AND NOT EXISTS (SELECT FROM archive_entry d WHERE d.action = 'deleted' AND d.about = e.id)
   AND NOT EXISTS (SELECT FROM archive_entry h
                    WHERE h.action = 'hold_set'
                      AND (h.about = e.id OR h.subject = e.subject OR h.account = e.account)
                      AND NOT EXISTS (SELECT FROM archive_entry l WHERE l.action = 'hold_lifted' AND l.about = h.id))
 ORDER BY e.id LIMIT :count::bigint;

-- name: living_sums
-- Which of these contents have an entry that is not deleted.
SELECT DISTINCT e.sha256 FROM archive_entry e
 WHERE e.action = 'stored' AND e.sha256 = ANY(:sums::bytea[])
   AND NOT EXISTS (SELECT FROM archive_entry d WHERE d.action = 'deleted' AND d.about = e.id);

-- name: contents_between
-- Every content of a stretch of sums: its first entry, and whether any entry of it is living.
SELECT e.sha256, min(e.id) AS id, bool_or(d.id IS NULL) AS living
  FROM archive_entry e LEFT JOIN archive_entry d ON d.action = 'deleted' AND d.about = e.id
 WHERE e.action = 'stored' AND e.sha256 >= :first::bytea AND (:next::bytea IS NULL OR e.sha256 < :next)
 GROUP BY e.sha256 ORDER BY e.sha256;

-- name: count_contents
-- How many entries, and how many contents that are not deleted.
SELECT (SELECT count(*) FROM archive_entry WHERE id <= :last::bigint) AS entries,
       (SELECT count(DISTINCT e.sha256) FROM archive_entry e
         WHERE e.action = 'stored'
           AND NOT EXISTS (SELECT FROM archive_entry d WHERE d.action = 'deleted' AND d.about = e.id)) AS contents;

-- name: retention_rules
-- What the operator has said, the newest of each.
SELECT DISTINCT ON (retention_class, country) retention_class, country, years, reason, actor, at
  FROM archive_retention ORDER BY retention_class, country, id DESC;

-- name: insert_retention_rule
-- From now on, for what is stored from now on.
INSERT INTO archive_retention (retention_class, country, years, reason, actor, at)
VALUES (:retention_class::text, :country::text, :years::integer, :reason::text, :actor::text, :at::timestamptz);
