-- name: limits_of
-- Every limit, past and to come, of these sessions, tokens and groups.
SELECT l.*
  FROM unnest(:scopes::text[], :targets::text[]) AS w (scope, target)
  JOIN cost_limit l ON l.scope = w.scope AND l.target = w.target
 ORDER BY l.id;

-- name: all_limits
-- Every limit of tokens and groups, or of one of them.
SELECT * FROM cost_limit
 WHERE scope <> 'session'
   AND (:token::text IS NULL OR (scope, target) = ('token', :token))
   AND (:token_group::text IS NULL OR (scope, target) = ('token_group', :token_group))
 ORDER BY scope, target, valid_from, id;

-- name: insert_limit
-- A decision of an operator.
INSERT INTO cost_limit (scope, target, amount_minor, currency, is_total, valid_from, reason, actor)
VALUES (:scope::text, :target::text, :amount_minor::bigint, :currency::text, :is_total::boolean,
        :valid_from::timestamptz, :reason::text, :actor::text)
RETURNING *;

-- name: lock_target
-- Decisions on one session, token or group one after the other.
SELECT pg_advisory_xact_lock(7026, hashtext(:scope::text || ' ' || :target::text));

-- name: currencies
-- The currencies in which sites charge.
SELECT DISTINCT currency FROM site ORDER BY currency;

-- name: currencies_of
-- In which currency charge points charge.
SELECT c.id, site.currency FROM charge_point c JOIN site ON site.id = c.site
 WHERE c.id = ANY (:charge_points::text[]);

-- name: session_currency
-- In which currency a session is charged, and whether it has ended.
SELECT site.currency, s.ended_at IS NOT NULL OR s.dropped IS NOT NULL AS is_over
  FROM session s JOIN charge_point c ON c.id = s.charge_point JOIN site ON site.id = c.site
 WHERE s.id = :session::integer;

-- name: token_exists
-- Is there such a token?
SELECT EXISTS (SELECT FROM token_event WHERE uid = :token::text);

-- name: token_group_exists
-- Has any token been in such a group?
SELECT EXISTS (SELECT FROM token_event WHERE group_id = :token_group::text);

-- name: mark_concerned
-- Running sessions that a limit is for are looked at at once.
INSERT INTO rating_due (session)
SELECT s.id FROM session s
 WHERE s.ended_at IS NULL AND s.dropped IS NULL
   AND (:scope::text = 'session' AND s.id::text = :target::text
        OR :scope = 'token' AND s.token = :target
        OR :scope = 'token_group' AND s.token IN (SELECT uid FROM token_event WHERE group_id = :target));

-- name: spent_beside
-- What the other sessions of a total limit have cost so far: the final bill, else what they were rated at last. Those that
-- had ended when the limit began do not count, nor what was shown of those that are dropped. A session belongs to the group in which its token was when it began, or when we
-- heard of it if the token was not known by then.
SELECT p.n::integer AS n, coalesce(sum(coalesce(f.minor, CASE WHEN s.dropped IS NULL THEN coalesce(w.amount_minor, i.minor) END)), 0)::bigint AS minor
  FROM unnest(:limits::bigint[], :sessions::integer[]) WITH ORDINALITY AS p (cost_limit, session, n)
  JOIN cost_limit l ON l.id = p.cost_limit
  LEFT JOIN LATERAL (
       SELECT s.id, s.dropped FROM session s
        WHERE l.scope = 'token' AND s.token = l.target AND (s.ended_at IS NULL OR s.ended_at > l.valid_from)
        UNION ALL
       SELECT s.id, s.dropped
         FROM (SELECT DISTINCT uid FROM token_event WHERE l.scope = 'token_group' AND group_id = l.target) t
         JOIN session s ON s.token = t.uid AND (s.ended_at IS NULL OR s.ended_at > l.valid_from)
        WHERE l.target = (SELECT e.group_id FROM token_event e
                           WHERE e.uid = s.token AND e.at <= greatest(s.started_at, s.created_at)
                           ORDER BY e.at <= s.started_at DESC, e.at DESC, e.id DESC LIMIT 1)
       ) s ON s.id IS DISTINCT FROM p.session
  LEFT JOIN LATERAL (SELECT b.total_incl_minor - b.incentive_minor AS minor FROM bill b
                      WHERE b.session = s.id AND b.kind <> 'interim' AND b.currency = l.currency
                      ORDER BY b.seq DESC LIMIT 1) f ON true
  LEFT JOIN cost_watch w ON w.session = s.id AND w.currency = l.currency
  LEFT JOIN LATERAL (SELECT b.total_incl_minor - b.incentive_minor AS minor FROM bill b
                      WHERE b.session = s.id AND b.kind = 'interim' AND b.currency = l.currency
                      ORDER BY b.seq DESC LIMIT 1) i ON true
 GROUP BY p.n;

