-- name: lock_limits
-- Who counts uses and then bills holds these until the bill is committed. In one order, so that nobody waits in a circle.
SELECT pg_advisory_xact_lock(:space::integer, keys.hash)
  FROM (SELECT DISTINCT hashtext(key) AS hash FROM unnest(:keys::text[]) AS key ORDER BY 1) AS keys;

-- name: rules_for
-- Rules that had begun by then and had not ended before, of nobody else's token or group; coupons only where one of the
-- tokens has redeemed them.
SELECT r.* FROM concession_rule r
 WHERE r.valid_from <= :until::timestamptz
   AND (r.valid_to IS NULL OR r.valid_to > :since::timestamptz)
   AND (r.token IS NULL OR r.token = ANY(:tokens))
   AND (r.token_group IS NULL OR r.token_group = ANY(:token_groups::text[]))
   AND (r.coupon IS NULL
        OR EXISTS (SELECT FROM coupon_redemption c WHERE c.rule = r.id AND c.token = ANY(:tokens::text[])))
 ORDER BY r.turn, r.id;

-- name: all_rules
-- Every rule of some effects; of those that contracts make all, or only those of some tokens and groups.
SELECT * FROM concession_rule
 WHERE effect = ANY(:effects::text[])
   AND (NOT whole_life OR :included::boolean OR token = ANY(:tokens::text[]) OR token_group = ANY(:token_groups::text[]))
 ORDER BY turn, id;

-- name: find_rule
-- One rule.
SELECT * FROM concession_rule WHERE id = :id::text;

-- name: find_coupon
-- The rule behind a coupon's code.
SELECT * FROM concession_rule WHERE coupon = upper(:code::text);

-- name: ends_of
-- When rules were said to end.
SELECT rule, valid_to, entered_at FROM concession_end WHERE rule = ANY(:rules::text[]) ORDER BY id;

-- name: redemptions_of
-- When tokens redeemed coupons.
SELECT rule, token, redeemed_at FROM coupon_redemption
 WHERE rule = ANY(:rules::text[]) AND token = ANY(:tokens::text[]);

-- name: count_redemptions
-- For how many tokens a coupon was redeemed.
SELECT count(*) FROM coupon_redemption WHERE rule = :rule::text;

-- name: insert_rule
-- A new rule.
INSERT INTO concession_rule (
    id, label, effect, basis, value, currency, component, vat, party, turn, scope, target, token_group, user_class,
    product, token, tariff, coupon, redemptions_max, uses_max, uses_each_max, last_month_kwh_min, whole_life, bearer,
    valid_from, valid_to, entered_at, actor)
VALUES (:id, :label, :effect, :basis, :value, :currency, :component, :vat, :party, :turn, :scope, :target, :token_group,
        :user_class, :product, :token, :tariff, :coupon, :redemptions_max, :uses_max, :uses_each_max,
        :last_month_kwh_min, :whole_life, :bearer, :valid_from, :valid_to, :entered_at, :actor)
ON CONFLICT DO NOTHING
RETURNING id;

-- name: insert_end
-- A rule is said to end.
INSERT INTO concession_end (rule, valid_to, entered_at, actor) VALUES (:rule, :valid_to, :entered_at, :actor);

-- name: insert_redemption
-- A coupon is redeemed for a token, once.
INSERT INTO coupon_redemption (rule, token, redeemed_at, actor) VALUES (:rule, :token, :redeemed_at, :actor)
ON CONFLICT DO NOTHING
RETURNING rule;

-- name: token_known
-- Was this token ever issued?
SELECT EXISTS (SELECT FROM token_event WHERE uid = :token::text);

-- name: tariff_known
-- Is there such a tariff?
SELECT EXISTS (SELECT FROM tariff WHERE id = :tariff::text);

-- name: time_zone_of
-- The clock of a site.
SELECT time_zone FROM site WHERE id = :site::text;

-- name: uses_of
-- What the bills that count used of rules, other sessions' bills only: altogether where that is limited, and by bearer.
SELECT w.n::integer AS n, a.uses, e.uses AS uses_each, e.kwh
  FROM unnest(:rules::text[], :tokens::text[], :token_groups::text[], :months::date[], :sessions::integer[],
              :of_all::boolean[], :of_life::boolean[])
       WITH ORDINALITY AS w (rule, token, token_group, month, session, of_all, of_life, n)
 CROSS JOIN LATERAL (
       SELECT count(*) AS uses FROM concession_use u
        WHERE w.of_all AND u.rule = w.rule AND u.session <> w.session
          AND NOT EXISTS (SELECT FROM bill c WHERE c.session = u.session AND c.corrects = u.seq)) a
 CROSS JOIN LATERAL (
       SELECT count(*) AS uses, coalesce(sum(u.free_kwh) FILTER (WHERE w.of_life OR u.month = w.month), 0) AS kwh
         FROM concession_use u
        WHERE u.rule = w.rule AND (u.token = w.token OR u.token_group = w.token_group) AND u.session <> w.session
          AND NOT EXISTS (SELECT FROM bill c WHERE c.session = u.session AND c.corrects = u.seq)) e;

