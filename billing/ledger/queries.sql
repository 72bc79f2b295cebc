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
-- Accounts that there are, by their place in the list. Each is looked up by itself: a plan that was made when there were few
-- would read all of them.
SELECT w.n, a.id
  FROM unnest(:sellers::text[], :kinds::text[], :owners::text[], :currencies::text[])
       WITH ORDINALITY AS w (seller, kind, owner, currency, n)
 CROSS JOIN LATERAL (SELECT id FROM ledger_account
                      WHERE seller = w.seller AND kind = w.kind AND owner = w.owner AND currency = w.currency::bpchar
                      LIMIT 1) a;

-- name: open_accounts
-- Accounts on their first use. In one order, so that nobody waits in a circle.
INSERT INTO ledger_account (seller, kind, owner, currency)
SELECT seller, kind, owner, currency
  FROM unnest(:sellers::text[], :kinds::text[], :owners::text[], :currencies::text[])
    AS w (seller, kind, owner, currency)
 ORDER BY seller, kind, owner, currency
ON CONFLICT DO NOTHING
RETURNING id, seller, kind, owner, currency;

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
-- Entries of a month whose postings do not add up, or are not all there. There cannot be any, unless somebody went round
-- the triggers.
WITH chosen AS (
    SELECT id, key, postings FROM ledger_entry
     WHERE seller = :seller::text AND booked_on >= :month::date AND booked_on < :month + interval '1 month'
), sums AS (
    SELECT p.entry, p.currency, count(*) AS found, sum(p.amount_minor) AS amount
      FROM chosen c JOIN ledger_posting p ON p.entry = c.id
     GROUP BY p.entry, p.currency
), whole AS (
    SELECT entry, sum(found) AS found,
           array_agg(currency::text ORDER BY currency) FILTER (WHERE amount <> 0) AS currencies
      FROM sums GROUP BY entry
)
SELECT c.id, c.key, c.postings, coalesce(w.found, 0)::bigint AS found, w.currencies
  FROM chosen c LEFT JOIN whole w ON w.entry = c.id
 WHERE coalesce(w.found, 0) <> c.postings OR w.currencies IS NOT NULL
 ORDER BY c.id
 LIMIT :limit::integer;

-- name: unequal_reversals
-- Reversals of a month that are not the exact negative of their entry.
SELECT e.id, e.key, e.reverses
  FROM ledger_entry e
 WHERE e.seller = :seller::text AND e.reverses IS NOT NULL
   AND e.booked_on >= :month::date AND e.booked_on < :month + interval '1 month'
   AND EXISTS (SELECT FROM (SELECT * FROM ledger_posting WHERE entry = e.id) r
                 FULL JOIN (SELECT * FROM ledger_posting WHERE entry = e.reverses) o ON o.n = r.n
                WHERE (r.account, r.amount_minor, r.document) IS DISTINCT FROM (o.account, -o.amount_minor, o.document))
 ORDER BY e.id
 LIMIT :limit::integer;

-- name: unequal_balances
-- Turnovers that were kept of a month and are not what its postings come to; of one that is open none is kept.
WITH counted AS (
    SELECT p.account, sum(greatest(p.amount_minor, 0)) AS debit, sum(greatest(-p.amount_minor, 0)) AS credit
      FROM ledger_entry e JOIN ledger_posting p ON p.entry = e.id
     WHERE e.seller = :seller::text AND e.booked_on >= :month::date AND e.booked_on < :month + interval '1 month'
       AND :month <= (SELECT max(month) FROM ledger_lock WHERE seller = :seller)
     GROUP BY p.account
), kept AS (
    SELECT b.account, b.debit_minor, b.credit_minor
      FROM ledger_balance b JOIN ledger_account a ON a.id = b.account WHERE a.seller = :seller AND b.month = :month
)
SELECT a.kind, a.owner, a.currency, coalesce(k.debit_minor, 0) AS kept_debit, coalesce(k.credit_minor, 0) AS kept_credit,
       coalesce(c.debit, 0)::bigint AS debit, coalesce(c.credit, 0)::bigint AS credit
  FROM counted c FULL JOIN kept k USING (account)
  JOIN ledger_account a ON a.id = account
 WHERE (k.debit_minor, k.credit_minor) IS DISTINCT FROM (c.debit::bigint, c.credit::bigint)
 ORDER BY a.kind, a.owner, a.currency
 LIMIT :limit::integer;

