-- name: next_accounts
-- The next accounts that pay for themselves, of a seller and in given rhythms; with their brand's and group's way of paying.
SELECT id
  FROM account
 WHERE seller = :seller::text AND payer IS NULL AND id > :after::text
   AND (:rhythms::text[] IS NULL OR rhythm = ANY(:rhythms))
   AND (:account::text IS NULL OR id = :account)
   AND state <> 'pseudonymised'
 ORDER BY id
 LIMIT :limit::integer;

-- name: count_accounts
-- How many those are.
SELECT count(*)
  FROM account
 WHERE seller = :seller::text AND payer IS NULL
   AND (:rhythms::text[] IS NULL OR rhythm = ANY(:rhythms))
   AND (:account::text IS NULL OR id = :account)
   AND state <> 'pseudonymised';

-- name: accounts_with_dependants
-- Accounts and those that they pay for.
SELECT id, coalesce(payer, id) AS payer FROM account WHERE id = ANY(:ids::text[]) OR payer = ANY(:ids) ORDER BY id;

-- name: billed_sessions
-- Sessions that ended before a day of their account's calendar and are on no invoice, with the bill that counts: all there is
-- to say of them on a document. Of whom the token was when they began. OFFSET 0: token by token, whatever is known of how many
-- sessions there are; who joins all of them instead reads a whole month for each page of accounts.
SELECT s.id AS session, b.seq, t.account, b.currency, b.detail::text AS detail, s.charge_point, s.evse, e.name AS site,
       e.country, e.time_zone, s.token, s.started_at, s.ended_at, b.energy_wh, s.register_begin_wh, s.register_end_wh,
       s.energy_source, b.tariff, b.tariff_version, t.labels::text AS labels
  FROM (SELECT h.token, h.valid_from, h.account, h.labels, a.time_zone,
               (SELECT min(n.valid_from) FROM account_token n
                 WHERE n.token = h.token AND n.valid_from > h.valid_from) AS valid_to
          FROM account_token h
          JOIN account a ON a.id = h.account
         WHERE h.account = ANY(:accounts::text[])
        OFFSET 0) AS t
 CROSS JOIN LATERAL (SELECT * FROM session s
                      WHERE s.token = t.token AND s.started_at >= t.valid_from
                        AND (t.valid_to IS NULL OR s.started_at < t.valid_to)
                     OFFSET 0) AS s
 CROSS JOIN LATERAL (SELECT FROM rating r WHERE r.session = s.id AND r.holds = '{}' OFFSET 0) AS r
  JOIN charge_point c ON c.id = s.charge_point
  JOIN site e ON e.id = c.site
  JOIN LATERAL (SELECT seq, currency, detail, energy_wh, tariff, tariff_version
                  FROM bill WHERE session = s.id AND kind <> 'interim' ORDER BY seq DESC LIMIT 1) AS b ON true
 WHERE s.dropped IS NULL AND s.ended_at < ((:until::date + 1)::timestamp AT TIME ZONE t.time_zone)
   AND NOT EXISTS (SELECT FROM invoice_source i WHERE i.session = s.id)
 ORDER BY s.id;

-- name: billed_sessions_of_customers
-- As billed_sessions, of given sessions: those of customers' tokens that are on no invoice, and that nobody looks into.
SELECT s.id AS session, b.seq, t.account, b.currency, b.detail::text AS detail, s.charge_point, s.evse, e.name AS site,
       e.country, e.time_zone, s.token, s.started_at, s.ended_at, b.energy_wh, s.register_begin_wh, s.register_end_wh,
       s.energy_source, b.tariff, b.tariff_version, t.labels::text AS labels
  FROM session s
  JOIN LATERAL (SELECT h.account, h.labels FROM account_token h
                 WHERE h.token = s.token AND h.valid_from <= s.started_at ORDER BY h.valid_from DESC LIMIT 1) AS t
    ON t.account IS NOT NULL
  JOIN rating r ON r.session = s.id AND r.holds = '{}'
  JOIN charge_point c ON c.id = s.charge_point
  JOIN site e ON e.id = c.site
  JOIN LATERAL (SELECT seq, currency, detail, energy_wh, tariff, tariff_version
                  FROM bill WHERE session = s.id AND kind <> 'interim' ORDER BY seq DESC LIMIT 1) AS b ON true
 WHERE s.id = ANY(:sessions::integer[]) AND s.dropped IS NULL
   AND NOT EXISTS (SELECT FROM invoice_source i WHERE i.session = s.id)
 ORDER BY s.id;