-- name: save_watches
-- How sessions stand to their limits now.
INSERT INTO cost_watch (session, cost_limit, ceiling_minor, amount_minor, currency, as_of)
SELECT * FROM unnest(:sessions::integer[], :limits::bigint[], :ceilings::bigint[], :amounts::bigint[],
                     :currencies::text[], :as_ofs::timestamptz[])
    ON CONFLICT (session) DO UPDATE
   SET cost_limit = excluded.cost_limit, ceiling_minor = excluded.ceiling_minor, amount_minor = excluded.amount_minor,
       currency = excluded.currency, as_of = excluded.as_of;

-- name: forget_watches
-- No limit concerns these sessions any more.
DELETE FROM cost_watch WHERE session = ANY (:sessions::integer[]);

-- name: decide_stops
-- These sessions are to be stopped; one of which that was decided before and is still to be asked for is left as it is.
WITH decided AS (
    INSERT INTO cost_stop (session, seq, cost_limit, ceiling_minor, amount_minor, currency, energy_wh, as_of, decided_at)
    SELECT n.session, 1 + coalesce((SELECT max(c.seq) FROM cost_stop c WHERE c.session = n.session), 0), n.cost_limit,
           n.ceiling_minor, n.amount_minor, n.currency, n.energy_wh, n.as_of, :now::timestamptz
      FROM unnest(:sessions::integer[], :limits::bigint[], :ceilings::bigint[], :amounts::bigint[],
                  :currencies::text[], :energies_wh::numeric[], :as_ofs::timestamptz[])
        AS n (session, cost_limit, ceiling_minor, amount_minor, currency, energy_wh, as_of)
     WHERE NOT EXISTS (SELECT FROM cost_stop_due d WHERE d.session = n.session)
    RETURNING session, seq
)
INSERT INTO cost_stop_due (session, seq, charge_point, next_at)
SELECT d.session, d.seq, s.charge_point, '-infinity'
  FROM decided d JOIN session s ON s.id = d.session
RETURNING session, seq;

-- name: withdraw_stops
-- Nobody asks for these stops any more.
DELETE FROM cost_stop_due WHERE session = ANY (:sessions::integer[]) RETURNING session;

-- name: insert_outcomes
-- What became of limits: by the limit that was watched last, else by the one that was in force at the session's end.
INSERT INTO cost_outcome (session, cost_limit, ceiling_minor, stop_seq, final_minor, overshoot_minor, currency)
SELECT n.session, c.cost_limit, c.ceiling_minor, (SELECT max(t.seq) FROM cost_stop t WHERE t.session = n.session),
       n.final_minor, greatest(n.final_minor - c.ceiling_minor, 0), n.currency
  FROM unnest(:sessions::integer[], :limits::bigint[], :ceilings::bigint[], :finals::bigint[], :currencies::text[])
    AS n (session, cost_limit, ceiling_minor, final_minor, currency)
  LEFT JOIN cost_watch w ON w.session = n.session
 CROSS JOIN LATERAL (SELECT coalesce(w.cost_limit, n.cost_limit) AS cost_limit,
                            coalesce(w.ceiling_minor, n.ceiling_minor) AS ceiling_minor) c
 WHERE c.cost_limit IS NOT NULL
    ON CONFLICT DO NOTHING
RETURNING session, overshoot_minor;

-- name: standing_of
-- How a session stands to its limit: what is watched, what was decided last and asked for, what came of it.
SELECT l.*, coalesce(o.currency, w.currency, t.currency) AS session_currency,
       coalesce(o.ceiling_minor, w.ceiling_minor, t.ceiling_minor) AS ceiling_minor,
       w.amount_minor AS watched_minor, t.seq AS stop_seq, t.amount_minor AS stop_minor, t.decided_at,
       EXISTS (SELECT FROM cost_stop_due d WHERE d.session = k.session) AS is_due,
       (SELECT count(*) FROM cost_stop_try y WHERE y.session = k.session AND y.seq = t.seq) AS tries,
       (SELECT y.status FROM cost_stop_try y WHERE y.session = k.session AND y.seq = t.seq
         ORDER BY y.n DESC LIMIT 1) AS last_status,
       EXISTS (SELECT FROM cost_stop_try y WHERE y.session = k.session AND (y.n > 1 OR NOT y.accepted)) AS is_disobeyed,
       o.final_minor, o.overshoot_minor
  FROM (SELECT :session::integer AS session) k
  LEFT JOIN cost_outcome o ON o.session = k.session
  LEFT JOIN cost_watch w ON w.session = k.session
  LEFT JOIN LATERAL (SELECT * FROM cost_stop c WHERE c.session = k.session ORDER BY c.seq DESC LIMIT 1) t ON true
  JOIN cost_limit l ON l.id = coalesce(o.cost_limit, w.cost_limit, t.cost_limit);
