-- Contracts: whoever changes one locks its row and counts its revision up; whoever accrues writes only if nobody did meanwhile.

-- name: find_account
-- A customer's file, as far as contracts look at it.
SELECT id, seller, state, time_zone, payment_days, details #>> '{party,address,country}' AS country FROM account WHERE id = :id::text;

-- name: find_plan_version
-- A version of a plan; NULL: its newest.
SELECT plan, version, body::text AS body, actor, created_at FROM plan_version
 WHERE plan = :plan::text AND version = coalesce(:version::integer, (SELECT max(version) FROM plan_version WHERE plan = :plan));

-- name: list_plan_versions
-- The versions of a plan, or of all (NULL) the newest.
SELECT DISTINCT ON (v.plan, CASE WHEN :plan::text IS NULL THEN 0 ELSE v.version END)
       v.plan, v.version, v.body::text AS body, v.actor, v.created_at,
       (SELECT count(*) FROM subscription s WHERE s.plan = v.plan AND (:plan::text IS NULL OR s.version = v.version)) AS subscriptions
  FROM plan_version v
 WHERE :plan::text IS NULL OR v.plan = :plan
 ORDER BY v.plan, CASE WHEN :plan::text IS NULL THEN 0 ELSE v.version END, v.version DESC;

-- name: insert_plan
-- A plan before its first version; nothing where there is one of that id.
INSERT INTO plan (id, created_at) VALUES (:id::text, :created_at::timestamptz) ON CONFLICT DO NOTHING RETURNING id;

-- name: insert_plan_version
-- Another version of a plan; the key refuses two at once.
INSERT INTO plan_version (plan, version, body, currency, actor, created_at)
SELECT :plan::text, coalesce(max(version), 0) + 1, :body::text::jsonb, :currency::text, :actor::text, :created_at::timestamptz
  FROM plan_version WHERE plan = :plan
RETURNING version;

-- name: insert_contract
-- A contract; nothing where there is one of that id.
INSERT INTO contract (id, account, title, reference, currency, price_with_tax, country, starts_on, until_day, renewal, term,
                      renewal_length, notice, to_month_end, labels, partners, remind_before, template, next_on, created_at)
VALUES (:id, :account, :title, :reference, :currency, :price_with_tax, :country, :starts_on, :until_day, :renewal, :term,
        :renewal_length, :notice, :to_month_end, :labels::text::jsonb, :partners::text::jsonb, :remind_before::text::jsonb,
        :template, :next_on, :created_at)
ON CONFLICT DO NOTHING RETURNING id;

-- name: lock_contract
-- Whoever changes a contract holds it to the end of the transaction, and it is looked at again.
UPDATE contract SET revision = revision + 1, next_on = :next_on::date WHERE id = :id::text RETURNING revision;

-- name: take_if_unchanged
-- Whoever writes what was decided of a contract may do so only where nothing has changed since it was read.
UPDATE contract SET revision = revision + 1, next_on = :next_on::date
 WHERE id = :id::text AND revision = :revision::integer RETURNING id;

-- name: set_end
-- When a contract ends (NULL: no end is known), and when notice was received.
UPDATE contract SET until_day = :until_day::date, noticed_on = :noticed_on::date WHERE id = :id::text;

-- name: set_open_terms
-- A contract that would have ended by itself goes on for good.
UPDATE contract SET renewal = 'open', until_day = NULL, noticed_on = NULL WHERE id = :id::text;

-- name: zones_due
-- The calendars of those of whom something may be due.
SELECT DISTINCT a.time_zone FROM contract c JOIN account a ON a.id = c.account WHERE c.next_on IS NOT NULL;

-- name: contracts_due
-- Contracts of which something falls due by the day it is in their customer's calendar.
SELECT c.id, z.day
  FROM contract c
  JOIN account a ON a.id = c.account
  JOIN unnest(:zones::text[], :days::date[]) AS z (time_zone, day) ON z.time_zone = a.time_zone
 WHERE c.next_on <= z.day AND c.id > :after::text AND (:ids::text[] IS NULL OR c.id = ANY(:ids))
 ORDER BY c.id LIMIT :limit::integer;