-- name: unclaimed_sessions
-- The next sessions that ended before an instant whose token nobody pays for, at sites where a seller sells; on no receipt yet.
SELECT s.id AS session, b.seq, NULL::text AS account, b.currency, b.detail::text AS detail, s.charge_point, s.evse,
       e.name AS site, e.country, e.time_zone, s.token, s.started_at, s.ended_at, b.energy_wh, s.register_begin_wh,
       s.register_end_wh, s.energy_source, b.tariff, b.tariff_version, '{}' AS labels,
       w.brand
  FROM session s
  JOIN rating r ON r.session = s.id AND r.holds = '{}'
  JOIN charge_point c ON c.id = s.charge_point
  JOIN site e ON e.id = c.site
  JOIN LATERAL (SELECT seller, brand FROM site_seller w
                 WHERE w.site = e.id AND w.valid_from <= s.started_at ORDER BY w.valid_from DESC LIMIT 1) AS w
    ON w.seller = :seller::text
  JOIN LATERAL (SELECT seq, currency, detail, energy_wh, tariff, tariff_version
                  FROM bill WHERE session = s.id AND kind <> 'interim' ORDER BY seq DESC LIMIT 1) AS b ON true
 WHERE s.id > :after::integer AND s.dropped IS NULL AND s.ended_at < :until::timestamptz
   AND NOT EXISTS (SELECT FROM (SELECT account FROM account_token h
                                 WHERE h.token = s.token AND h.valid_from <= s.started_at
                                 ORDER BY h.valid_from DESC LIMIT 1) AS h WHERE h.account IS NOT NULL)
   AND NOT EXISTS (SELECT FROM invoice_source i WHERE i.session = s.id)
 ORDER BY s.id
 LIMIT :limit::integer;

-- name: billed_sessions_named
-- Given bills as they are, whether invoiced or not.
SELECT s.id AS session, b.seq, NULL::text AS account, b.currency, b.detail::text AS detail, s.charge_point, s.evse,
       e.name AS site, e.country, e.time_zone, s.token, s.started_at, s.ended_at, b.energy_wh, s.register_begin_wh,
       s.register_end_wh, s.energy_source, b.tariff, b.tariff_version, '{}' AS labels
  FROM unnest(:sessions::integer[], :seqs::integer[]) AS n (session, seq)
  JOIN bill b ON b.session = n.session AND b.seq = n.seq
  JOIN session s ON s.id = b.session
  JOIN charge_point c ON c.id = s.charge_point
  JOIN site e ON e.id = c.site
 ORDER BY s.id;

-- name: newest_bill_of
-- The bill of a session that counts, interim ones aside.
SELECT seq, kind, corrects FROM bill WHERE session = :session::integer AND kind <> 'interim' ORDER BY seq DESC LIMIT 1;

-- name: lock_account
-- Nobody else invoices or credits this account until the transaction ends.
SELECT id FROM account WHERE id = :id::text FOR NO KEY UPDATE;

-- name: no_longer_billable
-- Of bills about to be invoiced, those that count no longer, or whose session is held; the first few. OFFSET 0: one after the
-- other by their keys, whatever is known of how many there are.
SELECT n.session, n.seq, b.seq AS newest, r.holds
  FROM unnest(:sessions::integer[], :seqs::integer[]) AS n (session, seq)
 CROSS JOIN LATERAL (SELECT seq FROM bill
                      WHERE session = n.session AND kind <> 'interim' ORDER BY seq DESC LIMIT 1) AS b
 CROSS JOIN LATERAL (SELECT holds FROM rating WHERE session = n.session OFFSET 0) AS r
 WHERE b.seq <> n.seq OR r.holds <> '{}'
 ORDER BY n.session
 LIMIT 5;

