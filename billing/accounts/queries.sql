-- name: insert_seller
-- A new seller; none comes back where there is one of that id.
INSERT INTO seller (id, details, created_at) VALUES (:id::text, :details::text::jsonb, :now::timestamptz)
ON CONFLICT DO NOTHING
RETURNING id;

-- name: lock_seller
-- A seller, nobody else's to change until the transaction ends.
SELECT id, details::text AS details FROM seller WHERE id = :id::text FOR NO KEY UPDATE;

-- name: update_seller
-- What documents show of a seller from now on.
UPDATE seller SET details = :details::text::jsonb WHERE id = :id::text;

-- name: sellers
-- Every seller, or one.
SELECT id, details::text AS details FROM seller WHERE :id::text IS NULL OR id = :id ORDER BY id;

-- name: insert_brand
-- A new brand; none comes back where there is one of that id.
INSERT INTO brand (id, seller, details, created_at)
VALUES (:id::text, :seller::text, :details::text::jsonb, :now::timestamptz)
ON CONFLICT DO NOTHING
RETURNING id;

-- name: lock_brand
-- A brand, nobody else's to change until the transaction ends.
SELECT id, seller, details::text AS details FROM brand WHERE id = :id::text FOR NO KEY UPDATE;

-- name: update_brand
-- How a brand looks and writes from now on.
UPDATE brand SET details = :details::text::jsonb WHERE id = :id::text;

-- name: brands
-- Every brand, one, or those of a seller.
SELECT id, seller, details::text AS details
  FROM brand
 WHERE (:id::text IS NULL OR id = :id) AND (:seller::text IS NULL OR seller = :seller)
 ORDER BY id;

-- name: insert_brand_file
-- A logo or a template; one that is there stays.
INSERT INTO brand_file (sha256, content, created_at) VALUES (:sha256::bytea, :content::bytea, :now::timestamptz)
ON CONFLICT DO NOTHING;

-- name: brand_files
-- Files of brands by their sums.
SELECT sha256, content FROM brand_file WHERE sha256 = ANY(:sums::bytea[]);

-- name: insert_site_seller
-- Who sells at a site from an instant on; said again for the same instant it is what was said first.
INSERT INTO site_seller (site, seller, brand, valid_from, actor, entered_at)
VALUES (:site::text, :seller::text, :brand::text, :valid_from::timestamptz, :actor::text, :now::timestamptz)
ON CONFLICT DO NOTHING
RETURNING site;

-- name: site_sellers
-- Who sells at sites, of one seller or of all.
SELECT site, seller, brand, valid_from, actor, entered_at
  FROM site_seller
 WHERE :seller::text IS NULL OR seller = :seller
 ORDER BY site, valid_from;

-- name: is_site_known
-- Whether there is such a site.
SELECT EXISTS (SELECT FROM site WHERE id = :site::text);

-- name: insert_account
-- A new account; none comes back where there is one of that id.
INSERT INTO account (id, seller, brand, kind, payer, state, language, time_zone, rhythm, payment_days, groups, grouped_by,
                     e_invoice, self_billing, details, created_at)
VALUES (:id::text, :seller::text, :brand::text, :kind::text, :payer::text, :state::text, :language::text,
        :time_zone::text, :rhythm::text, :payment_days::integer, :groups::text[], :grouped_by::text[],
        :e_invoice::text, :self_billing::text::jsonb, :details::text::jsonb, :now::timestamptz)
ON CONFLICT DO NOTHING
RETURNING id;

-- name: lock_account
-- An account, nobody else's to change until the transaction ends.
SELECT id, seller, brand, kind, payer, state, language, time_zone, rhythm, payment_days, groups, grouped_by, e_invoice,
       self_billing::text AS self_billing, details::text AS details
  FROM account
 WHERE id = :id::text
   FOR NO KEY UPDATE;

-- name: keep_account
-- An account that stays as it is until the transaction ends: whoever names it as its payer relies on its seller and state.
SELECT id, seller, brand, kind, payer, state, language, time_zone, rhythm, payment_days, groups, grouped_by, e_invoice,
       self_billing::text AS self_billing, details::text AS details
  FROM account
 WHERE id = :id::text
   FOR SHARE;

