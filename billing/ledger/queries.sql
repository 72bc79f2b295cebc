-- name: lock_for_posting
-- Held while entries are posted for a seller; many may. Ends with the transaction.
SELECT csms_ledger_lock_shared(:seller::text);

-- name: lock_for_locking
-- Waits for those who are posting for a seller, and keeps others from it until the transaction ends.
SELECT csms_ledger_lock_alone(:seller::text);

-- name: locked_up_to
-- The newest month that is locked, of each of some sellers that has one. A statement of its own, behind the lock.
SELECT seller, max(month) AS month FROM ledger_lock WHERE seller = ANY(:sellers::text[]) GROUP BY seller;

-- name: find_accounts
-- Accounts that there are, by their place in the list.
SELECT w.n, a.id
  FROM unnest(:sellers::text[], :kinds::text[], :owners::text[], :currencies::text[])
       WITH ORDINALITY AS w (seller, kind, owner, currency, n)
  JOIN ledger_account a ON a.seller = w.seller AND a.kind = w.kind AND a.owner = w.owner AND a.currency = w.currency;

-- name: open_accounts
-- Accounts on their first use. In one order, so that nobody waits in a circle.
INSERT INTO ledger_account (seller, kind, owner, currency)
SELECT seller, kind, owner, currency
  FROM unnest(:sellers::text[], :kinds::text[], :owners::text[], :currencies::text[])
    AS w (seller, kind, owner, currency)
 ORDER BY seller, kind, owner, currency
ON CONFLICT DO NOTHING;

-- name: insert_entries
-- Those whose key is new, in the order of their keys, so that nobody waits in a circle.
INSERT INTO ledger_entry (seller, booked_on, fact_on, fact, key, body_hash, postings, document, text, reverses, actor, at)
SELECT seller, booked_on, fact_on, fact, key, body_hash, postings, document, text, reverses, :actor::text, :at::timestamptz
  FROM unnest(:sellers::text[], :booked_ons::date[], :fact_ons::date[], :facts::text[], :keys::text[], :hashes::bytea[],
              :postings::smallint[], :documents::text[], :texts::text[], :reversed::bigint[])
    AS e (seller, booked_on, fact_on, fact, key, body_hash, postings, document, text, reverses)
 ORDER BY seller, key
ON CONFLICT (seller, key) DO NOTHING
RETURNING id, seller, key;

-- name: insert_postings
-- Of entries that were just made.
INSERT INTO ledger_posting (entry, n, seller, postings, account, currency, amount_minor, document, due_on)
SELECT * FROM unnest(:entries::bigint[], :ns::smallint[], :sellers::text[], :counts::smallint[], :accounts::bigint[],
                     :currencies::text[], :amounts::bigint[], :documents::text[], :due_ons::date[]);

-- name: entries_by_key
-- Entries that were made before.
SELECT e.id, e.seller, e.key, e.body_hash, e.booked_on, e.fact_on
  FROM unnest(:sellers::text[], :keys::text[]) AS w (seller, key)
  JOIN ledger_entry e USING (seller, key);

-- name: find_entry
-- One entry.
SELECT e.*, r.id AS reversed_by
  FROM ledger_entry e LEFT JOIN ledger_entry r ON r.reverses = e.id
 WHERE e.id = :id::bigint;

-- name: entries_between
-- The next entries of a seller, with an id above one and up to another, booked in a span, in the order of their ids.
SELECT e.id, e.booked_on, e.fact_on, e.fact, e.key, e.document, e.text, e.reverses, e.actor, e.at
  FROM ledger_entry e
 WHERE e.seller = :seller::text AND e.id > :after::bigint AND e.id <= :up_to::bigint
   AND e.booked_on BETWEEN :first::date AND :last::date
 ORDER BY e.id
 LIMIT :limit::integer;

-- name: postings_of
-- The postings of some entries with their accounts, in order; in one currency, or in all of them (NULL).
SELECT p.entry, p.n, a.kind, a.owner, p.currency, p.amount_minor, p.document, p.due_on, p.account
  FROM ledger_posting p JOIN ledger_account a ON a.id = p.account
 WHERE p.entry = ANY(:entries::bigint[]) AND (:currency::text IS NULL OR p.currency = :currency)
 ORDER BY p.entry, p.n;