-- name: lock_session
-- Nobody else corrects what this session was invoiced for until the transaction ends.
SELECT pg_advisory_xact_lock(:key::integer, :session::integer);

-- name: lock_document
-- Nobody else credits this document until the transaction ends.
SELECT pg_advisory_xact_lock(:key::integer, hashint8(:id::bigint));

-- name: insert_parts
-- The id of a document about to be written, its lines and taxes, and what they are for: once it is written itself, nothing can
-- be added to it. The shape of its number, if its seller said
-- one. A source that is on another document already violates the key, a session that is on one by another of its bills the
-- index beside it, and nothing of this document stays. after: the claim that is taken back, where a session or a whole
-- document is invoiced anew.
WITH document AS (SELECT nextval('invoice_id') AS id), lines AS (
    INSERT INTO invoice_line (invoice, position, kind, net_minor, tax_minor, gross_minor, day, session, body)
    SELECT d.id, l.position, l.kind, l.net, l.tax, l.net + l.tax, l.day, l.session, l.body::jsonb
      FROM document d, unnest(:positions::integer[], :kinds::text[], :nets::bigint[], :taxes::bigint[], :days::date[],
                              :sessions::integer[], :bodies::text[])
        AS l (position, kind, net, tax, day, session, body)), claims AS (
    INSERT INTO invoice_source (source, invoice, session, after)
    SELECT n.source, d.id, n.session, n.after
      FROM document d, unnest(:sources::text[], :claimed::integer[], :after::text[]) AS n (source, session, after)
     ORDER BY n.source), taxes AS (
    INSERT INTO invoice_tax (invoice, country, tax_category, tax_rate, note, net_minor, tax_minor)
    SELECT d.id, t.country, t.category, t.rate, t.note, t.net, t.tax
      FROM document d, unnest(:countries::text[], :categories::text[], :rates::numeric[], :notes::text[],
                              :group_nets::bigint[], :group_taxes::bigint[])
        AS t (country, category, rate, note, net, tax))
SELECT d.id, (SELECT pattern FROM number_pattern
               WHERE seller = :seller::text AND kind = :kind::text AND form = :form::text) AS pattern
  FROM document d;

-- name: insert_allocations
-- What a credit note takes back.
INSERT INTO credit_allocation (credit_note, invoice, position, base_minor, net_minor)
SELECT :credit_note::bigint, :invoice::bigint, n.position, n.base_minor, n.net_minor
  FROM unnest(:positions::integer[], :bases::bigint[], :nets::bigint[]) AS n (position, base_minor, net_minor);

-- name: pattern_of
-- The shape of a seller's numbers, where it said one.
SELECT pattern FROM number_pattern WHERE seller = :seller::text AND kind = :kind::text AND form = :form::text;

-- name: patterns
-- The shapes that sellers said.
SELECT seller, kind, form, pattern FROM number_pattern WHERE :seller::text IS NULL OR seller = :seller ORDER BY 1, 2, 3;

-- name: save_pattern
-- The shape of the series that begin from now on.
INSERT INTO number_pattern (seller, kind, form, pattern)
VALUES (:seller::text, :kind::text, :form::text, :pattern::text)
ON CONFLICT (seller, kind, form) DO UPDATE SET pattern = excluded.pattern;

-- name: series_of
-- Series that have begun.
SELECT seller, kind, form, year, pattern, last, issued_on, chain
  FROM number_series
 WHERE :seller::text IS NULL OR seller = :seller
 ORDER BY seller, kind, form, year;

-- name: open_series
-- A series begins with the first document of its year.
INSERT INTO number_series (seller, kind, form, year, pattern)
VALUES (:seller::text, :kind::text, :form::text, :year::integer, :pattern::text)
ON CONFLICT DO NOTHING;

