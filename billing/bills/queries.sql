-- name: take_due
-- Sessions that have changed. Taken by DELETE in the transaction that bills them: a crash puts them back, a fact that
-- is committed later leaves a row of its own. Rows that another worker is taking are skipped.
DELETE FROM rating_due
 WHERE id IN (SELECT id FROM rating_due ORDER BY id LIMIT :limit FOR UPDATE SKIP LOCKED)
RETURNING session;

-- name: take_due_of
-- The same for given sessions.
DELETE FROM rating_due
 WHERE id IN (SELECT id FROM rating_due WHERE session = ANY(:sessions::integer[]) FOR UPDATE SKIP LOCKED)
RETURNING session;

-- name: due_by_time
-- Sessions for which time alone may have made a bill due.
SELECT session FROM rating WHERE next_at <= :now ORDER BY next_at LIMIT :limit;

-- name: open_ratings
-- A row per session that billing has never seen. In the order of their ids, as they are locked.
INSERT INTO rating (session)
SELECT s.id FROM session s WHERE s.id = ANY(:sessions::integer[]) ORDER BY s.id
ON CONFLICT DO NOTHING;

-- name: lock_ratings
-- From here to the commit nobody else bills these sessions. In the order of their ids, so that workers never wait for
-- each other in a circle.
SELECT session, tariff, tariff_version, resolved_at, holds, flags, notes, last_seq, next_at, recalculated
  FROM rating
 WHERE session = ANY(:sessions::integer[])
 ORDER BY session
   FOR UPDATE;

-- name: save_ratings
-- Where billing stands with sessions now.
UPDATE rating r
   SET tariff = n.tariff, tariff_version = n.tariff_version, resolved_at = n.resolved_at, holds = n.holds,
       flags = n.flags, notes = n.notes, last_seq = n.last_seq, next_at = n.next_at
  FROM jsonb_to_recordset(:rows::text::jsonb) AS n (
       session integer, tariff text, tariff_version integer, resolved_at timestamptz, holds text[], flags text[],
       notes text[], last_seq integer, next_at timestamptz)
 WHERE r.session = n.session;

-- name: insert_bills
-- A final bill where there is one already is not inserted and not returned: it was done before.
INSERT INTO bill (session, seq, kind, as_of, energy_wh, currency, total_excl_minor, total_tax_minor, total_incl_minor,
                  total_excl_exact, total_incl_exact, tariff, tariff_version, policy_version, engine_version,
                  inputs_hash, inputs, detail, corrects, created_at, incentive_minor)
SELECT session, seq, kind, as_of, energy_wh, currency, total_excl_minor, total_tax_minor, total_incl_minor,
       total_excl_exact, total_incl_exact, tariff, tariff_version, policy_version, engine_version,
       inputs_hash, inputs::jsonb, detail::jsonb, corrects, :created_at, incentive_minor
  FROM unnest(:sessions::integer[], :seqs::integer[], :kinds::text[], :as_ofs::timestamptz[], :energies::numeric[],
              :currencies::text[], :excl_minors::bigint[], :tax_minors::bigint[], :incl_minors::bigint[],
              :excl_exacts::numeric[], :incl_exacts::numeric[], :tariffs::text[], :tariff_versions::integer[],
              :policy_versions::integer[], :engine_versions::text[], :hashes::bytea[], :inputs::text[],
              :details::text[], :corrected::integer[], :incentive_minors::bigint[])
    AS b (session, seq, kind, as_of, energy_wh, currency, total_excl_minor, total_tax_minor, total_incl_minor,
          total_excl_exact, total_incl_exact, tariff, tariff_version, policy_version, engine_version, inputs_hash,
          inputs, detail, corrects, incentive_minor)
ON CONFLICT DO NOTHING
RETURNING session, seq;

-- name: note_invoices_due
-- Of sessions that have got their final bill, those whose customer is invoiced with each session: its own, or whoever pays for it.
INSERT INTO invoice_due (session, account, since, next_at)
SELECT s.id, p.id, :now::timestamptz, :now
  FROM session s
  JOIN LATERAL (SELECT h.account FROM account_token h
                 WHERE h.token = s.token AND h.valid_from <= s.started_at ORDER BY h.valid_from DESC LIMIT 1) AS t ON true
  JOIN account a ON a.id = t.account
  JOIN account p ON p.id = coalesce(a.payer, a.id)
 WHERE s.id = ANY(:sessions::integer[]) AND p.rhythm = 'session'