-- name: unequal_trial_balance
-- Currencies in which the debits of a month are not its credits.
SELECT p.currency, sum(p.amount_minor)::bigint AS difference_minor
  FROM ledger_entry e JOIN ledger_posting p ON p.entry = e.id
 WHERE e.seller = :seller::text AND e.booked_on >= :month::date AND e.booked_on < :month + interval '1 month'
 GROUP BY p.currency
HAVING sum(p.amount_minor) <> 0
 ORDER BY p.currency
 LIMIT :limit::integer;

-- name: months_of
-- Months in which anything is booked for a seller, or that are locked.
WITH RECURSIVE booked AS (
    SELECT date_trunc('month', min(booked_on))::date AS month FROM ledger_entry WHERE seller = :seller::text
    UNION ALL
    SELECT (SELECT date_trunc('month', min(booked_on))::date FROM ledger_entry
             WHERE seller = :seller AND booked_on >= b.month + interval '1 month')
      FROM booked b
     WHERE b.month IS NOT NULL
)
SELECT month FROM booked WHERE month IS NOT NULL
UNION
SELECT month FROM ledger_lock WHERE seller = :seller
 ORDER BY month;

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

-- name: newest_entry
-- The greatest id of an entry of a seller, or of one booked in a month. Asked while nobody posts, or of a locked month.
SELECT coalesce(max(id), 0) FROM ledger_entry
 WHERE seller = :seller::text
   AND (:month::date IS NULL OR booked_on >= :month AND booked_on < :month + interval '1 month');

-- name: pending_months
-- Months with entries behind the last export of a form and currency: after which entry, up to which, how many.
SELECT month, after, max(id) AS up_to, count(*) AS entries
  FROM (SELECT e.id, m.month, coalesce(x.up_to, 0) AS after
          FROM ledger_entry e
         CROSS JOIN LATERAL (SELECT date_trunc('month', e.booked_on)::date AS month) m
          LEFT JOIN (SELECT month, max(up_to_entry) AS up_to FROM ledger_export
                      WHERE seller = :seller::text AND format = :format::text
                        AND currency IS NOT DISTINCT FROM :currency::text
                      GROUP BY month) x ON x.month = m.month
         WHERE e.seller = :seller AND e.id <= :horizon::bigint AND e.id > coalesce(x.up_to, 0)
           AND (:month::date IS NULL OR e.booked_on >= :month AND e.booked_on < :month + interval '1 month')) p
 GROUP BY month, after
 ORDER BY month;

-- name: currencies_of
-- The currencies in which a seller has accounts.
SELECT DISTINCT currency FROM ledger_account WHERE seller = :seller::text ORDER BY currency;

-- name: accounts_between
-- The accounts on which entries of a month post in a currency, with an id above one and up to another.
SELECT a.kind, a.owner, max(abs(p.amount_minor)) AS most_minor
  FROM ledger_entry e
  JOIN ledger_posting p ON p.entry = e.id
  JOIN ledger_account a ON a.id = p.account
 WHERE e.seller = :seller::text AND e.booked_on >= :month::date AND e.booked_on < :month + interval '1 month'
   AND e.id > :after::bigint AND e.id <= :up_to::bigint AND p.currency = :currency::text
 GROUP BY a.kind, a.owner;

-- name: insert_export
-- A file was written. Refused by its key where another one begins behind the same entry.
INSERT INTO ledger_export (seller, format, currency, month, after_entry, up_to_entry, map_as_of, datev_as_of, entries, bytes,
                           sha256, actor, at)
VALUES (:seller::text, :format::text, :currency::text, :month::date, :after_entry::bigint, :up_to_entry::bigint,
        :map_as_of::bigint, :datev_as_of::bigint, :entries::bigint, :bytes::bigint, :sha256::bytea, :actor::text,
        :at::timestamptz)