-- name: update_account
-- An account as it is from now on.
UPDATE account
   SET seller = :seller::text, brand = :brand::text, kind = :kind::text, payer = :payer::text, state = :state::text,
       language = :language::text, time_zone = :time_zone::text, rhythm = :rhythm::text,
       payment_days = :payment_days::integer, groups = :groups::text[], grouped_by = :grouped_by::text[],
       e_invoice = :e_invoice::text, self_billing = :self_billing::text::jsonb, details = :details::text::jsonb
 WHERE id = :id::text;

-- name: accounts
-- Some accounts, or all that fit: by seller, kind, group, state, and a word in what identifies them.
SELECT id, seller, brand, kind, payer, state, language, time_zone, rhythm, payment_days, groups, grouped_by, e_invoice,
       self_billing::text AS self_billing, details::text AS details
  FROM account
 WHERE (:ids::text[] IS NULL OR id = ANY(:ids))
   AND (:seller::text IS NULL OR seller = :seller)
   AND (:kind::text IS NULL OR kind = :kind)
   AND (:group::text IS NULL OR :group = ANY(groups))
   AND (:state::text IS NULL OR state = :state)
   AND (:word::text IS NULL OR position(lower(:word) IN lower(id || ' ' || details::text)) > 0)
 ORDER BY id
 LIMIT :limit::integer;

-- name: paid_by
-- The accounts that name this one as their payer.
SELECT id FROM account WHERE payer = :id::text ORDER BY id;

-- name: lock_token
-- Whoever else would say whose a token is waits until the transaction ends.
SELECT pg_advisory_xact_lock(:key::integer, hashtext(:token::text));

-- name: holding_at
-- Whose a token is at an instant.
SELECT token, valid_from, account, labels::text AS labels
  FROM account_token
 WHERE token = :token::text AND valid_from <= :at::timestamptz
 ORDER BY valid_from DESC
 LIMIT 1;

-- name: save_holding
-- Whose a token is from an instant on; said again for the same instant, the later word counts.
INSERT INTO account_token (token, valid_from, account, labels)
VALUES (:token::text, :valid_from::timestamptz, :account::text, :labels::text::jsonb)
ON CONFLICT (token, valid_from) DO UPDATE SET account = excluded.account, labels = excluded.labels;

-- name: holdings_of
-- Every token that was or is an account's, each with the day on which it went to somebody else or nobody.
SELECT t.token, t.valid_from, t.account, t.labels::text AS labels, t.valid_to
  FROM (SELECT token, valid_from, account, labels,
               lead(valid_from) OVER (PARTITION BY token ORDER BY valid_from) AS valid_to
          FROM account_token
         WHERE token IN (SELECT token FROM account_token WHERE account = :account::text)) AS t
 WHERE t.account = :account
 ORDER BY t.token, t.valid_from;

-- name: relabel_holdings
-- Take the names off the tokens of an account that nobody may tell any more.
UPDATE account_token SET labels = '{}' WHERE account = :account::text AND labels <> '{}';

-- name: sessions_of
-- The newest sessions of an account's tokens, each with the bill that counts.
SELECT s.id AS session, s.charge_point, s.token, s.started_at, s.ended_at, s.energy_wh,
       b.seq, b.kind, b.currency, b.total_incl_minor
  FROM (SELECT token, valid_from, account,
               lead(valid_from) OVER (PARTITION BY token ORDER BY valid_from) AS valid_to
          FROM account_token
         WHERE token IN (SELECT token FROM account_token WHERE account = :account::text)) AS t
  JOIN session s ON s.token = t.token AND s.started_at >= t.valid_from
                AND (t.valid_to IS NULL OR s.started_at < t.valid_to)
  LEFT JOIN LATERAL (SELECT seq, kind, currency, total_incl_minor
                       FROM bill WHERE session = s.id ORDER BY kind = 'interim', seq DESC LIMIT 1) AS b ON true
 WHERE t.account = :account AND s.dropped IS NULL
 ORDER BY s.started_at DESC, s.id DESC
 LIMIT :limit::integer;