ON CONFLICT DO NOTHING;

-- name: newest_bills
-- The newest bill of each kind of some sessions.
SELECT DISTINCT ON (session, kind)
       session, seq, kind, as_of, energy_wh, currency, total_excl_minor, total_tax_minor, total_incl_minor,
       total_excl_exact, total_incl_exact, tariff, tariff_version, policy_version, engine_version, inputs_hash,
       corrects, created_at, incentive_minor
  FROM bill
 WHERE session = ANY(:sessions::integer[])
 ORDER BY session, kind, seq DESC;

-- name: bills_of
-- All bills of a session, in order.
SELECT session, seq, kind, as_of, energy_wh, currency, total_excl_minor, total_tax_minor, total_incl_minor,
       total_excl_exact, total_incl_exact, tariff, tariff_version, policy_version, engine_version, inputs_hash,
       corrects, created_at, incentive_minor
  FROM bill
 WHERE session = :session
 ORDER BY seq;

-- name: bills_after
-- The next bills of all, with what they were rated from and their lines.
SELECT session, seq, kind, as_of, energy_wh, currency, total_excl_minor, total_tax_minor, total_incl_minor,
       total_excl_exact, total_incl_exact, tariff, tariff_version, policy_version, engine_version, inputs_hash,
       corrects, created_at, incentive_minor, inputs::text AS inputs, detail::text AS detail
  FROM bill
 WHERE (session, seq) > (:session::integer, :seq::integer)
 ORDER BY session, seq
 LIMIT :limit::integer;

-- name: newest_bills_of_all
-- The bill that counts of each of the newest sessions: final or correction before interim, then the latest.
SELECT b.*
  FROM (SELECT DISTINCT session FROM bill ORDER BY session DESC LIMIT :limit) AS s
 CROSS JOIN LATERAL (
       SELECT session, seq, kind, as_of, energy_wh, currency, total_excl_minor, total_tax_minor, total_incl_minor,
              total_excl_exact, total_incl_exact, tariff, tariff_version, policy_version, engine_version, inputs_hash,
              corrects, created_at, incentive_minor
         FROM bill
        WHERE session = s.session
        ORDER BY kind = 'interim', seq DESC
        LIMIT 1) AS b
 ORDER BY b.session;

-- name: insert_rerating
-- Who had a session rated anew, and why.
INSERT INTO rerating (session, seq, reason, actor)
VALUES (:session::integer, :seq::integer, :reason::text, :actor::text);

-- name: reratings_of
-- The acts by which a session was rated anew.
SELECT r.seq, b.corrects, r.reason, r.actor, r.at
  FROM rerating r JOIN bill b USING (session, seq) WHERE r.session = :session::integer ORDER BY r.seq;

-- name: open_sessions
-- The next sessions that have a tariff and no final bill.
SELECT r.session
  FROM rating r
  JOIN session s ON s.id = r.session
  JOIN charge_point c ON c.id = s.charge_point
 WHERE r.next_at IS NOT NULL AND r.tariff IS NOT NULL AND r.session > :after::integer
   AND (:tariff::text IS NULL OR r.tariff = :tariff) AND (:site::text IS NULL OR c.site = :site)
 ORDER BY r.session
 LIMIT :limit::integer;

-- name: count_open_sessions
-- How many those are.
SELECT count(*)
  FROM rating r
  JOIN session s ON s.id = r.session
  JOIN charge_point c ON c.id = s.charge_point
 WHERE r.next_at IS NOT NULL AND r.tariff IS NOT NULL
   AND (:tariff::text IS NULL OR r.tariff = :tariff) AND (:site::text IS NULL OR c.site = :site);

-- name: insert_recalculations
-- Which open sessions an operator gave another tariff, and what that made of their amounts.
INSERT INTO recalculation (session, tariff_before, version_before, tariff_after, version_after, currency, before_minor,
                           after_minor, as_of, reason, legal_basis, actor, at)