-- name: contracts_of
-- Contracts with what their customers' files say. Read before all else of them.
SELECT c.*, c.labels::text AS labels_json, c.partners::text AS partners_json, c.remind_before::text AS reminders_json,
       a.time_zone, a.payment_days, a.seller, a.language
  FROM contract c JOIN account a ON a.id = c.account WHERE c.id = ANY(:ids::text[]) ORDER BY c.id;

-- name: subscriptions_of
-- What contracts have subscribed to, with the plans, in order.
SELECT s.*, v.body::text AS body, f.from_day AS begins
  FROM subscription s
  JOIN plan_version v ON v.plan = s.plan AND v.version = s.version
  JOIN subscription f ON f.id = s.line
 WHERE s.contract = ANY(:ids::text[]) ORDER BY s.contract, s.line, s.from_day, s.id;

-- name: cells_of
-- What is billed of subscriptions: of each the last days, all that are after its end, and what was taken back behind them.
SELECT p.*, p.discounts::text AS given, h.name, h.currency, h.price_with_tax, h.supply, h.country, h.tax_point
  FROM subscription s
  JOIN contract c ON c.id = s.contract
  JOIN billing_period p ON p.subscription = s.id
  JOIN contract_charge h ON h.source = p.source
 WHERE s.contract = ANY(:ids::text[])
   AND p.until_day >= least(s.until_day, c.until_day, coalesce(
           (SELECT max(m.until_day) FROM billing_period m WHERE m.subscription = s.id AND m.until_day > m.from_day), s.from_day))
 ORDER BY p.subscription, p.from_day, p.until_day, p.source;

-- name: open_items_of
-- Items that have no charge and were not cancelled.
SELECT i.* FROM one_time_item i
 WHERE i.contract = ANY(:ids::text[]) AND i.cancelled_at IS NULL
   AND NOT EXISTS (SELECT FROM contract_charge h WHERE h.item = i.id)
 ORDER BY i.contract, i.due_on, i.id;

-- name: open_milestones_of
-- Parts of sums that have no charge and were not cancelled.
SELECT m.*, s.contract, s.name AS split_name, s.total_minor, s.price_with_tax, s.supply, s.country
  FROM milestone_split s JOIN milestone m ON m.split = s.id
 WHERE s.contract = ANY(:ids::text[]) AND m.cancelled_at IS NULL
   AND NOT EXISTS (SELECT FROM contract_charge h WHERE h.milestone = m.id)
 ORDER BY s.contract, m.id;

-- name: discounts_of
-- The discounts of contracts in the order in which they act.
SELECT * FROM contract_discount WHERE contract = ANY(:ids::text[]) ORDER BY contract, id;

-- name: given_of
-- How much of each discount items have had, as far as they were not cancelled.
SELECT h.contract, (d ->> 'discount')::bigint AS discount, sum((d ->> 'minor')::bigint)::bigint AS minor
  FROM contract_charge h CROSS JOIN LATERAL jsonb_array_elements(h.discounts) AS d
 WHERE h.contract = ANY(:ids::text[]) AND h.kind = 'item'
   AND NOT EXISTS (SELECT FROM contract_charge_fate f WHERE f.source = h.source AND f.fate = 'cancelled')
 GROUP BY 1, 2;