-- name: take_number
-- The next number, and from here to the commit nobody else's; none where the last document was issued on a later day.
UPDATE number_series
   SET last = last + 1, issued_on = :issued_on::date
 WHERE seller = :seller::text AND kind = :kind::text AND form = :form::text AND year = :year::integer
   AND (issued_on IS NULL OR issued_on <= :issued_on)
RETURNING last, pattern, chain;

-- name: last_issued_on
-- The day of the last document of a series.
SELECT issued_on FROM number_series
 WHERE seller = :seller::text AND kind = :kind::text AND form = :form::text AND year = :year::integer;

-- name: insert_invoice
-- The document, and the end of its series' chain: the last that a transaction writes of it.
WITH chained AS (
    UPDATE number_series SET chain = :chain::bytea
     WHERE seller = :seller::text AND kind = :kind::text AND form = :form::text AND year = :year::integer)
INSERT INTO invoice (id, seller, kind, form, year, n, number, account, currency, issued_on, issued_at, due_on,
                     net_minor, tax_minor, gross_minor, borne_minor, paid_minor, corrects, body, hash, chain, actor,
                     reason)
VALUES (:id::bigint, :seller, :kind, :form, :year, :n::integer, :number::text, :account::text, :currency::text,
        :issued_on::date, :issued_at::timestamptz, :due_on::date, :net::bigint, :tax::bigint, :net::bigint + :tax::bigint,
        :borne::bigint, :paid::bigint, :corrects::bigint, :body::text::jsonb, :hash::bytea, :chain, :actor::text,
        :reason::text);

-- name: find_invoices
-- Documents by number, of one seller or of all.
SELECT id, seller, kind, form, year, n, number, account, currency, issued_on, issued_at, due_on, net_minor, tax_minor,
       gross_minor, borne_minor, paid_minor, corrects, body::text AS body, hash, chain, actor, reason
  FROM invoice
 WHERE number = :number::text AND (:seller::text IS NULL OR seller = :seller);

-- name: invoice_of_id
-- One document.
SELECT id, seller, kind, form, year, n, number, account, currency, issued_on, issued_at, due_on, net_minor, tax_minor,
       gross_minor, borne_minor, paid_minor, corrects, body::text AS body, hash, chain, actor, reason
  FROM invoice
 WHERE id = :id::bigint;

-- name: invoices
-- Documents, newest last: of a seller, an account, a kind, from a day to a day.
SELECT i.id, i.seller, i.kind, i.form, i.number, i.account, i.currency, i.issued_on, i.due_on, i.net_minor, i.tax_minor,
       i.gross_minor, i.borne_minor, i.paid_minor, o.number AS corrects
  FROM invoice i
  LEFT JOIN invoice o ON o.id = i.corrects
 WHERE (:seller::text IS NULL OR i.seller = :seller)
   AND (:account::text IS NULL OR i.account = :account)
   AND (:kind::text IS NULL OR i.kind = :kind)
   AND (:since::date IS NULL OR i.issued_on >= :since)
   AND (:until::date IS NULL OR i.issued_on <= :until)
 ORDER BY i.id DESC
 LIMIT :limit::integer;

-- name: lines_of
-- The lines of documents, in their order.
SELECT invoice, position, body::text AS body FROM invoice_line WHERE invoice = ANY(:invoices::bigint[]) ORDER BY invoice, position;

-- name: lines_by_source
-- The lines on which these sources were invoiced last.
SELECT DISTINCT ON (s.source) s.source, s.invoice, l.position, l.gross_minor
  FROM invoice_source s
  JOIN invoice_line l ON l.invoice = s.invoice AND l.body->>'source' = s.source
 WHERE s.source = ANY(:sources::text[])
 ORDER BY s.source, s.invoice DESC;

-- name: replaced_by
-- The document that replaces one.
SELECT i.number
  FROM invoice_source s
  JOIN invoice_source r ON r.source = s.source AND r.after = :replaces::text
  JOIN invoice i ON i.id = r.invoice
 WHERE s.invoice = :invoice::bigint
 LIMIT 1;