ON CONFLICT DO NOTHING
RETURNING id;

-- name: find_export
-- One file.
SELECT * FROM ledger_export WHERE id = :id::bigint;

-- name: exports_of
-- The files of a seller, of one month or form or all, as they follow each other.
SELECT * FROM ledger_export
 WHERE seller = :seller::text AND (:month::date IS NULL OR month = :month) AND (:format::text IS NULL OR format = :format)
   AND (:currency::text IS NULL OR currency = :currency)
 ORDER BY month, format, currency, after_entry;

-- name: map_as_of
-- What is mapped by the rows up to an id: the newest of each kind and pattern, where it has a number.
SELECT * FROM (
    SELECT DISTINCT ON (kind, pattern) kind, pattern, number, tax_key, reason, actor, at
      FROM ledger_map WHERE seller = :seller::text AND id <= :as_of::bigint
     ORDER BY kind, pattern, id DESC) newest
 WHERE number IS NOT NULL
 ORDER BY kind, pattern;

-- name: newest_map
-- The newest row of a seller's map.
SELECT coalesce(max(id), 0) FROM ledger_map WHERE seller = :seller::text;

-- name: insert_map
-- From now on accounts of a kind whose owner fits are known by this number, or by none.
INSERT INTO ledger_map (seller, kind, pattern, number, tax_key, reason, actor, at)
VALUES (:seller::text, :kind::text, :pattern::text, :number::text, :tax_key::text, :reason::text, :actor::text,
        :at::timestamptz);

-- name: datev_as_of
-- What DATEV asks for of a seller, by the newest row or by that of an id.
SELECT id, consultant, client, account_digits, year_begins, reason, actor, at
  FROM ledger_datev
 WHERE seller = :seller::text AND (:id::bigint IS NULL OR id = :id)
 ORDER BY id DESC LIMIT 1;

-- name: insert_datev
-- From now on DATEV files of a seller say this.
INSERT INTO ledger_datev (seller, consultant, client, account_digits, year_begins, reason, actor, at)
VALUES (:seller::text, :consultant::integer, :client::integer, :account_digits::smallint, :year_begins::smallint,
        :reason::text, :actor::text, :at::timestamptz)
RETURNING id;

-- name: unbilled_sessions
-- Sessions of a seller that ended in a period of their sites' own days and have no final bill: held ones, or the others.
-- A session is its customer's seller's, else the site's; that of nobody is everybody's.
SELECT count(*) AS sessions, coalesce(sum(u.energy_wh), 0) / 1000 AS kwh
  FROM (SELECT s.energy_wh, s.token, s.started_at, c.site,
               s.holds <> '{}' OR coalesce(r.holds, '{}') <> '{}' AS held
          FROM session s
          JOIN charge_point c ON c.id = s.charge_point
          JOIN site t ON t.id = c.site
          LEFT JOIN rating r ON r.session = s.id
         WHERE s.ended_at >= :first::date - interval '1 day' AND s.ended_at < :last::date + interval '2 days'
           AND (s.ended_at AT TIME ZONE t.time_zone)::date BETWEEN :first AND :last AND s.dropped IS NULL
           AND NOT EXISTS (SELECT FROM bill b WHERE b.session = s.id AND b.kind = 'final')) u
  LEFT JOIN LATERAL (SELECT account FROM account_token WHERE token = u.token AND valid_from <= u.started_at
                      ORDER BY valid_from DESC LIMIT 1) k ON true
  LEFT JOIN account a ON a.id = k.account
  LEFT JOIN LATERAL (SELECT seller FROM site_seller WHERE site = u.site AND valid_from <= u.started_at
                      ORDER BY valid_from DESC LIMIT 1) v ON true
 WHERE u.held = :held::boolean AND coalesce(a.seller, v.seller, :seller::text) = :seller;