SELECT n.session, n.tariff_before, n.version_before, n.tariff_after, n.version_after, n.currency, n.before_minor,
       n.after_minor, n.as_of, n.reason, n.legal_basis, n.actor, :now::timestamptz
  FROM jsonb_to_recordset(:rows::text::jsonb) AS n (
       session integer, tariff_before text, version_before integer, tariff_after text, version_after integer,
       currency text, before_minor bigint, after_minor bigint, as_of timestamptz, reason text, legal_basis text,
       actor text);

-- name: take_recalculated
-- They have it from now on, and are looked at again.
WITH n AS (
    SELECT * FROM jsonb_to_recordset(:rows::text::jsonb) AS n (session integer, tariff_after text, version_after integer)
), taken AS (
    UPDATE rating r SET tariff = n.tariff_after, tariff_version = n.version_after, recalculated = true
      FROM n WHERE r.session = n.session
)
INSERT INTO rating_due (session) SELECT session FROM n;

-- name: ceilings_of
-- What sessions had before they were given another tariff; a stated legal basis makes an end of all that was before, and so
-- does an operator who rates the session anew.
SELECT r.session, r.tariff_before, r.version_before
  FROM recalculation r
 WHERE r.session = ANY(:sessions::integer[])
   AND NOT EXISTS (SELECT FROM recalculation l
                    WHERE l.session = r.session AND l.id >= r.id AND l.legal_basis IS NOT NULL)
   AND NOT EXISTS (SELECT FROM rerating a WHERE a.session = r.session)
 ORDER BY r.session, r.id DESC;

-- name: recalculations_of
-- The acts by which a session was given another tariff.
SELECT tariff_before, version_before, tariff_after, version_after, currency, before_minor, after_minor, as_of, reason,
       legal_basis, actor, at
  FROM recalculation WHERE session = :session::integer ORDER BY id;

-- name: trail_of_tariff
-- What was published of a tariff, and which sessions came to it or left it, as it happened.
SELECT 'published' AS act, p.at, p.actor, p.tariff, p.version, p.valid_from, NULL::integer AS session,
       NULL::text AS tariff_before, NULL::integer AS version_before, NULL::text AS currency,
       NULL::bigint AS before_minor, NULL::bigint AS after_minor, p.reason, NULL::text AS legal_basis, 0::bigint AS id
  FROM tariff_publication p WHERE p.tariff = :tariff
UNION ALL
SELECT 'recalculated', r.at, r.actor, r.tariff_after, r.version_after, NULL, r.session, r.tariff_before,
       r.version_before, r.currency, r.before_minor, r.after_minor, r.reason, r.legal_basis, r.id
  FROM recalculation r WHERE r.tariff_after = :tariff OR r.tariff_before = :tariff
 ORDER BY at, id;

-- name: bill_body
-- What a bill was rated from, and its lines.
SELECT inputs::text AS inputs, detail::text AS detail FROM bill WHERE session = :session AND seq = :seq;

-- name: terms_of_bills
-- What bills were made by beside their tariffs.
SELECT b.session, (b.inputs -> 'terms')::text AS terms
  FROM bill b JOIN unnest(:sessions::integer[], :seqs::integer[]) AS wanted (session, seq) USING (session, seq)
 WHERE b.inputs ? 'terms';

-- name: session_exists
-- Is there such a session?
SELECT EXISTS (SELECT FROM session WHERE id = :session);

-- name: rating_states
-- Where billing stands with some sessions, for those who list them.
SELECT session, tariff, tariff_version, holds, flags, notes FROM rating WHERE session = ANY(:sessions::integer[]);

-- name: held_by_reason
-- How many sessions billing itself holds.
SELECT hold, count(*) AS sessions FROM rating, unnest(holds) AS hold WHERE holds <> '{}' GROUP BY hold;

-- name: unbilled_wh
-- Energy of sessions that have no final bill yet, held ones included: exactly those that billing still looks at.
SELECT coalesce(sum(s.energy_wh), 0) FROM rating r JOIN session s ON s.id = r.session WHERE r.next_at IS NOT NULL;