-- name: credited_lines
-- What credit notes took back of each line of a document.
SELECT position, sum(base_minor)::bigint AS base_minor, sum(net_minor)::bigint AS net_minor
  FROM credit_allocation
 WHERE invoice = :invoice::bigint
 GROUP BY position;

-- name: credit_notes_of
-- The credit notes of a document.
SELECT id, number, issued_on, net_minor, tax_minor, gross_minor, body::text AS body
  FROM invoice
 WHERE corrects = :invoice::bigint
 ORDER BY id;

-- name: credited_groups
-- What credit notes took back of each tax group of a document.
SELECT t.country, t.tax_category, t.tax_rate, t.note, sum(t.net_minor)::bigint AS net_minor,
       sum(t.tax_minor)::bigint AS tax_minor
  FROM invoice_tax t
  JOIN invoice c ON c.id = t.invoice
 WHERE c.corrects = :invoice::bigint
 GROUP BY 1, 2, 3, 4;

-- name: invoice_of_source
-- On which document something was invoiced.
SELECT i.id, i.number, i.seller
  FROM invoice i
 WHERE i.id = (SELECT max(invoice) FROM (SELECT invoice FROM invoice_source WHERE source = :source::text OFFSET 0) s);

-- name: invoices_of_session
-- Where a session stands: on which documents, by which of its bills.
SELECT s.source, i.id, i.seller, i.number, i.issued_on
  FROM invoice_source s JOIN invoice i ON i.id = s.invoice
 WHERE s.session = :session::integer
 ORDER BY i.id;

-- name: part_of_series
-- The documents of a series of some days: behind which number and chain they begin, and up to which they go; NULL: to the end.
-- In a series nothing is issued on a day before the last.
SELECT before.n AS after, before.chain,
       CASE WHEN :last::date < s.issued_on THEN coalesce(
           (SELECT max(i.n) FROM invoice i
             WHERE i.seller = s.seller AND i.kind = s.kind AND i.form = s.form AND i.year = s.year
               AND i.issued_on = (SELECT max(d.issued_on) FROM invoice d
                                   WHERE d.seller = s.seller AND d.kind = s.kind AND d.form = s.form AND d.year = s.year
                                     AND d.issued_on <= :last)), 0) END AS up_to
  FROM number_series s
  LEFT JOIN LATERAL (
           SELECT i.n, i.chain FROM invoice i
            WHERE i.seller = s.seller AND i.kind = s.kind AND i.form = s.form AND i.year = s.year
              AND i.issued_on = (SELECT max(d.issued_on) FROM invoice d
                                  WHERE d.seller = s.seller AND d.kind = s.kind AND d.form = s.form AND d.year = s.year
                                    AND d.issued_on < :first::date)
            ORDER BY i.n DESC LIMIT 1) before ON true
 WHERE s.seller = :seller::text AND s.kind = :kind::text AND s.form = :form::text AND s.year = :year::integer;

-- name: how_far
-- How far a series has come.
SELECT last, chain FROM number_series
 WHERE seller = :seller::text AND kind = :kind::text AND form = :form::text AND year = :year::integer;

-- name: next_of_series
-- The next documents of a series, as the chain goes; what of them only columns say, and who says the same in the ledger.
SELECT i.id, i.n, i.kind, i.form, i.number, i.account, i.currency, i.issued_on, i.issued_at, i.due_on, i.net_minor,
       i.tax_minor, i.gross_minor, i.borne_minor, i.paid_minor, i.corrects, i.body::text AS body, i.hash, i.chain, i.actor,
       i.reason, o.number AS corrects_number, e.at AS booked_at, e.actor AS booked_by
  FROM invoice i
  LEFT JOIN invoice o ON o.id = i.corrects
  LEFT JOIN LATERAL (SELECT at, actor FROM ledger_entry
                      WHERE seller = i.seller AND document = i.number AND reverses IS NULL ORDER BY id LIMIT 1) AS e ON true
 WHERE i.seller = :seller::text AND i.kind = :kind::text AND i.form = :form::text AND i.year = :year::integer
   AND i.n > :after::integer AND (:up_to::integer IS NULL OR i.n <= :up_to)
 ORDER BY i.n
 LIMIT :limit::integer;