-- name: uninvoiced_sessions
-- Sessions of a seller that ended in a period of their sites' own days, cost something, and are on no document.
SELECT count(*) AS sessions, count(DISTINCT a.id) AS accounts, count(*) FILTER (WHERE a.id IS NULL) AS without_account
  FROM (SELECT s.token, s.started_at, c.site
          FROM session s
          JOIN charge_point c ON c.id = s.charge_point
          JOIN site t ON t.id = c.site
          JOIN LATERAL (SELECT total_incl_minor FROM bill
                         WHERE session = s.id AND kind <> 'interim' ORDER BY seq DESC LIMIT 1) b ON b.total_incl_minor <> 0
         WHERE s.ended_at >= :first::date - interval '1 day' AND s.ended_at < :last::date + interval '2 days'
           AND (s.ended_at AT TIME ZONE t.time_zone)::date BETWEEN :first AND :last AND s.dropped IS NULL
           AND NOT EXISTS (SELECT FROM invoice_source i WHERE i.session = s.id)) u
  LEFT JOIN LATERAL (SELECT account FROM account_token WHERE token = u.token AND valid_from <= u.started_at
                      ORDER BY valid_from DESC LIMIT 1) k ON true
  LEFT JOIN account a ON a.id = k.account
  LEFT JOIN LATERAL (SELECT seller FROM site_seller WHERE site = u.site AND valid_from <= u.started_at
                      ORDER BY valid_from DESC LIMIT 1) v ON true
 WHERE coalesce(a.seller, v.seller, :seller::text) = :seller;

-- name: uninvoiced_corrections
-- Sessions that ended up to a day of their sites, are on a document of a seller, and of which a correction counts that is on
-- none; the first few by name. Only corrections are read, not all bills. One over nothing is not waited for once all of what it
-- corrects is taken back: no document will ever show it. OFFSET 0: claims are found by their session, not by walking them.
SELECT count(*) AS sessions, (array_agg(u.session ORDER BY u.session))[1:3] AS first
  FROM (SELECT b.session
          FROM bill b
         CROSS JOIN LATERAL (SELECT c.source, c.invoice
                               FROM (SELECT i.source, i.invoice FROM invoice_source i WHERE i.session = b.session OFFSET 0) c
                              ORDER BY c.invoice DESC LIMIT 1) o
          JOIN invoice v ON v.id = o.invoice AND v.seller = :seller::text
          JOIN session s ON s.id = b.session
          JOIN charge_point c ON c.id = s.charge_point
          JOIN site t ON t.id = c.site
         WHERE b.kind = 'correction'
           AND NOT EXISTS (SELECT FROM bill n WHERE n.session = b.session AND n.corrects = b.seq)
           AND o.source <> 'bill:' || b.session || ':' || b.seq
           AND s.ended_at < :last::date + interval '2 days' AND (s.ended_at AT TIME ZONE t.time_zone)::date <= :last
           AND (b.total_incl_minor <> 0
                OR EXISTS (SELECT FROM invoice_line l
                            WHERE l.invoice = o.invoice AND l.session = b.session
                              AND l.net_minor <> coalesce((SELECT sum(a.net_minor) FROM credit_allocation a
                                                            WHERE a.invoice = l.invoice AND a.position = l.position), 0)))
       ) u;

-- name: contracts_to_charge
-- Contracts of a seller's customers of which something falls due by a day that nobody has charged yet.
SELECT c.id
  FROM contract c JOIN account a ON a.id = c.account
 WHERE a.seller = :seller::text AND c.next_on <= :last::date
 ORDER BY c.id;

-- name: uninvoiced_charges
-- What fell due of contracts by a day and is neither on a document nor cancelled, and who pays for it, the first few by name.
SELECT count(*) AS charges, count(DISTINCT coalesce(a.payer, a.id)) AS accounts,
       (array_agg(DISTINCT coalesce(a.payer, a.id)))[1:3] AS first
  FROM contract_charge h JOIN contract c ON c.id = h.contract JOIN account a ON a.id = c.account
 WHERE a.seller = :seller::text AND h.due_on <= :last::date
   AND NOT EXISTS (SELECT FROM contract_charge_fate f WHERE f.source = h.source);