-- name: bills_between
-- The bill that counts of each session that ended in a span, with where and for whom it was, in the order of their ends.
SELECT s.id AS session, b.inputs::text AS inputs, b.total_incl_minor, b.currency, b.tariff, b.policy_version, c.site,
       t.group_id, t.user_class, s.token, coalesce(s.started_at, b.as_of) AS started_at, b.as_of, i.country,
       b.detail ->> 'tax_included' AS tax_included
  FROM session s
  JOIN charge_point c ON c.id = s.charge_point
  JOIN site i ON i.id = c.site
  JOIN LATERAL (SELECT * FROM bill WHERE session = s.id AND kind <> 'interim' ORDER BY seq DESC LIMIT 1) b ON true
  LEFT JOIN LATERAL (SELECT e.group_id, e.user_class FROM token_event e
                      WHERE e.uid = s.token AND e.at <= s.started_at ORDER BY e.at DESC, e.id DESC LIMIT 1) t ON true
 WHERE s.ended_at >= :since::timestamptz AND s.ended_at < :until::timestamptz
   AND b.currency = :currency::text
   AND (:site::text IS NULL OR c.site = :site) AND (:tariff::text IS NULL OR b.tariff = :tariff)
 ORDER BY s.ended_at, s.id;

-- name: count_bills_between
-- How many those are.
SELECT count(*)
  FROM session s
  JOIN charge_point c ON c.id = s.charge_point
  JOIN LATERAL (SELECT * FROM bill WHERE session = s.id AND kind <> 'interim' ORDER BY seq DESC LIMIT 1) b ON true
 WHERE s.ended_at >= :since::timestamptz AND s.ended_at < :until::timestamptz
   AND b.currency = :currency::text
   AND (:site::text IS NULL OR c.site = :site) AND (:tariff::text IS NULL OR b.tariff = :tariff);

-- name: count_unbilled
-- Sessions that ended in a period of their site's own days and have no final bill.
SELECT count(*)
  FROM session s
  JOIN charge_point c ON c.id = s.charge_point
  JOIN site t ON t.id = c.site
 WHERE s.ended_at >= :first::date - interval '1 day' AND s.ended_at < :last::date + interval '2 days'
   AND (s.ended_at AT TIME ZONE t.time_zone)::date BETWEEN :first AND :last
   AND (:site::text IS NULL OR c.site = :site) AND s.dropped IS NULL
   AND NOT EXISTS (SELECT FROM bill b WHERE b.session = s.id AND b.kind = 'final');

-- name: unbilled_of
-- The next of them, in the order of their ends.
SELECT s.id, s.ended_at
  FROM session s
  JOIN charge_point c ON c.id = s.charge_point
  JOIN site t ON t.id = c.site
 WHERE s.ended_at >= coalesce(:after::timestamptz, :first::date - interval '1 day')
   AND s.ended_at < :last::date + interval '2 days'
   AND (:after IS NULL OR (s.ended_at, s.id) > (:after, :after_session::integer))
   AND (s.ended_at AT TIME ZONE t.time_zone)::date BETWEEN :first AND :last
   AND (:site::text IS NULL OR c.site = :site) AND s.dropped IS NULL
   AND NOT EXISTS (SELECT FROM bill b WHERE b.session = s.id AND b.kind = 'final')
 ORDER BY s.ended_at, s.id
 LIMIT :limit::integer;