-- name: kept_lines
-- The lines of documents with their columns, in their order.
SELECT invoice, position, kind, net_minor, tax_minor, gross_minor, day, session, body::text AS body
  FROM invoice_line WHERE invoice = ANY(:invoices::bigint[]) ORDER BY invoice, position;

-- name: kept_taxes
-- The taxes of documents.
SELECT invoice, country, tax_category, tax_rate, note, net_minor, tax_minor
  FROM invoice_tax WHERE invoice = ANY(:invoices::bigint[]);

-- name: kept_claims
-- What documents were paid for; before: the document that claimed the same before, or the claim of the same session before.
-- OFFSET 0: found by source and session, not by walking the documents before.
SELECT c.invoice, c.source, c.session, c.after, coalesce(r.replaced, b.source, '') AS before
  FROM invoice_source c
  LEFT JOIN LATERAL (SELECT (SELECT i.seller || ':' || i.number FROM invoice i WHERE i.id = p.invoice) AS replaced
                       FROM (SELECT invoice FROM invoice_source
                              WHERE source = c.source AND invoice < c.invoice OFFSET 0) AS p
                      ORDER BY p.invoice DESC LIMIT 1) AS r ON true
  LEFT JOIN LATERAL (SELECT source
                       FROM (SELECT source, invoice FROM invoice_source
                              WHERE session = c.session AND invoice < c.invoice OFFSET 0) AS p
                      ORDER BY invoice DESC, source DESC LIMIT 1) AS b ON true
 WHERE c.invoice = ANY(:invoices::bigint[]);

-- name: kept_allocations
-- What credit notes take back of lines, with the kind and source of these.
SELECT a.credit_note, a.invoice, a.position, a.base_minor, a.net_minor, l.kind, l.body->>'source' AS source
  FROM credit_allocation a
  LEFT JOIN invoice_line l ON l.invoice = a.invoice AND l.position = a.position
 WHERE a.credit_note = ANY(:credit_notes::bigint[]);

-- name: open_draft
-- The draft that is open for an account and a currency.
SELECT id FROM invoice_draft WHERE account = :account::text AND currency = :currency::text AND state = 'open';

-- name: open_drafts_of
-- The accounts that have open drafts, of some.
SELECT account, currency, id FROM invoice_draft WHERE account = ANY(:accounts::text[]) AND state = 'open';

-- name: insert_draft
-- A document to look at first.
INSERT INTO invoice_draft (account, currency, sources, until, hash, actor, created_at)
VALUES (:account::text, :currency::text, :sources::text[], :until::date, :hash::bytea, :actor::text, :now::timestamptz)
RETURNING id;

-- name: lock_draft
-- A draft, nobody else's until the transaction ends.
SELECT id, account, currency, sources, until, hash, state, invoice, actor, created_at
  FROM invoice_draft WHERE id = :id::bigint FOR NO KEY UPDATE;

-- name: close_draft
-- What became of a draft.
UPDATE invoice_draft SET state = :state::text, invoice = :invoice::bigint WHERE id = :id::bigint;

-- name: drafts
-- Drafts, open ones or all.
SELECT d.id, d.account, d.currency, cardinality(d.sources) AS sources, d.until, d.state, i.number, d.actor, d.created_at
  FROM invoice_draft d
  LEFT JOIN invoice i ON i.id = d.invoice
 WHERE :every::boolean OR d.state = 'open'
 ORDER BY d.id;