-- name: charged_before_discounts_of
-- Up to before which day each line was charged when a discount for so many periods was entered; sooner where it was given
-- for days before that, so that no more periods have it than were promised.
SELECT d.contract, d.id AS discount, p.line,
       least(max(k.until_day) FILTER (WHERE k.until_day > h.from_day),
             min(h.from_day) FILTER (WHERE p.discounts @> jsonb_build_array(jsonb_build_object('discount', d.id)))) AS until_day
  FROM contract_discount d
  JOIN subscription s ON s.contract = d.contract
  JOIN billing_period p ON p.subscription = s.id
  JOIN contract_charge h ON h.source = p.source
  LEFT JOIN LATERAL (
       SELECT least(h.until_day, min(b.from_day)) AS until_day
         FROM contract_charge b
        WHERE b.subscription = h.subscription AND b.corrects = h.source AND b.created_at < d.created_at)
    AS k ON h.created_at < d.created_at
 WHERE d.contract = ANY(:ids::text[]) AND d.periods IS NOT NULL
 GROUP BY d.contract, d.id, p.line
HAVING bool_or(k.until_day > h.from_day)
 ORDER BY d.contract, d.id, p.line;

-- name: bearers_of
-- The tokens and groups of contracts.
SELECT * FROM contract_token WHERE contract = ANY(:ids::text[]) ORDER BY contract, id;

-- name: allowances_of
-- The rules that give tokens the kWh that are in plans.
SELECT s.contract, k.* FROM included_kwh k JOIN subscription s ON s.id = k.subscription
 WHERE s.contract = ANY(:ids::text[]) ORDER BY s.contract, k.from_day, k.rule;

-- name: fallen_due_of
-- Charges whose day of payment is not long past.
SELECT h.contract, h.source, h.due_on
  FROM contract_charge h JOIN contract c ON c.id = h.contract JOIN account a ON a.id = c.account
 WHERE h.contract = ANY(:ids::text[]) AND h.quantity > 0 AND h.due_on + a.payment_days >= :since::date
   AND c.remind_before ? 'payment'
   AND NOT EXISTS (SELECT FROM contract_charge_fate f WHERE f.source = h.source AND f.fate = 'cancelled')
 ORDER BY h.contract, h.due_on, h.source;

-- name: holds_of
-- What could not be charged.
SELECT * FROM contract_hold WHERE contract = ANY(:ids::text[]) ORDER BY contract, since, source;

-- name: reminders_of
-- Reminders of contracts, with those of deadlines from a day on only (NULL: all).
SELECT * FROM reminder WHERE contract = ANY(:ids::text[]) AND (:since::date IS NULL OR deadline_on >= :since)
 ORDER BY contract, remind_on, id;

-- name: insert_charges
-- What has fallen due; the key refuses anything twice.
INSERT INTO contract_charge (
    source, contract, kind, subscription, item, milestone, corrects, name, description, quantity, unit, unit_price, currency,
    price_with_tax, discounts, amount_minor, supply, country, tax_point, due_on, from_day, until_day, created_at)
SELECT source, contract, kind, subscription, item, milestone, corrects, name, description, quantity, unit, unit_price,
       currency, price_with_tax, discounts, amount_minor, supply, country, tax_point, due_on, from_day, until_day,
       :created_at::timestamptz
  FROM jsonb_to_recordset(:rows::text::jsonb) AS n (
       source text, contract text, kind text, subscription bigint, item bigint, milestone bigint, corrects text, name text,
       description text, quantity numeric, unit text, unit_price numeric, currency text, price_with_tax boolean,
       discounts jsonb, amount_minor bigint, supply text, country text, tax_point date, due_on date, from_day date,
       until_day date);

-- name: shrink_cells
-- Billed days that are taken back.
UPDATE billing_period p SET until_day = w.until_day
  FROM unnest(:sources::text[], :untils::date[]) AS w (source, until_day) WHERE p.source = w.source;

-- name: insert_cells
-- Days that are billed now.
INSERT INTO billing_period (source, subscription, line, from_day, until_day, period_from, period_until, price, gross_minor, discounts)
SELECT source, subscription, line, from_day, until_day, period_from, period_until, price, gross_minor, discounts
  FROM jsonb_to_recordset(:rows::text::jsonb) AS n (
       source text, subscription bigint, line bigint, from_day date, until_day date, period_from date, period_until date,
       price numeric, gross_minor bigint, discounts jsonb);