-- name: postings_on
-- The newest postings on accounts of a kind, or of an owner, or of a document, in the order of their entries.
SELECT * FROM (
    SELECT p.entry, p.n, e.booked_on, e.fact_on, e.fact, a.kind, a.owner, p.currency, p.amount_minor,
           coalesce(p.document, e.document) AS document, p.due_on, e.text, e.reverses
      FROM ledger_posting p
      JOIN ledger_entry e ON e.id = p.entry
      JOIN ledger_account a ON a.id = p.account
     WHERE a.seller = :seller::text
       AND (:kind::text IS NULL OR a.kind = :kind) AND (:owner::text IS NULL OR a.owner = :owner)
       AND (:document::text IS NULL OR p.document = :document OR e.document = :document)
       AND (:entry::bigint IS NULL OR p.entry = :entry)
       AND (:first::date IS NULL OR e.booked_on >= :first) AND (:last::date IS NULL OR e.booked_on <= :last)
     ORDER BY p.entry DESC, p.n DESC
     LIMIT :limit::integer) newest
 ORDER BY entry, n;

-- name: accounts_of
-- The accounts of a seller.
SELECT a.id, a.kind, a.owner, a.currency FROM ledger_account a
 WHERE a.seller = :seller::text AND (:kind::text IS NULL OR a.kind = :kind)
 ORDER BY a.kind, a.owner, a.currency;

-- name: snapshot_month
-- What the accounts of a seller turned over in a month, written where it is not yet.
INSERT INTO ledger_balance (account, month, debit_minor, credit_minor)
SELECT p.account, :month::date, sum(greatest(p.amount_minor, 0)), sum(greatest(-p.amount_minor, 0))
  FROM ledger_entry e JOIN ledger_posting p ON p.entry = e.id
 WHERE e.seller = :seller::text AND e.booked_on >= :month AND e.booked_on < :month + interval '1 month'
 GROUP BY p.account
ON CONFLICT DO NOTHING;

-- name: balances
-- Turnover of the accounts of a seller up to a day: of locked months from what was kept at their lock, else from postings.
WITH kept AS (
    SELECT max(month) AS month FROM ledger_lock
     WHERE seller = :seller::text AND month + interval '1 month' <= :as_of::date + 1
), turnover AS (
    SELECT b.account, b.debit_minor, b.credit_minor
      FROM ledger_balance b
      JOIN ledger_account a ON a.id = b.account
     WHERE a.seller = :seller AND b.month <= (SELECT month FROM kept)
    UNION ALL
    SELECT p.account, greatest(p.amount_minor, 0), greatest(-p.amount_minor, 0)
      FROM ledger_entry e
      JOIN ledger_posting p ON p.entry = e.id
     WHERE e.seller = :seller AND e.booked_on <= :as_of
       AND e.booked_on >= coalesce((SELECT month + interval '1 month' FROM kept), '-infinity')
)
SELECT a.kind, a.owner, a.currency, sum(t.debit_minor)::bigint AS debit_minor, sum(t.credit_minor)::bigint AS credit_minor
  FROM turnover t
  JOIN ledger_account a ON a.id = t.account
 WHERE (:kind::text IS NULL OR a.kind = :kind) AND (:owner::text IS NULL OR a.owner = :owner)
 GROUP BY a.kind, a.owner, a.currency
 ORDER BY a.kind, a.owner, a.currency;

-- name: balance_of_owner
-- The same of the accounts of one owner, by their postings alone.
SELECT a.kind, a.owner, a.currency, sum(greatest(p.amount_minor, 0))::bigint AS debit_minor,
       sum(greatest(-p.amount_minor, 0))::bigint AS credit_minor
  FROM ledger_account a
  JOIN ledger_posting p ON p.account = a.id
  JOIN ledger_entry e ON e.id = p.entry
 WHERE a.seller = :seller::text AND a.owner = :owner::text AND e.booked_on <= :as_of::date
   AND (:kind::text IS NULL OR a.kind = :kind)
 GROUP BY a.kind, a.owner, a.currency
 ORDER BY a.kind, a.owner, a.currency;

-- name: insert_lock
-- The month takes no posting any more.
INSERT INTO ledger_lock (seller, month, accepted, reason, actor, locked_at)
VALUES (:seller::text, :month::date, :accepted::text[], :reason::text, :actor::text, :at::timestamptz);

-- name: find_lock
-- Whether and why a month is locked.
SELECT month, accepted, reason, actor, locked_at FROM ledger_lock WHERE seller = :seller::text AND month = :month::date;

-- name: locks_of
-- The months of a seller that are locked.
SELECT month, accepted, reason, actor, locked_at FROM ledger_lock WHERE seller = :seller::text ORDER BY month;

-- name: first_month_to_lock
-- The first month behind the locked ones in which anything is booked.
SELECT date_trunc('month', min(booked_on))::date
  FROM ledger_entry
 WHERE seller = :seller::text
   AND booked_on >= coalesce((SELECT max(month) + interval '1 month' FROM ledger_lock WHERE seller = :seller), '-infinity');