-- name: charges_fallen_due
-- What fell due of contracts of a seller's customers and is neither on a document nor cancelled, by currency, as it was agreed:
-- with tax or without.
SELECT h.currency, count(*) AS charges, sum(h.amount_minor)::bigint AS minor
  FROM contract_charge h JOIN contract c ON c.id = h.contract JOIN account a ON a.id = c.account
 WHERE a.seller = :seller::text
   AND NOT EXISTS (SELECT FROM contract_charge_fate f WHERE f.source = h.source)
 GROUP BY h.currency
 ORDER BY h.currency;

-- name: open_drafts
-- Drafts of a seller's customers that nobody issued or gave up, for periods that end by a day.
SELECT d.id
  FROM invoice_draft d
  JOIN account a ON a.id = d.account
 WHERE d.state = 'open' AND a.seller = :seller::text AND d.until <= :last::date
 ORDER BY d.id;

-- name: unposted_documents
-- Documents of a seller of some days that no entry is of, or whose entry comes to something else.
SELECT i.number
  FROM invoice i
  LEFT JOIN invoice c ON c.id = i.corrects
  LEFT JOIN ledger_entry e ON e.seller = i.seller AND e.document = i.number
  LEFT JOIN LATERAL (SELECT abs(sum(p.amount_minor)) AS owed FROM ledger_posting p
                       JOIN ledger_account a ON a.id = p.account
                      WHERE p.entry = e.id AND p.document = coalesce(c.number, i.number)
                        AND a.kind IN ('receivable', 'incentive_receivable', 'payable')) o ON true
 WHERE i.seller = :seller::text AND i.issued_on BETWEEN :first::date AND :last::date
   AND (e.id IS NULL OR coalesce(o.owed, 0) <> i.gross_minor)
 ORDER BY i.id
 LIMIT :limit::integer;

-- name: values_unbilled
-- What sessions are worth that no document shows: by site and currency, final bills that count, and the last interim of those
-- that have none yet, running, waiting or held. without_amount: they have not even an interim. A bill over nothing is not waited for.
SELECT w.site, w.currency, w.state, count(*) AS sessions, count(*) FILTER (WHERE w.total_incl_minor IS NULL) AS without_amount,
       coalesce(sum(w.energy_wh), 0) / 1000 AS kwh, coalesce(sum(w.total_excl_minor), 0)::bigint AS excl_minor,
       coalesce(sum(w.total_incl_minor), 0)::bigint AS incl_minor
  FROM (SELECT c.site, coalesce(b.currency, t.currency) AS currency, s.token, s.started_at, s.energy_wh,
               b.total_excl_minor, b.total_incl_minor,
               CASE WHEN b.kind <> 'interim' THEN 'final'
                    WHEN s.holds <> '{}' OR coalesce(r.holds, '{}') <> '{}' THEN 'held'
                    WHEN s.ended_at IS NULL THEN 'running'
                    ELSE 'waiting' END AS state
          FROM session s
          JOIN charge_point c ON c.id = s.charge_point
          JOIN site t ON t.id = c.site
          LEFT JOIN rating r ON r.session = s.id
          LEFT JOIN LATERAL (SELECT kind, currency, total_excl_minor, total_incl_minor FROM bill
                              WHERE session = s.id ORDER BY kind = 'interim', seq DESC LIMIT 1) b ON true
         WHERE s.dropped IS NULL AND s.started_at IS NOT NULL
           AND NOT EXISTS (SELECT FROM invoice_source i WHERE i.session = s.id)) w
  LEFT JOIN LATERAL (SELECT account FROM account_token WHERE token = w.token AND valid_from <= w.started_at
                      ORDER BY valid_from DESC LIMIT 1) k ON true
  LEFT JOIN account a ON a.id = k.account
  LEFT JOIN LATERAL (SELECT seller FROM site_seller WHERE site = w.site AND valid_from <= w.started_at
                      ORDER BY valid_from DESC LIMIT 1) v ON true
 WHERE coalesce(a.seller, v.seller, :seller::text) = :seller AND (w.state <> 'final' OR w.total_incl_minor <> 0)
 GROUP BY w.site, w.currency, w.state
 ORDER BY w.site, w.currency, w.state;