-- name: count_uninvoiced
-- How many sessions of an account's tokens, while they were its, are on no document and cost something or may yet.
SELECT count(*)
  FROM (SELECT token, valid_from, account,
               lead(valid_from) OVER (PARTITION BY token ORDER BY valid_from) AS valid_to
          FROM account_token
         WHERE token IN (SELECT token FROM account_token WHERE account = :account::text)) AS t
  JOIN session s ON s.token = t.token AND s.started_at >= t.valid_from
                AND (t.valid_to IS NULL OR s.started_at < t.valid_to)
  LEFT JOIN LATERAL (SELECT total_incl_minor FROM bill
                      WHERE session = s.id AND kind <> 'interim' ORDER BY seq DESC LIMIT 1) AS b ON true
 WHERE t.account = :account AND s.dropped IS NULL AND b.total_incl_minor IS DISTINCT FROM 0
   AND NOT EXISTS (SELECT FROM invoice_source i WHERE i.session = s.id);

-- name: count_unsettled
-- What fell due of an account's contracts and is neither on a document nor cancelled, and its documents that wait to be sent.
SELECT (SELECT count(*) FROM contract_charge h JOIN contract c ON c.id = h.contract
         WHERE c.account = :account::text
           AND NOT EXISTS (SELECT FROM contract_charge_fate f WHERE f.source = h.source)) AS charges,
       (SELECT count(*) FROM document_due d JOIN invoice i ON i.id = d.invoice WHERE i.account = :account) AS documents;

-- name: contracts_that_may_charge
-- An account's contracts of which something may fall due yet: they run or are to begin, were not looked at since they ended or
-- were changed, or an item or a milestone of them waits.
SELECT c.id
  FROM account a
  JOIN contract c ON c.account = a.id
 CROSS JOIN LATERAL (SELECT (:now::timestamptz AT TIME ZONE a.time_zone)::date AS today) AS d
 WHERE a.id = :account::text
   AND (c.until_day IS NULL OR c.until_day > greatest(c.starts_on, d.today) OR c.next_on <= d.today
        OR (c.until_day <= d.today AND c.next_on IS NOT NULL)
        OR EXISTS (SELECT FROM one_time_item i WHERE i.contract = c.id AND i.due_on > d.today AND i.cancelled_at IS NULL)
        OR EXISTS (SELECT FROM milestone_split s JOIN milestone m ON m.split = s.id
                    WHERE s.contract = c.id AND (m.due_on IS NULL OR m.due_on > d.today) AND m.cancelled_at IS NULL))
 ORDER BY c.id;

-- name: documents_borne
-- The documents of a seller of which one of these parties was not asked yet for what it bears.
SELECT DISTINCT d.invoice, i.number
  FROM borne_due d JOIN invoice i ON i.id = d.invoice
 WHERE d.seller = :seller::text AND d.party = ANY(:parties::text[])
 ORDER BY d.invoice;

-- name: books_with
-- The sellers in whose books an account stands, its own among them.
SELECT DISTINCT seller FROM ledger_account WHERE owner = :account::text
 UNION SELECT :seller::text
 ORDER BY 1;

-- name: changed_with
-- What entries of the audit log may be about that concerns an account.
SELECT 'account' AS noun, :account::text AS subject
 UNION SELECT 'draft', :account::text
 UNION SELECT 'token', token FROM account_token WHERE account = :account::text
 UNION SELECT 'contract', id FROM contract WHERE account = :account::text
 UNION SELECT 'document', number FROM invoice WHERE account = :account::text
 UNION SELECT 'hold', id::text FROM archive_entry WHERE account = :account::text AND action = 'hold_set'
 UNION SELECT 'mail', d.id::text
         FROM mail_message m JOIN mail_delivery d ON d.message = m.id WHERE m.account = :account::text;

-- name: anonymise_contracts
-- Contracts of an account that nobody may tell any more: what was written of it goes, their terms stay.
UPDATE contract SET title = '', reference = NULL, labels = '{}' WHERE account = :account::text;