-- name: delete_holds
-- What is held is told anew.
DELETE FROM contract_hold WHERE contract = :contract::text AND NOT source = ANY(:sources::text[]);

-- name: insert_holds
-- What cannot be charged, and why; since when stays.
INSERT INTO contract_hold (contract, source, why, since)
SELECT :contract::text, w.source, w.why, :since::timestamptz FROM unnest(:sources::text[], :whys::text[]) AS w (source, why)
ON CONFLICT (contract, source) DO UPDATE SET why = EXCLUDED.why;

-- name: insert_allowances
-- Rules that give included kWh, beside what they are for.
INSERT INTO included_kwh (rule, subscription, bearer, from_day, until_day, kwh)
VALUES (:rule, :subscription, :bearer, :from_day, :until_day, :kwh);

-- name: end_allowance
-- Included kWh that end sooner.
UPDATE included_kwh SET until_day = :until_day::date WHERE rule = :rule::text;

-- name: insert_reminders
-- Reminders whose day has come; one that is there stays.
INSERT INTO reminder (contract, kind, about, deadline_on, remind_on)
SELECT :contract::text, w.kind, w.about, w.deadline_on, w.remind_on
  FROM unnest(:kinds::text[], :abouts::text[], :deadlines::date[], :days::date[]) AS w (kind, about, deadline_on, remind_on)
ON CONFLICT DO NOTHING;

-- name: delete_reminders
-- Reminders that were not sent and are not due any more, since the contract has changed.
DELETE FROM reminder WHERE id = ANY(:ids::bigint[]) AND sent_at IS NULL;

-- name: due_reminders
-- What somebody is to be reminded of by a day, of a contract or of all.
SELECT r.*, c.title, c.account, a.seller FROM reminder r JOIN contract c ON c.id = r.contract JOIN account a ON a.id = c.account
 WHERE r.sent_at IS NULL AND r.remind_on <= :until::date AND (:contract::text IS NULL OR r.contract = :contract)
 ORDER BY r.deadline_on, r.id;

-- name: list_reminders
-- All reminders of a contract or of everybody, sent ones too.
SELECT r.*, c.title, c.account, a.seller FROM reminder r JOIN contract c ON c.id = r.contract JOIN account a ON a.id = c.account
 WHERE :contract::text IS NULL OR r.contract = :contract
 ORDER BY r.deadline_on, r.id;

-- name: mark_reminded
-- Reminders that were sent.
UPDATE reminder SET sent_at = :sent_at::timestamptz WHERE id = ANY(:ids::bigint[]) AND sent_at IS NULL RETURNING id;

-- name: insert_subscription
-- A subscription; its line is that of the one before it, or its own.
WITH n AS (SELECT nextval(pg_get_serial_sequence('subscription', 'id')) AS id)
INSERT INTO subscription (id, line, contract, plan, version, quantity, from_day, until_day, anchor, priced_from, created_at)
SELECT n.id, coalesce(:line::bigint, n.id), :contract::text, :plan::text, :version::integer, :quantity::numeric, :from_day::date,
       :until_day::date, :anchor::date, :priced_from::date, :created_at::timestamptz FROM n
RETURNING id;

-- name: end_subscription
-- The first day that it is no more.
UPDATE subscription SET until_day = :until_day::date WHERE id = :id::bigint;

-- name: find_subscription
-- The contract of a subscription.
SELECT contract FROM subscription WHERE id = :id::bigint;

-- name: insert_token
-- A token or a group whose charging is the contract's.
INSERT INTO contract_token (contract, token, token_group, from_day)
VALUES (:contract::text, :token::text, :token_group::text, :from_day::date) RETURNING id;