-- name: revenue
-- What documents of a seller charge less what credit notes take back, added up by what is asked for; of the days on which
-- they are booked, so that a month that is locked stays what it was. A part that is taken back of a line counts where that
-- line does; kWh are taken back with whole lines. Those of a session with several taxes stand on each of its lines, and
-- count once.
SELECT CASE :by::text
           WHEN 'site' THEN d.session->>'site'
           WHEN 'charge_point' THEN d.session->>'charge_point'
           WHEN 'tariff' THEN d.session->>'tariff'
           WHEN 'channel' THEN CASE WHEN i.account IS NULL THEN 'ad_hoc' ELSE 'contract' END
           WHEN 'month' THEN to_char(e.booked_on, 'YYYY-MM')
           ELSE l.kind END AS of,
       i.currency, count(*) AS lines,
       coalesce(sum(s.sign * (l.body->'session'->>'energy_wh')::numeric)
                    FILTER (WHERE NOT EXISTS (SELECT FROM invoice_line f
                                               WHERE f.invoice = l.invoice AND f.session = l.session
                                                 AND f.position < l.position)), 0) / 1000 AS kwh,
       sum(s.sign * l.net_minor)::bigint AS net_minor, sum(s.sign * l.tax_minor)::bigint AS tax_minor,
       sum(s.sign * l.gross_minor)::bigint AS gross_minor
  FROM ledger_entry e
  JOIN invoice i ON i.seller = e.seller AND i.number = e.document
  JOIN invoice_line l ON l.invoice = i.id
  LEFT JOIN invoice_line o
    ON o.invoice = i.corrects AND o.position = substring(l.body->>'source' FROM '^credit:.*:([0-9]+)$')::integer
 CROSS JOIN LATERAL (SELECT CASE WHEN i.kind = 'invoice' THEN 1 ELSE -1 END AS sign) s
 CROSS JOIN LATERAL (SELECT CASE WHEN jsonb_typeof(l.body->'session') = 'object' THEN l.body->'session'
                                 ELSE o.body->'session' END AS session) d
 WHERE e.seller = :seller::text AND e.reverses IS NULL AND i.form <> 'self_billed' AND l.kind <> 'borne'
   AND (:since::date IS NULL OR e.booked_on >= :since) AND (:until::date IS NULL OR e.booked_on <= :until)
 GROUP BY 1, 2
 ORDER BY 1, 2;

-- name: taxes_charged
-- Taxes of a seller's documents less those of credit notes, by country, category and rate; of the days on which they are booked.
SELECT t.country, t.tax_category, t.tax_rate, i.currency, count(DISTINCT i.id) AS documents,
       sum(s.sign * t.net_minor)::bigint AS net_minor, sum(s.sign * t.tax_minor)::bigint AS tax_minor
  FROM ledger_entry e
  JOIN invoice i ON i.seller = e.seller AND i.number = e.document
  JOIN invoice_tax t ON t.invoice = i.id
 CROSS JOIN LATERAL (SELECT CASE WHEN i.kind = 'invoice' THEN 1 ELSE -1 END AS sign) s
 WHERE e.seller = :seller::text AND e.reverses IS NULL AND i.form <> 'self_billed'
   AND NOT EXISTS (SELECT FROM invoice_line l WHERE l.invoice = i.id AND l.kind = 'borne')
   AND (:since::date IS NULL OR e.booked_on >= :since) AND (:until::date IS NULL OR e.booked_on <= :until)
 GROUP BY t.country, t.tax_category, t.tax_rate, i.currency
 ORDER BY 1, 2, 3, 4;

-- name: note_borne
-- Third parties are to be asked for what they bear of a document.
INSERT INTO borne_due (source, seller, party, currency, invoice, until, minor, labels)
SELECT n.source, :seller::text, n.party, :currency::text, :invoice::bigint, :until::date, n.minor, n.labels
  FROM unnest(:sources::text[], :parties::text[], :minors::bigint[], :labels::text[]) AS n (source, party, minor, labels);

-- name: settle_borne
-- They are asked for it, or it is taken back.
DELETE FROM borne_due WHERE source = ANY(:sources::text[]) RETURNING source;