-- name: exported_sessions
-- Every session of an account's tokens while they were its, also those that were dropped.
SELECT s.id AS session, s.charge_point, s.evse, s.connector, s.transaction, s.token, s.started_at, s.ended_at,
       s.energy_wh, s.register_begin_wh, s.register_end_wh, s.energy_source, s.dropped
  FROM (SELECT token, valid_from, account,
               lead(valid_from) OVER (PARTITION BY token ORDER BY valid_from) AS valid_to
          FROM account_token
         WHERE token IN (SELECT token FROM account_token WHERE account = :account::text)) AS t
  JOIN session s ON s.token = t.token AND s.started_at >= t.valid_from
                AND (t.valid_to IS NULL OR s.started_at < t.valid_to)
 WHERE t.account = :account
 ORDER BY s.id;

-- name: exported_bills
-- Every bill of these sessions, interim ones too.
SELECT b.session, b.seq, b.kind, b.as_of, b.energy_wh, b.currency, b.total_excl_minor, b.total_tax_minor,
       b.total_incl_minor, b.tariff, b.tariff_version, b.corrects, b.created_at, b.detail::text AS detail
  FROM (SELECT token, valid_from, account,
               lead(valid_from) OVER (PARTITION BY token ORDER BY valid_from) AS valid_to
          FROM account_token
         WHERE token IN (SELECT token FROM account_token WHERE account = :account::text)) AS t
  JOIN session s ON s.token = t.token AND s.started_at >= t.valid_from
                AND (t.valid_to IS NULL OR s.started_at < t.valid_to)
  JOIN bill b ON b.session = s.id
 WHERE t.account = :account
 ORDER BY b.session, b.seq;

-- name: exported_documents
-- Every document of an account, with its lines.
SELECT i.seller, i.number, i.issued_at, i.actor, i.reason, i.hash, i.body::text AS body,
       (SELECT coalesce(jsonb_agg(l.body ORDER BY l.position), '[]') FROM invoice_line l WHERE l.invoice = i.id)::text AS lines
  FROM invoice i
 WHERE i.account = :account::text
 ORDER BY i.id;

-- name: exported_drafts
-- Every draft of an account.
SELECT id, currency, sources, until, state, actor, created_at FROM invoice_draft WHERE account = :account::text ORDER BY id;

-- name: exported_postings
-- Every posting on accounts of the ledger that are this customer's.
SELECT a.seller, p.entry, p.n, e.booked_on, e.fact_on, e.fact, a.kind, p.currency, p.amount_minor,
       coalesce(p.document, e.document) AS document, p.due_on, e.text
  FROM ledger_account a
  JOIN ledger_posting p ON p.account = a.id
  JOIN ledger_entry e ON e.id = p.entry
 WHERE a.owner = :account::text AND a.kind = ANY(:kinds::text[])
 ORDER BY p.entry, p.n;

-- name: exported_archive
-- What was stored of an account, and what became of it.
SELECT id, at, action, actor, reason, about, subject, kind, media_type, size_bytes, sha256, retention_class, retain_until
  FROM archive_entry
 WHERE account = :account::text
    OR about IN (SELECT id FROM archive_entry WHERE account = :account::text)
 ORDER BY id;

-- name: exported_mails
-- Every mail to or about an account, as far as what it said is still kept.
SELECT d.id, m.key, m.kind, d.address, d.state, d.tries, m.message_id, m.queued_at, d.tried_at, d.ended_at,
       c.body::text AS body,
       (SELECT coalesce(jsonb_agg(to_jsonb(v) - 'delivery' ORDER BY v.id), '[]')
          FROM mail_event v WHERE v.delivery = d.id)::text AS events
  FROM mail_message m
  JOIN mail_delivery d ON d.message = m.id
  LEFT JOIN mail_content c ON c.message = m.id
 WHERE m.account = :account::text
 ORDER BY d.id;

-- name: known_as
-- Other accounts of a seller that are meant by one of these names: their own id, or as whom incentives know them.
SELECT a.id, n.name
  FROM unnest(:names::text[]) AS n (name)
  JOIN account a ON (a.id = n.name OR a.details->'parties' @> to_jsonb(n.name))
 WHERE a.seller = :seller::text AND a.id <> :id::text
 LIMIT 1;