-- name: end_token
-- From a day on it is not any more.
UPDATE contract_token SET until_day = greatest(:until_day::date, from_day)
 WHERE contract = :contract::text AND (token = :token::text OR token_group = :token_group::text) AND until_day IS NULL
RETURNING id;

-- name: bearer_contract
-- Another contract that a token or a group is in on some day from then on.
SELECT contract FROM contract_token
 WHERE (token = :token::text OR token_group = :token_group::text) AND (until_day IS NULL OR until_day > :from_day::date);

-- name: insert_item
-- A one-time item.
INSERT INTO one_time_item (contract, name, description, quantity, unit, unit_price, price_with_tax, supply, country, due_on, created_at)
VALUES (:contract, :name, :description, :quantity, :unit, :unit_price, :price_with_tax, :supply, :country, :due_on, :created_at)
RETURNING id;

-- name: list_items
-- Items, with their charge and what became of it.
SELECT i.*, c.currency, h.source, h.amount_minor, f.fate, f.document
  FROM one_time_item i
  JOIN contract c ON c.id = i.contract
  LEFT JOIN contract_charge h ON h.item = i.id
  LEFT JOIN contract_charge_fate f ON f.source = h.source
 WHERE (:contract::text IS NULL OR i.contract = :contract) AND (:id::bigint IS NULL OR i.id = :id)
 ORDER BY i.contract, i.due_on, i.id;

-- name: cancel_item
-- An item that will not be.
UPDATE one_time_item SET cancelled_at = :at::timestamptz WHERE id = :id::bigint AND cancelled_at IS NULL RETURNING id;

-- name: insert_split
-- A sum that is paid in parts.
INSERT INTO milestone_split (contract, name, total_minor, price_with_tax, supply, country, created_at)
VALUES (:contract, :name, :total_minor, :price_with_tax, :supply, :country, :created_at) RETURNING id;

-- name: insert_milestones
-- The parts of a sum.
INSERT INTO milestone (split, n, name, percent, amount_minor, event, due_on)
SELECT :split::bigint, w.n, w.name, w.percent, w.amount_minor, w.event, w.due_on
  FROM unnest(:names::text[], :percents::numeric[], :amounts::bigint[], :events::text[], :days::date[])
       WITH ORDINALITY AS w (name, percent, amount_minor, event, due_on, n);

-- name: list_milestones
-- Parts of sums, with their charges and what became of these.
SELECT m.*, s.contract, s.name AS split_name, s.total_minor, s.price_with_tax, s.supply, s.country, c.currency, h.source,
       f.fate, f.document
  FROM milestone_split s
  JOIN milestone m ON m.split = s.id
  JOIN contract c ON c.id = s.contract
  LEFT JOIN contract_charge h ON h.milestone = m.id
  LEFT JOIN contract_charge_fate f ON f.source = h.source
 WHERE (:contract::text IS NULL OR s.contract = :contract) AND (:id::bigint IS NULL OR m.id = :id)
 ORDER BY s.contract, s.id, m.n;

-- name: set_milestone_due
-- What a milestone waited for was reached; NULL: it was not after all.
UPDATE milestone SET due_on = :due_on::date WHERE id = :id::bigint;

-- name: cancel_milestone
-- A part that will not be.
UPDATE milestone SET cancelled_at = :at::timestamptz WHERE id = :id::bigint AND cancelled_at IS NULL RETURNING id;

-- name: insert_discount
-- A discount on what recurs or on items.
INSERT INTO contract_discount (contract, label, target, only_for, percent, amount_minor, from_day, until_day, periods, created_at)
VALUES (:contract, :label, :target, :only_for, :percent, :amount_minor, :from_day, :until_day, :periods, :created_at)
RETURNING id;

-- name: end_discount
-- From a day on it is given no more.
UPDATE contract_discount SET until_day = greatest(:until_day::date, from_day) WHERE id = :id::bigint
RETURNING id;