-- name: accounts_of
-- Every session that ended in the period in exactly one state, and the energy in each state; beside them what the meters
-- counted between two sessions of an EVSE, and stops that fit no session.
WITH ended AS (
    SELECT s.id, c.site, s.charge_point, s.evse, s.started_at, s.dropped,
           coalesce(s.register_end_wh - s.register_begin_wh, s.energy_wh, 0) AS metered_wh,
           coalesce(s.energy_wh, 0) AS energy_wh, s.register_begin_wh,
           lag(s.register_end_wh) OVER (PARTITION BY s.charge_point, s.evse ORDER BY s.started_at, s.id) AS before_wh,
           s.holds, coalesce(r.holds, '{}') AS rating_holds, b.kind, b.energy_wh AS billed_wh, b.total_excl_minor,
           b.total_incl_minor
      FROM session s
      JOIN charge_point c ON c.id = s.charge_point
      JOIN site t ON t.id = c.site
      LEFT JOIN rating r ON r.session = s.id
      LEFT JOIN LATERAL (SELECT * FROM bill b WHERE b.session = s.id AND b.kind <> 'interim'
                          ORDER BY b.seq DESC LIMIT 1) b ON true
     WHERE s.ended_at >= :first::date - interval '1 day' AND s.ended_at < :last::date + interval '2 days'
       AND (s.ended_at AT TIME ZONE t.time_zone)::date BETWEEN :first AND :last
       AND (:site::text IS NULL OR c.site = :site)
), judged AS (
    SELECT e.*,
           CASE WHEN e.kind IS NOT NULL THEN 'billed'
                WHEN e.dropped IS NOT NULL THEN 'dropped'
                WHEN e.holds <> '{}' THEN 'held'
                WHEN e.rating_holds && ARRAY['no_tariff', 'currency_mismatch', 'tax_undecided', 'not_ratable', 'unpriced', 'rating_failed']
                THEN 'unrated'
                WHEN e.rating_holds <> '{}' THEN 'held'
                ELSE 'waiting' END AS state
      FROM ended e
), lost AS (
    SELECT c.site, count(*) AS orphans
      FROM charging_event v
      JOIN charge_point c ON c.id = v.charge_point
      JOIN site t ON t.id = c.site
     WHERE v.session IS NULL AND v.kind = 'ended'
       AND NOT EXISTS (SELECT FROM event_link l WHERE l.event = v.id)
       AND (v.at AT TIME ZONE t.time_zone)::date BETWEEN :first AND :last
       AND (:site::text IS NULL OR c.site = :site)
     GROUP BY c.site
)
SELECT t.id AS site, t.currency, count(j.id) AS ended,
       count(*) FILTER (WHERE j.state = 'billed') AS billed,
       count(*) FILTER (WHERE j.kind = 'correction') AS corrected,
       count(*) FILTER (WHERE j.state = 'held') AS held,
       count(*) FILTER (WHERE j.state = 'unrated') AS unrated,
       count(*) FILTER (WHERE j.state = 'waiting') AS waiting,
       count(*) FILTER (WHERE j.state = 'dropped') AS dropped,
       coalesce(max(o.orphans), 0) AS orphans,
       coalesce(sum(j.metered_wh), 0) AS wh_metered,
       coalesce(sum(j.billed_wh) FILTER (WHERE j.state = 'billed'), 0) AS wh_billed,
       coalesce(sum(j.metered_wh) FILTER (WHERE j.state IN ('held', 'unrated', 'waiting')), 0) AS wh_held,
       coalesce(sum(j.metered_wh) FILTER (WHERE j.state = 'dropped'), 0) AS wh_dropped,
       coalesce(sum(j.register_begin_wh - j.before_wh), 0) AS wh_between,
       coalesce(sum(j.total_excl_minor), 0)::bigint AS excl_minor,
       coalesce(sum(j.total_incl_minor), 0)::bigint AS incl_minor
  FROM site t
  LEFT JOIN judged j ON j.site = t.id
  LEFT JOIN lost o ON o.site = t.id
 WHERE j.id IS NOT NULL OR o.site IS NOT NULL
 GROUP BY t.id, t.currency
 ORDER BY t.id;

-- name: volumes_before
-- Energy that the customers of some sessions charged since an instant in sessions that started before these. A group's
-- sessions are those of tokens that were in it when they started.
SELECT w.session, coalesce(sum(s.energy_wh), 0) AS wh
  FROM unnest(:sessions::integer[], :tokens::text[], :groups::text[], :sinces::timestamptz[], :untils::timestamptz[])
       AS w (session, token, token_group, since, until)
  LEFT JOIN LATERAL (
        SELECT o.energy_wh FROM session o
         WHERE o.token = ANY(CASE WHEN w.token_group IS NULL THEN ARRAY[w.token]
                             ELSE (SELECT array_agg(DISTINCT e.uid) FROM token_event e
                                    WHERE e.group_id = w.token_group) END)
           AND o.started_at >= w.since AND (o.started_at, o.id) < (w.until, w.session) AND o.dropped IS NULL
           AND (w.token_group IS NULL
                OR (SELECT e.group_id FROM token_event e WHERE e.uid = o.token AND e.at <= o.started_at
                     ORDER BY e.at DESC, e.id DESC LIMIT 1) = w.token_group)) s ON true
 GROUP BY w.session;
