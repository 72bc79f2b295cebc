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