-- name: kwh_of_tokens
-- What tokens were billed for sessions that began in a span.
SELECT w.n::integer AS n, coalesce(sum(b.energy_wh), 0) AS wh
  FROM unnest(:tokens::text[], :sinces::timestamptz[], :untils::timestamptz[]) WITH ORDINALITY AS w (token, since, until, n)
  LEFT JOIN session s ON s.token = w.token AND s.started_at >= w.since AND s.started_at < w.until
  LEFT JOIN LATERAL (SELECT energy_wh FROM bill WHERE session = s.id AND kind <> 'interim'
                      ORDER BY seq DESC LIMIT 1) b ON true
 GROUP BY w.n;

-- name: kwh_of_token_groups
-- The same for groups of tokens, as they stood when each session began.
SELECT w.n::integer AS n, coalesce(sum(b.energy_wh) FILTER (WHERE g.group_id = w.token_group), 0) AS wh
  FROM unnest(:token_groups::text[], :sinces::timestamptz[], :untils::timestamptz[])
       WITH ORDINALITY AS w (token_group, since, until, n)
  LEFT JOIN session s ON s.token IN (SELECT t.uid FROM token_event t WHERE t.group_id = w.token_group)
                     AND s.started_at >= w.since AND s.started_at < w.until
  LEFT JOIN LATERAL (SELECT t.group_id FROM token_event t WHERE t.uid = s.token AND t.at <= s.started_at
                      ORDER BY t.at DESC, t.id DESC LIMIT 1) g ON true
  LEFT JOIN LATERAL (SELECT energy_wh FROM bill WHERE session = s.id AND kind <> 'interim'
                      ORDER BY seq DESC LIMIT 1) b ON true
 GROUP BY w.n;

-- name: insert_uses
-- What bills used of rules.
INSERT INTO concession_use (session, seq, rule, token, token_group, month, free_kwh, amount, currency)
SELECT * FROM unnest(:sessions::integer[], :seqs::integer[], :rules::text[], :tokens::text[], :token_groups::text[],
                     :months::date[], :free_kwhs::numeric[], :amounts::numeric[], :currencies::text[]);

-- name: uses_of_rules
-- How often rules were used by bills that count, and what that came to.
SELECT u.rule, u.currency, count(*) AS uses, sum(u.amount) AS amount, sum(u.free_kwh) AS free_kwh
  FROM concession_use u
 WHERE u.rule = ANY(:rules::text[])
   AND NOT EXISTS (SELECT FROM bill c WHERE c.session = u.session AND c.corrects = u.seq)
 GROUP BY u.rule, u.currency
 ORDER BY u.rule, u.currency;

-- name: claims_before
-- What parties owe of sessions so far.
SELECT session, party, currency, sum(amount_minor)::bigint AS amount_minor
  FROM claim WHERE session = ANY(:sessions::integer[])
 GROUP BY session, party, currency
 ORDER BY session, party, currency;

-- name: insert_claims
-- What parties owe of bills.
INSERT INTO claim (session, seq, party, currency, amount_minor, created_at)
SELECT session, seq, party, currency, amount_minor, :created_at::timestamptz
  FROM unnest(:sessions::integer[], :seqs::integer[], :parties::text[], :currencies::text[], :amounts::bigint[])
    AS c (session, seq, party, currency, amount_minor);

-- name: claims_of
-- The claims on a party, or on all, that bills of a month of their sites' own days have made.
SELECT l.party, l.session, l.seq, b.kind, c.site, s.ended_at, b.energy_wh, l.currency, l.amount_minor, l.created_at
  FROM claim l
  JOIN bill b USING (session, seq)
  JOIN session s ON s.id = l.session
  JOIN charge_point c ON c.id = s.charge_point
  JOIN site t ON t.id = c.site
 WHERE (:party::text IS NULL OR l.party = :party)
   AND l.created_at >= :first::date - interval '1 day' AND l.created_at < :next::date + interval '1 day'
   AND (l.created_at AT TIME ZONE t.time_zone)::date >= :first AND (l.created_at AT TIME ZONE t.time_zone)::date < :next
 ORDER BY l.party, l.created_at, l.session, l.seq;
