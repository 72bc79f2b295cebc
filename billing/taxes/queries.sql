-- name: lock_for_deciding
-- Held while taxes are decided for sessions; many may. Ends with the transaction.
SELECT pg_advisory_xact_lock_shared(:key);

-- name: lock_for_editing
-- Held while rules or customers are entered; waits for those who decide, so that none of the sessions they hold is missed.
SELECT pg_advisory_xact_lock(:key);

-- name: rules_of
-- Rules of some countries, or all (NULL), as they were entered and as they end.
SELECT r.*, coalesce(e.valid_to, r.valid_to) AS ends_on, e.id IS NOT NULL AND e.valid_to IS NULL AS withdrawn
  FROM tax_rule r
  LEFT JOIN LATERAL (SELECT id, valid_to FROM tax_rule_end WHERE rule = r.id ORDER BY id DESC LIMIT 1) e ON true
 WHERE :countries::text[] IS NULL OR r.country = ANY(:countries)
 ORDER BY r.country, r.valid_from, r.id;

-- name: insert_rule
-- A rule as it was entered; the key refuses a second one of its id.
INSERT INTO tax_rule (id, country, customer, vat_id, supply, rate, category, note, valid_from, valid_to, actor, entered_at)
VALUES (:id, :country, :customer, :vat_id, :supply, :rate, :category, :note, :valid_from, :valid_to, :actor, :entered_at);

-- name: insert_end
-- When a rule ends in truth; NULL: it is withdrawn.
INSERT INTO tax_rule_end (rule, valid_to, actor, at) VALUES (:rule, :valid_to, :actor, :at);

-- name: insert_customer
-- From valid_from on the holder of the token, or of every token of the group, is such a customer.
INSERT INTO tax_customer (token, token_group, kind, vat_id, valid_from, actor, entered_at)
VALUES (:token, :token_group, :kind, :vat_id, :valid_from, :actor, :entered_at)
RETURNING *;

-- name: list_customers
-- Everything that was said of customers, in the order in which it was entered.
SELECT * FROM tax_customer ORDER BY id;

-- name: customers_at
-- What some customers were at their instants: the token's own word goes before its group's, then the later one.
SELECT w.n, c.kind, c.vat_id
  FROM unnest(:ns::integer[], :tokens::text[], :token_groups::text[], :ats::timestamptz[]) AS w (n, token, token_group, at)
  JOIN LATERAL (SELECT * FROM tax_customer t
                 WHERE (t.token = w.token OR t.token_group = w.token_group) AND t.valid_from <= w.at
                 ORDER BY t.token IS NULL, t.valid_from DESC, t.id DESC LIMIT 1) c ON true;

-- name: is_token_known
-- Is there such a token?
SELECT EXISTS (SELECT FROM token_event WHERE uid = :token);

-- name: is_group_known
-- Was any token ever issued into this group?
SELECT EXISTS (SELECT FROM token_event WHERE group_id = :token_group);

-- name: find_site
-- The country and the calendar of a site.
SELECT country, time_zone FROM site WHERE id = :id;

-- name: wake_undecided
-- Sessions that wait for a rule are looked at again.
INSERT INTO rating_due (session) SELECT session FROM rating WHERE holds && ARRAY['tax_undecided'];