-- name: no_longer_borne
-- What credit notes took back of parts that parties were asked for, where the parties were told of it: neither waits it, nor is
-- it on a line of a document to them.
SELECT n.source, c.seller, w.party, -p.minor AS minor, c.currency, c.number, c.issued_on
  FROM unnest(:items::text[], :parties::text[]) AS w (item, party)
  JOIN invoice o ON o.seller = :seller::text AND o.number = w.item
  JOIN invoice c ON c.corrects = o.id
 CROSS JOIN LATERAL (SELECT sum((b->>'amount_minor')::bigint)::bigint AS minor
                       FROM jsonb_array_elements(c.body->'borne') AS b WHERE b->>'party' = w.party) AS p
 CROSS JOIN LATERAL (SELECT 'borne:' || c.seller || ':' || c.number || '@' || o.number || ':' || w.party AS source) AS n
 WHERE p.minor <> 0
   AND NOT EXISTS (SELECT FROM borne_due d WHERE d.source = n.source)
   AND NOT EXISTS (SELECT FROM invoice_source s WHERE s.source = n.source)
 ORDER BY c.id;

-- name: bearers
-- The accounts of a seller that bear parts of documents and were not asked for them yet, in their rhythm or one of them. There
-- are few parties: accounts are looked for once for each of them.
WITH waiting AS MATERIALIZED (
    SELECT DISTINCT party, currency FROM borne_due WHERE seller = :seller::text AND until <= :until::date),
     parties AS MATERIALIZED (SELECT DISTINCT party FROM waiting),
     known AS MATERIALIZED (
    SELECT p.party, a.id, a.payer FROM parties p JOIN account a ON a.id = p.party AND a.seller = :seller
     UNION
    SELECT p.party, a.id, a.payer FROM parties p JOIN account a ON a.details->'parties' ? p.party AND a.seller = :seller)
SELECT DISTINCT r.id AS account, w.currency
  FROM waiting w
  JOIN known k ON k.party = w.party
  JOIN account r ON r.id = coalesce(k.payer, k.id) AND r.state <> 'pseudonymised'
 WHERE (:rhythms::text[] IS NULL OR r.rhythm = ANY(:rhythms)) AND (:account::text IS NULL OR r.id = :account)
 ORDER BY 1, 2;

-- name: borne_parts
-- The next parts of documents that an account bears, or those whose payer it is: below zero of what a credit note takes back.
SELECT d.invoice AS id, d.source, d.seller, d.party, d.labels, d.minor, d.currency, i.number, i.issued_on, (i.body->'days')::text AS days,
       coalesce(i.body->'seller'->'address'->>'country', '') AS country
  FROM account r
  JOIN account a ON coalesce(a.payer, a.id) = r.id
  JOIN borne_due d ON d.seller = a.seller AND (d.party = a.id OR a.details->'parties' @> to_jsonb(d.party))
  JOIN invoice i ON i.id = d.invoice
 WHERE r.id = :account::text AND d.currency = :currency::text AND d.invoice > :after::bigint AND d.until <= :until::date
 ORDER BY d.invoice, d.party
 LIMIT :limit::integer;

-- name: files_of
-- The files of documents in the archive, by document and form.
SELECT f.invoice, f.form, f.entry, e.sha256, e.media_type
  FROM document_file f
  JOIN archive_entry e ON e.id = f.entry
 WHERE f.invoice = ANY(:invoices::bigint[])
 ORDER BY f.invoice, f.form;

-- name: insert_file
-- A document has its file of a form from now on; none comes back where it has one.
INSERT INTO document_file (invoice, form, entry) VALUES (:invoice::bigint, :form::text, :entry::bigint)
ON CONFLICT DO NOTHING
RETURNING form;

-- name: sendings_of
-- Each time that a document was sent, and what became of the mail.
SELECT s.n, s.at, s.account, s.entries, s.actor, s.reason, s.message, d.address, d.state
  FROM document_sending s
  JOIN mail_delivery d ON d.message = s.message
 WHERE s.invoice = :invoice::bigint
 ORDER BY s.n, d.n;