-- name: list_contracts
-- Contracts, of an account or a seller or all.
SELECT c.*, a.seller, a.time_zone, (SELECT count(*) FROM subscription s WHERE s.contract = c.id) AS subscriptions,
       (SELECT count(*) FROM contract_hold h WHERE h.contract = c.id) AS holds
  FROM contract c JOIN account a ON a.id = c.account
 WHERE (:account::text IS NULL OR c.account = :account) AND (:seller::text IS NULL OR a.seller = :seller)
 ORDER BY c.id;

-- name: due_charges
-- What is due by a day and is neither on a document nor cancelled, of some accounts or a seller or all.
SELECT h.*, h.discounts::text AS given, c.account, c.labels::text AS grouped
  FROM contract_charge h JOIN contract c ON c.id = h.contract JOIN account a ON a.id = c.account
 WHERE h.due_on <= :until::date
   AND (:accounts::text[] IS NULL OR c.account = ANY(:accounts)) AND (:seller::text IS NULL OR a.seller = :seller)
   AND NOT EXISTS (SELECT FROM contract_charge_fate f WHERE f.source = h.source)
 ORDER BY c.account, h.due_on, h.source;

-- name: taken_back_of
-- What charges below zero take back, what was charged, and what was taken back of that before: on documents, or waiting to be.
SELECT h.source, -h.amount_minor AS taken, o.amount_minor AS whole,
       coalesce((SELECT -sum(b.amount_minor) FROM contract_charge b
                  WHERE b.subscription = h.subscription AND b.corrects = h.corrects
                    AND (b.due_on, b.source) < (h.due_on, h.source)), 0)::bigint AS before
  FROM contract_charge h JOIN contract_charge o ON o.source = h.corrects
 WHERE h.source = ANY(:sources::text[]);

-- name: settled_takings_back
-- Charges below zero that took something back of these, or would have if it had not been credited before.
SELECT h.*, h.discounts::text AS given, c.account, c.labels::text AS grouped
  FROM contract_charge o
  JOIN contract_charge h ON h.subscription = o.subscription AND h.corrects = o.source
  JOIN contract_charge_fate f ON f.source = h.source
  JOIN contract c ON c.id = h.contract
 WHERE o.source = ANY(:sources::text[]) AND h.amount_minor < 0
   AND NOT EXISTS (SELECT FROM invoice_source s WHERE s.source = h.source)
 ORDER BY h.due_on, h.source;

-- name: charges_of
-- Everything that fell due under a contract, and what became of it.
SELECT h.*, h.discounts::text AS given, f.fate, f.document
  FROM contract_charge h LEFT JOIN contract_charge_fate f ON f.source = h.source
 WHERE h.contract = :contract::text ORDER BY h.due_on, h.source;

-- name: fates_of
-- What became of charges; those of which nothing did have NULL.
SELECT h.source, f.fate, f.document FROM contract_charge h LEFT JOIN contract_charge_fate f ON f.source = h.source
 WHERE h.source = ANY(:sources::text[]) ORDER BY h.source;

-- name: insert_fates
-- What becomes of charges; the key refuses a second fate.
INSERT INTO contract_charge_fate (source, fate, document, actor, at)
SELECT source, :fate::text, :document::text, :actor::text, :at::timestamptz FROM unnest(:sources::text[]) AS source ORDER BY source;

-- name: insert_template
-- Another version of a template; the key refuses two at once.
INSERT INTO contract_template (name, version, document, actor, created_at)
SELECT :name::text, coalesce(max(version), 0) + 1, :document::text::jsonb, :actor::text, :created_at::timestamptz
  FROM contract_template WHERE name = :name
RETURNING version;

-- name: find_template
-- A version of a template; NULL: its newest.
SELECT name, version, document::text AS document, actor, created_at FROM contract_template
 WHERE name = :name::text AND version = coalesce(:version::integer, (SELECT max(version) FROM contract_template WHERE name = :name));

