-- name: insert_profile
-- From then on a site sells kWh under this profile; NULL: under none.
INSERT INTO measuring_profile_event (site, profile, valid_from, reason, actor)
VALUES (:site::text, :profile::text, :valid_from::timestamptz, :reason::text, :actor::text);

-- name: profile_of_site
-- What holds at a site at an instant, and since when.
SELECT profile, valid_from, reason, actor
  FROM measuring_profile_event
 WHERE site = :site::text AND valid_from <= :at::timestamptz
 ORDER BY valid_from DESC, id DESC LIMIT 1;

-- name: profiles_of_sessions
-- The profile at each session's site when it began, where there is one.
SELECT w.session AS of_session, p.profile
  FROM unnest(:sessions::integer[], :sites::text[], :sinces::timestamptz[]) AS w (session, site, since)
  JOIN LATERAL (SELECT e.profile FROM measuring_profile_event e
                 WHERE e.site = w.site AND e.valid_from <= w.since
                 ORDER BY e.valid_from DESC, e.id DESC LIMIT 1) p ON p.profile IS NOT NULL;

-- name: keys_of_sessions
-- The keys of each session's charge point that were in force when it began.
SELECT w.session AS of_session, k.id, k.evse, k.serial, k.public_key, k.register, k.measures_time, k.valid_from
  FROM unnest(:sessions::integer[], :charge_points::text[], :sinces::timestamptz[]) AS w (session, charge_point, since)
  JOIN meter_key k ON k.charge_point = w.charge_point AND k.valid_from <= w.since
  LEFT JOIN meter_key_revocation r ON r.key = k.id
 WHERE r.key IS NULL OR r.valid_until > w.since
 ORDER BY k.id;

-- name: insert_key
-- A meter's public key.
INSERT INTO meter_key (charge_point, evse, serial, public_key, curve, register, measures_time, valid_from, reason, actor)
VALUES (:charge_point::text, :evse::integer, :serial::text, :public_key::bytea, :curve::text, :register::text,
        :measures_time::boolean, :valid_from::timestamptz, :reason::text, :actor::text)
RETURNING id;

-- name: insert_revocation
-- A key holds no longer.
INSERT INTO meter_key_revocation (key, valid_until, reason, actor)
VALUES (:key::bigint, :valid_until::timestamptz, :reason::text, :actor::text);

-- name: list_keys
-- Keys with what became of them, those of one charge point or all.
SELECT k.id, k.charge_point, k.evse, k.serial, k.public_key, k.curve, k.register, k.measures_time, k.valid_from,
       r.valid_until, k.reason, k.actor, k.at, r.reason AS revoked_for
  FROM meter_key k
  LEFT JOIN meter_key_revocation r ON r.key = k.id
 WHERE (:charge_point::text IS NULL OR k.charge_point = :charge_point)
   AND (:key::bigint IS NULL OR k.id = :key)
 ORDER BY k.charge_point, k.id;

-- name: told_keys
-- What charge points say of their meters' keys in their settings: MeterPublicKey[1], MeterPublicKey1, PublicKey ...
SELECT charge_point, name, value
  FROM device_setting
 WHERE (:charge_point::text IS NULL OR charge_point = :charge_point)
   AND name ILIKE '%publickey%' AND value <> ''
 ORDER BY charge_point, name;

-- name: fold_again
-- Sessions of a charge point or a site without a final bill: what holds them may have changed.
INSERT INTO session_due (session)
SELECT s.id
  FROM session s JOIN charge_point c ON c.id = s.charge_point
 WHERE (s.charge_point = :charge_point::text OR c.site = :site::text) AND s.dropped IS NULL
   AND NOT EXISTS (SELECT FROM bill b WHERE b.session = s.id AND b.kind = 'final');

-- name: frames_between
-- What is kept of a charge point's traffic about transactions, and of all answers of ours, oldest first.
SELECT direction, body, socket, received_at
  FROM (SELECT direction, action, body, socket, received_at FROM frame
         WHERE charge_point = :charge_point::text
           AND received_at BETWEEN :since::timestamptz AND :until::timestamptz
         UNION
        SELECT direction, action, body, socket, received_at FROM kept_frame
         WHERE charge_point = :charge_point::text
           AND received_at BETWEEN :since::timestamptz AND :until::timestamptz) AS f
 WHERE action = ANY (:actions::text[]) OR (direction = 'out' AND body LIKE '[3%')
 ORDER BY received_at, direction, body
 LIMIT :most::integer;