-- name: month_figures
-- How many entries and postings a month has.
SELECT count(*) AS entries, coalesce(sum(postings), 0)::bigint AS postings
  FROM ledger_entry
 WHERE seller = :seller::text AND booked_on >= :month::date AND booked_on < :month::date + interval '1 month';

-- name: sellers
-- All sellers.
SELECT id FROM seller ORDER BY id;

-- name: unequal_sums
-- Entries whose postings do not add up, or are not all there. There cannot be any, unless somebody went round the triggers.
SELECT e.id, e.key, e.postings, s.found, s.currencies
  FROM ledger_entry e
 CROSS JOIN LATERAL (
       SELECT coalesce(sum(c.found), 0)::bigint AS found,
              array_agg(c.currency::text ORDER BY c.currency) FILTER (WHERE c.amount <> 0) AS currencies
         FROM (SELECT p.currency, count(*) AS found, sum(p.amount_minor) AS amount
                 FROM ledger_posting p WHERE p.entry = e.id GROUP BY p.currency) c) s
 WHERE e.seller = :seller::text AND (s.found <> e.postings OR s.currencies IS NOT NULL)
 ORDER BY e.id
 LIMIT :limit::integer;

-- name: unequal_reversals
-- Reversals that are not the exact negative of their entry.
SELECT e.id, e.key, e.reverses
  FROM ledger_entry e
 WHERE e.seller = :seller::text AND e.reverses IS NOT NULL
   AND EXISTS (SELECT FROM (SELECT * FROM ledger_posting WHERE entry = e.id) r
                 FULL JOIN (SELECT * FROM ledger_posting WHERE entry = e.reverses) o ON o.n = r.n
                WHERE (r.account, r.amount_minor, r.document) IS DISTINCT FROM (o.account, -o.amount_minor, o.document))
 ORDER BY e.id
 LIMIT :limit::integer;

-- name: unequal_balances
-- Turnovers of locked months that are not what their postings come to.
WITH counted AS (
    SELECT p.account, date_trunc('month', e.booked_on)::date AS month,
           sum(greatest(p.amount_minor, 0)) AS debit, sum(greatest(-p.amount_minor, 0)) AS credit
      FROM ledger_entry e JOIN ledger_posting p ON p.entry = e.id
     WHERE e.seller = :seller::text
       AND e.booked_on < (SELECT max(month) + interval '1 month' FROM ledger_lock WHERE seller = :seller)
     GROUP BY 1, 2
), kept AS (
    SELECT b.* FROM ledger_balance b JOIN ledger_account a ON a.id = b.account WHERE a.seller = :seller
)
SELECT a.kind, a.owner, a.currency, month, coalesce(k.debit_minor, 0) AS kept_debit, coalesce(k.credit_minor, 0) AS kept_credit,
       coalesce(c.debit, 0)::bigint AS debit, coalesce(c.credit, 0)::bigint AS credit
  FROM counted c FULL JOIN kept k USING (account, month)
  JOIN ledger_account a ON a.id = account
 WHERE (k.debit_minor, k.credit_minor) IS DISTINCT FROM (c.debit::bigint, c.credit::bigint)
 ORDER BY a.kind, a.owner, a.currency, month
 LIMIT :limit::integer;

-- name: unequal_trial_balance
-- Currencies in which the debits of a seller are not its credits.
SELECT p.currency, sum(p.amount_minor)::bigint AS difference_minor
  FROM ledger_posting p
 WHERE p.seller = :seller::text
 GROUP BY p.currency
HAVING sum(p.amount_minor) <> 0;

-- name: broken_export_chains
-- Exports of a month that do not begin where the one before ended.
SELECT id, format, currency, month, after_entry, before
  FROM (SELECT id, format, currency, month, after_entry,
               lag(up_to_entry, 1, 0::bigint) OVER (PARTITION BY format, currency, month ORDER BY after_entry) AS before
          FROM ledger_export WHERE seller = :seller::text) x
 WHERE after_entry <> before
 ORDER BY id
 LIMIT :limit::integer;

-- name: open_items
-- What is open of each document up to a day, or of no document: advances. due_on: the first that was said.
SELECT a.kind, a.owner, p.document, p.currency, sum(p.amount_minor)::bigint AS open_minor, min(p.due_on) AS due_on,
       min(e.fact_on) AS opened_on
  FROM ledger_posting p
  JOIN ledger_account a ON a.id = p.account
  JOIN ledger_entry e ON e.id = p.entry
 WHERE a.seller = :seller::text AND a.kind = ANY(:kinds::text[]) AND e.booked_on <= :as_of::date
   AND (:owner::text IS NULL OR a.owner = :owner)
 GROUP BY a.kind, a.owner, p.document, p.currency
HAVING sum(p.amount_minor) <> 0
 ORDER BY a.kind, a.owner, min(e.fact_on), p.document;