-- name: list_templates
-- The newest version of each template.
SELECT DISTINCT ON (name) name, version, document::text AS document, actor, created_at
  FROM contract_template ORDER BY name, version DESC;

-- name: sessions_of
-- Sessions of a contract's tokens that ended on some days of its customer's calendar, with the bill that counts. Where a
-- contract names no token those of its account are meant.
WITH ours AS (SELECT * FROM contract_token WHERE contract = :contract::text),
     tokens AS (SELECT token FROM ours WHERE token IS NOT NULL
                 UNION SELECT t.uid FROM ours o JOIN token_event t ON t.group_id = o.token_group
                 UNION SELECT k.token FROM account_token k WHERE k.account = :account::text AND NOT EXISTS (SELECT FROM ours))
SELECT s.id, s.started_at, s.ended_at, b.seq, b.energy_wh, b.currency, b.total_excl_minor
  FROM tokens t
  JOIN session s ON s.token = t.token AND s.started_at < :until::timestamptz
                AND s.ended_at >= :since::timestamptz AND s.ended_at < :until AND s.dropped IS NULL
  JOIN LATERAL (SELECT seq, energy_wh, currency, total_excl_minor FROM bill WHERE session = s.id AND kind <> 'interim'
                 ORDER BY seq DESC LIMIT 1) b ON true
  LEFT JOIN LATERAL (SELECT e.group_id FROM token_event e WHERE e.uid = s.token AND e.at <= s.started_at
                      ORDER BY e.at DESC, e.id DESC LIMIT 1) g ON true
 CROSS JOIN LATERAL (SELECT (s.started_at AT TIME ZONE :time_zone::text)::date AS day) d
 WHERE CASE WHEN EXISTS (SELECT FROM ours)
       THEN EXISTS (SELECT FROM ours o
                     WHERE (o.token = s.token OR o.token_group = g.group_id)
                       AND o.from_day <= d.day AND (o.until_day IS NULL OR o.until_day > d.day))
       ELSE (SELECT k.account FROM account_token k WHERE k.token = s.token AND k.valid_from <= s.started_at
              ORDER BY k.valid_from DESC LIMIT 1) = :account END
 ORDER BY s.ended_at, s.id;

-- name: nets_on_documents
-- What documents charge for these sources, net, less what credit notes took back of it.
SELECT s.source, sum(l.net_minor - coalesce(c.net_minor, 0))::bigint AS net_minor
  FROM invoice_source s
  JOIN invoice_line l ON l.invoice = s.invoice AND l.body->>'source' = s.source
  LEFT JOIN LATERAL (SELECT sum(net_minor) AS net_minor FROM credit_allocation
                      WHERE invoice = l.invoice AND position = l.position) c ON true
 WHERE s.source = ANY(:sources::text[])
 GROUP BY s.source;

-- name: taken_back_on_documents
-- What credit notes of charges below zero took back, net, of the lines of what these correct: each its part of an allocation.
SELECT h.source, h.corrects, a.net_minor, -h.amount_minor AS taken,
       (-sum(h.amount_minor) OVER (PARTITION BY h.corrects, n.id))::bigint AS together
  FROM contract_charge h
  JOIN contract_charge_fate f ON f.source = h.source
  JOIN invoice_source s ON s.source = h.corrects
  JOIN invoice_line l ON l.invoice = s.invoice AND l.body->>'source' = s.source
  JOIN invoice i ON i.id = s.invoice
  JOIN invoice n ON n.seller = i.seller AND n.number = f.document
  JOIN credit_allocation a ON a.credit_note = n.id AND a.invoice = s.invoice AND a.position = l.position
 WHERE h.contract = :contract::text AND h.corrects IS NOT NULL;

-- name: token_known
-- Was this token ever issued?
SELECT EXISTS (SELECT FROM token_event WHERE uid = :token::text);

-- name: token_group_known
-- Was any token ever issued into this group?
SELECT EXISTS (SELECT FROM token_event WHERE group_id = :token_group::text);
